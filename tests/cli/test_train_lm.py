"""`puna train lm`: what it writes is a model for Puna and for Transformers, and what it says of it is so."""

import json
import math
import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import puna as library
from puna.weights.adapter import read_adapter
from puna.weights.checkpoint import open_checkpoint
from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny

WORDS = "the llama walks over high grass land and 山 水 12 eats, sleeps. then it".split()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))


def prose(seed: int, words: int) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(words)) + "\n"


def bits_per_byte(model, tokenizer, text: str, length: int) -> float:
    ids = tokenizer(text).input_ids
    total = 0.0
    for start in range(0, len(ids) - 1, length - 1):
        part = torch.tensor([ids[start : start + length]])
        if part.shape[1] > 1:
            with torch.no_grad():
                total += float(model(part, labels=part).loss) * (part.shape[1] - 1)
    return total / math.log(2) / len(text.encode())


def test_a_new_model_is_one_for_transformers(tmp_path):
    (tmp_path / "learn.txt").write_text(prose(0, 1500), "utf-8")
    (tmp_path / "valid.txt").write_text(prose(1, 120), "utf-8")
    done = puna(
        *("train", "lm", str(tmp_path / "learn.txt"), "--valid", str(tmp_path / "valid.txt"), "--json"),
        *("-o", str(tmp_path / "model"), "--width", "64", "--layers", "2", "--heads", "2", "--kv-heads", "1"),
        *("--length", "96", "--batch", "1024", "--rate", "0.01", "--epochs", "8", "--save-dtype", "fp32"),
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    hf = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    found = bits_per_byte(hf, tokenizer, (tmp_path / "valid.txt").read_text("utf-8"), 96)
    assert said["bits_per_byte"] == pytest.approx(found, rel=0.01)
    assert found < 4  # it has learned: all bytes are as probable as another at 8
    assert said["loss"] == pytest.approx(said["bits_per_byte"] * math.log(2), rel=1e-6)  # a token is a byte
    reader = library.load(tmp_path / "model")
    text = "the llama 山"
    ids = reader.tokenizer.encode_prompt(text)
    assert ids == tokenizer(text).input_ids
    assert (
        open_checkpoint(tmp_path / "model").tensor("model.norm.weight", torch.float32).std() > 0
    )  # gains learn, too


def test_full_training_gives_a_folder_or_an_adapter_and_lora_an_adapter(tmp_path):
    base = write_tiny(tmp_path / "tiny.gguf")
    (tmp_path / "learn.txt").write_text(prose(2, 800), "utf-8")
    common = ("train", "lm", str(tmp_path / "learn.txt"), "--model", str(base), "--length", "64", "--batch", "512")
    for name, more in (("full", ["--full"]), ("low", ["--full", "--extract-rank", "32"]), ("lora", [])):
        done = puna(*common, *more, "-o", str(tmp_path / name), "--rate", "0.003", "--save-dtype", "fp32", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["bits_per_byte"] > 0
    hf = AutoModelForCausalLM.from_pretrained(tmp_path / "full", dtype=torch.float32)
    before, low = open_checkpoint(base), read_adapter(tmp_path / "low")
    for name, (a, b) in low.matrices.items():
        change = hf.state_dict()[name] - before.tensor(name, torch.float32)
        torch.testing.assert_close(b @ a, change, atol=1e-5, rtol=1e-3)  # rank 32 is all of it
        assert change.abs().max() > 0
    lora = read_adapter(tmp_path / "lora")
    assert set(lora.matrices) == set(low.matrices)
    assert not lora.extra
    assert lora.examples
    assert lora.base is not None


def test_what_cannot_be_is_said(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "latin.txt").write_bytes(b"one\ntwo \xe9\n")
    base = write_tiny(tmp_path / "tiny.gguf")
    for arguments, code in (
        (["empty.txt"], "E-TRAIN-TEXT"),
        (["latin.txt"], "E-ROWS-UNICODE"),
        (["missing.txt"], "E-FILE-MISSING"),
        (["latin.txt", "--width", "50", "--heads", "3"], "E-USAGE"),
        (["latin.txt", "--width", "64", "--heads", "4", "--kv-heads", "3"], "E-USAGE"),
    ):
        done = puna(
            "train",
            "lm",
            *arguments,
            "-o",
            "out",
            *([] if "--width" in arguments else ["--model", str(base)]),
            cwd=tmp_path,
        )
        assert done.returncode == 2
        assert f"[{code}]" in done.stderr
        assert "Traceback" not in done.stderr
