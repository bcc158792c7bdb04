"""`make fuzz`: 200,000 broken files; goes on where it was stopped.

python -m tests.fuzz [--count N] [--seed N] [--workers N] [--again] [--guided SECONDS] [--show SEED INDEX]
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.campaign import ROOT, Failure, Result, keep, run

BUILD = ROOT / "build" / "fuzz"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200_000, help="files in all")
    parser.add_argument("--seed", type=int, default=0, help="another seed breaks them otherwise")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="from the first file on, whatever was done before")
    parser.add_argument(
        "--guided", type=int, default=60, help="seconds with atheris for each kind of file; 0 for none"
    )
    parser.add_argument("--show", type=int, metavar="INDEX", help="write one file of this seed and open it")
    options = parser.parse_args()
    if options.show is not None:
        return show(options.seed, options.show)
    place = BUILD / f"seed-{options.seed}.json"
    start = 0 if options.again or not place.exists() else json.loads(place.read_text())["next"]
    if start >= options.count > 0:
        print(f"seed {options.seed}: {start:,} files were opened before; --again opens them once more")
        return 0
    print(f"seed {options.seed}: files {start:,} to {options.count:,}, {options.workers} worker(s)", flush=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    clock = [time.monotonic(), time.monotonic()]
    told_of = 0

    def told(result: Result) -> None:
        nonlocal told_of
        for failure in result.failures[told_of:]:
            print(f"FAILED file {failure.index} ({failure.seed}): {failure.what}", flush=True)
            keep(options.seed, failure, BUILD)
        told_of = len(result.failures)
        if time.monotonic() - clock[1] > 10:
            clock[1] = time.monotonic()
            print(
                f"  {start + result.files:,}: {line(result)}, {result.files / (clock[1] - clock[0]):.0f} files/s",
                flush=True,
            )

    def done(index: int) -> None:
        place.with_suffix(".tmp").write_text(json.dumps({"next": index}))
        place.with_suffix(".tmp").replace(place)

    result = run(options.seed, range(start, options.count), options.workers, told, done)
    told(result)
    codes = ", ".join(f"{code} {count:,}" for code, count in result.codes.most_common())
    print(
        f"seed {options.seed}: {line(result)}; slowest {result.slowest:.1f} s, most memory {result.risen >> 20} MiB"
    )
    if result.failures:
        print(
            f"what failed stands in {BUILD}; python -m tests.fuzz --seed {options.seed} --show FILE opens one again"
        )
    print(f"refused as: {codes}")
    if not result.files:
        print("FAILED: no file was opened")
        return 1
    guided = follow(options.guided) if options.guided else 0
    return 1 if result.failures or guided else 0


def line(result: Result) -> str:
    found = result.outcomes
    return f"{result.files:,} files: {found['loaded']:,} loaded, {found['refused']:,} refused, {found['failed']:,} failed"


def follow(seconds: int) -> int:
    """Let atheris follow the readers' branches, where it is installed."""
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: no coverage-guided fuzzing (pip install 'puna[fuzz]')")
        return 0
    failed = 0
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    for target in ("model", "tokens", "adapter", "template", "calibration"):
        command = [sys.executable, "-m", "tests.fuzz.guided", target, str(seconds), str(BUILD)]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        failed += code != 0
    return failed


def show(seed: int, index: int) -> int:
    """Open one file alone, with its traceback."""
    from tests.fuzz.choices import Numbered
    from tests.fuzz.seeds import make_seeds
    from tests.fuzz.targets import TARGETS, prepare

    choices = Numbered(seed, index)
    each = choices.pick([one for one in make_seeds() for _ in range(one.weight)])
    place = keep(seed, Failure(index, each.name, "shown"), BUILD)
    print(place)
    prepare()
    TARGETS[each.target](Path(place))
    return 0


if __name__ == "__main__":
    sys.exit(main())
