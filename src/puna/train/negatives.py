"""Wrong answers that a reader finds probable, put beside the right ones: what a loss among competing spans needs.

The rows searched so far stand in a file beside the one they will lead to, so that what was stopped goes on.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from puna.answer.reader import Reader
from puna.answer.settings import Settings
from puna.errors import InputError
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.write import told, writing
from puna.train.rows import SpanRow

_ROOM = 128  # nodes that a search may open: one or two passes, which find nearly all that is worth finding


def wrong_answers(reader: Reader, row: SpanRow, count: int) -> tuple[str, ...]:
    """Give the `count` most probable spans that match no right answer exactly; none where it cannot be asked."""
    settings = Settings(top=count + len(row.answers), group=False, max_nodes=_ROOM)
    try:
        ranked = reader.examine(row.question, row.context, settings).ranked
    except InputError:
        return ()
    right = [text for text, _ in row.answers]
    wrong = (text for text in ranked if not right or not exact_match_and_f1(row.question, text, right)[0])
    return tuple(text for text, _ in zip(wrong, range(count), strict=False))


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
    part = output.with_name(output.name + ".part")
    head = json.dumps({"for": _digest(reader, rows, count)}).encode()
    found = _found(part, head, rows)
    with told(part), part.open("wb") as file:
        file.write(b"".join(line + b"\n" for line in (head, *found)))
        for number, row in enumerate(rows):
            if number < len(found):
                continue
            if stop():
                return None
            found.append(json.dumps(wrong_answers(reader, row, count), ensure_ascii=False).encode())
            file.write(found[-1] + b"\n")
            file.flush()
            report(number + 1)
    wrong = [json.loads(line) for line in found]
    with writing(output) as write:
        for row, texts in zip(rows, wrong, strict=True):
            write(json.dumps(_told(row, texts), ensure_ascii=False).encode() + b"\n")
    part.unlink()
    return sum(map(len, wrong))


def _told(row: SpanRow, wrong: list[str]) -> dict[str, object]:
    answers = [{"text": text, "start": start} for text, start in row.answers]
    fields = {"id": row.id, "context": row.context, "question": row.question, "answers": answers}
    return {**fields, "unanswerable": not answers, "wrong": wrong}


def _digest(reader: Reader, rows: Sequence[SpanRow], count: int) -> str:
    digest = hashlib.sha256(json.dumps([reader.name, count]).encode())
    for row in rows:
        digest.update(json.dumps(asdict(row)).encode())
    return digest.hexdigest()


def _found(part: Path, head: bytes, rows: Sequence[SpanRow]) -> list[bytes]:
    """Give the lines of rows that were searched before; the last may be cut off."""
    if not part.exists():
        return []
    with told(part):
        first, *lines = part.read_bytes().split(b"\n")
    return list(_whole(lines[: len(rows)])) if first == head else []


def _whole(lines: Sequence[bytes]) -> Iterator[bytes]:
    for line in lines:
        try:
            texts = json.loads(line)
        except ValueError:
            return
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return
        yield line
