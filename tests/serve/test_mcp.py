"""`puna mcp` from the outside: the SDK's own client starts it and calls its tools over standard input and output."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from mcp import Client, StdioServerParameters

import puna
from puna.answer.types import Source
from tests.cli.run import puna as command
from tests.cli.tiny_file import write_tiny

REPORT = "The walk 🏔️ was led by Ann Lee.\nIt began in May, and Ann Lee came back in June.\n"
NOTES = "张三在六月回来。\n"
QUESTION = "Who led the walk?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mcp")
    write_tiny(path / "tiny.gguf", words=("Ann", " Ann", " Lee", " walk"))
    (path / "report.txt").write_bytes(REPORT.encode())
    (path / "notes.txt").write_bytes(NOTES.encode())
    return path


@pytest.fixture(scope="module")
def reader(folder: Path) -> puna.Reader:
    return puna.load(folder / "tiny.gguf")


def talk(
    folder: Path, what: Callable[[Client], Awaitable[None]], *files: str, language: str = "en", **options
) -> None:
    """Start `puna mcp` over these files and talk with it."""
    started = StdioServerParameters(
        command=sys.executable,
        args=["-m", "puna.cli.main", "mcp", *files, "--model", "tiny.gguf"],
        env={**os.environ, "PUNA_LANG": language, "OMP_NUM_THREADS": "1"},
        cwd=folder,
    )

    async def session() -> None:
        async with Client(started, **options) as client:
            await what(client)

    asyncio.run(session())


def without_time(found: dict) -> dict:
    """As JSON has it, which knows no tuples."""
    return {**json.loads(json.dumps(found)), "elapsed_ms": 0}


def test_tools_and_their_schemas(folder: Path) -> None:
    async def look(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"ask", "rank", "read_span"}
        for tool in tools.values():
            assert tool.description
            assert tool.annotations.read_only_hint
            for schema in (tool.input_schema, tool.output_schema):
                Draft202012Validator.check_schema(schema)
                assert schema["type"] == "object"
            assert "context" not in tool.input_schema["properties"]
        assert tools["ask"].input_schema["required"] == ["question"]
        assert "report.txt (80 characters)" in client.instructions

    talk(folder, look, "report.txt")


def test_ask_gives_what_the_command_prints(folder: Path, reader: puna.Reader) -> None:
    done = command("ask", QUESTION, "report.txt", "notes.txt", "--model", "tiny.gguf", "--json", cwd=folder)
    printed = json.loads(done.stdout)
    mine = reader.ask(QUESTION, NOTES, ["张三", "李四"], top=1).to_dict()

    async def ask(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        told: list[tuple[float, float | None]] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            told.append((done, total))

        found = await client.call_tool("ask", {"question": QUESTION}, progress_callback=progress)
        assert not found.is_error
        assert without_time(found.structured_content) == without_time(printed)
        Draft202012Validator(tools["ask"].output_schema).validate(found.structured_content)
        assert json.loads(found.content[0].text) == found.structured_content
        assert told[-1] == (2, 2)
        given = {"question": QUESTION, "text": NOTES, "candidates": ["张三", "李四"], "top": 1}
        found = await client.call_tool("ask", given)
        assert without_time(found.structured_content) == without_time(mine)

    talk(folder, ask, "report.txt", "notes.txt")


def test_every_place_can_be_read(folder: Path) -> None:
    async def read(client: Client) -> None:
        found = (await client.call_tool("ask", {"question": QUESTION, "top": 20})).structured_content
        texts = {"report.txt": REPORT, "notes.txt": NOTES}
        places = [(answer["text"], place) for answer in found["answers"] for place in answer["evidence"]]
        assert {place["source"] for _, place in places} == set(texts)
        for answer, place in places:
            start, end, text = place["start"], place["end"], texts[place["source"]]
            asked = {"start": start, "end": end, "source": place["source"], "around": 7}
            span = (await client.call_tool("read_span", asked)).structured_content
            assert span["text"] == text[start:end]
            assert " ".join(span["text"].split()) == answer
            assert span["before"] == text[max(start - 7, 0) : start]
            assert span["after"] == text[end : end + 7]
            assert (span["line"], span["characters"]) == (place["line"], len(text))
        asked = {"start": 2, "end": 4, "text": "a𠀋🦙c", "around": 1}
        span = (await client.call_tool("read_span", asked)).structured_content
        assert (span["before"], span["text"], span["after"]) == ("𠀋", "🦙c", "")

    talk(folder, read, "report.txt", "notes.txt")


def test_rank(folder: Path, reader: puna.Reader) -> None:
    wanted = reader.rank(QUESTION, ["Ann Lee", "Bo", "Cy"], 2).to_dict()

    async def rank(client: Client) -> None:
        given = {"question": QUESTION, "candidates": ["Ann Lee", "Bo", "Cy"], "top": 2}
        found = (await client.call_tool("rank", given)).structured_content
        assert without_time(found) == without_time(wanted)

    talk(folder, rank)


WRONG = {
    "no text": ("ask", {"question": "Who?"}, "E-MCP-TEXT"),
    "empty question": ("ask", {"question": " ", "text": "a"}, "E-QUESTION-EMPTY"),
    "empty text": ("ask", {"question": "Who?", "text": " "}, "E-TEXT-EMPTY"),
    "doubled candidate": ("rank", {"question": "Who?", "candidates": ["a", "a"]}, "E-CANDIDATE-TWICE"),
    "behind the end": ("read_span", {"text": "abc", "start": 1, "end": 4}, "E-MCP-SPAN"),
    "backwards": ("read_span", {"text": "abc", "start": 2, "end": 1}, "E-MCP-SPAN"),
    "no such source": ("read_span", {"text": "abc", "start": 0, "end": 1, "source": "/etc/passwd"}, "E-MCP-SOURCE"),
    "top is none": ("ask", {"question": "Who?", "text": "a", "top": 0}, "greater than or equal to 1"),
    "a number for a text": ("ask", {"question": 7, "text": "a"}, "question"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_wrong_is_told(folder: Path, language: str) -> None:
    async def ask(client: Client) -> None:
        for tool, arguments, said in WRONG.values():
            found = await client.call_tool(tool, arguments)
            assert found.is_error
            assert said in found.content[0].text
            assert "Traceback" not in found.content[0].text
        found = await client.call_tool("ask", {"question": "Who?"})
        assert ("没有给出文本" in found.content[0].text) == (language == "zh")

    talk(folder, ask, language=language)


def test_older_clients(folder: Path) -> None:
    async def ask(client: Client) -> None:
        found = await client.call_tool("ask", {"question": QUESTION})
        assert found.structured_content["answers"]

    talk(folder, ask, "report.txt", mode="legacy")


def test_a_client_that_gives_up_is_not_waited_for(reader: puna.Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    from puna.serve.mcp import make_server

    begun, ended = asyncio.Event(), asyncio.Event()
    real = puna.Reader.ask

    async def session() -> None:
        loop = asyncio.get_running_loop()

        def slow(self, question, sources, candidates, *, progress, stop, **options):
            loop.call_soon_threadsafe(begun.set)
            while not stop():
                time.sleep(0.01)
            try:
                return real(self, question, sources, candidates, stop=stop, **options)
            finally:
                loop.call_soon_threadsafe(ended.set)

        server = make_server(reader, [Source("a", REPORT)])
        async with Client(server) as client:
            with monkeypatch.context() as patch:
                patch.setattr(puna.Reader, "ask", slow)
                call = asyncio.create_task(client.call_tool("ask", {"question": QUESTION}))
                await begun.wait()
                call.cancel()
                await ended.wait()
            found = await client.call_tool("ask", {"question": QUESTION})
            assert found.structured_content["answers"]

    asyncio.run(session())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("no.txt",), "E-FILE-MISSING"), (("-",), "E-USAGE"), (("--model", "no-such"), "E-MODEL-UNKNOWN")],
)
def test_bad_input(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    done = command("mcp", *arguments, cwd=folder, stdin=b"")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[0].endswith(f"[{code}]")


def test_ends_with_its_input(folder: Path) -> None:
    done = command("mcp", "report.txt", "--model", "tiny.gguf", cwd=folder, stdin=b"")
    assert (done.returncode, done.stdout) == (0, "")


def test_without_the_sdk(folder: Path) -> None:
    (folder / "hide").mkdir(exist_ok=True)
    (folder / "hide" / "sitecustomize.py").write_text(
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'mcp' else real(name, *rest)\n"
    )
    path = os.pathsep.join([str(folder / "hide"), os.environ.get("PYTHONPATH", "")])
    done = command("mcp", cwd=folder, stdin=b"", PYTHONPATH=path)
    assert done.returncode == 2
    assert "[E-MCP-MISSING]" in done.stderr
    assert "puna[mcp]" in done.stderr
