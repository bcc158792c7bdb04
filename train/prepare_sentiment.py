"""Rows to train the shipped sentiment adapter on and to measure it with, from the data sets in PUNA_DATA.

    python train/prepare_sentiment.py OUT

English: SST-2's sentences of film reviews; Chinese: ChnSentiCorp's reviews of hotels, laptops and books. Both label texts
"positive" and "negative". The development parts are only measured with.
"""

import gzip
import os
import shutil
import sys
from pathlib import Path

DATA = Path(os.environ.get("PUNA_DATA", "../shared/data"))


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in ("sst2", "chnsenticorp"):
        for part in ("train", "dev"):
            with (
                gzip.open(DATA / name / f"{part}.jsonl.gz") as packed,
                (out / f"{part}-{name}.jsonl").open("wb") as file,
            ):
                shutil.copyfileobj(packed, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
