"""The loop beside a plainer one, what it keeps, and how it ends."""

import json

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from puna.errors import InputError
from puna.tokens.tokenizer import Tokenizer
from puna.train.checkpoints import LAST, Checkpoints
from puna.train.journal import Journal
from puna.train.lesson import lessons
from puna.train.loop import Loop, Watch, plan
from puna.train.network import LoRA, Network
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.rows import read_spans
from puna.train.student import Student
from puna.train.trees import Passage, grow
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import write_tiny
from tests.train.rows import walks, write_rows


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return open_checkpoint(write_tiny(tmp_path_factory.mktemp("model") / "tiny.gguf"))


@pytest.fixture(scope="module")
def passages(checkpoint, tmp_path_factory):
    path = write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", walks(24))
    tokenizer = Tokenizer.from_gguf(checkpoint.tokenizer_metadata)
    texts = [Passage(tokenizer.encode(f"Some text without questions, number {n}."), 0, []) for n in range(6)]
    return [*lessons(read_spans([path])[0], tokenizer, 1024), *texts]


def student_of(checkpoint) -> Student:
    return Student(Network(checkpoint, torch.float32, LoRA(4, 8.0)), 0)


def values(student: Student) -> dict[str, torch.Tensor]:
    return {name: each.detach().clone() for name, each in student.trained().items()}


def loop_of(checkpoint, passages, folder, recipe: Recipe, examine=None) -> Loop:
    folder.mkdir(exist_ok=True)
    ranks = Ranks("cpu")
    return Loop(student_of(checkpoint), passages, examine, recipe, Checkpoints(folder, {}, ranks), ranks)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_it_takes_the_steps_of_a_plain_loop(checkpoint, passages, tmp_path, schedule, clip):
    recipe = Recipe(epochs=1.5, questions=8, tokens=200, rate=1e-2, schedule=schedule, warmup=0.2, clip=clip)
    loop = loop_of(checkpoint, passages, tmp_path / "work", recipe)
    assert loop.run(Journal(tmp_path, 0, False), Watch())

    student, steps = student_of(checkpoint), plan(passages, recipe)
    optimizer = torch.optim.AdamW(student.trained().values(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0)
    warm = round(0.2 * len(steps))
    makers = {"cosine": get_cosine_schedule_with_warmup, "linear": get_linear_schedule_with_warmup}
    shape = makers[schedule](optimizer, warm, len(steps)).lr_lambdas[0] if schedule in makers else lambda step: 1.0
    losses = []
    for number, step in enumerate(steps):
        trees = [grow(passages[index]) for index in step]
        found = student(trees)
        asked = sum(len(tree.passage.questions) for tree in trees)
        words = sum(len(tree.tokens) - 1 for tree in trees if not tree.passage.questions)
        loss = (found["answer"] + 0.5 * found["pointer"] + found["text"] / 64) / (asked + words / 64)
        loss.backward()
        losses.append(float(loss.detach()))
        torch.nn.utils.clip_grad_norm_(student.trained().values(), clip or 1e9)
        optimizer.param_groups[0]["lr"] = 1e-2 * ((number + 1) / warm if number < warm else shape(number))
        optimizer.step()
        optimizer.zero_grad()
        student.network.changed()
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["loss"] for record in records] == pytest.approx(losses, rel=1e-3)
    ours, theirs = values(loop.student), values(student)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], atol=2e-3, rtol=1e-2)


def test_an_epoch_has_everything_once_and_another_order(passages):
    recipe = Recipe(epochs=2.5, questions=8)
    steps = plan(passages, recipe)
    one = next(n for n in range(len(steps)) if sum(map(len, steps[: n + 1])) == len(passages)) + 1
    first, second = ([i for step in steps[a : a + one] for i in step] for a in (0, one))
    assert sorted(first) == list(range(len(passages)))
    assert set(second) <= set(first)
    assert first != second
    assert plan(passages, Recipe(epochs=2.5, questions=8, seed=1)) != steps
    assert all(sum(passages[i].units for i in step) >= 8 for step in steps[: one - 1])


def test_the_best_is_what_comes_out_and_patience_ends_it(checkpoint, passages, tmp_path):
    seen = []

    def examine(student):
        seen.append(values(student))
        return {"loss": abs(len(seen) - 3.0)}

    recipe = Recipe(epochs=20, questions=8, rate=1e-2, patience=4)
    loop = loop_of(checkpoint, passages, tmp_path, recipe, examine)
    assert loop.run(Journal(tmp_path, 0, False), Watch())
    assert len(seen) == 7
    assert loop.state.step < len(loop.plan)
    assert loop.state.figures == {"loss": 0.0}
    for name, value in values(loop.student).items():
        assert torch.equal(value, seen[2][name])
        assert not torch.equal(value, seen[6][name]) or not value.any()


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\xff" * 4096])
def test_a_damaged_checkpoint_is_refused(checkpoint, passages, tmp_path, content):
    (tmp_path / LAST).write_bytes(content)
    with pytest.raises(InputError) as caught:
        loop_of(checkpoint, passages, tmp_path, Recipe())
    assert caught.value.code == "E-TRAIN-DAMAGED"


def test_a_journal_goes_on_from_a_step(tmp_path):
    records = [{"step": n, "loss": 1.0 / n, "rate": 0.1} for n in range(1, 6)]
    lines = [json.dumps(record) for record in records]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 6, "lo')
    journal = Journal(tmp_path, 3, False)
    journal.add({"step": 4, "loss": 9.0, "rate": 0.1})
    journal.draw("a title with $money$")
    found = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert found == [*records[:3], {"step": 4, "loss": 9.0, "rate": 0.1}]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
