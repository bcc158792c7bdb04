"""The run: in every round each job goes to one engine after the other."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from puna.bench.jobs import QUICK, Job, Jobs, Plan
from puna.bench.machine import machine, physical_cores
from puna.bench.peers import Engine, Peer, install, limits, puna
from puna.bench.processes import ctrl_c_waits
from puna.bench.rows import PUNA, Row, row, settled
from puna.bench.work import Work
from puna.bench.worker import Worker
from puna.errors import InputError, PeerError
from puna.llama.config import LlamaConfig
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint

LIMITS = "limits"
_PATIENCE = 1800.0  # seconds for one job
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_OURS = "GOMP_SPINCOUNT"  # set by our command for Puna; with it llama.cpp writes at a third of its speed
_ROOM = 512  # tokens of a prompt beside its text

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    No round begins that would not end within `seconds`, by what the one before took; past that peers get no more jobs.
    """

    plan: Plan
    rounds: int
    seconds: float


FULL_SETTINGS = Settings(Plan(), rounds=4, seconds=6 * 3600.0)
QUICK_SETTINGS = Settings(QUICK, rounds=4, seconds=265.0)


@dataclass(frozen=True, slots=True)
class Found:
    """What a run gave; `engines` says of each what it is and how it ranks, `errors` what went wrong."""

    machine: dict[str, Any]
    model: str
    rounds: int
    limits: dict[str, float]
    engines: dict[str, dict[str, str]]
    rows: list[Row]
    errors: dict[str, PeerError]

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return {
            "machine": self.machine,
            "model": self.model,
            "rounds": self.rounds,
            "limits": self.limits,
            "engines": self.engines,
            "rows": [asdict(each) for each in self.rows],
            "errors": {name: str(error) for name, error in self.errors.items()},
        }


def bench(path: Path, peers: Sequence[Peer], settings: Settings, report: Report) -> Found:
    """Measure Puna, the peers and the machine on a GGUF file, one round after the other.

    `report(done, total, what)` is called before each job. A peer's error ends that peer only; Puna's own is raised.
    """
    checkpoint = open_checkpoint(path)
    if checkpoint.format != "gguf" or checkpoint.tokenizer_metadata is None:
        raise InputError("E-BENCH-GGUF", path=path)
    config, wanted = LlamaConfig.from_dict(checkpoint.config), settings.plan.text + _ROOM
    if config.context < wanted:
        raise InputError("E-BENCH-CONTEXT", context=config.context, wanted=wanted)
    plan = settings.plan.within(config.context - _ROOM)
    jobs = Jobs(Tokenizer.from_gguf(checkpoint.tokenizer_metadata), config, plan)
    threads = physical_cores()
    here = machine(threads)  # before the run itself makes it busy
    with ExitStack() as stack:
        run = _Run(jobs, settings, threads, report)
        hello = {
            "job": "start",
            "model": str(path.resolve()),
            "span": jobs.span,
            "threads": threads,
            "end": jobs.end,
        }
        engines = [limits(), puna(), *_installed(peers, run)]
        run.end = time.monotonic() + settings.seconds  # installing is not in it
        for engine in engines:
            run.start(stack, engine, hello)
        rounds = run.rounds()
        run.everyone(jobs.last())
    figures = {name: {measure: settled(each) for measure, each in own.items()} for name, own in run.values.items()}
    most = {name: max(each) for name, each in run.values.pop(LIMITS).items()}
    bounds, work = _bounds(most), Work.of(checkpoint)
    rows = []
    for measure in jobs.measures:
        own = {name: figures[name][measure] for name in run.values if measure in figures[name]}
        share = work.share(measure, own[PUNA], bounds) if PUNA in own else None
        rows.append(row(measure, own, share))
    run.engines.pop(LIMITS)
    return Found(here, path.stem, rounds, bounds, run.engines, rows, run.errors)


def _installed(peers: Sequence[Peer], run: "_Run") -> list[Engine]:
    """Install what is not yet there, and give the peers whose environments are whole."""
    found: list[Engine] = []
    for peer in peers:
        run.report(0, 1, f"installing {peer.name}")
        try:
            found.append(install(peer))
        except PeerError as error:
            run.errors[peer.name] = error
    return found


def _bounds(most: Mapping[str, float]) -> dict[str, float]:
    """Name the machine's limits: the faster of the two kinds of product is the one that bounds reading."""
    flops = max(most["matmul_bf16"], most["matmul_fp32"])
    return {"matmul_flops": flops, "read_bytes": most["read"], **most}


class _Run:
    """Workers and what they said."""

    def __init__(self, jobs: Jobs, settings: Settings, threads: int, report: Report) -> None:
        self.report = report
        self.values: dict[str, dict[str, list[float]]] = {}
        self.engines: dict[str, dict[str, str]] = {}
        self.errors: dict[str, PeerError] = {}
        self.end = math.inf
        self._jobs, self._settings, self._threads = jobs, settings, threads
        self._workers: dict[str, Worker] = {}
        self._done = self._total = 0

    def start(self, stack: ExitStack, engine: Engine, hello: Job) -> None:
        """Start a worker and tell it what it is to work on."""
        self.report(0, 1, f"starting {engine.name}")
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(self._threads))}
        if engine.name != PUNA:
            environment.pop(_OURS, None)
        with ctrl_c_waits():
            worker = stack.enter_context(Worker(engine.command, environment))
        self._workers[engine.name], self.values[engine.name] = worker, {}
        self._ask(engine.name, hello | engine.settings)

    def rounds(self) -> int:
        """Do as many rounds as the settings and the time allow, and say how many."""
        count, slowest, loading = self._settings.rounds, 0.0, 0.0
        for number in range(count):
            start = time.monotonic()
            if number and start + slowest > self.end:
                return number
            every = list(self._jobs.round(number))
            engines = len(self._workers) - 1
            self._total, self._done = (count * len(every) + 1) * engines, number * len(every) * engines
            self._ask(LIMITS, {"job": "limits"})
            for job in every:
                begun = time.monotonic()
                self.everyone(job, number)
                if job["job"] == "load" and not self._settings.plan.loads:
                    loading = time.monotonic() - begun  # once and never again
            slowest = max(slowest, time.monotonic() - start - loading)
            loading = 0.0
        return count

    def everyone(self, job: Job, first: int = 0) -> None:
        """Give a job to every worker that is still there, beginning with another one each time."""
        names = [name for name in self._workers if name != LIMITS]
        for name in [*names[first % len(names) :], *names[: first % len(names)]]:
            self.report(self._done, self._total, f"{name}: {job['job']}")
            self._ask(name, job)
            self._done += 1

    def _ask(self, name: str, job: Job) -> None:
        left = _PATIENCE
        try:
            if name not in {PUNA, LIMITS} and job["job"] != "memory":
                left = min(left, self.end - time.monotonic())
                if left <= 0:
                    raise PeerError("E-PEER-LATE", job=job["job"])
            answer = self._workers[name].ask(job, left)
        except PeerError as error:
            if name in {PUNA, LIMITS}:
                raise
            self.errors[name] = error
            self._workers.pop(name).close()
            return
        if "about" in answer:
            self.engines[name] = {"about": answer["about"], "ranking": ""}
        else:
            self.engines[name]["ranking"] = answer.get("way", "")
        for measure, value in answer.get("values", {}).items():
            self.values[name].setdefault(measure, []).append(value)
