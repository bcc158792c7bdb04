"""Compiles the kernels beside their sources: `python -m puna.native.build`; installing Puna does it as well.

Nothing of Puna is imported here, because the build runs this file before Puna is there.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
LIBRARY = HERE / "kernels.so"
_FEATURES = "avx512f avx512bw avx512vl avx512dq avx512bf16 avx512vnni fma f16c amx-tile amx-bf16".split()


def digest() -> str:
    """Give the sha256 of the sources."""
    total = hashlib.sha256()
    for path in sorted([*HERE.glob("*.c"), *HERE.glob("*.h")]):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def build() -> str | None:
    """Compile; give None when that worked, else why not, in one line. An older library goes away in either case."""
    try:
        return _build()
    except OSError as error:
        return str(error)


def _build() -> str | None:
    LIBRARY.unlink(missing_ok=True)
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"they are for Linux on x86-64, not {platform.system()} on {platform.machine()}"
    compiler = next(
        (found for name in (os.environ.get("CC"), "cc", "gcc", "clang") if (found := _which(name))), None
    )
    if compiler is None:
        return "there is no C compiler (cc, gcc or clang)"
    common = [compiler, "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-c"]
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        objects = [f"{folder}/check.o", f"{folder}/kernels.o"]
        made = f"{folder}/kernels.so"
        steps = [
            [*common, f'-DPUNA_DIGEST="{digest()}"', str(HERE / "check.c"), "-o", objects[0]],
            [*common, *(f"-m{feature}" for feature in _FEATURES), str(HERE / "kernels.c"), "-o", objects[1]],
            [compiler, "-shared", *objects, "-o", made, "-lpthread", "-lm"],
        ]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)  # noqa: S603  a compiler, no shell
            if done.returncode:
                return f"{compiler} failed: {' '.join((done.stderr or done.stdout).split())[:500]}"
        Path(made).replace(LIBRARY)
    return None


def _which(name: str | None) -> str | None:
    return shutil.which(name) if name else None


if __name__ == "__main__":
    reason = build()
    print(f"not compiled: {reason}" if reason else f"compiled {LIBRARY}")
    sys.exit(reason is not None)
