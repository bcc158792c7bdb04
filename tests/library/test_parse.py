"""The process that reads: its limits, its end, and what its caller makes of whatever comes back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puna.errors import DocumentError
from puna.library.limits import MIB, Limits
from puna.library.parse import Parser, contents, parse
from puna.library.types import Block, Box, Document, Mark
from puna.library.wire import decode, encode
from tests.library.files import book, document, lines, pdf, word, zipped

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux says what a process has")
GOOD = {
    ".txt": "Some words.\n\n中文。".encode(),
    ".md": b"# One\n\ntwo\n",
    ".html": b"<title>t</title><p>one &amp; two",
    ".pdf": pdf([lines(["Some words"])], trailer=b"/Info<</Title(t)>>"),
    ".docx": word("<w:p><w:r><w:t>text</w:t></w:r></w:p>"),
    ".epub": book({"a.xhtml": "<p>text", "b.xhtml": "<p>more"}),
    ".csv": "名,b\n1,2\n".encode("gb18030"),
    ".jsonl": b'{"a": "b\\u4e2d"}\n',
}


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as found:
        yield found


@pytest.mark.parametrize("suffix", GOOD)
def test_a_process_of_its_own_reads_the_same(suffix: str, parser: Parser, tmp_path: Path) -> None:
    path = tmp_path / f"文 件{suffix.upper()}"
    path.write_bytes(GOOD[suffix])
    assert parser.parse(path) == document(suffix, GOOD[suffix])
    assert parser.parse(Path(f"x{suffix}"), GOOD[suffix]) == document(suffix, GOOD[suffix])


def test_one_process_reads_many(parser: Parser) -> None:
    parser.parse(Path("x.txt"), b"a")
    first = parser._process
    for suffix, content in GOOD.items():
        parser.parse(Path(f"x{suffix}"), content)
    assert parser._process is first


def test_parse_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(GOOD[".md"])
    assert parse(path).title == "One"


def code_of(parser: Parser, name: str, content: bytes) -> str:
    with pytest.raises(DocumentError) as refused:
        parser.parse(Path(name), content)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.describe("zh")
    return refused.value.code


def test_time_has_an_end() -> None:
    limits = Limits(cpu=1, pieces=100_000_000)
    with Parser(limits) as parser:
        # Sound, and too much for a second.
        assert code_of(parser, "long.html", b"<p>a<b>b</b>" * 2_000_000) == "E-DOCUMENT-SLOW"
        assert parser.parse(Path("x.md"), GOOD[".md"]).title == "One"


@needs_proc
def test_memory_has_an_end() -> None:
    with Parser(Limits(memory=96 * MIB)) as parser:
        # Four bytes a character, for one needs them.
        assert code_of(parser, "wide.txt", b"x" * (30 * MIB) + "😀".encode()) == "E-DOCUMENT-MEMORY"
        for suffix, content in GOOD.items():
            assert parser.parse(Path(f"x{suffix}"), content) == document(suffix, content)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes are not stopped here")
def test_a_process_that_hangs_is_ended(parser: Parser) -> None:
    with Parser() as own:
        own.parse(Path("x.md"), GOOD[".md"])
        own.limits = Limits(wall=0.2)
        assert own._process
        os.kill(own._process.pid, signal.SIGSTOP)
        assert code_of(own, "any.txt", b"text") == "E-DOCUMENT-SLOW"
        own.limits = Limits()
        assert own.parse(Path("x.md"), GOOD[".md"]).title == "One"


def test_a_process_that_has_died_is_replaced() -> None:
    with Parser() as parser:
        for _ in range(2):
            parser.parse(Path("x.md"), GOOD[".md"])
            assert parser._process
            parser._process.kill()
            parser._process.wait()
        assert parser.parse(Path("x.md"), GOOD[".md"]).title == "One"


SPEAKS = {
    "nothing": "",
    "nothing, and an error": "sys.exit(3)",
    "too little": "out.write(b'+'); out.flush()",
    "something else": "out.write(b'hello, who is there?'); out.flush(); sys.stdin.buffer.read()",
    "no more after it is ready": "ready()",
    "a document of random bytes": "ready(); say(b'd', bytes(range(256)))",
    "a document of no bytes": "ready(); say(b'd', b'')",
    "a document without an end": "ready(); out.write(struct.pack('<cQ', b'd', 1 << 62)); out.flush(); time.sleep(600)",
    "a document that is cut off": "ready(); out.write(struct.pack('<cQ', b'd', 99) + b'x'); out.flush()",
    "a refusal that is no JSON": "ready(); say(b'r', b'{')",
    "a refusal of lists in lists": "ready(); say(b'r', b'[' * 100000)",
    "a refusal of an unknown code": """ready(); say(b'r', b'{"code": "E-FILE-READ", "parameters": {}}')""",
    "a refusal of a code that is none": """ready(); say(b'r', b'{"code": 7, "parameters": {}}')""",
    "a refusal without its words": """ready(); say(b'r', b'{"code": "E-DOCUMENT-DAMAGED", "parameters": {}}')""",
    "another kind of answer": "ready(); say(b'x', b'')",
    "and dies of a signal": "ready(); os.kill(os.getpid(), 9)",
}


@pytest.mark.skipif(os.name != "posix", reason="scripts are run by their first line")
@pytest.mark.parametrize("name", SPEAKS)
def test_whatever_comes_back_is_an_error_of_ours(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text(
        f"#!{sys.executable}\nimport os, struct, sys, time\nout = sys.stdout.buffer\n"
        "def say(kind, body):\n    out.write(struct.pack('<cQ', kind, len(body)) + body)\n    out.flush()\n"
        f"def ready():\n    say(b'+', b'')\n    sys.stdin.buffer.read(2)\n{SPEAKS[name]}\n"
    )
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    with Parser() as parser, pytest.raises(DocumentError) as refused:
        parser.parse(Path("x.txt"), b"text")
    assert refused.value.code in ("E-DOCUMENT-READER", "E-DOCUMENT-CRASH")
    assert refused.value.describe("zh")
    assert "\n" not in str(refused.value)


CONFINED = """
import os, socket, subprocess, sys
from puna.library.child import _confine
from puna.library.limits import Limits
from puna.library.readers import preload
preload()
_confine(Limits())
def refused(action):
    try:
        action()
    except OSError:
        return True
