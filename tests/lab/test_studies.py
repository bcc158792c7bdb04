"""Studies: what is stopped goes on and comes to the same; kept pieces are those of the same setting only."""

import json
import math

import pytest
import torch

from puna.errors import InputError
from puna.lab import tasks, texts
from puna.lab.convergence import Convergence
from puna.lab.positions import SCHEMES, TIMES, Positions, positions_of
from puna.lab.runner import run_study
from puna.lab.small import SmallLlama, config_of
from puna.lab.studies import STUDIES, open_study
from puna.lab.study import Setting, Study
from puna.lab.teaching import surprise, teach
from puna.train.positions import sorted_positions
from puna.train.scratch import Sizes
from tests.lab.data import write_data


def quiet(number, total, piece, share):
    pass


def plain(result):
    """Give a result without what a clock has to do with."""
    text = json.dumps(result, sort_keys=True)

    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in ("seconds", "reached", "machine")}
        if isinstance(value, list):
            return [[v[0], v[2]] if isinstance(v, list) and len(v) == 3 else strip(v) for v in value]
        return value

    return strip(json.loads(text))


@pytest.mark.parametrize("name", ["convergence", "positions"])
def test_a_stopped_study_comes_to_what_an_unbroken_one_does(name, tmp_path):
    setting = Setting(seeds=2, size="tiny", data=write_data(tmp_path / "data"))
    folders = [tmp_path / "whole", tmp_path / "broken"]
    for folder in folders:
        folder.mkdir()
    whole = run_study(name, open_study(name), setting, folders[0], quiet)

    begun = []

    def stopping(number, total, piece, share):
        begun.append(number)
        if share and number == 3 and share < 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(name, open_study(name), setting, folders[1], stopping)
    kept = folders[1] / f"{name}.pieces.jsonl"
    lines = kept.read_bytes()
    assert lines.count(b"\n") == 3
    assert not (folders[1] / f"{name}.json").exists()
    kept.write_bytes(lines + lines[:40])  # as a crash in the middle of a line leaves it
    began = []

    def begins(number, total, piece, share):
        if share == 0 and number not in began:
            began.append(number)

    broken = run_study(name, open_study(name), setting, folders[1], begins)
    assert began[0] == 3
    assert plain(broken.result) == plain(whole.result)
    assert json.loads((folders[1] / f"{name}.json").read_text("utf-8")) == broken.result
    assert (folders[1] / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    heads, rows = open_study(name).table(broken.summary, "en")
    assert rows
    assert all(len(row) == len(heads) for row in rows)
    began.clear()  # all is kept now: nothing is done again, unless something that decides it is another
    run_study(name, open_study(name), setting, folders[1], begins)
    assert began == []
    (tmp_path / "data" / "text_lm" / "tinyshakespeare.txt.gz").write_bytes(
        (write_data(tmp_path / "other", seed=9) / "text_lm" / "tinyshakespeare.txt.gz").read_bytes()
    )
    run_study(name, open_study(name), setting, folders[1], begins)
    assert len(began) == len(whole.result["pieces"])


def test_every_known_study_opens_and_unknown_ones_are_refused():
    assert all(isinstance(open_study(name), Study) for name in STUDIES)
    with pytest.raises(InputError) as refused:
        open_study("nothing")
    assert refused.value.code == "E-LAB-UNKNOWN"


def test_missing_data_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("PUNA_DATA", raising=False)
    for data, code in ((None, "E-LAB-DATA"), (tmp_path, "E-LAB-FILE")):
        with pytest.raises(InputError) as refused:
            Setting(1, data=data).file("a/b.gz")
        assert refused.value.code == code


def model_of(vocabulary, seed=0, **more):
    return SmallLlama(config_of(Sizes(32, 2, 2, 2, 64, 64), vocabulary), seed=seed, **more)


def test_teaching_learns_what_can_be_learned():
    draw = torch.Generator().manual_seed(0)
    model = model_of(tasks.VOCABULARY)
    exam = tasks.task_batch("copy", 64, 1, torch.Generator().manual_seed(1))
    recipe = {"steps": 60, "rate": 1e-2, "warmup": 0.05, "points": 4}

    def examine():
        with torch.no_grad():
            total, count = surprise(model, exam)
        return float(total) / count

    found = teach(
        model, lambda step: tasks.task_batch("copy", 32, 1, draw), recipe, examine, lambda done, total: None
    )
    assert [point[0] for point in found["curve"]] == [0, 15, 30, 45, 60]
    assert found["curve"][0][2] == pytest.approx(math.log(tasks.VOCABULARY), rel=0.05)
    assert found["curve"][-1][2] < 0.3
    assert found["diverged"] is None


def test_divergence_is_recorded_not_raised():
    draw = torch.Generator().manual_seed(0)
    model = model_of(tasks.VOCABULARY, norm="none")
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(1e30)
    recipe = {"steps": 5, "rate": 1e-2, "warmup": 0.05, "points": 1}
    found = teach(model, lambda step: tasks.task_batch("copy", 8, 2, draw), recipe, None, lambda done, total: None)
    assert found == {"curve": [], "diverged": 0}


@pytest.mark.parametrize("task", tasks.TASKS)
def test_tasks_have_the_answers_they_should(task):
    batch = tasks.task_batch(task, 40, 5, torch.Generator().manual_seed(3))
    for row, wanted in zip(batch.tokens.tolist(), batch.wanted.tolist(), strict=True):
        symbols, answer = row[1:6], [token for token, want in zip(row, wanted, strict=True) if want]
        assert row[0] == tasks.BEGIN
        assert row[6] == tasks.THEN
        right = {"copy": symbols, "reverse": symbols[::-1], "parity": [sum(symbols) % 2]}
        assert answer == right[task] == row[7:]
        assert len(answer) == tasks.answered(task, 5)


def test_translations_want_the_target_and_its_end_only():
    pairs = [(b"Hi.", "你好。".encode()), (b"Thank you", "谢谢".encode())]
    batch = texts.translations(pairs)
    for (source, target), row, wanted in zip(pairs, batch.tokens.tolist(), batch.wanted.tolist(), strict=True):
        assert row[: len(source) + 2] == [texts.END, *source, texts.THEN]
        assert [t for t, want in zip(row, wanted, strict=True) if want] == [*target, texts.END]
    model = model_of(texts.VOCABULARY)
    with torch.no_grad():
        together = float(surprise(model, batch)[0])
        alone = sum(float(surprise(model, texts.translations([pair]))[0]) for pair in pairs)
    assert together == pytest.approx(alone, rel=1e-5)  # what fills ends up changes nothing


def test_sorted_positions_are_sorted_distinct_and_uniform():
    places = sorted_positions((4000, 3), 8, torch.Generator().manual_seed(0))
    assert (places.diff(dim=1) > 0).all()
    counts = torch.bincount(places.flatten(), minlength=8)
    assert ((counts - 1500).abs() < 150).all()  # 3/8 of 4,000 each; sd 31
    with pytest.raises(ValueError, match="of their own"):
        sorted_positions((1, 9), 8, torch.Generator())


def test_schemes_give_the_positions_they_are_named_for():
    batch = tasks.task_batch("copy", 50, 6, torch.Generator().manual_seed(0))
    found = {kind: positions_of(kind, batch, 100, torch.Generator().manual_seed(1)) for kind in SCHEMES}
    for kind in ("rotary", "learned", "none"):
        assert torch.equal(found[kind], torch.arange(14).expand(50, 14))
    assert (found["sorted"].diff(dim=1) > 0).all()
    assert found["sorted"].max() > 90
    resampled = found["resampled"]
    assert set(resampled.flatten().tolist()) == set(range(14))
    assert any(len(set(row)) < 14 for row in resampled.tolist())
    assert not (resampled.diff(dim=1) > 0).all()


def test_the_best_rate_of_each_norm_runs_on_with_other_seeds(tmp_path):
    from puna.lab.study import Done

    study, setting = Convergence(), Setting(seeds=3, size="tiny")
    rates = [0.001, 0.01]

    def result(piece):
        if piece["norm"] == "none" and piece["rate"] == 0.01:
            return {"curve": [[0, 0.0, 5.0]], "diverged": 3}
        end = {"rms": 1.0, "layer": 1.2, "standard": 1.4, "none": 2.0}[piece["norm"]] + (piece["rate"] == rates[0])
        return {"curve": [[0, 0.0, 5.0], [10, 2.0, end]], "diverged": None}

    done = [Done(piece, result(piece), 1.0) for piece in study.pieces(setting)]
    further = study.further(setting, done)
    assert {(p["norm"], p["rate"]) for p in further} == {
        ("rms", 0.01),
        ("layer", 0.01),
        ("standard", 0.01),
        ("none", 0.001),
    }
    assert {p["seed"] for p in further} == {1, 2}
    summary = study.summarise(done + [Done(piece, result(piece), 1.0) for piece in further])
    text = summary["text"]
    assert text["common_loss"] == pytest.approx(1.4)
    rms = text["norms"]["rms"]
    assert rms["runs"] == 3
    assert rms["reached"] == pytest.approx({"steps": 9.0, "seconds": 1.8})  # 5 → 1 in a straight line is at 1.4
    assert text["norms"]["none"]["reached"] is None
    assert text["norms"]["none"]["sweep"] == {"0.001": 3.0, "0.01": None}


def test_positions_study_has_every_length(tmp_path):
    setting = Setting(seeds=1, size="tiny", data=write_data(tmp_path))
    for job in ("parity", "text"):
        piece = {"job": job, "positions": "sorted", "seed": 0}
        found = Positions().run(piece, setting, lambda done, total: None)
        assert list(found["lengths"]) == [str(times) for times in TIMES]
        assert found == Positions().run(piece, setting, lambda done, total: None)
