"""The worker's side of the benchmark: one JSON object a line in, one out. The standard library only.

A worker is a process of its own, often in an environment without Puna: this file and the engine's stand beside each
other and know nothing else of the package. An engine can do five things; what is timed, and what is not, stands here,
once for all of them.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Job = dict[str, Any]
_TRIED = 20  # candidates on which ways of ranking are compared

Values = dict[str, float]
Candidates = Sequence[Sequence[int]]
Way = Callable[[Candidates], list[float]]


class Engine:
    """Something that reads, writes and ranks. Tokens are the host's: all engines read the same ones."""

    about = ""  # what it is, with its version
    way = ""  # how it ranks, in words
    ranks = True  # whether it can give log-probabilities of given tokens

    def __init__(self) -> None:
        self._ways: dict[int, str] = {}

    def load(self) -> None:
        """Load the model anew; what was loaded before is let go first."""
        raise NotImplementedError

    def forget(self) -> None:
        """Let go of all that was read."""
        raise NotImplementedError

    def read(self, tokens: Sequence[int]) -> None:
        """Read up to the next token's probabilities. What was read before and begins alike may be kept."""
        raise NotImplementedError

    def write(self, count: int) -> None:
        """Write `count` tokens behind what was read, the most probable each time, whether or not one is an end."""
        raise NotImplementedError

    def rank(self, candidates: Candidates) -> list[float]:
        """Give the log-probability of each candidate behind what was read, which stays as it is."""
        raise NotImplementedError

    def decode(self, count: int) -> float:
        """Write `count` tokens and give how many a second."""
        self.write(1)
        return count / seconds(lambda: self.write(count))

    def ask(self, question: Job) -> None:
        """Read a text with a question and rank its candidates."""
        self.read(question["tokens"])
        self.rank(question["candidates"])

    def fastest(self, candidates: Candidates, ways: Mapping[str, Way]) -> list[float]:
        """Rank in the way that was the fastest when so many candidates were asked for the first time."""
        count = len(candidates)
        if count not in self._ways:
            some = candidates[:_TRIED]
            times = {name: seconds(lambda: ways[name](some)) for name in ways}  # noqa: B023
            self._ways[count] = min(times, key=lambda name: times[name])
            self.way = "; ".join(f"{count}: {name}" for count, name in sorted(self._ways.items()))
        return ways[self._ways[count]](candidates)


E = TypeVar("E", bound=Engine)


def perform(engine: Engine, job: Job) -> Values:
    """Do one job and give its measures: seconds, or tokens a second."""
    return _JOBS[job["job"]](engine, job)


def _load(engine: Engine, job: Job) -> Values:
    """Load; then, not timed, read and write a little: the first call of a kernel often builds it."""
    took = seconds(engine.load)
    engine.forget()
    engine.read(job["tokens"])
    engine.decode(1)
    return {"load": took}


def _read(engine: Engine, job: Job) -> Values:
    """Read, and write as much as the job says."""
    tokens, after = job["tokens"], job["after"]
    engine.forget()
    took = seconds(lambda: engine.read(tokens))
    values = {f"prefill_{after}": after / took} if job["timed"] else {}
    if job["write"]:
        values[f"decode_{after}"] = engine.decode(job["write"])
    return values


def _rank(engine: Engine, job: Job) -> Values:
    """Rank some of the candidates after a text that was read before: reading is not in the time."""
    if not engine.ranks:
        return {}
    engine.forget()
    engine.read(job["tokens"])
    values: Values = {}
    for count in job["counts"]:
        some = job["candidates"][:count]
        if job["first"]:
            engine.rank(some)  # an engine may try its ways
        values[f"rank_{count}"] = seconds(lambda: engine.rank(some))  # noqa: B023
    return values


def _questions(engine: Engine, job: Job) -> Values:
    """Two questions over one text, the candidates of each ranked: reading is in the time."""
    if not engine.ranks:
        return {}
    engine.forget()
    return {name: seconds(lambda: engine.ask(job[name])) for name in ("first_question", "second_question")}  # noqa: B023


def _memory(engine: Engine, job: Job) -> Values:
    return {"peak_memory": peak_memory() / 1e6}


_JOBS = {"load": _load, "read": _read, "rank": _rank, "questions": _questions, "memory": _memory}


def seconds(work: Callable[[], object]) -> float:
    """Give the wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_memory() -> int:
    """Give the most bytes this process ever had in memory."""
    try:  # not what getrusage says: on Linux that includes what the parent had when it forked
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """Count the tokens with which both begin."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))


def serve(make: Callable[[Job], E], perform: Callable[[E, Job], Values] = perform) -> None:
    """Answer jobs until standard input ends; `make` builds the engine from the first line.

    Libraries print where they like, so answers go out through a copy of standard output, and all else to standard error.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    engine: E | None = None
    for line in sys.stdin:
        job = json.loads(line)
        try:
            if engine is None:
                engine = make(job)
                say({"about": engine.about})
            else:
                values = perform(engine, job)
                say({"values": values, "way": engine.way})
        except Exception as error:  # whatever it is, the host is told and decides
            say({"error": f"{type(error).__name__}: {error}"})
