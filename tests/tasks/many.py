"""Rows of questions for the tests: a tiny model that reads them, and files with good and bad ones."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from puna.tasks.ask_row import How

BAD = {  # lines that cannot be asked, and the code of each
    "{": "E-ROWS-JSON",
    "[1]": "E-ROWS-OBJECT",
    '{"text": "Ann won."}': "E-ROWS-FIELD",
    '{"question": "Who won?"}': "E-MANY-NO-TEXT",
    '{"question": "Who won?", "text": "Ann won.", "context": "Ann won."}': "E-MANY-TEXTS",
    '{"question": 7, "text": "Ann won."}': "E-ROWS-TYPE",
    '{"question": " ", "text": "Ann won."}': "E-ROWS-BLANK",
    '{"question": "Who won?", "texts": ["Ann won.", " "]}': "E-ROWS-BLANK",
    '{"question": "Who won?", "texts": []}': "E-TEXT-EMPTY",
    '{"question": "Who won?", "text": "\\ud800"}': "E-ROWS-UNICODE",
    '{"question": "Who won?", "text": "…"}': "E-TEXT-NO-WORDS",
    '{"question": "Who won?", "text": "Ann won.", "candidates": []}': "E-CANDIDATE-NONE",
    '{"question": "Who won?", "text": "Ann won.", "candidates": ["Ann", "Ann"]}': "E-CANDIDATE-TWICE",
    json.dumps({"question": "who " * 2000, "text": "Ann won."}): "E-QUESTION-LONG",
}


def good_rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Rows of all forms about a few texts, mixed."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        text = f"Ann won game {(which := draw.randrange(1 + count // 4))}. Bob lost it on day {which}."
        row: dict[str, Any] = {"question": draw.choice(("Who won?", "Who lost?", "谁赢了？")) + f" {number}"}
        form = draw.randrange(4)
        row |= ({"text": text}, {"context": text}, {"texts": [text, "他来了。"]}, {"text": text})[form]
        if form == 3:
            row["candidates"] = ["Ann", "Bob"]
        if draw.random() < 0.5:
            row["id"] = draw.choice((number, f"q{number}"))
        rows.append(row)
    return rows


def write_lines(path: Path, rows: Sequence[dict[str, Any] | str]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def how(rows: Path, model: Path, **options: Any) -> How:
    return How(str(rows), str(model), None, "cpu", False, {"top": 3, **options})
