"""Rows about walks, made at random."""

import json
import random
from pathlib import Path
from typing import Any

NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve")
PLACES = ("Rome", "Oslo", "Lima", "Cairo")


def walks(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Two questions a text, and of each fifth a third one without an answer."""
    draw, rows = random.Random(seed), []
    for number in range(count):
        name, place = draw.choice(NAMES), draw.choice(PLACES)
        text = f"Day {number}. {name} walked to {place}."
        for question, answer in (("Who walked?", name), ("Where to?", place), ("Why?", None)):
            answers = [] if answer is None else [{"text": answer, "start": text.index(answer)}]
            if answer or number % 5 == 0:
                rows.append({"context": text, "question": question, "answers": answers})
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
