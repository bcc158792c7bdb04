"""The peers: what each needs, in an environment of its own, and how its worker is started."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puna.bench.processes import ctrl_c_waits, end
from puna.errors import InputError, PeerError
from puna.weights.refuse import shown
from puna.weights.store import models_dir

WORKERS = Path(__file__).with_name("worker-scripts")
# Puna's own pins (constraints.txt) are not there where it was installed from a wheel; a test compares them.
_TORCH = ("torch==2.13.0", "transformers==5.23.0", "accelerate==1.15.0", "gguf==0.19.0")
_OPENVINO = ("openvino-genai==2026.4.1.0", "openvino==2026.4.1", "numpy==2.4.6")
_LLAMA = ("llama-cpp-python==0.3.36", "numpy==2.4.6")
_INSTALL_SECONDS = 3600
_STAMP = "complete"
# What ggml is told of this processor, by the flags that Linux names. Built as it would by itself ("native") it uses
# AMX, and crashes in it on the first machine this ran on.
_GGML = {
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA",
    "f16c": "F16C",
    "bmi2": "BMI2",
    "avx512f": "AVX512",
    "avx512vbmi": "AVX512_VBMI",
    "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16",
}


@dataclass(frozen=True, slots=True)
class Engine:
    """Something whose worker can be started."""

    name: str
    command: list[str]
    settings: dict[str, Any] = field(default_factory=dict)


def puna() -> Engine:
    """Puna's own worker."""
    return Engine("puna", [sys.executable, str(WORKERS / "on_puna.py")])


def limits() -> Engine:
    """The worker that measures the machine."""
    return Engine("limits", [sys.executable, str(WORKERS / "on_limits.py")])


@dataclass(frozen=True, slots=True)
class Peer:
    """One engine to compare with; peers that need the same share an environment."""

    name: str
    script: str
    needs: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def environment(self) -> Path:
        """Give the folder of the environment: another one for other needs."""
        key = hashlib.sha256("\n".join([sys.version, *self.needs, _cmake()]).encode()).hexdigest()[:8]
        return models_dir().with_name("bench") / f"{self.needs[0].partition('=')[0]}-{key}"


PEERS = {
    peer.name: peer
    for peer in (
        Peer("llama.cpp", "on_llama_cpp", _LLAMA),
        Peer("openvino-genai", "on_openvino_genai", _OPENVINO),
        Peer("openvino", "on_openvino", _OPENVINO),
        Peer("transformers-bf16", "on_transformers", _TORCH, {"dtype": "bfloat16"}),
        Peer("transformers-fp32", "on_transformers", _TORCH, {"dtype": "float32"}),
    )
}


def chosen(names: str | None) -> list[Peer]:
    """Give the peers of a list with commas: all without one, none for "none"."""
    if names is None:
        return list(PEERS.values())
    wanted = [name.strip() for name in names.split(",") if name.strip() not in {"", "none"}]
    for name in wanted:
        if name not in PEERS:
            raise InputError("E-BENCH-PEER", name=shown(name), known=", ".join(PEERS))
    return [PEERS[name] for name in dict.fromkeys(wanted)]


def install(peer: Peer) -> Engine:
    """Make the peer's environment, once: a stamp in it says that it is whole. Raises PeerError."""
    folder = peer.environment()
    if not (folder / _STAMP).exists():
        _make(folder, peer.needs)
    return Engine(peer.name, [str(_python(folder)), str(WORKERS / f"{peer.script}.py")], peer.settings)


def _make(folder: Path, needs: Sequence[str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], log)
    pip = [str(_python(folder)), "-m", "pip", "--disable-pip-version-check", "install", "--no-input"]
    _run([*pip, *needs], log)
    (folder / _STAMP).touch()


def _run(command: Sequence[str], log: Path) -> None:
    """Run to the end, everything said going to the log; nothing is left running where that is interrupted."""
    environment = {"CMAKE_ARGS": os.environ.get("CMAKE_ARGS") or _cmake()}
    with log.open("ab") as said, ExitStack() as stack:
        with ctrl_c_waits():
            process = subprocess.Popen(  # noqa: S603  our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, **environment},
                start_new_session=True,
            )
            stack.callback(end, process)
        try:
            status = process.wait(timeout=_INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            raise PeerError("E-PEER-INSTALL", reason=f"not done after {_INSTALL_SECONDS} s", log=log) from None
    if status:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith("error")]
        reason = (errors or lines or [f"exit status {status}"])[-1]
        raise PeerError("E-PEER-INSTALL", reason=shown(reason.strip()), log=log)


def _cmake() -> str:
    """Give ggml's build settings for this processor: nothing where Linux does not say what it is."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    known = [f"-DGGML_{name}=ON" for flag, name in _GGML.items() if flag in flags]
    return " ".join(["-DGGML_NATIVE=OFF", *known]) if known else ""


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
