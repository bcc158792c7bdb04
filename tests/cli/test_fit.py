"""`puna fit`: an adapter for a text, and what it is worth."""

import json
import random

import pytest

from puna.weights.adapter import read_adapter
from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny

NAMES = ("Anna Berg", "Carlos Diaz", "Ming Chen", "Oslo", "Lima", "Cairo")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))


def story(seed: int) -> str:
    draw = random.Random(seed)
    lines = []
    for _ in range(60):
        one, other = draw.sample(NAMES, 2)
        lines.append(
            f"In {draw.randint(1900, 1999)} the road from {one} to {other} was closed for {draw.randint(2, 9)} weeks."
        )
    return " ".join(lines) + "\n"


def test_it_learns_the_text_and_questions_about_it(tmp_path):
    base = write_tiny(tmp_path / "tiny.gguf")
    (tmp_path / "story.txt").write_text(story(0), "utf-8")
    words = ("--model", str(base), "--rate", "0.01", "--epochs", "6", "--json", "--lora-rank", "8")
    done = puna("fit", str(tmp_path / "story.txt"), "-o", str(tmp_path / "fitted"), "--hold-back", "50%", *words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["after"] < said["before"]
    assert said["unseen_after"] < said["unseen_before"]
    assert "questions made of it" in done.stderr
    assert " 0 questions" not in done.stderr
    adapter = read_adapter(tmp_path / "fitted")
    assert not adapter.examples
    assert "pointer.text" in adapter.extra
    log = [json.loads(line) for line in (tmp_path / "fitted.training" / "log.jsonl").read_text().splitlines()]
    assert {"answer", "pointer", "text"} <= set().union(*log)
    further = puna(
        "fit", str(tmp_path / "story.txt"), "-o", str(tmp_path / "on"), "--init", str(tmp_path / "fitted"), *words
    )
    assert further.returncode == 0, further.stderr
    assert json.loads(further.stdout)["before"] < said["before"]
    assert "on top of the adapter fitted" in further.stderr
    full = puna("fit", str(tmp_path / "story.txt"), "-o", str(tmp_path / "no"), "--full", *words)
    assert "[E-USAGE]" in full.stderr
