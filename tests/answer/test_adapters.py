"""Reading with an adapter: which one, under what name, with which prompt and calibration, and what goes without it."""

import dataclasses
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import puna
from puna.answer import adapters
from puna.answer.calibration import Calibration, Coefficients
from puna.answer.prompt import Prompts, wording_for
from puna.answer.reader import Reader
from puna.errors import InputError, ModelFileError
from puna.llama.load import load
from puna.weights import identity
from puna.weights.adapted import AdaptedCheckpoint
from puna.weights.adapter import read_adapter, write_adapter
from puna.weights.checkpoint import open_checkpoint
from puna.weights.digest import hash_file
from puna.weights.identity import model_digest
from puna.weights.kept_folder import KeptFolder
from puna.weights.store import DEFAULT_MODEL
from tests.answer.test_kept_texts import answer, some_text
from tests.cli.tiny_file import write_tiny
from tests.weights.adapters import draw_adapter

TEXT, QUESTION = "Ann came in May. Bob saw her ship.", "Who came?"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))
    return write_tiny(tmp_path / "tiny.gguf")


def make(tiny: Path, folder: Path, seed: int = 0, **about: Any) -> Path:
    checkpoint = open_checkpoint(tiny)
    shapes = {name: checkpoint.shape(name) for name in checkpoint.names()}
    write_adapter(folder, draw_adapter(shapes, seed, about=about))
    return folder


def base_of(tiny: Path, **more: Any) -> dict[str, Any]:
    return {"name": "tiny", "sha256": hash_file(tiny), **more}


