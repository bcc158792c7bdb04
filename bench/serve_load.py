"""The service under load: 1, 8 and 64 clients, beside one request at a time and beside llama.cpp's server.

    pip install -c constraints.txt -e '.[serve]'
    python bench/serve_load.py --json build/serve-load.json
    python bench/serve_load.py --requests 10000 --clients 64 --json build/serve-mixed.json
    python bench/serve_load.py --llama-server llama-server --json build/serve-load.json

Needs the default model (`puna pull`) or `--model`. Every answer is checked against the one that the same request got
alone, before; the run fails where one failed or differs. Workloads: short texts written on, long texts with a short
answer, questions about one shared document, and all of them mixed. llama.cpp's server gets the same file and the
workloads that it knows (no answers with places); its own answers differ with its batches, which is counted and is no
failure of the run.
"""

import argparse
import http.client
import json
import os
import platform
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from puna.weights.store import resolve

WORDS = (
    "the river rose in spring and the bridge was closed while men from the village carried stones to the bank where an "
    "old mill stood that nobody had used since the war and its wheel lay in the grass"
).split()
NEW = ("id", "created", "elapsed_ms", "model", "system_fingerprint", "timings", "object")
Job = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Target:
    """A server: where it is, and the name of its model."""

    port: int
    model: str

    def ask(self, job: Job) -> tuple[int, Any, float]:
        """Send a request; give status, what does not change between two runs, and the seconds."""
        path, body = job
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(
            "POST", path, json.dumps({**body, "model": self.model}), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        return answer.status, {k: v for k, v in found.items() if k not in NEW}, time.perf_counter() - began


def text(rng: random.Random, words: int) -> str:
    """Sentences of known words in a new order."""
    return " ".join(rng.choices(WORDS, k=words)).capitalize() + "."


def jobs(kind: str, count: int, rng: random.Random) -> list[Job]:
    """Make requests; a tenth of them are sent again and again, as those of many people are."""
    document = " ".join(text(rng, 18) for _ in range(25))
    greedy = {"temperature": 0}

    def one(name: str) -> Job:
        if name == "write":
            return "/v1/completions", {**greedy, "prompt": text(rng, rng.randint(8, 40)), "max_tokens": 32}
        if name == "read":
            return "/v1/completions", {**greedy, "prompt": text(rng, rng.randint(200, 600)), "max_tokens": 2}
        if name == "shared":
            return "/v1/completions", {**greedy, "prompt": f"{document}\n\n{text(rng, 8)}", "max_tokens": 8}
        return "/v1/answers", {"question": f"Where did the {rng.choice(WORDS)} stand?", "text": document, "top": 3}

    kinds = ("write", "read", "shared", "answer") if kind == "mixed" else (kind,)
    few = [one(kinds[n % len(kinds)]) for n in range(max(4, count // 10))]
    return [rng.choice(few) for _ in range(count)]


@contextmanager
def started(command: Sequence[str], port: int) -> Iterator[None]:
    """Run a server until the block ends."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if child.poll() is not None:
                sys.exit(f"it has ended: {' '.join(command)}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.2)
        yield
    finally:
        child.terminate()
        child.wait(30)


def free_port() -> int:
    """Give a port that was free just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def measure(target: Target, work: Sequence[Job], want: dict[str, Any], clients: int) -> dict[str, Any]:
    """Send all requests from so many clients and compare each answer."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(target.ask, work))
    seconds = time.perf_counter() - began
    times = sorted(each for _, _, each in found)
    cuts = quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    failed = sum(status != 200 for status, _, _ in found)
    other = sum(s == 200 and body != want[json.dumps(job)] for job, (s, body, _) in zip(work, found, strict=True))
    written = sum(body.get("usage", {}).get("completion_tokens", 0) for _, body, _ in found)
    return {
        "clients": clients,
        "requests": len(work),
        "failed": failed,
        "mixed_up": other,
        "requests_per_second": round(len(work) / seconds, 3),
        "tokens_written_per_second": round(written / seconds, 1),
        "p50": round(cuts[49], 3),
        "p95": round(cuts[94], 3),
        "p99": round(cuts[98], 3),
    }


def run(
    target: Target, kinds: Sequence[str], clients: Sequence[int], count: int, seed: int
) -> list[dict[str, Any]]:
    """Measure each workload: first every request alone, which gives what is right, then by so many clients."""
    rows = []
    for kind in kinds:
        work = jobs(kind, count, random.Random(seed))
        want: dict[str, Any] = {}
        for job in work:
            if (name := json.dumps(job)) not in want:
                status, want[name], _ = target.ask(job)
                if status != 200:
                    sys.exit(f"alone it failed: {name[:200]}: {want[name]}")
        for number in clients:
            rows.append({"workload": kind, **measure(target, work, want, number)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="a model file; default: the pulled default model")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--requests", type=int, default=192, help="of each workload")
    parser.add_argument("--workloads", nargs="+", default=["write", "read", "shared", "mixed"])
    parser.add_argument("--llama-server", help="llama.cpp's server, to be measured as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    path = resolve(given.model)
    results: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    port = free_port()
    puna = [sys.executable, "-m", "puna.cli.main", "serve", "--port", str(port), "--model", str(path)]
    with started([*puna, "--waiting", "1000", "--seconds", "3600"], port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/v1/models")
        name = json.loads(connection.getresponse().read())["data"][-1]["id"]
        results["puna"] = run(Target(port, name), given.workloads, given.clients, given.requests, given.seed)
    if given.llama_server:
        port = free_port()
        context = str(2048 * 8)
        command = [given.llama_server, "-m", str(path), "--port", str(port), "-np", "8", "-c", context]
        kinds = [kind for kind in given.workloads if re.fullmatch("write|read|shared", kind)]
        with started(command, port):
            results["llama.cpp"] = run(Target(port, "any"), kinds, given.clients, given.requests, given.seed)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if wrong := [row for row in results["puna"] if row["failed"] or row["mixed_up"]]:
        sys.exit(f"failed or mixed up: {wrong}")


if __name__ == "__main__":
    main()
