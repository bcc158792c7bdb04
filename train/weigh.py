"""The pointer's weight beside the model's own judgement, chosen by rows that were held back, and written into puna.json.

    python train/weigh.py ADAPTER ROWS WORK 0 0.15 0.3 0.5

Each weight's answers stay in WORK, and what is there is not asked again. The best by F1 wins.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from puna.weights.write import write_whole

SHOWN = ("em", "f1", "top5_f1", "no_answer_auroc", "seconds_per_question", "nodes_per_question")


def weigh(adapter: Path, weight: float) -> None:
    """Write a weight into an adapter."""
    path = adapter / "puna.json"
    about = json.loads(path.read_text("utf-8"))
    about["reader"] = {**about.get("reader", {}), "pointer": weight}
    write_whole(path, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())


def measured(adapter: Path, rows: Path, work: Path, weight: float) -> dict[str, Any]:
    """Ask the rows with a weight."""
    tried = work / f"{adapter.name}-{weight}"
    shutil.copytree(adapter, tried, dirs_exist_ok=True, ignore=shutil.ignore_patterns("calibration*"))
    weigh(tried, weight)
    command = [sys.executable, "-m", "puna.cli.main", "eval", "qa", str(rows), "--adapter", str(tried), "--json"]
    done = subprocess.run([*command, "--output", f"{tried}.jsonl"], stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("adapter", "rows", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("weights", type=float, nargs="+")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    found = {weight: measured(given.adapter, given.rows, given.work, weight) for weight in given.weights}
    print("weight", *SHOWN, sep="\t")
    for weight, figures in found.items():
        print(weight, *(round(figures[name], 3) for name in SHOWN), sep="\t")
    weigh(given.adapter, max(found, key=lambda weight: found[weight]["f1"]))


if __name__ == "__main__":
    main()
