"""Shape checks are on in tests only: every annotated call in these rooms is checked by beartype."""

import signal

import jaxtyping  # noqa: F401  must come before puna.shapes
from jaxtyping import install_import_hook

install_import_hook(["puna.llama", "puna.rank", "puna.decode"], "beartype.beartype")

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

from tests.default_model import (  # noqa: E402, F401
    default_bf16,
    default_fp32,
    default_hf,
    default_path,
    default_tokenizer,
    default_torch,
    default_torch_fp32,
)
from tests.shim import shim  # noqa: E402, F401
