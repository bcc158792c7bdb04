"""Compiles the kernels beside their sources: `python -m puna.native.build`; installing Puna does it as well.

There is one library for each engine, a kind of CPU. Nothing of Puna is imported here, because the build runs this file
before Puna is there.
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
_AVX2 = ("-mavx2", "-mfma", "-mf16c")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq")
_EXACT = "-ffp-contract=off"  # products are fused where the source says so, and nowhere else
# Of each kind of machine, fastest first: the engine's name, its source, and how that is compiled.
_ENGINES: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {
        "amx": ("amx.c", *_AVX512, "-mavx512bf16", "-mavx512vnni", "-mamx-tile", "-mamx-bf16"),
        "avx512": ("fp32.c", *_AVX512, _EXACT),
        "avx2": ("fp32.c", *_AVX2, _EXACT),
    },
    "aarch64": {"neon": ("fp32.c", _EXACT)},
}


def engines() -> list[str]:
    """Give the engines for this kind of machine, fastest first."""
    return list(_ENGINES.get(platform.machine(), ())) if platform.system() == "Linux" else []


def library(engine: str) -> Path:
    """Give the path of an engine's library."""
    return HERE / f"kernels-{engine}.so"


def digest() -> str:
    """Give the sha256 of the sources."""
    total = hashlib.sha256()
    for path in sorted([*HERE.glob("*.c"), *HERE.glob("*.h")]):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def build() -> tuple[list[str], str | None]:
    """Compile; give the engines that there are libraries for now, and why not for others, in one line.

    Older libraries go away in any case.
    """
    try:
        return _build()
    except OSError as error:
        return [], str(error)


def _build() -> tuple[list[str], str | None]:
    for path in HERE.glob("kernels*.so"):
        path.unlink()
    if not engines():
        return [], f"they are for Linux on x86-64 and 64-bit Arm, not {platform.system()} on {platform.machine()}"
    compiler = next(
        (found for name in (os.environ.get("CC"), "cc", "gcc", "clang") if (found := _which(name))), None
    )
    if compiler is None:
        return [], "there is no C compiler (cc, gcc or clang)"
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        running = {engine: _start(compiler, engine, Path(folder)) for engine in engines()}
        failed = {engine: problem for engine, job in running.items() if (problem := _problem(job))}
        for engine in running:
            if engine not in failed and (problem := _problem([_link(compiler, engine, Path(folder))])):
                failed[engine] = problem
        made = [engine for engine in running if engine not in failed]
        for engine in made:
            (Path(folder) / library(engine).name).replace(library(engine))
    reasons = dict.fromkeys(failed.values())  # mostly one, of all
    return made, f"{compiler} failed for {', '.join(failed)}: {'; '.join(reasons)}"[:700] if failed else None


def _start(compiler: str, engine: str, folder: Path) -> list[subprocess.Popen[str]]:
    """Start compiling an engine's two sources."""
    common = [compiler, "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-c"]
    source, *options = _ENGINES[platform.machine()][engine]
    asked = [f'-DPUNA_DIGEST="{digest()}"', f"-DPUNA_NEEDS=has_{engine}", "-Wno-unused-function"]
    return [
        _run([*common, *asked, str(HERE / "check.c"), "-o", str(folder / f"check-{engine}.o")]),
        _run([*common, *options, str(HERE / source), "-o", str(folder / f"{engine}.o")]),
    ]


def _link(compiler: str, engine: str, folder: Path) -> subprocess.Popen[str]:
    objects = [str(folder / f"check-{engine}.o"), str(folder / f"{engine}.o")]
    made = str(folder / library(engine).name)
    return _run([compiler, "-shared", *objects, "-o", made, "-lpthread", "-lm"])


def _run(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  a compiler, no shell
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _problem(jobs: list[subprocess.Popen[str]]) -> str | None:
    """Wait for all, and give what the first that failed said."""
    said = [(job.communicate()[0], job.returncode) for job in jobs]
    return next((" ".join(text.split())[:500] or "no message" for text, code in said if code), None)


def _which(name: str | None) -> str | None:
    return shutil.which(name) if name else None


if __name__ == "__main__":
    compiled, reason = build()
    print(f"compiled for {', '.join(compiled)}" if compiled else "not compiled", end="")
    print(f"; {reason}" if reason else "")
    sys.exit(reason is not None)
