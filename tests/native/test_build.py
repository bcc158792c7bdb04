"""Compiling, and what is done where that is not possible or was done for other sources."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import puna.native.build as built
from puna.llama.config import LlamaConfig
from puna.llama.load import load
from puna.llama.packed import can_pack
from puna.native import library as loader
from tests.native.models import BASE, make_stored, needs_kernels, random_tokens

needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler"
)


@pytest.fixture
def copied(tmp_path):
    """The build's module in a folder of its own."""
    for path in built.HERE.iterdir():
        if path.suffix in (".c", ".h", ".py"):
            shutil.copy(path, tmp_path)
    spec = importlib.util.spec_from_file_location("copied_build", tmp_path / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def old(copied):
    """A library that stands there from before."""
    copied.LIBRARY.write_bytes(b"old")
    return copied


def compiler(folder: Path, script: str) -> str:
    path = folder / "my-cc"
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


@needs_compiler
def test_a_copy_compiles_and_is_used(copied, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the kernels are for x86-64")
    assert copied.build() is None
    assert {path.name for path in copied.HERE.iterdir()} - {path.name for path in built.HERE.iterdir()} <= {
        "kernels.so"
    }  # nothing else is left
    monkeypatch.setattr(loader, "LIBRARY", copied.LIBRARY)
    found = loader.library.__wrapped__()
    assert (found is None) == (loader.library() is None)


def test_no_compiler(old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "/nowhere/cc")
    reason = old.build()
    assert reason
    assert "\n" not in reason
    assert not old.LIBRARY.exists()


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="for Linux on x86-64")
def test_another_machine(old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old.platform, "machine", lambda: "aarch64")
    assert "aarch64" in old.build()
    assert not old.LIBRARY.exists()


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="for Linux on x86-64")
@pytest.mark.parametrize(
    "script",
    ["#!/bin/sh\necho 'no header' >&2\necho 'no luck' >&2\nexit 1\n", "\x7fno program\n", "#!/nowhere/sh\n"],
    ids=["fails", "no program", "no interpreter"],
)
def test_a_compiler_that_fails(old, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    reason = old.build()
    assert reason
    assert "\n" not in reason
    assert "my-cc" in reason
    assert not old.LIBRARY.exists()
    assert not [path for path in old.HERE.iterdir() if path.is_dir()]


def test_as_a_command(old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    done = subprocess.run([sys.executable, old.HERE / "build.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("not compiled: ")
    assert not done.stderr


def test_every_source_is_in_the_digest(copied) -> None:
    before = copied.digest()
    assert before == built.digest()
    for name in ("kernels.c", "check.c", "simd.h"):
        with (copied.HERE / name).open("a") as file:
            file.write(" ")
        assert copied.digest() != before
        before = copied.digest()


@needs_kernels
@pytest.mark.parametrize("damage", ["missing", "text", "cut", "stale", "another"])
def test_a_library_that_is_not_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str) -> None:
    path, whole = tmp_path / "kernels.so", built.LIBRARY.read_bytes()
    if damage == "text":
        path.write_text("no library")
    elif damage == "cut":
        path.write_bytes(whole[:40])
    elif damage == "stale":
        digest = built.digest().encode()
        assert whole.count(digest) == 1
        path.write_bytes(whole.replace(digest, b"0" * 64))
    elif damage == "another":
        path = Path("libm.so.6")
    monkeypatch.setattr(loader, "LIBRARY", path)
    assert loader.library.__wrapped__() is None


@needs_kernels
def test_sources_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loader.library.__wrapped__() is not None
    monkeypatch.setattr(loader, "digest", lambda: "0" * 64)
    assert loader.library.__wrapped__() is None


def test_without_kernels_torch_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puna.llama.packed.library", lambda: None)
    stored = make_stored()
    model = load(stored, dtype=torch.bfloat16)
    assert model.packed is None
    assert model(random_tokens(stored, 9), torch.arange(9), None, None).isfinite().all()
    monkeypatch.setattr(loader, "library", lambda: None)
    with pytest.raises(RuntimeError):
        loader.kernels()


@needs_kernels
@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 80},
        {"intermediate_size": 48},
        {"head_dim": 16},
        {"head_dim": 48},
        {"mlp_bias": True},
    ],
)
def test_models_that_the_kernels_do_not_take(change) -> None:
    assert can_pack(LlamaConfig.from_dict(BASE))
    assert not can_pack(LlamaConfig.from_dict({**BASE, **change}))


@needs_kernels
def test_fp32_is_torch() -> None:
    assert load(make_stored(), dtype=torch.float32).packed is None
