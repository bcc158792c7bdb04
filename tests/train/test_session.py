"""A training from its beginning to what it writes: what is in it, and what is not lost where it cannot be written."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import puna
from puna.errors import InputError, PunaError
from puna.export.folder import tokenizer_of
from puna.train.checkpoints import BEST, LAST
from puna.train.lesson import lessons
from puna.train.loop import Watch
from puna.train.network import LoRA
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.rows import read_spans
from puna.train.session import Base, Order, Session
from puna.train.trees import Passage
from puna.weights.adapter import POINTER, read_adapter
from tests.cli.tiny_file import write_tiny
from tests.oracle.families import draw, make, save_new
from tests.tokens.kinds import write_sentence_piece
from tests.train.rows import walks, write_rows

RECIPE = Recipe(epochs=2, questions=8, rate=1e-2, validations=8)  # a validation each step


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.gguf")


def session_of(
    tiny: Path, output: str, recipe: Recipe = RECIPE, *, kind: str = "reader", full: bool = False, **more: Any
) -> Session:
    order = Order(
        tiny.parent / output, recipe, None if full else LoRA(4, 8.0), model=str(tiny), dtype="fp32", **more
    )
    return Session(kind, order, Ranks("cpu"))


def lessons_of(session: Session, tmp_path: Path, *, answered: bool = True) -> list[Passage]:
    rows = [row for row in walks(20) if answered or not row["answers"]]
    read = read_spans([write_rows(tmp_path / "rows.jsonl", rows)])[0]
    return list(lessons(read, session.base.tokenizer, session.context))


def falling() -> Any:
    """An examination that finds each state better than the one before."""
    losses = itertools.count(0, -1)
    return lambda student: {"loss": float(next(losses))}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["reader", "fit", "lm"])
@pytest.mark.parametrize(("weight", "answered"), [(0.5, True), (0.5, False), (0.0, True)])
def test_a_pointer_is_written_where_it_has_learned(tiny, tmp_path, kind, weight, answered):
    recipe = Recipe(epochs=1, questions=8, pointer=weight)
    learned = session_of(tiny, "learned")
    assert learned.train(lessons_of(learned, tmp_path), None, {}, Watch())
    before = read_adapter(tmp_path / "learned").extra
    assert "pointer.text" in before

    new = session_of(tiny, "new", recipe, kind=kind)
    assert new.train(lessons_of(new, tmp_path, answered=answered), None, {}, Watch())
    trained = kind != "lm" and weight > 0
    assert bool(read_adapter(tmp_path / "new").extra) == (trained and answered)

    on = session_of(tiny, "on", recipe, kind=kind, init=tmp_path / "learned")
    assert on.train(lessons_of(on, tmp_path, answered=answered), None, {}, Watch())
    after = read_adapter(tmp_path / "on").extra
    assert after.keys() == before.keys()
    same = all(torch.equal(after[name], before[name]) for name in before)
    assert same == (not trained)


def test_a_whole_reader_is_asked_as_it_was_trained(tiny, tmp_path):
    text = "Day 7. Ann walked to Rome."
    for weight in (0.5, 0.0):
        session = session_of(tiny, f"whole-{weight}", Recipe(epochs=1, questions=8, pointer=weight), full=True)
        assert session.train(lessons_of(session, tmp_path), None, {}, Watch())
        output = session.order.output
        assert (output / POINTER).exists() == (weight > 0)
        reader, plain = puna.load(output), puna.load(output, adapter=None)
        assert (reader._pointer is not None) == (weight > 0)
        assert not reader.examples
        assert plain.examples
        assert reader.ask("Who walked?", text).model != plain.ask("Who walked?", text).model
        assert reader.generate("Ann", raw=True, max_tokens=3) == plain.generate("Ann", raw=True, max_tokens=3)
    lm = session_of(tiny, "lm", full=True, kind="lm")
    assert lm.train([Passage(list(range(3, 60)), 0, [])], None, {}, Watch())
    assert puna.load(tmp_path / "lm").name == "lm"
    (tmp_path / "whole-0.5" / POINTER).write_bytes(b"none")
    with pytest.raises(PunaError) as caught:
        puna.load(tmp_path / "whole-0.5")
    assert caught.value.code == "E-SAFETENSORS-TRUNCATED"


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("examined", [False, True])
def test_a_result_that_cannot_be_written_is_not_lost(tiny, tmp_path, monkeypatch, full, examined):
    def run(output: str) -> int:
        session, taken = session_of(tiny, output, full=full), []
        watch = Watch(lambda done, total, record: taken.append(done))
        assert session.train(lessons_of(session, tmp_path), falling() if examined else None, {}, watch)
        return len(taken)

    def full_disk(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert run("a/out") > 3
    with monkeypatch.context() as patch:
        patch.setattr(f"puna.{'export.folder' if full else 'weights.adapter'}.place", full_disk)
        with pytest.raises(PunaError, match=r"(?i)no space left"):
            run("b/out")
    assert not (tmp_path / "b" / "out").exists()
    assert (tmp_path / "b" / "out.training" / LAST).exists()
    assert run("b/out") == 0
    assert contents(tmp_path / "a" / "out") == contents(tmp_path / "b" / "out")
    assert not any((tmp_path / "b" / "out.training" / name).exists() for name in (LAST, BEST))


def test_without_room_for_a_last_checkpoint_the_result_is_written(tiny, tmp_path, monkeypatch):
    def full_disk(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("puna.train.checkpoints.save_file", full_disk)
    session = session_of(tiny, "out")
    assert session.train(lessons_of(session, tmp_path), None, {}, Watch())
    assert read_adapter(tmp_path / "out").matrices


def test_it_goes_on_with_fewer_tokens_a_forward(tiny, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = session_of(tiny, "a/out")
    assert whole.train(lessons_of(whole, tmp_path), None, {}, Watch())

    taken: list[int] = []
    watch = Watch(lambda done, total, record: taken.append(done), lambda: len(taken) == 3)
    assert session_of(tiny, "b/out").train(lessons_of(whole, tmp_path), None, {}, watch) is None
    less = replace(RECIPE, tokens=60)
    on = session_of(tiny, "b/out", less)
    assert on.train(lessons_of(whole, tmp_path), None, {}, Watch(lambda done, total, record: taken.append(done)))
    assert taken == list(range(1, len(taken) + 1))
    logs = [(tmp_path / each / "out.training" / "log.jsonl").read_text().splitlines() for each in "ab"]
    ours, theirs = ([json.loads(line)["loss"] for line in log] for log in logs)
    assert ours == pytest.approx(theirs, rel=0.02)
    about = json.loads((tmp_path / "b" / "out" / "puna.json").read_text())
    assert about["training"]["recipe"]["tokens"] == 60


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("examined", [False, True])
def test_where_the_numbers_end_the_last_good_ones_are_kept(tiny, tmp_path, full, examined):
    session = session_of(tiny, "out", full=full)
    values: dict[int, dict[str, torch.Tensor]] = {}
    learned = lessons_of(session, tmp_path)

    def spoil(done: int, total: int, record: dict[str, Any]) -> None:
        values[done] = {name: each.detach().clone() for name, each in session.student.trained().items()}
        if done == 5:
            session.student.pointer.nowhere.data.fill_(float("nan"))

    examine = (lambda student: {"loss": abs(len(values) - 2.0)}) if examined else None
    with pytest.raises(InputError) as caught:
        session.train(learned, examine, {}, Watch(spoil, save_every=3))
    assert caught.value.code == "E-TRAIN-NAN-KEPT"
    good, folder = (2 if examined else 3), Path(str(caught.value.parameters["folder"]))
    assert caught.value.parameters["good"] == good
    assert folder == tmp_path / "out.training" / "last-good"
    slower = Recipe(epochs=1, questions=8, rate=1e-3)
    more = {"full": True} if full else {"init": folder}
    on = session_of(tiny, "on", slower, **more)
    if full:
        on = Session("reader", Order(tmp_path / "on", slower, None, model=str(folder)), Ranks("cpu"))
    for name, value in on.student.trained().items():
        if not (full and name.startswith("pointer")):  # the pointer of a whole model is for asking
            torch.testing.assert_close(value, values[good][name], atol=0, rtol=0)
    assert on.train(learned, None, {}, Watch())


def test_where_nothing_was_kept_nothing_is_promised(tiny, tmp_path):
    session = session_of(tiny, "out")
    session.student.pointer.nowhere.data.fill_(float("nan"))
    with pytest.raises(InputError) as caught:
        session.train(lessons_of(session, tmp_path), None, {}, Watch())
    assert caught.value.code == "E-TRAIN-NAN"
    assert not (tmp_path / "out.training" / "last-good").exists()


def test_a_makers_own_tokenizer_file_becomes_hugging_faces(tmp_path: Path) -> None:
    processor = write_sentence_piece(tmp_path, vocab_size=500)
    tokenizer, files = tokenizer_of(tmp_path, SimpleNamespace(tokenizer_metadata=None))
    assert tokenizer.encode("the cat") == processor.encode("the cat")
    assert set(files) == {"tokenizer.json", "tokenizer_config.json"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(files["tokenizer.json"]))
    again, copied = tokenizer_of(tmp_path, SimpleNamespace(tokenizer_metadata=None))
    assert again.encode("the cat") == processor.encode("the cat")
    assert set(copied) == {"tokenizer.json"}


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("llama-bias", "E-TRAIN-BIAS"),
        ("qwen2", "E-TRAIN-BIAS"),
        ("qwen3", "E-TRAIN-NORMS"),
        ("mistral-window", "E-TRAIN-WINDOW"),
    ],
)
def test_families_that_are_not_trained(case: str, code: str, tmp_path: Path) -> None:
    """Rather than trained as if they were Llama."""
    save_new(make(case, draw(case, 0)), tmp_path / "model")
    with pytest.raises(PunaError) as caught:
        Base.opened(str(tmp_path / "model"))
    assert caught.value.code == code
