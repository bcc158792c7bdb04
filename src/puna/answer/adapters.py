"""Which adapter a model works with: one of the user's, or one that Puna brings for this model, made for a task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from puna.errors import ModelFileError
from puna.rank.pointer import Pointer
from puna.weights.adapter import ABOUT, Adapter, check_about, check_base
from puna.weights.gguf_adapter import calibration_of, open_adapter
from puna.weights.safetensors_header import read_json

SHIPPED = "shipped"
TRANSLATOR = "translator"
SENTIMENT = "sentiment"
WEIGHT = 0.5  # of a pointer, where the adapter does not say
READERS = Path(__file__).parents[1] / "readers"  # a folder for each; there may be none
TRANSLATORS = READERS.with_name("translators")  # likewise
SENTIMENTS = READERS.with_name("sentiments")  # likewise


class Chosen(NamedTuple):
    """An adapter, and where its calibration stands if it has one."""

    adapter: Adapter
    calibration: Path


def choose_adapter(
    wanted: str | Path | None, model: str, size: int, config: Mapping[str, Any], digest: Callable[[], str]
) -> Chosen | None:
    """Give the adapter of a folder or file; for the names of Puna's own, that of this model, or None.

    `model`, `size`, `config`, `digest`: the model's name, bytes, configuration and sha256; it is hashed only where that
    decides. Raises ModelFileError for what is no adapter, or one of another model.
    """
    if wanted is None:
        return None
    folders = {SHIPPED: READERS, TRANSLATOR: TRANSLATORS, SENTIMENT: SENTIMENTS}
    own = folders.get(wanted) if isinstance(wanted, str) else None
    path = Path(wanted) if own is None else _shipped(own, size, digest)
    if path is None:
        return None
    adapter = open_adapter(path, config)
    if adapter.base is not None:
        check_base(adapter, model, digest())
    return Chosen(adapter, calibration_of(path))


def pointer_of(adapter: Adapter, width: int) -> Pointer | None:
    """Give an adapter's pointer, None if it has none; raise ModelFileError for one that a model of `width` cannot use."""
    parts = [adapter.extra.get(f"pointer.{name}") for name in ("question", "text", "nowhere")]
    if all(part is None for part in parts):
        return None
    weight = (adapter.about.get("reader") or {}).get("pointer", WEIGHT)
    whole = [part.float() for part in parts if part is not None and part.ndim >= 2]
    size = whole[0].shape[1] if whole else 0
    shapes = [(2, size, width), (2, size, width), (2, size)]
    if [tuple(part.shape) for part in whole] != shapes or type(weight) not in (int, float) or not 0 <= weight < 10:
        raise ModelFileError("E-ADAPTER-POINTER", name=adapter.name, width=width)
    question, text, nowhere = whole
    return Pointer(question, text, nowhere, float(weight)) if weight else None


def _shipped(own: Path, size: int, digest: Callable[[], str]) -> Path | None:
    """Find the adapter for a model among Puna's own; models of another size are told apart without a hash."""
    for path in sorted(own.glob(f"*/{ABOUT}")):
        about = read_json(path)
        check_about(path, about)
        base = about.get("base") or {}
        if base.get("size", size) == size and base.get("sha256") == digest():
            return path.parent
    return None
