"""`puna train classify` as a user meets it: stopped, killed, gone on with, used."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.run import puna
from tests.cli.test_train_reader import contents, signalled
from tests.cli.tiny_file import write_tiny
from tests.train.rows import write_rows


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))


def test_stopped_and_killed_it_ends_with_the_same_bytes(tmp_path):
    write_tiny(tmp_path / "tiny.gguf", head=32, ffn=96)
    words = {"sports": "goal", "politics": "vote"}
    rows = [{"text": f"A {word} on day {n}.", "label": label} for n in range(60) for label, word in words.items()]
    write_rows(tmp_path / "rows.jsonl", [*rows, {"text": "no label"}])

    def command(output: Path) -> list[str]:
        model = ["--model", str(tmp_path / "tiny.gguf"), "--lora-rank", "4", "--rate", "0.01"]
        more = ["--epochs", "4", "--texts", "16", "--save-every", "3"]
        return ["train", "classify", str(tmp_path / "rows.jsonl"), "-o", str(output), *model, *more]

    whole, parted = tmp_path / "a" / "topics", tmp_path / "b" / "topics"
    done = puna(*command(whole), "--json")
    assert done.returncode == 0, done.stderr
    assert "rows.jsonl, line 121, lacks the field label [E-ROWS-FIELD]" in done.stderr
    assert "118 texts to learn from, 2 held back, 2 labels" in done.stderr
    fields = ["output", "model", "steps", "best_step", "loss", "among", "accuracy", "questions"]
    assert list(json.loads(done.stdout)) == fields

    assert signalled(4, signal.SIGINT, command(parted)).returncode == 130
    assert signalled(8, signal.SIGKILL, command(parted)).returncode == -signal.SIGKILL
    assert puna(*command(parted)).returncode == 0
    assert contents(parted) == contents(whole)

    given = ["--label", "sports", "--label", "politics", "--model", str(tmp_path / "tiny.gguf"), "--adapter"]
    for label, word in words.items():
        one = puna("classify", f"A {word} on day 99.", *given, str(parted), "--json")
        assert json.loads(one.stdout)["chosen"] == [label]
    measured = puna("eval", "classify", str(tmp_path / "rows.jsonl"), *given, str(parted), "--limit", "9")
    assert measured.returncode == 2
    assert "[E-ROWS-FIELD]" in measured.stderr
    write_rows(tmp_path / "rows.jsonl", rows)
    measured = puna(
        "eval", "classify", str(tmp_path / "rows.jsonl"), *given, str(parted), "--json", "--limit", "20"
    )
    assert json.loads(measured.stdout)["accuracy"] >= 0.9
    strict = puna(*command(tmp_path / "c"), "--label", "sports", "--strict", "--label", "weather")
    assert "[E-ROWS-LABEL]" in strict.stderr
