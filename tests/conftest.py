"""Shape checks are on in tests only: every annotated call in these rooms is checked by beartype."""

import jaxtyping  # noqa: F401  must come before puna.shapes
from jaxtyping import install_import_hook

install_import_hook(["puna.llama", "puna.rank", "puna.decode"], "beartype.beartype")