def start():
    subprocess.run([sys.executable, "-c", "pass"])
print([refused(lambda: open(os.devnull)), refused(lambda: open("made", "w")), refused(socket.socket), refused(start)])
try:
    bytearray(1 << 30)
except MemoryError:
    print("no memory")
"""


@needs_proc
def test_no_file_no_connection_no_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[True, True, True, True]", "no memory"]
    assert list(tmp_path.iterdir()) == []


def test_the_caller_has_no_parser() -> None:
    code = "import sys; import puna.library.parse; print(sorted(m for m in sys.modules if 'pdf' in m or 'readers' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@needs_proc
def test_nothing_is_left_open() -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(3):
        with Parser() as parser:
            code_of(parser, "x.pdf", b"%PDF-1.4")
    assert count() == before


class TestContents:
    def test_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"\0\r\n")
        assert contents(tmp_path / "a") == b"\0\r\n"

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path, tmp_path / "none", tmp_path / "pipe", Path("/dev/zero"), tmp_path / "a\0b"):
            with pytest.raises(DocumentError) as refused:
                contents(path)
            assert refused.value.code == "E-FILE-READ"

    def test_size(self, tmp_path: Path) -> None:
        path = tmp_path / "large.txt"
        with path.open("wb") as file:
            file.truncate(2 * MIB + 1)
        with pytest.raises(DocumentError) as refused:
            contents(path, Limits(file=2 * MIB))
        assert refused.value.code == "E-DOCUMENT-SIZE"
        assert str(refused.value) == f"{path} has 3 MiB, more than the 2 MiB that are read"
        assert len(contents(path, Limits(file=2 * MIB + 1))) == 2 * MIB + 1

    def test_a_name_that_plays_with_the_terminal(self, parser: Parser) -> None:
        with pytest.raises(DocumentError) as refused:
            parser.parse(Path("a\x1b[31m\n.txt"), b"")
        assert "\x1b" not in str(refused.value)
        assert "\n" not in str(refused.value)


OFFSET = st.integers(0, 9)
NUMBER = st.floats(allow_nan=False, allow_infinity=False, width=32)
DOCUMENTS = st.builds(
    Document,
    text=st.text(st.characters(codec="utf-8"), min_size=10),
    title=st.text(st.characters(codec="utf-8")),
    blocks=st.sampled_from(
        [
            (),
            (Block(0, 3),),
            (Block(1, 2, "heading", 6), Block(4, 5, "row"), Block(5, 9, "code"), Block(9, 10, "table")),
        ]
    ),
    pages=st.just((0, 0, 4)),
    boxes=st.tuples(st.builds(Box, st.just(0), st.just(3), st.integers(1, 3), NUMBER, NUMBER, NUMBER, NUMBER)),
    marks=st.sampled_from([(), (Mark(0, None), Mark(3, 70_000, "章 one"), Mark(4, 0, "b", 6))]),
)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCUMENTS)
def test_there_and_back(found: Document) -> None:
    assert decode(encode(found)) == found


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    DOCUMENTS, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4), st.booleans()
)
def test_bytes_that_are_no_document(found: Document, changes: list[tuple[int, int]], cut: bool) -> None:
    data = bytearray(encode(found))
    for place, value in changes:
        data[place % len(data)] = value
    if cut:
        del data[changes[0][0] % len(data) :]
    try:
        other = decode(bytes(data))
    except ValueError:
        return
    assert all(0 <= block.start < block.end <= len(other.text) for block in other.blocks)
    assert all(0 <= box.start < box.end <= len(other.text) for box in other.boxes)
    assert decode(encode(other)) == other


def test_an_archive_in_memory_leaves_no_file(
    parser: Parser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code_of(parser, "x.docx", zipped({"../made": "x", "made": "x"}))
    assert list(tmp_path.iterdir()) == []
