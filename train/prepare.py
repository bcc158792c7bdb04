"""Rows to train the shipped reader on, and rows to choose it by, from the data sets in PUNA_DATA.

    python train/prepare.py OUT

Held back by article, for choosing: five articles of SQuAD's development half (all their rows in 1.1 and 2.0), four in a
hundred of DRCD's titles, eight in a hundred of DuReader's texts, and CMRC 2018's development half. Besides the sets' own
unanswerable questions some are made: a question is put to the paragraph, of the same article where there is one, that
shares most with it and does not hold its answer; or it is altered, so that its own paragraph no longer answers it. Two
samples of all that was held back: valid.jsonl to choose by, calibrate.jsonl to calibrate with.
"""

import gzip
import hashlib
import json
import os
import random
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from altered import altered

Row = dict[str, Any]
DATA = Path(os.environ.get("PUNA_DATA", "../shared/data"))
FIELDS = ("id", "context", "question", "answers", "unanswerable")
SQUAD_BACK = 5 / 24  # of the articles of SQuAD's development half
COMPANY = 40  # texts among which the most similar is looked for, where there is no article
SAMPLES = {
    "valid": {"squad11": 100, "squad20": 100, "cmrc": 60, "drcd": 20, "dureader": 20},
    "calibrate": {"squad20": 500, "cmrc": 120, "drcd": 40, "dureader": 40, "chinese-none": 60},
}


def load(name: str) -> list[Row]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def save(folder: Path, name: str, rows: Iterable[Row]) -> None:
    rows = list(rows)
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({field: row[field] for field in FIELDS}, ensure_ascii=False) + "\n")
    print(f"{name}: {len(rows)} rows")


def held_back(rows: Iterable[Row], key: str, share: float) -> set[str]:
    """Draw a share of the values of a field, the same ones on every machine."""
    values = sorted({row[key] for row in rows}, key=lambda value: hashlib.sha256(value.encode()).hexdigest())
    return set(values[: round(share * len(values))])


def split(rows: list[Row], back: Callable[[Row], bool]) -> tuple[list[Row], list[Row]]:
    return [row for row in rows if not back(row)], [row for row in rows if back(row)]


def pairs(text: str) -> set[str]:
    """Pairs of neighbouring characters, which serve as words in any language."""
    text = re.sub(r"\W", "", text)
    return {text[n : n + 2] for n in range(len(text) - 1)}


def unanswered(row: Row, kind: str, **other: str) -> Row:
    """Give a row with another text or question, which has no answer."""
    return {**row, "id": f"{row['id']}-{kind}", **other, "answers": [], "unanswerable": True}


def unanswerable(rows: list[Row], share: float, draw: random.Random) -> list[Row]:
    """Put a share of the questions to texts that do not answer them."""
    articles: dict[str, list[str]] = {}
    for row in rows:
        articles.setdefault(row["title"] or "", []).append(row["context"])
    articles = {title: sorted(set(texts)) for title, texts in articles.items()}
    every = sorted({text for texts in articles.values() for text in texts})
    found = []
    for row in rows:
        if not row["answers"] or draw.random() >= share:
            continue
        article = articles[row["title"] or ""] if row["title"] else []
        others = article if len(article) > 1 else draw.sample(every, min(COMPANY, len(every)))
        texts = [answer["text"] for answer in row["answers"]]
        others = [each for each in others if each != row["context"] and not any(text in each for text in texts)]
        if others:
            asked = pairs(row["question"])
            context = max(others, key=lambda text: len(asked & pairs(text)) / len(text) ** 0.25)
            found.append(unanswered(row, "none", context=context))
    return found


def changed(rows: list[Row], draw: random.Random) -> list[Row]:
    """Alter questions so that their texts do not answer them, where that can be done."""
    found = []
    for row in rows:
        answers = [answer["text"] for answer in row["answers"]]
        question = altered(row["question"], row["context"], answers, draw) if answers else None
        if question:
            found.append(unanswered(row, "altered", question=question))
    return found


def sample(sets: dict[str, list[Row]], counts: dict[str, int]) -> list[Row]:
    """Draw so many rows of each set; a question that two sets share is asked once."""
    draw = random.Random(0)
    found: dict[tuple[str, str], Row] = {}
    for name, count in counts.items():
        new = {(row["context"], row["question"]): row for row in sets[name]}
        new = {key: row for key, row in new.items() if key not in found}
        found |= dict(draw.sample(sorted(new.items(), key=lambda item: item[0]), count))
    return list(found.values())


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    draw = random.Random(0)
    half, half2, train = load("squad11/dev_a"), load("squad20/dev_a"), load("squad11/train_sample")
    articles = held_back(half, "title", SQUAD_BACK)
    seen: dict[tuple[str, str], Row] = {}
    for row in train + half + half2:
        if row["title"] not in articles:
            seen.setdefault((row["context"], row["question"]), row)
    save(out, "squad", seen.values())
    save(out, "squad-none", unanswerable(train, 0.15, draw))
    save(out, "squad-altered", changed(list(seen.values()), draw))
    valid = {
        name: [row for row in rows if row["title"] in articles]
        for name, rows in (("squad11", half), ("squad20", half2))
    }

    chosen = load("cmrc2018/dev_a")
    known = {row["context"] for row in chosen + load("cmrc2018/trial")}
    cmrc, _ = split(load("cmrc2018/train"), lambda row: row["context"] in known)
    drcd = load("drcd/dev") + load("drcd/test")
    back = held_back(drcd, "title", 0.04)
    drcd, drcd_back = split(drcd, lambda row: row["title"] in back)
    dureader = load("dureader_robust/dev")
    texts = held_back(dureader, "context", 0.08)
    dureader, dureader_back = split(dureader, lambda row: row["context"] in texts)
    for name, rows in (("cmrc", cmrc), ("drcd", drcd), ("dureader", dureader)):
        save(out, name, rows)
    save(out, "chinese-none", unanswerable(cmrc + drcd + dureader, 0.12, draw))
    save(out, "chinese-altered", changed(cmrc + drcd + dureader, draw))
    valid |= {"cmrc": chosen, "drcd": drcd_back, "dureader": dureader_back}
    valid["chinese-none"] = unanswerable(chosen + drcd_back + dureader_back, 0.12, draw)
    for name, rows in valid.items():
        save(out, f"valid-{name}", rows)
    for name, counts in SAMPLES.items():
        save(out, name, sample(valid, counts))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
