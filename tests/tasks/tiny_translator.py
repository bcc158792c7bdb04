"""A tiny model that has learned a few translations by heart, in both directions."""

import json
from pathlib import Path

import pytest

from puna.train.loop import Watch
from puna.train.network import LoRA
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.session import Order, Session
from puna.train.translation import pair_passages, read_pairs, train_translation
from tests.cli.tiny_file import write_tiny

PAIRS = (("Go on.", "走吧。"), ("Who is it?", "是谁？"), ("Ann has come!", "安来了！"), ("I see.", "我懂。"))
_TAUGHT: list[tuple[Path, Path]] = []  # once for all tests of a run


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if not _TAUGHT:
        _TAUGHT.append(teach(tmp_path_factory.mktemp("taught")))
    return _TAUGHT[0]


def write_pairs(path: Path, pairs=PAIRS, **more: object) -> Path:
    rows = [{"src": en, "tgt": zh, "src_lang": "en", "tgt_lang": "zh", **more} for en, zh in pairs]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def teach(folder: Path, *, full: bool = False) -> tuple[Path, Path]:
    """Give a model's file, and the adapter's folder, or the whole model's, of one that knows PAIRS."""
    model = write_tiny(folder / "tiny.gguf", head=32, ffn=96)
    recipe = Recipe(epochs=90, questions=8, rate=1e-2, pointer=0.0)
    order = Order(folder / "translator", recipe, None if full else LoRA(16, 16.0), model=str(model), dtype="fp32")
    session = Session("translator", order, Ranks("cpu"))
    path = write_pairs(folder / "pairs.jsonl")
    pairs = read_pairs([path], path, strict=True, seed=0)
    passages = pair_passages(pairs.rows, session.base.tokenizer, session.context, [])
    assert train_translation(session, pairs, passages, [], Watch())
    return model, folder / "translator"
