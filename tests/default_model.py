"""The default model, loaded once for a whole run of the tests: by Puna, and by Transformers as the oracle."""

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"


def default_model_path() -> Path:
    """Give the default model's file: PUNA_TEST_MODEL, else the pulled one; the test is skipped where there is none."""
    given = os.environ.get("PUNA_TEST_MODEL")
    if given:
        if not Path(given).is_file():
            pytest.fail(f"PUNA_TEST_MODEL names no file: {given}")
        return Path(given)
    from puna.errors import PunaError
    from puna.weights.store import resolve

    try:
        return resolve(None)
    except PunaError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}: CI must have the default model")  # a skip there would hide half of the tests
        pytest.skip(f"{error}: run `puna pull`, or set PUNA_TEST_MODEL to the file")


@pytest.fixture(scope="session")
def default_path():
    return default_model_path()


@pytest.fixture(scope="session")
def default_tokenizer(default_path):
    from puna.tokens.tokenizer import Tokenizer
    from puna.weights.checkpoint import open_checkpoint

    return Tokenizer.from_gguf(open_checkpoint(default_path).tokenizer_metadata)


@pytest.fixture(scope="session")
def default_fp32(default_path):
    return _load(default_path, "float32")


@pytest.fixture(scope="session")
def default_bf16(default_path):
    return _load(default_path, "bfloat16")


@pytest.fixture(scope="session")
def default_torch(default_path):
    """Products in bf16 by torch, as on CPUs for which there are no kernels."""
    return _load(default_path, "bfloat16", kernels=False)


@pytest.fixture(scope="session")
def default_torch_fp32(default_path):
    return _load(default_path, "float32", kernels=False)


@pytest.fixture(scope="session")
def default_hf(default_path):
    """Transformers' model in fp32, from its own reading of the same file."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        str(default_path.parent), gguf_file=default_path.name, dtype=torch.float32
    )
    return model.eval().requires_grad_(False)


def _load(path, dtype, *, kernels=True):
    import torch

    from puna.llama.load import load
    from puna.weights.checkpoint import open_checkpoint

    return load(open_checkpoint(path), dtype=getattr(torch, dtype), kernels=kernels)