@pytest.fixture
def shipped(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader of another model, one of another size, and that of the tiny model."""
    readers = tmp_path / "readers"
    make(tiny, readers / "another", 1, base={"name": "x", "sha256": "ab" * 32, "size": tiny.stat().st_size})
    make(tiny, readers / "larger", 2, base=base_of(tiny, size=tiny.stat().st_size + 1))
    (readers / "notes").mkdir()
    monkeypatch.setattr(adapters, "READERS", readers)
    return make(tiny, readers / "reader", 3, base=base_of(tiny), prompt={"examples": False})


def logits(reader: Reader) -> torch.Tensor:
    tokens = torch.arange(40)
    return reader.model.logits(reader.model(tokens, tokens, None, None))


def test_a_folder_is_merged_and_named(tiny: Path, tmp_path: Path) -> None:
    folder = make(tiny, tmp_path / "walker")
    reader, adapter = puna.load(tiny, adapter=folder), read_adapter(folder)
    assert reader.name == f"tiny+walker-{adapter.digest[:8]}"
    assert torch.equal(
        logits(reader),
        logits(Reader(load(AdaptedCheckpoint(open_checkpoint(tiny), adapter)), reader.tokenizer, "")),
    )
    assert not torch.equal(logits(reader), logits(puna.load(tiny, adapter=None)))
    assert reader.ask(QUESTION, TEXT).model == reader.name
    assert reader.plain is reader
    assert reader.rank("Who?", ["Ann", "Bob"]).model == reader.name
    assert puna.load(tiny).name == "tiny"


def test_trained_again_it_has_another_name(tiny: Path, tmp_path: Path) -> None:
    """Rows that were kept, and calibrations, are those of the one before."""
    names = {puna.load(tiny, adapter=make(tiny, tmp_path / "walker", seed)).name for seed in (1, 2)}
    assert len(names) == 2


def test_the_shipped_reader_reads_and_nothing_else(tiny: Path, shipped: Path) -> None:
    reader, plain = puna.load(tiny), puna.load(tiny, adapter=None)
    given = puna.load(tiny, adapter=shipped)
    assert reader.name == given.name != plain.name == "tiny"
    assert answer(reader, QUESTION, TEXT) == answer(given, QUESTION, TEXT)
    assert answer(reader, QUESTION, TEXT)["answers"] != answer(plain, QUESTION, TEXT)["answers"]
    ranked = [dataclasses.replace(each.rank("Who?", ["Ann", "Bob"]), elapsed_ms=0) for each in (reader, plain)]
    assert ranked[0] == ranked[1]
    assert reader.generate("Who?", max_tokens=9).tokens == plain.generate("Who?", max_tokens=9).tokens
    assert given.generate("Who?", max_tokens=30).tokens != plain.generate("Who?", max_tokens=30).tokens


def test_the_shipped_translator_is_found_as_the_reader_is(
    tiny: Path, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of its own, by the model's sha256; `ask` does not read with it."""
    translators = tmp_path / "translators"
    monkeypatch.setattr(adapters, "TRANSLATORS", translators)
    assert (puna.load(tiny, adapter="translator").name, puna.load(tiny, adapter="translator").examples) == (
        "tiny",
        True,
    )
    make(tiny, translators / "another", 5, base={"name": "x", "sha256": "ab" * 32, "size": tiny.stat().st_size})
    assert puna.load(tiny, adapter="translator").name == "tiny"
    own = make(tiny, translators / "own", 4, base=base_of(tiny), prompt={"examples": False})
    reader = puna.load(tiny, adapter="translator")
    assert reader.name == f"tiny+own-{read_adapter(own).digest[:8]}"
    assert reader.examples is False
    assert puna.load(tiny).name == f"tiny+reader-{read_adapter(shipped).digest[:8]}"


def test_plain_weights_are_loaded_when_they_are_asked_and_once(
    tiny: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    monkeypatch.setattr("puna.answer.reader.load_model", lambda *a, **k: loaded.append(a) or load(*a, **k))
    reader = puna.load(tiny)
    reader.ask(QUESTION, TEXT)
    assert len(loaded) == 1
    reader.rank("Who?", ["Ann"])
    reader.generate("Who?", max_tokens=1)
    assert len(loaded) == 2
    assert loaded[0][0]._base is loaded[1][0]  # one mapped file


def test_another_model_has_no_shipped_reader(tiny: Path, shipped: Path, tmp_path: Path) -> None:
    raw = bytearray(tiny.read_bytes())
    raw[-2] ^= 1
    (tmp_path / "other.gguf").write_bytes(raw)
    assert puna.load(tmp_path / "other.gguf").name == "other"


def test_no_model_is_hashed_in_vain(tiny: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no reader for a model of this size, or an adapter that does not say which model it is for."""

    def never(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr(identity, "hash_file", never)
    for name in ("another", "reader"):
        shutil.rmtree(shipped.parent / name)
    assert puna.load(tiny).name == "tiny"
    assert puna.load(tiny, adapter=make(tiny, shipped.parent.parent / "walker")).name.startswith("tiny+walker-")
    assert puna.load(tiny, adapter=None).name == "tiny"


def test_an_adapter_of_another_model_is_refused(tiny: Path, tmp_path: Path) -> None:
    folder = make(tiny, tmp_path / "walker", base={"name": "Hill-7B", "sha256": "ab" * 32})
    with pytest.raises(ModelFileError) as caught:
        puna.load(tiny, adapter=folder)
    assert caught.value.code == "E-ADAPTER-MODEL"
    assert "Hill-7B" in str(caught.value)
    assert "tiny" in str(caught.value)


def test_the_default_models_digest_is_its_known_sha256(default_path: Path, tmp_path: Path) -> None:
    """An adapter for it names that, whoever hashed: the pull, the manifest or the cache of digests."""
    found, _ = model_digest(default_path, KeptFolder(tmp_path))
    assert (found == DEFAULT_MODEL.sha256) == (default_path.stat().st_size == DEFAULT_MODEL.size)


@pytest.mark.parametrize("examples", [True, False])
def test_worked_examples_are_left_out_where_the_adapter_says_so(
    examples: bool, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tiny, tmp_path / "walker", prompt={"examples": examples})
    seen: set[bool] = set()
    about = Prompts.about
    monkeypatch.setattr(Prompts, "about", lambda self, text: seen.add(self.examples) or about(self, text))
    reader = puna.load(tiny, adapter=folder)
    reader.ask(QUESTION, TEXT)
    reader.read(TEXT)
    assert seen == {examples}
    want = Prompts(reader.tokenizer, wording_for(QUESTION), QUESTION, examples=examples)
    assert ("Marie Curie" in reader.tokenizer.decode(want.about(TEXT).tokens)) == examples


def test_kept_texts_are_never_shared(tiny: Path, tmp_path: Path) -> None:
    """With an adapter, with another one and without: each finds its own bits, whoever has kept before."""
    rng, kept = random.Random(2), tmp_path / "kept"
    folders = [None, make(tiny, tmp_path / "one", 1), make(tiny, tmp_path / "two", 2)]
    texts = [some_text(rng, 60) for _ in range(2)]
    want = {
        (folder, text): answer(puna.load(tiny, adapter=folder, memory=0), QUESTION, text)
        for folder in folders
        for text in texts
    }
    assert len({str(each["answers"]) for each in want.values()}) == 6
    counts = []
    for _ in range(2):
        for folder, text in rng.sample(list(want), len(want)):
            got = answer(puna.load(tiny, adapter=folder, keep=kept), QUESTION, text)
            assert got == want[folder, text]
        counts.append(len(KeptFolder(kept).files()))
    assert counts == [9, 9]  # the examples and two texts, for each


def calibration_beside(folder: Path, name: str) -> None:
    made = Calibration(name, "sum", 100, Coefficients(0.7, 0.2, -1.0, 0.5, 0.1, 0.3), ((0.001, 1.0, 0.2),), {})
    (folder / "calibration.json").write_text(made.to_json(), "utf-8")


def test_a_calibration_beside_the_adapter_is_used(tiny: Path, tmp_path: Path) -> None:
    folder = make(tiny, tmp_path / "walker")
    reader = puna.load(tiny, adapter=folder)
    raw = answer(reader, QUESTION, TEXT)
    calibration_beside(folder, reader.name)
    reader = puna.load(tiny, adapter=folder)
    given = reader.own_calibration()
    assert given is not None
    assert answer(reader, QUESTION, TEXT) == answer(reader, QUESTION, TEXT, calibration=given)
    assert answer(reader, QUESTION, TEXT) != raw
    assert answer(reader, QUESTION, TEXT, calibration=None) == raw
    assert reader.ask(QUESTION, TEXT, max_error=0.3).threshold is not None
    reader.ask(QUESTION, TEXT, ["Ann", "Bob"])
    reader.ask(QUESTION, TEXT, normalise="mean")  # it was fitted for "sum"


def test_a_calibration_of_another_is_refused(tiny: Path, tmp_path: Path) -> None:
    folder = make(tiny, tmp_path / "walker", 1)
    calibration_beside(folder, puna.load(tiny, adapter=make(tiny, tmp_path / "two" / "walker", 2)).name)
    reader = puna.load(tiny, adapter=folder)
    with pytest.raises(InputError) as caught:
        reader.ask(QUESTION, TEXT)
    assert caught.value.code == "E-CALIBRATION-MODEL"
    assert reader.ask(QUESTION, TEXT, calibration=None).answers
    assert reader.generate("Who?", max_tokens=2).tokens


def test_a_damaged_shipped_reader_is_told(tiny: Path, shipped: Path) -> None:
    (shipped / "puna.json").write_text(json.dumps({"format": 9}))
    with pytest.raises(ModelFileError) as caught:
        puna.load(tiny)
    assert caught.value.code == "E-ADAPTER-ABOUT"
    assert puna.load(tiny, adapter=None).name == "tiny"
