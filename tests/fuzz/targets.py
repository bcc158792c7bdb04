"""Opening files as the commands do, as far as a small model goes: everything that reads them is run once."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

import puna
from puna.answer.adapters import pointer_of
from puna.answer.calibration import load_calibration
from puna.answer.mixture import Window
from puna.answer.settings import Settings
from puna.errors import DocumentError, InputError, PunaError
from puna.library.limits import LIMITS
from puna.library.parse import contents
from puna.library.readers import read
from puna.library.readers.refused import Refused
from puna.library.wire import decode, encode
from puna.llama.describe import describe, describe_adapter
from puna.llama.load import load
from puna.tokens import ranked_files
from puna.tokens.files import check_inside, read_bounded
from puna.tokens.template import ChatTemplate
from puna.tokens.tokenizer import Tokenizer
from puna.weights.adapted import AdaptedCheckpoint
from puna.weights.checkpoint import open_checkpoint
from puna.weights.gguf_adapter import calibration_of, open_adapter
from tests.fuzz.documents import DOCUMENTS
from tests.fuzz.models import SIZES, folder_files
from tests.fuzz.seeds import RANKS

TEXT = "The cat sat on the mat. 12345 字体\n\n don't  <|im_end|></s><s> \U0001f999 ééé aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": TEXT},
    {"role": "assistant", "content": " ok "},
]


def open_model(folder: Path) -> None:
    """`puna info`, `puna generate` and `puna rank`, in one process."""
    path = folder / "model.gguf" if (folder / "model.gguf").is_file() else folder
    describe(open_checkpoint(path))
    reader = puna.load(path)
    _text(reader.tokenizer)
    reader.generate("hi 字", max_tokens=2)
    reader.rank("Who?", ["Ann", "安"])
    reader.ask("Who came?", "Ann came. 安来了。", max_nodes=20)


def open_info(folder: Path) -> None:
    """`puna info` alone."""
    describe(open_checkpoint(folder / "model.gguf"))


def open_tokens(folder: Path) -> None:
    """A tokenizer's folder."""
    _text(Tokenizer.from_folder(folder))


def _text(tokenizer: Tokenizer) -> None:
    ids, offsets = tokenizer.encode_with_offsets(TEXT)
    if not all(0 <= i < tokenizer.vocab_size for i in ids):
        raise AssertionError("an id outside the vocabulary")
    unknown = {i for i in tokenizer.special_ids if tokenizer.decode([i], skip_special=False) == "<unk>"}
    unknown |= {*tokenizer.encode("\U000f0000\U000f0001")}  # the file says which token stands for what it lacks
    if tokenizer.special_ids.intersection(ids).difference(unknown):
        raise AssertionError("text became a control token")
    if not all(0 <= first <= last <= len(TEXT) for first, last in offsets):
        raise AssertionError("an offset outside the text")
    tokenizer.decode(ids)
    if tokenizer.template is not None:
        for messages in (CHAT[1:2], CHAT):
            try:
                ids, _ = tokenizer.encode_chat_with_offsets(messages)
            except InputError:
                continue  # the template does not take a system's turn
            tokenizer.decode(ids, skip_special=False)
    tokenizer.end_id  # noqa: B018  it may not be there, which is told


def open_adapter_(folder: Path) -> None:
    """An adapter, applied to a model that it is for."""
    path = folder / "lora.gguf" if (folder / "lora.gguf").is_file() else folder
    adapter = open_adapter(path, SIZES)
    describe_adapter(adapter, path)
    pointer_of(adapter, SIZES["hidden_size"])
    _ = adapter.digest, adapter.examples
    if (beside := calibration_of(path)).exists():
        check_inside(beside)
        load_calibration(beside)
    merged = AdaptedCheckpoint(_base(folder), adapter)
    load(merged)
    for name in adapter.matrices:
        merged.tensor(name, torch.float32)


def _base(folder: Path) -> object:
    base = folder.parent / "base"
    if not base.exists():
        base.mkdir()
        for name, content in folder_files(270, 8, {}).items():
            (base / name).write_bytes(content)
    return open_checkpoint(base)


def open_template(folder: Path) -> None:
    """A chat template by itself."""
    try:
        source = read_bounded(folder / "chat_template.jinja").decode("utf-8", "replace")
    except FileNotFoundError:
        return
    template = ChatTemplate(source, "<s>", "</s>")
    for messages in (CHAT[1:2], CHAT):
        try:
            text = template.render(messages)
        except InputError:
            continue
        if len(text) > 2**20 + 4 * 2**12:
            raise AssertionError("its text is longer than the bound")


def open_calibration(folder: Path) -> None:
    """A calibration's file, used once."""
    found = load_calibration(folder / "given.json")
    found.apply(Window({"a": -1.0, "b": -2.0}, -0.5, -3.0, 2))
    found.to_json()
    settings = Settings(calibration=found, max_error=0.1)
    _ = settings.threshold, settings.pool


def open_document(folder: Path) -> None:
    """A document, without the process that would bear it: its readers raise nothing but what they refuse by."""
    for name in DOCUMENTS:
        path = folder / name
        if not os.path.lexists(path):
            continue
        raw = contents(path)
        try:
            found = read(path.suffix, bytearray(raw), LIMITS)
        except Refused as refused:
            raise DocumentError(refused.code, **{**refused.parameters, "path": path}) from None
        if decode(encode(found)) != found:
            raise AssertionError("it changes on its way")


TARGETS: dict[str, Callable[[Path], None]] = {
    "model": open_model,
    "info": open_info,
    "tokens": open_tokens,
    "adapter": open_adapter_,
    "template": open_template,
    "calibration": open_calibration,
    "document": open_document,
}


def prepare() -> None:
    """Make a small tiktoken file one of Llama 3's family, and keep torch to one thread."""
    ranked_files.FAMILIES[RANKS] = ranked_files.FAMILIES[128_000]
    torch.set_num_threads(1)


def verdict(target: str, folder: Path) -> tuple[str, str]:
    """Open a case: ("loaded", ""), ("refused", code), or ("failed", what) for whatever may not happen."""
    try:
        TARGETS[target](folder)
    except PunaError as error:
        return _refusal(error, folder)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "failed", f"{type(error).__module__}.{type(error).__name__}: {str(error)[:300]}"
    return "loaded", ""


def _refusal(error: PunaError, folder: Path) -> tuple[str, str]:
    for language in ("en", "zh"):
        for said in error.describe(language):
            plain = said.replace(str(folder), "")
            if not plain.isprintable():
                return "failed", f"{error.code} says what is not printable: {said[:300]!r}"
            if len(plain) > 600:
                return "failed", f"{error.code} has {len(plain)} characters: {said[:300]!r}"
    return "refused", error.code
