"""A library as LangChain's and LlamaIndex's retriever, with the real packages: what they give is what a search finds."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puna.errors import InputError
from puna.library.library import Library

QUESTIONS = ["Who led the walk?", "谁领导了这次徒步？", "What is a glacier made of?", "Unheard-of?"]
MANUAL = "# Walks\n\nIt rained.\n\n## The long one\n\nThe walk was led by Ann Lee on 3 May.\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("adapters")
    (folder / "files").mkdir()
    (folder / "files" / "walks.md").write_text(MANUAL)
    (folder / "files" / "徒步.txt").write_text("这次徒步由李安领导。", "utf-8")
    (folder / "files" / "ice.txt").write_text("\n\n".join(f"A glacier is made of ice {n}. " * 30 for n in range(9)))
    with Library.open(folder / "a.library") as opened:
        opened.add(folder / "files")
        yield opened


def expected(library: Library, question: str, n: int) -> list[tuple[str, dict[str, Any]]]:
    """What a search finds, said in the documented names."""
    return [
        (
            each.text,
            {
                "source": each.source,
                "title": each.title,
                "start": each.start,
                "end": each.end,
                "line": each.line,
                "page": each.page,
                "headings": list(each.headings),
                "score": each.score,
            },
        )
        for each in library.search(question, n)
    ]


@pytest.mark.parametrize("n", [1, 4])
def test_langchain_gives_what_a_search_finds(library: Library, n: int) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.runnables import RunnableLambda

    from puna.library.adapters.langchain import PunaRetriever

    retriever = PunaRetriever(library=library, k=n)
    every = [expected(library, question, n) for question in QUESTIONS]
    chain = retriever | RunnableLambda(lambda found: [(one.page_content, one.metadata) for one in found])
    assert [chain.invoke(question) for question in QUESTIONS] == every
    assert chain.batch(QUESTIONS * 5) == every * 5  # by several threads
    assert asyncio.run(chain.ainvoke(QUESTIONS[0])) == every[0]
    assert list(map(len, every)) == [1, 1, n, 0]
    with pytest.raises(InputError):
        retriever.invoke(" ")


@pytest.mark.parametrize("n", [1, 4])
def test_llama_index_gives_what_a_search_finds(library: Library, n: int) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.schema import MetadataMode

    from puna.library.adapters.llama_index import PunaRetriever

    retriever = PunaRetriever(library, similarity_top_k=n)
    for question in QUESTIONS:
        found = retriever.retrieve(question)
        assert [(one.text, one.metadata) for one in found] == expected(library, question, n)
        assert [one.score for one in found] == [one.metadata["score"] for one in found]
        assert asyncio.run(retriever.aretrieve(question)) == found
        for one in found:
            whole = Path(one.metadata["source"]).read_text("utf-8")
            assert whole[one.node.start_char_idx : one.node.end_char_idx] == one.text
            assert "score" not in one.node.get_content(MetadataMode.LLM)
            assert one.metadata["source"] in one.node.get_content(MetadataMode.LLM)
            json.dumps(one.to_dict())
    with pytest.raises(InputError):
        retriever.retrieve(" ")


def test_places_are_said(library: Library) -> None:
    pytest.importorskip("langchain_core")
    from puna.library.adapters.langchain import PunaRetriever

    (found,) = PunaRetriever(library=library).invoke("Who led the walk?")
    said = found.metadata
    assert MANUAL[said["start"] : said["end"]] == found.page_content
    assert (Path(said["source"]).name, said["line"], said["page"]) == ("walks.md", 1, None)
    assert "Walks" in said["headings"] or said["title"] == "Walks"


WITHOUT = """
import importlib.util, sys
find = importlib.util.find_spec
hidden = sys.argv[2]
importlib.util.find_spec = lambda name, package=None: None if name.split(".")[0] == hidden else find(name, package)
from puna.errors import InputError
try:
    importlib.import_module("puna.library.adapters." + sys.argv[1])
except InputError as error:
    print(error.code, *error.describe("en"), sep="|")
"""


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("langchain", "langchain_core", "langchain"), ("llama_index", "llama_index.core", "llama-index")],
)
def test_without_the_package_it_says_what_to_install(module: str, package: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, module, package.partition(".")[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.rstrip().split("|") == [
        "E-LIBRARY-ADAPTER-MISSING",
        f"{package} is not installed, which this retriever is made with",
        f"install it: pip install 'puna[{extra}]'",
    ], done.stderr
