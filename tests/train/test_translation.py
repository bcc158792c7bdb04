"""Pairs as they are learned: both directions, the target and its end only, what is held back, what is of no use."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import puna
from puna.errors import InputError
from puna.rank.score import read, score
from puna.tasks.translate import Translator
from puna.tasks.translate_prompt import TranslationPrompts
from puna.train.recipe import Recipe
from puna.train.session import Base
from puna.train.translation import TranslationExam, pair_passages, read_pairs
from puna.train.trees import grow
from tests.cli.tiny_file import write_tiny
from tests.tasks.tiny_translator import PAIRS, taught, teach, write_pairs  # noqa: F401


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))


def test_a_pair_is_learned_in_both_directions_its_target_and_end_alone(tmp_path: Path) -> None:
    tokenizer = Base.opened(str(write_tiny(tmp_path / "tiny.gguf"))).tokenizer
    rows = read_pairs(
        [write_pairs(tmp_path / "rows.jsonl", [("Go on.", "走吧。")])], None, strict=True, seed=0
    ).rows
    passages = pair_passages(rows, tokenizer, 1024, [])
    told = []
    for passage in passages:
        tree = grow(passage)
        assert tree.parents == list(range(-1, len(tree.tokens) - 1))  # a chain
        assert tree.positions == list(range(len(tree.tokens)))
        nodes = [node for node, _, _ in tree.wanted]
        assert nodes == list(range(len(tree.tokens) - len(nodes), len(tree.tokens)))
        read_, learned = tree.tokens[: nodes[0] + 1], [token for _, token, _ in tree.wanted]
        assert tree.tokens[nodes[0] + 1 :] == learned[:-1]
        told.append((tokenizer.decode(read_), tokenizer.decode(learned)))
    assert told == [("English: Go on.\nChinese:", "走吧。\n"), ("Chinese:走吧。\nEnglish:", " Go on.\n")]


def test_what_is_held_back_shares_no_text_with_what_is_learned(tmp_path: Path) -> None:
    # Families of a few pairs: two sentences share a translation, which another one has as well.
    pairs = [(f"Sentence {n // 3 * 2 + n % 2}.", f"句子{n // 2}。") for n in range(600) if n % 6 != 5]
    path = write_pairs(tmp_path / "rows.jsonl", pairs)
    found = read_pairs([path], None, strict=True, seed=1)
    assert len(found.rows) + len(found.held) == 500
    assert 0 < len(found.held) < 30
    for side in ("source", "targets"):
        assert not {getattr(row, side) for row in found.rows} & {getattr(row, side) for row in found.held}
    assert read_pairs([path], None, strict=True, seed=1).digest == found.digest
    own = read_pairs([path], write_pairs(tmp_path / "valid.jsonl"), strict=True, seed=1)
    assert (len(own.rows), len(own.held)) == (500, len(PAIRS))
    assert own.digest != found.digest


def test_rows_of_no_use_are_told_and_the_rest_is_learned(tmp_path: Path) -> None:
    tokenizer = Base.opened(str(write_tiny(tmp_path / "tiny.gguf"))).tokenizer
    path = write_pairs(
        tmp_path / "rows.jsonl", [("Go on.", "走吧。"), ("word " * 30, "词" * 40), ("I see.", "我懂。")]
    )
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"src": "a", "tgt": "b", "src_lang": "en", "tgt_lang": "fr"}) + '\n{"src": "a"}\n')
    found = read_pairs([path], None, strict=False, seed=0)
    assert [wrong.error.code for wrong in found.wrong] == ["E-TRANSLATE-ROW", "E-ROWS-FIELD"]
    passages = pair_passages([*found.rows, *found.held], tokenizer, 100, found.wrong)
    assert len(passages) == 4
    assert found.wrong[-1].error.code == "E-TRANSLATE-ROW-LONG"
    assert "line 2" in str(found.wrong[-1].error)
    with pytest.raises(InputError) as caught:
        read_pairs([path], None, strict=True, seed=0)
    assert caught.value.code == "E-TRANSLATE-ROW"
    (tmp_path / "bad.jsonl").write_text('{"src": "a"}\n', "utf-8")
    with pytest.raises(InputError) as caught:
        read_pairs([tmp_path / "bad.jsonl"], None, strict=False, seed=0)
    assert caught.value.code == "E-TRAIN-USABLE"
    assert "--strict" in caught.value.describe("en")[1]


def test_the_exam_measures_what_scoring_does(taught: tuple[Path, Path], tmp_path: Path) -> None:  # noqa: F811
    """Nats a sentence and a token of the trained network, against the merged adapter scored by `puna.rank`."""
    from puna.train.network import LoRA
    from puna.train.ranks import Ranks
    from puna.train.session import Order, Session

    model, adapter = taught
    recipe = Recipe(pointer=0.0)
    order = Order(tmp_path / "again", recipe, LoRA(16, 16.0), model=str(model), init=adapter)
    session = Session("translator", order, Ranks("cpu"))
    rows = read_pairs([write_pairs(tmp_path / "rows.jsonl")], None, strict=True, seed=0).rows
    passages = pair_passages(rows, session.base.tokenizer, session.context, [])
    found = TranslationExam(passages, recipe)(session.student)

    reader, total, tokens = puna.load(model, adapter=adapter), 0.0, 0
    for row in rows:
        prompts = TranslationPrompts(reader.tokenizer, "en", "zh", examples=False)
        for way, source, target in (
            (prompts, row.source, row.targets[0]),
            (prompts.back(), row.targets[0], row.source),
        ):
            (answer,) = way.answers([target])
            (values,) = score(read(reader.model, [*way.prefix, *way.asked(source)]), [answer], end=way.end)
            total -= float(values.sum())
            tokens += len(values)
    assert found["sentences"] == 8
    assert found["loss"] == pytest.approx(total / 8, abs=0.02)
    assert found["nats_per_token"] == pytest.approx(total / tokens, abs=0.005)


def test_the_adapter_says_how_it_is_asked_and_has_no_pointer(taught: tuple[Path, Path]) -> None:  # noqa: F811
    about = json.loads((taught[1] / "puna.json").read_text("utf-8"))
    assert about["prompt"] == {"examples": False}
    assert about["training"]["kind"] == "translator"
    from puna.weights.adapter import read_adapter

    assert read_adapter(taught[1]).extra == {}


def test_a_whole_model_translates_as_it_was_trained(tmp_path: Path) -> None:
    _, folder = teach(tmp_path, full=True)
    reader = puna.load(folder, adapter="translator")
    assert reader.examples is False
    translator = Translator(reader.model, reader.tokenizer, reader.name, examples=reader.examples)
    assert [each.text for each in translator.translate(dict(PAIRS), "zh")] == [zh for _, zh in PAIRS]
    assert asdict(next(translator.translate([PAIRS[0][1]], "en")))["candidates"][0]["text"] == PAIRS[0][0]
    assert not torch.is_inference_mode_enabled()
