"""Breaking torch's archives: their entries, the numbers in them, and the pickle that says which is what."""

import io
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable

from tests.fuzz.choices import Choices

GLOBALS = (
    b"os\nsystem\n",
    b"builtins\neval\n",
    b"torch\nload\n",
    b"torch.storage\n_load_from_bytes\n",
    b"torch._utils\n_rebuild_parameter\n",
    b"torch._utils\n_rebuild_tensor_v2\n",
    b"torch._utils\n_rebuild_sparse_tensor\n",
    b"torch\nIntStorage\n",
    b"torch\nDoubleStorage\n",
    b"torch\nFloatStorage\n",
    b"torch\nHalfStorage\n",
    b"collections\nOrderedDict\n",
    b"torch\ndevice\n",
    b"\n\n",
)
NAMES = (
    b"",
    b"cpu",
    b"cuda:0",
    b"meta",
    b"storage",
    b"0",
    b"1",
    b"../0",
    b"tok_embeddings.weight",
    b"layers.0.attention.wq.weight",
    b"layers.9.attention.wq.weight",
    b"layers.0.attention.wq.bias",
    b"rope.freqs",
    b"\xff",
    b"\x1b[2J",
    b"x" * 300,
)
SIZES = (0, 1, 2, 15, 16, 31, 32, 33, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**60, 2**62, 2**63 - 1, 2**64, -1, -2)
_SIZED = frozenset({"BININT", "BININT1", "BININT2", "LONG1"})

Break = Callable[[bytes, Choices], bytes]


def break_archive(content: bytes, choices: Choices, break_bytes: Break, break_numbers: Break) -> bytes:
    """Break an archive in one place. Raises ValueError for what is none, or is broken already."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as error:
        raise ValueError("it is broken already") from error
    pickled = next((n for n, (name, _) in enumerate(parts) if name.endswith("data.pkl")), None)
    at, act, packed = choices.below(len(parts) or 1), choices.below(12), zipfile.ZIP_STORED
    if pickled is not None and act < 7:
        parts[pickled] = parts[pickled][0], _pickle(parts[pickled][1], choices, break_bytes)
    elif act == 7:
        del parts[at : at + 1]
    elif act == 8 and parts:
        name = choices.pick(("archive/data.pkl", "data.pkl", "../x", "archive/data/0", parts[at][0] + "x", ""))
        parts.insert(choices.below(len(parts)), (name, choices.pick(parts)[1]))
    elif act == 9:
        packed = zipfile.ZIP_DEFLATED
    elif parts:
        parts[at] = parts[at][0], break_numbers(parts[at][1], choices)
    found = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(found, "w", packed) as archive,
    ):  # of a name twice
        for name, raw in parts:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = packed
            archive.writestr(entry, raw)
    return found.getvalue()


def _pickle(content: bytes, choices: Choices, break_bytes: Break) -> bytes:
    """Change one instruction: what it names, its number, its place; or bytes."""
    steps = [(code.name, at or 0) for code, _, at in pickletools.genops(content)]
    ends = [*(at for _, at in steps[1:]), len(content)]
    spans = [content[at:end] for (_, at), end in zip(steps, ends, strict=True)]
    i, act = choices.below(len(spans)), choices.below(9)
    if act == 0:
        return break_bytes(content, choices)
    if act == 1:
        del spans[i]
    elif act == 2:
        spans.insert(choices.below(len(spans)), spans[i])
    elif act == 3:
        j = choices.below(len(spans))
        spans[i], spans[j] = spans[j], spans[i]
    elif act == 4:
        spans.insert(
            i, choices.pick((b"R", b"0", b"2", b"Q", b")", b"}", b"]", b"N", b"\x81", b"b", b"(", b"t", b"a"))
        )
    else:
        kinds = (_SIZED, {"BINUNICODE", "SHORT_BINUNICODE"}, {"GLOBAL"}, _SIZED)[act - 5]
        places = [n for n, (name, _) in enumerate(steps) if name in kinds]
        if places:
            spans[choices.pick(places)] = (_size, _name, _global, _size)[act - 5](choices)
    return b"".join(spans)


def _size(choices: Choices) -> bytes:
    number = choices.pick(SIZES)
    raw = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def _name(choices: Choices) -> bytes:
    name = choices.pick(NAMES)
    return b"X" + struct.pack("<I", len(name)) + name


def _global(choices: Choices) -> bytes:
    return b"c" + choices.pick(GLOBALS)
