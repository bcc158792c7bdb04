"""The study of grouping on a tiny model: trained once, pooled, trained on, evaluated; and speeds of shapes."""

import gzip
import json
import math
import random
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

import puna.lab.grouping
from puna.lab.decoding import random_model, speeds
from puna.lab.grouping import Grouping
from puna.lab.runner import run_study
from puna.lab.study import Done, Piece, Setting
from puna.tokens.tokenizer import Tokenizer
from puna.train.scratch import Sizes
from puna.weights.checkpoint import open_checkpoint

WORDS = "the a llama walks over high cold grass and then sleeps while snow falls far away".split()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    draw = random.Random(0)
    text = "".join(" ".join(draw.choices(WORDS, k=9)) + ".\n" for _ in range(400))
    (tmp_path / "data" / "text_lm").mkdir(parents=True)
    with gzip.open(tmp_path / "data" / "text_lm" / "war_and_peace_en.txt.gz", "wt") as file:
        file.write(text)
    return tmp_path / "data"


def piece(kv_heads: int, by: str, share: float) -> Piece:
    return {"seed": 0, "kv_heads": kv_heads, "by": by, "share": share}


def run(data: Path, folder: Path, *wanted: Piece) -> list[dict[str, float]]:
    setting = Setting(1, "tiny", data=data, folder=folder)
    return [Grouping().run(each, setting, lambda done, total: None) for each in wanted]


def test_pieces_are_different_and_all_there() -> None:
    pieces = Grouping().pieces(Setting(3, "small"))
    assert len({json.dumps(dict(each), sort_keys=True) for each in pieces}) == len(pieces)
    quality = [each for each in pieces if "seed" in each]
    assert len(quality) == 3 * (1 + 3 * 3) * (1 + 3)  # trained on at three rates, and not
    assert {each["kv_heads"] for each in quality} == {8, 4, 2, 1}


def test_bits_are_those_that_transformers_computes(data: Path, tmp_path: Path) -> None:
    """Of the model as it was trained; in bf16 products where Puna has them."""
    (found,) = run(data, tmp_path / "kept", piece(4, "all", 0.0))
    (folder,) = (tmp_path / "kept").glob("seed-0-*")
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = puna.lab.grouping._texts((data / "text_lm" / "war_and_peace_en.txt.gz",), 32, 60)
    tokenizer, nats, size = Tokenizer.from_folder(folder), 0.0, 0
    for chain in texts.held:
        ids = torch.tensor(chain.tokens)
        with torch.inference_mode():
            logits = model(ids[None]).logits[0, :-1]
        nats += float(torch.nn.functional.cross_entropy(logits, ids[1:], reduction="sum"))
        size += len(tokenizer.decode(chain.tokens[1:]).encode())
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=5e-3)


def test_one_training_serves_all_pieces_and_a_stop_costs_none(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    wanted = [piece(4, "all", 0.0), piece(2, "mean", 0.0), piece(2, "mean", 0.05), piece(1, "random", 0.05)]
    first = run(data, kept, *wanted)
    (folder,) = kept.iterdir()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert run(data, kept, *wanted) == first
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert run(data, tmp_path / "other", wanted[3], wanted[1]) == [first[3], first[1]]  # alone, in another order
    assert [each["steps"] for each in first] == [0, 0, 1, 1]
    assert [each["cache_bytes_per_token"] for each in first] == [
        first[0]["cache_bytes_per_token"] // share for share in (1, 2, 2, 4)
    ]
    assert len({each["bits_per_byte"] for each in first}) == 4


def test_a_stopped_training_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(puna.lab.grouping, "_MINUTES", 0.0)  # a checkpoint after every step
    (wanted,) = run(data, tmp_path / "whole", piece(2, "first", 0.0))
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 4:
            raise KeyboardInterrupt

    setting = Setting(1, "tiny", data=data, folder=tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        Grouping().run(piece(2, "first", 0.0), setting, stop)
    assert Grouping().run(piece(2, "first", 0.0), setting, stop) == wanted
    assert seen[4] == 4  # not 1: three steps were kept


def test_speeds_are_of_the_shapes_asked_for(tmp_path: Path) -> None:
    sizes = Sizes(64, 2, 4, 4, 64, 128)
    checkpoint = random_model(sizes, tmp_path)
    again = random_model(sizes, tmp_path)
    assert all(
        torch.equal(checkpoint.tensor(n, torch.float32), again.tensor(n, torch.float32)) for n in again.names()
    )
    found = speeds(
        checkpoint, [4, 1], 20, rounds=2, tokens=3, device=torch.device("cpu"), watch=lambda done, total: None
    )
    assert [each["kv_heads"] for each in found] == [4, 1]
    assert found[0]["cache_bytes_per_token"] == 4 * found[1]["cache_bytes_per_token"]
    assert found[0]["cache_bytes_per_token"] in (2 * 2 * 4 * 16 * size for size in (2, 4))
    for each in found:
        low, high = each["quartiles"]
        assert 0 < low <= each["tokens_per_second"] <= high
        assert each["cache_bytes"] == 20 * each["cache_bytes_per_token"]


def test_the_whole_study(data: Path, tmp_path: Path) -> None:
    study = Grouping()
    outcome = run_study("grouping", study, Setting(2, "tiny", data=data), tmp_path / "out", lambda *told: None)
    quality, speed = outcome.summary["quality"], outcome.summary["speed"]
    assert {(each["kv_heads"], each["by"]) for each in quality} == {
        (4, "all"), *((count, by) for count in (2, 1) for by in ("mean", "first", "random"))
    }  # fmt: skip
    assert all(len(each["seeds"]) == 2 for each in quality)
    for each in quality:
        assert each["bits_per_byte"] == pytest.approx(sum(each["seeds"]) / 2)
    assert {(each["shape"], each["context"]) for each in speed} == {("trained", 16), ("wide", 16), ("wide", 100)}
    for language in ("en", "zh"):
        heads, rows = study.table(outcome.summary, language)
        assert len(rows) == 7
        assert {len(row) for row in rows} == {len(heads)}
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / "out" / "grouping.kept").iterdir())
    assert kept == ["random", "random", "seed", "seed"]
    for path in (tmp_path / "out" / "grouping.kept").glob("seed-*"):
        assert open_checkpoint(path).config["num_key_value_heads"] == 4


def test_the_best_of_the_further_rates_counts(tmp_path: Path) -> None:
    study, setting = Grouping(), Setting(2, "tiny", folder=tmp_path)
    trained = [each for each in study.pieces(setting) if each.get("share")]
    rates = {each["rate"] for each in trained}
    assert len(rates) == 3
    best = sorted(rates)[1]

    def found(each: Piece) -> dict[str, float]:
        return {
            "bits_per_byte": 2.0 if each.get("rate") == best else 2.5 + each["seed"],
            "steps": 1,
            "cache_bytes_per_token": 8,
        }

    every = [Done(each, found(each), 0.0) for each in study.pieces(setting) if "seed" in each]
    for each in study.summarise(every)["quality"]:
        assert each["rate"] == (best if each["share"] else 0.0)
        assert each["bits_per_byte"] == (2.0 if each["share"] else 3.0)
