"""Broken files that atheris steers by the branches that they reach: python -m tests.fuzz.guided TARGET SECONDS FOLDER.

Its bytes are the choices of a mutation, so that its files have the structure of sound ones. What fails is kept as
libFuzzer keeps it: the bytes, and beside them the files.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path


def main(target: str, seconds: str, place: str) -> None:
    """Run until the time is over, or a file fails; libFuzzer ends the process itself."""
    import atheris

    with atheris.instrument_imports(include=["puna"]):
        from tests.fuzz.targets import prepare, verdict
    from tests.fuzz.choices import Provided
    from tests.fuzz.mutate import mutated
    from tests.fuzz.seeds import make_seeds
    from tests.fuzz.worker import surroundings, write_case

    prepare()
    seeds = [seed for seed in make_seeds() if seed.target == target]
    corpus = Path(place, "corpus", target)
    corpus.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="puna-fuzz-")).resolve()
    surroundings(root)
    folder = root / "case"

    def one(content: bytes) -> None:
        choices = Provided(atheris.FuzzedDataProvider(content))
        case = mutated(choices.pick(seeds).files, choices)
        folder.mkdir()
        try:
            write_case(case, folder)
            outcome, what = verdict(target, folder)
            if outcome == "failed":
                shutil.copytree(folder, Path(place, f"guided-{target}-{os.getpid()}"), symlinks=True)
                raise AssertionError(what)
        finally:
            shutil.rmtree(folder)

    options = [
        f"-max_total_time={seconds}",
        "-timeout=60",
        "-rss_limit_mb=4096",
        f"-artifact_prefix={place}/",
        "-max_len=4096",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
