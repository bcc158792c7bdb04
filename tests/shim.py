"""The shim that lets calls of the system fail (library/shim.c), compiled for the tests."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).parent / "library" / "shim.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    return made


def failures(module: str, mode: str, shim: Path, folder: Path, bug: str = "") -> tuple[int, list[str]]:
    """Run a module of faults under the shim; give how many points it looked at, and what was wrong at them."""
    done = subprocess.run(
        [sys.executable, "-m", module, mode, shim, folder, bug],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return found["points"], found["failures"]
