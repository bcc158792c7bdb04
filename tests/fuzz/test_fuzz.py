"""A few thousand broken files of every kind, and the fuzzer's own teeth. `make fuzz` opens 200,000."""

import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import main
from tests.fuzz.campaign import keep, run
from tests.fuzz.choices import Choices, Numbered
from tests.fuzz.forms import dump_json, parse_gguf, parse_json
from tests.fuzz.mutate import Odd, mutated
from tests.fuzz.planted import FAULTS
from tests.fuzz.seeds import Seed, make_seeds
from tests.fuzz.targets import prepare, verdict
from tests.fuzz.worker import write_case

FILES, SEED = 2500, 17
SEEDS = make_seeds()
BY_NAME = {seed.name: seed for seed in SEEDS}


def test_broken_files_load_or_are_refused(tmp_path: Path) -> None:
    """In a process of its own: one that crashes, hangs, grows, reads elsewhere or runs code is found out."""
    result = run(SEED, range(FILES), workers=2)
    for failure in result.failures:
        keep(SEED, failure, tmp_path)
    assert result.failures == [], f"python -m tests.fuzz --seed {SEED} --show INDEX opens one alone"
    assert result.files == FILES
    assert min(result.outcomes["loaded"], result.outcomes["refused"]) > FILES // 20
    assert len(result.codes) > 25


class Drawn(Choices):
    """Hypothesis' own numbers: what fails is made as small as it can be."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def below(self, count: int) -> int:
        return self._data.draw(st.integers(0, count - 1))


LIGHT = [seed.name for seed in SEEDS if seed.target != "model"]


@given(data=st.data(), name=st.sampled_from(LIGHT))
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
def test_broken_files_that_hypothesis_draws(data: st.DataObject, name: str) -> None:
    prepare()
    seed = BY_NAME[name]
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder, "case")
        case.mkdir()
        write_case(mutated(seed.files, Drawn(data)), case)
        outcome, what = verdict(seed.target, case)
    assert outcome != "failed", what


def test_it_finds_what_it_looks_for() -> None:
    result = run(1, range(len(FAULTS)), planted=True)
    found = {failure.index: failure.what for failure in result.failures}
    assert result.files == len(FAULTS)
    assert set(found) == {index for index, (_, words) in enumerate(FAULTS) if words}
    for index, (_, words) in enumerate(FAULTS):
        assert words in found.get(index, "")


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_sound_files_load(seed: Seed, tmp_path: Path) -> None:
    prepare()
    write_case(dict(seed.files), tmp_path)
    assert verdict(seed.target, tmp_path) == ("loaded", "")


def test_no_file_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.fuzz.__main__.BUILD", tmp_path)
    monkeypatch.setattr("sys.argv", ["fuzz", "--count", "0", "--guided", "0"])
    assert main() == 1
    assert "no file was opened" in capsys.readouterr().out


def test_it_goes_on_where_it_was_stopped() -> None:
    heard: list[int] = []
    run(3, range(250, 600), workers=2, done=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 600
    assert set(heard) <= {250, 500, 600}


def test_the_same_number_is_the_same_file() -> None:
    for index in range(200):
        seed = SEEDS[index % len(SEEDS)]
        assert mutated(seed.files, Numbered(5, index)) == mutated(seed.files, Numbered(5, index))


def test_every_kind_is_broken_in_many_ways() -> None:
    """No mutator may give files back as they were, or break only one place of one file."""
    for seed in SEEDS:
        changed: Counter[str] = Counter()
        contents = set()
        for index in range(300):
            for name, content in mutated(seed.files, Numbered(7, index)).items():
                if content != seed.files[name]:
                    changed[name] += 1
                    contents.add(content)
        assert changed.keys() == seed.files.keys()
        assert len(contents) > 100
        assert any(isinstance(content, Odd) for content in contents)


def test_forms_put_together_are_what_was_taken_apart() -> None:
    checked = Counter[str]()
    for seed in SEEDS:
        for name, content in seed.files.items():
            if content.startswith(b"GGUF"):
                assert parse_gguf(content).raw() == content
                checked["gguf"] += 1
            elif name.endswith(".json"):
                assert json.loads(dump_json(parse_json(content))) == json.loads(content)
                checked["json"] += 1
    assert min(checked["gguf"], checked["json"]) > 3
