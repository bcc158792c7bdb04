"""`puna mcp --library` from the outside: the SDK's own client asks a library over standard input and output."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from mcp import Client

from puna.library.library import Library
from puna.serve.library import UPLOAD, Documents
from tests.cli.run import puna as command
from tests.cli.tiny_file import write_tiny
from tests.library.files import pdf
from tests.serve.test_mcp import talk

REPORT = "The walk 🏔️ was led by Ann Lee.\nIt began in May, and Ann Lee came back in June.\n"
QUESTION = "Who led the walk?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of an indexed file, and two uploads, of which one has pages."""
    path = tmp_path_factory.mktemp("mcp")
    write_tiny(path / "tiny.gguf", words=("Ann", " Ann", " Lee", " walk"))
    (path / "files").mkdir()
    (path / "files" / "report.txt").write_bytes(REPORT.encode())
    documents = Documents(path / "lib", create=True)
    pages = [b"BT /F1 12 Tf 72 700 Td (%s) Tj ET" % line for line in (b"Nothing here.", b"Ann Lee led the walk.")]
    documents.put("two.pdf", pdf(pages))
    documents.put("notes.txt", "Ann Lee walked in June. 张三在六月回来。".encode())
    documents.close()
    with Library.open(path / "lib") as library:
        library.add(path / "files")
    return path


def test_ask_and_read(folder: Path) -> None:
    """What the command prints, but for the names of uploads; and every place can be read."""
    printed = command("ask", QUESTION, "--library", "lib", "--model", "tiny.gguf", "--json", cwd=folder)
    wanted = json.loads(printed.stdout.replace(f'"{UPLOAD}', '"'))
    report = str(folder / "files" / "report.txt")

    async def ask(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"ask", "rank", "read_span"}
        assert "library" in client.instructions
        found = await client.call_tool("ask", {"question": QUESTION})
        assert {**found.structured_content, "elapsed_ms": 0} == {**wanted, "elapsed_ms": 0}
        Draft202012Validator(tools["ask"].output_schema).validate(found.structured_content)
        given = {"question": QUESTION, "candidates": ["Ann Lee"]}
        found = (await client.call_tool("ask", given)).structured_content
        places = found["answers"][0]["evidence"]
        assert {place["source"] for place in places} == {"two.pdf", "notes.txt", report}
        assert {place["page"] for place in places} == {None, 2}
        for place in places:
            asked = {"start": place["start"], "end": place["end"], "source": place["source"]}
            span = (await client.call_tool("read_span", asked)).structured_content
            assert span["text"] == "Ann Lee"
            assert (span["line"], span["page"]) == (place["line"], place["page"])
            Draft202012Validator(tools["read_span"].output_schema).validate(span)
        given = {"question": QUESTION, "text": "Bob led it."}
        alone = (await client.call_tool("ask", given)).structured_content
        assert alone["coverage"]["characters"] == len("Bob led it.")
        assert "passages" not in alone

    talk(folder, ask, "--library", "lib")


WRONG = [
    ("read_span", {"start": 0, "end": 1}, "E-MCP-SOURCE"),
    ("read_span", {"start": 0, "end": 1, "source": "/etc/passwd"}, "E-MCP-SOURCE"),
    ("read_span", {"start": 0, "end": 1, "source": "../tiny.gguf"}, "E-MCP-SOURCE"),
    ("read_span", {"start": 0, "end": 9999, "source": "notes.txt"}, "E-MCP-SPAN"),
    ("ask", {"question": " "}, "E-QUESTION-EMPTY"),
    ("ask", {"question": "Who?", "candidates": ["a", "a"]}, "E-CANDIDATE-TWICE"),
]


def test_what_is_wrong_is_told(folder: Path) -> None:
    async def ask(client: Client) -> None:
        for tool, arguments, said in WRONG:
            found = await client.call_tool(tool, arguments)
            assert found.is_error
            assert said in found.content[0].text
            assert "Traceback" not in found.content[0].text
        found = await client.call_tool("read_span", {"start": 0, "end": 1})
        assert "two.pdf" in found.content[0].text

    talk(folder, ask, "--library", "lib")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--library", "none"), "E-LIBRARY-MISSING"),
        (("files/report.txt", "--library", "lib"), "E-LIBRARY-ASK-TEXTS"),
    ],
)
def test_bad_input(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    done = command("mcp", *arguments, "--model", "tiny.gguf", cwd=folder, stdin=b"")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].endswith(f"[{code}]")
    assert not (folder / "none").exists()
