"""`train/prepare_translation.py`: which rows the shipped translator learns from and is measured with."""

import gzip
import json
from pathlib import Path

import prepare_translation
import pytest

from puna.evaluate.rows import read_rows
from puna.evaluate.translation import pair_row


def test_rows_of_all_parts_and_both_directions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def row(en: str, zh: str) -> dict[str, str]:
        return {"src": en, "tgt": zh, "src_lang": "en", "tgt_lang": "zh", "attribution": "x"}

    parts = {
        "train": [row("Go.", "走。"), row("Go.", "去。")],
        "dev": [row(f"Day {n}.", f"第{n}天。") for n in range(400)],
        "test": [row("Hi.", "嗨。"), row("Hi.", "你好。"), row("Hello.", "你好。"), row("Hi.", "你好。")],
    }
    (tmp_path / "data/tatoeba_en_zh").mkdir(parents=True)
    for name, rows in parts.items():
        text = "".join(json.dumps(each) + "\n" for each in rows)
        (tmp_path / f"data/tatoeba_en_zh/{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr(prepare_translation, "DATA", tmp_path / "data")
    prepare_translation.main(tmp_path / "out")
    names = ("train", "valid", "test-en-zh", "test-zh-en")
    found = {name: read_rows(tmp_path / f"out/{name}.jsonl", pair_row) for name in names}
    assert [(each.source, each.targets) for each in found["train"]] == [("Go.", ("走。",)), ("Go.", ("去。",))]
    assert len(found["valid"]) == prepare_translation.VALID
    there = [(each.source, each.targets) for each in found["test-en-zh"]]
    assert there == [("Hi.", ("嗨。", "你好。")), ("Hello.", ("你好。",))]
    back = [(each.source, each.targets) for each in found["test-zh-en"]]
    assert back == [("嗨。", ("Hi.",)), ("你好。", ("Hi.", "Hello."))]
    assert {each.direction for each in found["test-zh-en"]} == {"zh-en"}
