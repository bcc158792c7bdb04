"""Wrong answers that a reader finds probable, put beside the right ones: what a loss among competing spans needs.

The rows searched so far stand in a file beside the one they will lead to, so that what was stopped goes on.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from puna.answer.reader import Reader
from puna.answer.settings import Settings
from puna.errors import InputError
from puna.evaluate.metrics import exact_match_and_f1
from puna.tasks.part_file import Lines
from puna.train.rows import SpanRow
from puna.weights.write import writing

_ROOM = 128  # nodes that a search may open: one or two passes, which find nearly all that is worth finding


def wrong_answers(reader: Reader, row: SpanRow, count: int) -> list[str]:
    """Give the `count` most probable spans that match no right answer exactly; none where it cannot be asked."""
    settings = Settings(top=count + len(row.answers), group=False, max_nodes=_ROOM)
    try:
        ranked = reader.examine(row.question, row.context, settings).ranked
    except InputError:
        return []
    right = [text for text, _ in row.answers]
    wrong = (text for text in ranked if not right or not exact_match_and_f1(row.question, text, right)[0])
    return list(islice(wrong, count))


def find_negatives(
    reader: Reader,
    rows: Sequence[SpanRow],
    count: int,
    output: Path,
    report: Callable[[int], None],
    stop: Callable[[], bool],
) -> int | None:
    """Write the rows with `count` wrong answers each and tell how many those are.

    None where it was stopped, and the same call goes on from there.

    Raises InputError where a file cannot be written.
    """
    content = json.dumps([reader.name, count, [list(asdict(row).values()) for row in rows]])
    lines: Lines[list[str]] = Lines(output, content, _line, _texts)
    for row in rows[len(lines.found) :]:
        if stop():
            return None
        lines.add(wrong_answers(reader, row, count))
        report(len(lines.found))
    with writing(output) as write:
        for row, wrong in zip(rows, lines.found, strict=True):
            write(_line(_told(row, wrong)) + b"\n")
    lines.remove()
    return sum(map(len, lines.found))


def _told(row: SpanRow, wrong: list[str]) -> dict[str, object]:
    answers = [{"text": text, "start": start} for text, start in row.answers]
    fields = {"id": row.id, "context": row.context, "question": row.question, "answers": answers}
    return {**fields, "unanswerable": not answers, "wrong": wrong}


def _line(found: object) -> bytes:
    return json.dumps(found, ensure_ascii=False).encode()


def _texts(line: bytes) -> list[str]:
    found: list[str] = json.loads(line)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError
    return found
