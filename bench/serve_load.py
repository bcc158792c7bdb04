"""The service under load: 1, 8 and 64 clients, beside one request at a time and beside llama.cpp's server.

    pip install -c constraints.txt -e '.[serve]'
    python bench/serve_load.py --llama-server llama-server --json build/load.json --markdown docs/measured-service.md
    python bench/serve_load.py --workloads mixed --requests 10000 --distinct 500 --clients 64 --json build/mixed.json

Needs the default model (`puna pull`) or `--model`; run it on a machine that does nothing else. Every answer is checked
against the one that the same request got alone, from another process; the run fails where one failed or differs. Each
row of the table has a server of its own, that has read nothing yet. Workloads: short texts written on, long texts with a
short answer, questions about one shared document, and all of them mixed with questions that want answers with places.
llama.cpp's server gets the same file and the workloads that it knows (not the last one); its own answers differ with its
batches, which is counted and is no failure of the run.
"""

import argparse
import http.client
import json
import os
import platform
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

from puna.weights.store import resolve

WORDS = (
    "the river rose in spring and the bridge was closed while men from the village carried stones to the bank where an "
    "old mill stood that nobody had used since the war and its wheel lay in the grass"
).split()
NEW = ("id", "created", "elapsed_ms", "model", "system_fingerprint", "timings", "object")
NAMES = {"puna": "Puna", "llama.cpp": "llama.cpp"}
Job = tuple[str, dict[str, Any]]
Row = dict[str, Any]


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
        named = {**body, "model": self.model} if path == "/v1/completions" else body
        connection.request("POST", path, json.dumps(named), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        return answer.status, {k: v for k, v in found.items() if k not in NEW}, time.perf_counter() - began


Server = Callable[[], AbstractContextManager[Target]]


def text(rng: random.Random, words: int) -> str:
    """Sentences of known words in a new order."""
    return " ".join(rng.choices(WORDS, k=words)).capitalize() + "."


def jobs(kind: str, count: int, distinct: int, rng: random.Random) -> list[Job]:
    """Make requests, so many of them different; some of these are sent several times where there are to be more."""
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
    few = [one(kinds[n % len(kinds)]) for n in range(min(distinct, count))]
    every = few + rng.choices(few, k=count - len(few))
    rng.shuffle(every)
    return every


@contextmanager
def started(command: Sequence[str]) -> Iterator[Target]:
    """Run a server until the block ends."""
    port = free_port()
    child = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/v1/models")
        yield Target(port, json.loads(connection.getresponse().read())["data"][-1]["id"])
    finally:
        child.terminate()
        child.wait(30)


def free_port() -> int:
    """Give a port that was free just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def measure(target: Target, work: Sequence[Job], want: dict[str, Any], clients: int) -> Row:
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


def run(server: Server, kinds: Sequence[str], clients: Sequence[int], given: argparse.Namespace) -> list[Row]:
    """Measure each workload: first every request alone, which gives what is right, then by so many clients."""
    rows = []
    for kind in kinds:
        work = jobs(kind, given.requests, given.distinct or given.requests, random.Random(given.seed))
        want: dict[str, Any] = {}
        with server() as target:
            for job in work:
                if (name := json.dumps(job)) not in want:
                    status, want[name], _ = target.ask(job)
                    if status != 200:
                        sys.exit(f"alone it failed: {name[:200]}: {want[name]}")
        for number in clients:
            with server() as target:
                target.ask(("/v1/completions", {"prompt": "Warm", "max_tokens": 1}))
                rows.append({"workload": kind, **measure(target, work, want, number)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def page(results: dict[str, Any], command: str) -> str:
    """Write the table as Markdown."""
    lines = [
        "# Measured: the service under load",
        "",
        f"Written by `{command}`; {platform.machine()}, {results['cores']} cores, Python {platform.python_version()}, "
        "the default model. Clients send one request after another. *write*: 8 to 40 words, 32 tokens written; *read*: "
        "200 to 600 words, 2 tokens; *shared*: a question behind one document of 450 words, 8 tokens; *mixed*: these and "
        "`/v1/answers` about the document. Seconds are those of a request, waiting included. *other*: answers that are "
        "not what the same request gets alone. llama.cpp's server runs with `-np 8 -c 16384`.",
        "",
        "| workload | clients | server | requests a second | p50, s | p95 | p99 | failed | other |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows = [(name, row) for name in NAMES if name in results for row in results[name]]
    order = {kind: n for n, kind in enumerate(dict.fromkeys(row["workload"] for _, row in rows))}
    for name, row in sorted(rows, key=lambda each: (order[each[1]["workload"]], each[1]["clients"])):
        lines.append(
            f"| {row['workload']} | {row['clients']} | {NAMES[name]} | {row['requests_per_second']:.2f} "
            f"| {row['p50']:.2f} | {row['p95']:.2f} | {row['p99']:.2f} "
            f"| {row['failed']} | {row['mixed_up']} of {row['requests']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="a model file; default: the pulled default model")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--requests", type=int, default=192, help="of each workload")
    parser.add_argument("--workloads", nargs="+", default=["write", "read", "shared", "mixed"])
    parser.add_argument("--llama-server", help="llama.cpp's server, to be measured as well")
    parser.add_argument("--distinct", type=int, help="different requests among them; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    given = parser.parse_args()
    path = resolve(given.model)
    results: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    own = [sys.executable, "-m", "puna.cli.main", "serve", "--model", str(path)]
    own += ["--waiting", "1000", "--seconds", "3600"]
    results["puna"] = run(partial(started, own), given.workloads, given.clients, given)
    if given.llama_server:
        other = [given.llama_server, "-m", str(path), "-np", "8", "-c", str(2048 * 8)]
        kinds = [kind for kind in given.workloads if kind != "mixed"]
        results["llama.cpp"] = run(partial(started, other), kinds, given.clients, given)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if given.markdown:
        counts = " ".join(map(str, given.clients))
        command = f"python bench/serve_load.py --requests {given.requests} --clients {counts}"
        command += " --llama-server llama-server" if given.llama_server else ""
        given.markdown.write_text(page(results, command), "utf-8")
    if wrong := [row for row in results["puna"] if row["failed"] or row["mixed_up"]]:
        sys.exit(f"failed or mixed up: {wrong}")


if __name__ == "__main__":
    main()
