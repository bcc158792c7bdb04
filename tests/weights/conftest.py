"""Model files for the tests of this folder: the default model if it is here, and tiny random Llamas."""

import os
from pathlib import Path

import pytest

from tests.weights.tiny_model import Tiny, make_tiny


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The default model's file; tests that need it are skipped where it was not fetched."""
    given = os.environ.get("PUNA_TEST_MODEL")
    if given:
        if not Path(given).is_file():
            pytest.fail(f"PUNA_TEST_MODEL names no file: {given}")
        return Path(given)
    from puna.weights.store import DEFAULT_MODEL, find

    found = find(DEFAULT_MODEL.name)
    if found is None:
        pytest.skip("the default model is not here: set PUNA_TEST_MODEL, or run `puna pull`")
    return found


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """An untied tiny Llama with K=3, G=2, head_dim != D/H, biases, as folder, shards and GGUF."""
    return make_tiny(tmp_path_factory.mktemp("tiny"), attention_bias=True, mlp_bias=True)


@pytest.fixture(scope="session")
def tiny_tied(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tied"), tie_word_embeddings=True)
