"""lm-evaluation-harness through the service, and on Transformers: the same rows, file and harness.

    pip install -c constraints.txt -e '.[bench,serve]' aiohttp tenacity requests
    python bench/serve_vs_lm_eval.py --limit 200 --json build/serve-lm-eval.json

Needs the default model (`puna pull`) and PUNA_DATA; nothing is fetched. Rows and tasks are those of
`choice_vs_lm_eval.py`. The harness's `local-completions` asks `puna serve` for the scores of prompts, and its
Transformers backend scores them on the same GGUF file in fp32. A row counts as different where another candidate
wins, and as a tie where the two best of Transformers' scores are nearer than TIE.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import lm_eval
from choice_vs_lm_eval import SETS, TIE, gather, harness
from lm_eval.models.openai_completions import LocalCompletionsAPI
from serve_load import started

from puna.weights.store import resolve


def through(model: Any, task: Any) -> list[list[float]]:
    """Give each row's scores, in the rows' order."""
    done = lm_eval.simple_evaluate(model, tasks=[task], bootstrap_iters=0, log_samples=True)
    ((_, samples),) = done["samples"].items()
    ordered = sorted(samples, key=lambda sample: sample["doc_id"])
    return [[float(answer[0]) for answer in sample["filtered_resps"]] for sample in ordered]


def compared(ours: list[list[float]], theirs: list[list[float]], right: list[int]) -> dict[str, Any]:
    """Compare two lists of rows by what wins."""
    wins = [[max(range(len(row)), key=row.__getitem__) for row in rows] for rows in (ours, theirs)]
    apart = [n for n, (one, other) in enumerate(zip(*wins, strict=True)) if one != other]
    clear = [n for n in apart if theirs[n][wins[1][n]] - theirs[n][wins[0][n]] > TIE]
    count = len(right)
    return {
        "rows": count,
        "service_accuracy": sum(a == b for a, b in zip(wins[0], right, strict=True)) / count,
        "transformers_accuracy": sum(a == b for a, b in zip(wins[1], right, strict=True)) / count,
        "other_winner": len(apart),
        "other_winner_and_no_tie": len(clear),
        "largest_difference_nats": max(
            abs(a - b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True)
        ),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sets", nargs="+", default=["HellaSwag", "ARC easy", "ARC challenge"], choices=SETS)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    path = resolve(None)
    rows = {name: each for name, each in gather(given.limit, given.seed).items() if name in given.sets}
    theirs = harness(path, "float32", 8, rows)
    command = [sys.executable, "-m", "puna.cli.main", "serve", "--model", str(path)]
    found = {}
    with started([*command, "--adapter", "none", "--seconds", "3600"]) as server:
        model = LocalCompletionsAPI(
            base_url=f"http://127.0.0.1:{server.port}/v1/completions",
            model=server.model,
            tokenizer_backend="remote",
            num_concurrent=8,
            batch_size=1,
            timeout=3600,
        )
        for which, each in rows.items():
            ours = through(model, each.task)
            right = [row.answer_index for row in each.rows]
            found[which] = compared(ours, theirs[which].scores, right)
            print(which, json.dumps(found[which]), flush=True)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
