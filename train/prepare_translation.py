"""Rows to train the shipped translator on, to choose it by and to measure it with, from the data sets in PUNA_DATA.

    python train/prepare_translation.py OUT

The pairs are Tatoeba's, everyday sentences in simplified characters; no sentence is in two of its parts. A sentence with
several translations has, in the test rows, all of them as references.
"""

import gzip
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
DATA = Path(os.environ.get("PUNA_DATA", "../shared/data"))
VALID = 300  # rows to choose by


def load(name: str) -> list[Row]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def save(folder: Path, name: str, rows: Iterable[Row]) -> None:
    rows = list(rows)
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{name}: {len(rows)} rows")


def pair(row: Row) -> Row:
    return {name: row[name] for name in ("src", "tgt", "src_lang", "tgt_lang")}


def turned(row: Row) -> Row:
    return {"src": row["tgt"], "tgt": row["src"], "src_lang": row["tgt_lang"], "tgt_lang": row["src_lang"]}


def referenced(rows: Iterable[Row]) -> list[Row]:
    """Put the translations of one sentence together: the first, and further references."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["src"], []).append(row)
    merged = []
    for same in found.values():
        first, *others = dict.fromkeys(row["tgt"] for row in same)
        merged.append({**same[0], "tgt": first, **({"tgt_alt": others} if others else {})})
    return merged


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    save(out, "train", map(pair, load("tatoeba_en_zh/train")))
    save(out, "valid", list(map(pair, load("tatoeba_en_zh/dev")))[:VALID])
    test = [pair(row) for row in load("tatoeba_en_zh/test")]
    save(out, "test-en-zh", referenced(test))
    save(out, "test-zh-en", referenced(turned(row) for row in test))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
