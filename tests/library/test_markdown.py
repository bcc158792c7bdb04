"""Markdown beside another parser of it (markdown-it), and by hand."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.library.files import document, pieces

KINDS = {"heading_open": "heading", "fence": "code", "code_block": "code", "table_open": "table"}
LINE = st.sampled_from(
    ["plain words", "中文一行", "a | b", "1 + 1 = 2", "see #4", "*stress* here", "x --- y", "http://a/"]
)


@st.composite
def chunk(draw: st.DrawFn) -> str:
    """Give some lines that belong together."""
    kind = draw(st.integers(0, 9))
    some = draw(st.lists(LINE, min_size=1, max_size=3))
    if kind == 0:
        return (
            "#" * draw(st.integers(1, 7))
            + draw(st.sampled_from([" ", "\t", ""]))
            + some[0]
            + draw(st.sampled_from(["", " ##"]))
        )
    if kind == 1:
        return "\n".join(some) + "\n" + draw(st.sampled_from(["===", "---", "=", " -- "]))
    if kind == 2:
        fence = draw(st.sampled_from(["```", "~~~~"]))
        return f"{fence}py\n# no heading\n\n{some[0]}\n{fence}"
    if kind == 3:
        return "| a | b |\n|---|:-:|\n| 1 | 2 |\n| `x` | y"
    if kind == 4:
        return "\n".join(f"- {line}" for line in some)
    if kind == 5:
        return "\n".join(f"{n}. {line}" for n, line in enumerate(some, 1))
    if kind == 6:
        return "\n".join(f"> {line}" for line in some)
    if kind == 7:
        return "> # quoted\n> text"
    if kind == 8:
        return "***"
    return "\n".join(some)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(chunk(), st.sampled_from(["\n\n", "\n\n", "\n\n\n", "\r\n\r\n"])), min_size=1, max_size=7)
)
def test_headings_code_and_tables_are_where_another_parser_has_them(chunks: list[tuple[str, str]]) -> None:
    source = "".join(text + end for text, end in chunks)
    if source.startswith("---"):
        return  # front matter
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    wanted = []
    for token in parser.parse(source):
        if token.type in KINDS:
            assert token.map
            level = int(token.tag[1]) if token.type == "heading_open" else 0
            wanted.append((KINDS[token.type], level, source[starts[token.map[0]] : starts[token.map[1]]].strip()))
    found = document(".md", source)
    blocks = [(b.kind, b.level, piece) for b, piece in zip(found.blocks, pieces(found), strict=True)]
    assert [block for block in blocks if block[0] != "text"] == wanted


def test_blocks() -> None:
    source = """---
title: "The manual"
tags: x
---
# One #

text
more
- a
- b

  still b

> quoted

```sh
# no heading
```

<!--
# no heading
-->
a | b
--|--
1 | 2

    # code

    more

Two
===
"""
    found = document(".md", source)
    assert found.title == "The manual"
    assert [(block.kind, block.level) for block in found.blocks] == [
        ("code", 0),
        ("heading", 1),
        ("text", 0),
        ("text", 0),
        ("text", 0),
        ("text", 0),
        ("text", 0),
        ("code", 0),
        ("text", 0),
        ("table", 0),
        ("code", 0),
        ("heading", 1),
    ]
    assert pieces(found)[1:8] == [
        "# One #",
        "text\nmore",
        "- a",
        "- b",
        "still b",
        "> quoted",
        "```sh\n# no heading\n```",
    ]


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("text\n\n## Two ##\n", "Two"),
        ("Three\nlines\n---\n", "Three lines"),
        ("---\nno end\n", ""),
        ("---\ntitle: 中文\n---\n# Other", "中文"),
        ("```\n# no\n```\ntext", ""),
        ("# C#\n", "C#"),
    ],
)
def test_title(source: str, title: str) -> None:
    assert document(".md", source).title == title


def test_a_fence_that_is_never_closed_goes_to_the_end() -> None:
    assert pieces(document(".md", "a\n\n```\n# x\n\ny\n")) == ["a", "```\n# x\n\ny"]
