"""The kernels for Arm, run by an emulator, against the same source compiled for this machine."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from puna.native import build

CROSS, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
missing = [name for name in (CROSS, EMULATOR, "cc") if not shutil.which(name)]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"cross-compiling needs {', '.join(missing)}"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="an Arm CPU runs its kernels in all other tests"),
    pytest.mark.skipif(
        "avx2" not in Path("/proc/cpuinfo").read_text("utf-8") if platform.system() == "Linux" else True,
        reason="this CPU has no AVX2 to compare with",
    ),
]


def compiled(compiler: str, target: Path, *options: str) -> Path:
    command = [compiler, "-O2", "-ffp-contract=off", *options, f"-I{build.HERE}", "-static", "-Wall", "-Werror"]
    source = Path(__file__).with_name("forward.c")
    subprocess.run([*command, str(source), "-o", str(target), "-lpthread", "-lm"], check=True)
    return target


def numbers(*command: str) -> torch.Tensor:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return torch.tensor([float(line) for line in done.stdout.split()])


def test_the_same_numbers_on_arm(tmp_path: Path) -> None:
    want = numbers(str(compiled("cc", tmp_path / "here", "-mavx2", "-mfma", "-mf16c")))
    got = numbers(EMULATOR, str(compiled(CROSS, tmp_path / "arm")))
    assert len(want) > 80_000
    assert want.isfinite().all()
    assert want.std() > 0.3
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
