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
from puna.llama.packed import engine_for
from puna.native import library as loader
from tests.native.models import BASE, make_stored, needs_kernels, random_tokens

for_this_machine = pytest.mark.skipif(not built.engines(), reason="there are no kernels for this kind of machine")
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
    for engine in built.engines():
        copied.library(engine).write_bytes(b"old")
    (copied.HERE / "kernels.so").write_bytes(b"older")
    return copied


def libraries(module) -> list[str]:
    return sorted(path.name for path in module.HERE.glob("*.so"))


def compiler(folder: Path, script: str) -> str:
    path = folder / "my-cc"
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


@needs_compiler
@for_this_machine
def test_a_copy_compiles_and_is_used(copied, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name for path in copied.HERE.iterdir()}
    compiled, reason = copied.build()
    assert set(compiled) <= set(built.engines())
    assert (reason is None) == (compiled == built.engines())
    made = {copied.library(engine).name for engine in compiled}
    assert {path.name for path in copied.HERE.iterdir()} == before | made  # nothing else is left
    monkeypatch.setattr(loader.build, "library", copied.library)
    assert set(loader.engines.__wrapped__()) <= set(compiled)
    assert set(loader.engines()) <= set(loader.engines.__wrapped__())


@needs_compiler
@for_this_machine
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86-64 has several engines")
def test_a_compiler_that_knows_no_amx(old, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What it can compile is there, and nothing old."""
    real = next(found for name in ("cc", "gcc", "clang") if (found := shutil.which(name)))
    refuse = 'case "$*" in *amx-tile*) echo "error: what is -mamx-tile?" >&2; exit 1;; esac'
    monkeypatch.setenv("CC", compiler(tmp_path, f'#!/bin/sh\n{refuse}\nexec {real} "$@"\n'))
    compiled, reason = old.build()
    assert compiled == ["avx512", "avx2"]
    assert "amx: error: what is" in reason
    assert libraries(old) == ["kernels-avx2.so", "kernels-avx512.so"]


def test_no_compiler(old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "/nowhere/cc")
    compiled, reason = old.build()
    assert not compiled
    assert reason
    assert "\n" not in reason
    assert not libraries(old)


@for_this_machine
def test_another_machine(old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old.platform, "machine", lambda: "sparc64")
    compiled, reason = old.build()
    assert not compiled
    assert "sparc64" in reason
    assert not libraries(old)


@for_this_machine
@pytest.mark.parametrize(
    "script",
    ["#!/bin/sh\necho 'no header' >&2\necho 'no luck' >&2\nexit 1\n", "\x7fno program\n", "#!/nowhere/sh\n"],
    ids=["fails", "no program", "no interpreter"],
)
def test_a_compiler_that_fails(old, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    compiled, reason = old.build()
    assert not compiled
    assert reason
    assert "\n" not in reason
    assert "my-cc" in reason
    assert not libraries(old)
    assert not [path for path in old.HERE.iterdir() if path.is_dir() and path.name != "__pycache__"]


def test_as_a_command(old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    done = subprocess.run([sys.executable, old.HERE / "build.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("not compiled; ")
    assert not done.stderr


def test_every_source_is_in_the_digest(copied) -> None:
    before = copied.digest()
    assert before == built.digest()
    for name in ("amx.c", "fp32.c", "check.c", "vectors.h"):
        with (copied.HERE / name).open("a") as file:
            file.write(" ")
        assert copied.digest() != before
        before = copied.digest()


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "stale", "another"])
def test_a_library_that_is_not_ours(engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str) -> None:
    path, whole = tmp_path / "kernels.so", built.library(engine.name).read_bytes()
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
    monkeypatch.setattr(loader.build, "library", lambda name: path)
    assert loader.load_engine(engine.name) is None


def test_sources_that_changed(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loader.load_engine(engine.name) is not None
    monkeypatch.setattr(loader.build, "digest", lambda: "0" * 64)
    assert loader.load_engine(engine.name) is None


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="torch caps its kernels on x86-64")
@pytest.mark.parametrize(
    ("cap", "allowed"),
    [("AVX512", {"amx", "avx512", "avx2"}), ("AVX2", {"avx2"}), ("DEFAULT", set()), ("NO AVX", set())],
)
def test_a_cap_on_torch_is_one_on_the_kernels(monkeypatch: pytest.MonkeyPatch, cap: str, allowed: set[str]) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: cap)
    assert set(loader.engines.__wrapped__()) == allowed & set(loader.engines())


def test_without_kernels_torch_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puna.llama.packed.engines", dict)
    stored = make_stored()
    for dtype in (torch.bfloat16, torch.float32, None):
        model = load(stored, dtype=dtype)
        assert model.packed is None
        assert model.engine == "torch"
        assert model(random_tokens(stored, 9), torch.arange(9), None, None).isfinite().all()


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
    assert engine_for(LlamaConfig.from_dict(BASE), None)
    assert not engine_for(LlamaConfig.from_dict({**BASE, **change}), None)


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, None])
def test_the_first_engine_of_the_type(dtype: torch.dtype | None) -> None:
    first = next((each for each in loader.engines().values() if dtype in (None, each.dtype)), None)
    model = load(make_stored(), dtype=dtype)
    assert model.engine == (first.name if first else "torch")
    assert model.dtype == (first.dtype if first else dtype)
