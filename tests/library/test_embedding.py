"""Vectors by sentence-transformers, on a tiny model that it saved itself."""

from pathlib import Path

import numpy as np
import pytest

import puna.library.embedding as embedding
from puna.errors import InputError
from puna.library.embedding import SentenceEmbedder
from puna.library.indexing import index
from puna.library.store import open_store


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    from tests.library.sentences import write_model

    return write_model(tmp_path_factory.mktemp("model") / "tiny")


def test_vectors_are_those_of_the_library(model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["a walk", "最高的山峰", "", "x " * 500]
    found = SentenceEmbedder(str(model)).encode(texts)
    want = SentenceTransformer(str(model), device="cpu").encode(texts)
    assert found.dtype == np.float32
    assert found.shape == (4, 16)
    np.testing.assert_allclose(found, want / np.linalg.norm(want, axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(SentenceEmbedder(str(model)).query("a walk"), found[0], atol=1e-5)


def test_a_library_finds_a_passage_by_its_own_text(model: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    texts = ["a walk in the hills", "最高的山峰", "stones and water"]
    for n, text in enumerate(texts):
        (tmp_path / "files" / f"{n}.txt").write_text(text, "utf-8")
    store, embedder = open_store(tmp_path / "library", create=True), SentenceEmbedder(str(model))
    index([tmp_path / "files"], store, embedder=embedder)
    for n, text in enumerate(texts):
        hits = store.near(embedder.query(text), 3)
        assert store.held(hits[0].document).path.endswith(f"{n}.txt")
        assert hits[0].score == pytest.approx(1, abs=1e-5)
    store.close()


def test_a_model_that_is_none(model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError) as caught:
        SentenceEmbedder(str(tmp_path))
    assert caught.value.code == "E-LIBRARY-EMBEDDER"


def test_without_sentence_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        SentenceEmbedder("any")
    assert caught.value.code == "E-LIBRARY-EMBEDDER-MISSING"
    assert "puna[vectors]" in caught.value.describe()[1]
