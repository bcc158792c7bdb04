"""Rows to train the shipped translator on, to choose it by and to measure it with, from the data sets in PUNA_DATA.

    python train/prepare_translation.py OUT

The pairs are Tatoeba's. Some of its Chinese is in traditional characters, most in simplified ones; a translator that had
learned both would mix them, so the former are left out. Which characters are traditional is told by two sets: they are
common in DRCD (Taiwan) and nearly absent from CMRC 2018 (mainland). Test rows keep all; a sentence with several
translations in the test half has them as further references.
"""

import gzip
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
DATA = Path(os.environ.get("PUNA_DATA", "../shared/data"))
RARER = 30  # times, in CMRC 2018, is a traditional character at least
SEEN = 3  # times, in DRCD


def load(name: str) -> list[Row]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def save(folder: Path, name: str, rows: Iterable[Row]) -> None:
    rows = list(rows)
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{name}: {len(rows)} rows")


def traditional(taiwan: Iterable[str], mainland: Iterable[str]) -> set[str]:
    """Give the characters that one kind of text has often, and the other hardly ever."""
    there, here = Counter("".join(taiwan)), Counter("".join(mainland))
    share = sum(here.values()) / max(1, sum(there.values()))
    return {char for char, count in there.items() if count >= SEEN and count * share > RARER * here[char]}


def pair(row: Row) -> Row:
    return {name: row[name] for name in ("src", "tgt", "src_lang", "tgt_lang")}


def turned(row: Row) -> Row:
    return {"src": row["tgt"], "tgt": row["src"], "src_lang": row["tgt_lang"], "tgt_lang": row["src_lang"]}


def referenced(rows: Iterable[Row]) -> list[Row]:
    """Put the translations of one sentence together: the first, and further references."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["src"], []).append(row)
    return [
        {**each[0], "tgt_alt": list(dict.fromkeys(row["tgt"] for row in each[1:]))} if each[1:] else each[0]
        for each in found.values()
    ]


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    old = traditional(
        (row["context"] for row in load("drcd/dev")), (row["context"] for row in load("cmrc2018/train"))
    )
    for name, part in (("train", "train"), ("valid", "dev")):
        rows = [pair(row) for row in load(f"tatoeba_en_zh/{part}")]
        plain = [row for row in rows if not old & set(row["tgt"])]
        print(f"{part}: {len(rows) - len(plain)} rows in traditional characters left out")
        save(out, name, plain[:300] if name == "valid" else plain)
    test = [pair(row) for row in load("tatoeba_en_zh/test")]
    save(out, "test-en-zh", referenced(test))
    save(out, "test-zh-en", referenced(turned(row) for row in test))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
