"""Model files for the tests of this folder: the default model if it is here, and tiny random Llamas."""

from pathlib import Path

import pytest

from tests.default_model import default_model_path
from tests.weights.tiny_model import Tiny, make_tiny


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The default model's file; tests that need it are skipped where it was not fetched."""
    return default_model_path()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """An untied tiny Llama with K=3, G=2, head_dim != D/H, biases, as folder, shards and GGUF."""
    return make_tiny(tmp_path_factory.mktemp("tiny"), attention_bias=True, mlp_bias=True)


@pytest.fixture(scope="session")
def tiny_tied(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tied"), tie_word_embeddings=True)
