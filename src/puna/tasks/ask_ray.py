"""Many questions on a Ray cluster: actors that hold the model ask blocks of rows, this process keeps what comes.

Only numbers and lines of JSON travel; no Parquet or other form that could carry code is read. A worker's death costs the
block it was at, which another one asks again. Blocks that failed again are asked once more row by row, and rows
that fail alone as well get an error: so every row comes out, and one that kills its worker takes no other with it.
"""

import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from puna.errors import InputError, LibraryError, ModelFileError, PullError, PunaError
from puna.tasks.ask_many import Run
from puna.tasks.ask_row import Asker, How, failed
from puna.tasks.many_rows import Waiting
from puna.tasks.ray_cluster import broken, cluster

if TYPE_CHECKING:
    import pyarrow

_ROWS = 32  # of a block, a few more where they are about one text
_BYTES = 4 << 20  # of a block
_TRIES = 2  # times that a block is begun; Ray itself would begin one that kills its workers for ever
_ENDED = 0  # stands for the number of a row where the work cannot go on


class Begun:
    """An actor: counts how often each block was begun, for a worker that dies cannot."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, block: int) -> int:
        """Count one more, and give how often that makes."""
        self._counts[block] += 1
        return self._counts[block]


class Worker:
    """An actor: loads the model once, then asks blocks of rows. `begun`: the handle of a `Begun`."""

    def __init__(self, how: How, begun: Any) -> None:
        self._asker: Asker | None = None
        self._begun = begun
        try:
            self._asker = how.asker()
        except PunaError as error:
            self._end = _ending(error)

    def __call__(self, block: "pyarrow.Table") -> "pyarrow.Table":
        """Give the lines of a block's rows, or, as the only one, what makes further work pointless.

        Of a block that its workers died of so far there are none.
        """
        import ray

        numbers, lines = block.column("number").to_pylist(), block.column("line").to_pylist()
        if self._asker is None:
            return _table([_ENDED], [self._end])
        if ray.get(self._begun.add.remote(numbers[0])) > _TRIES:
            return _table([], [])
        try:
            return _table(numbers, list(map(self._asker.ask, numbers, lines)))
        except PunaError as error:
            return _table([_ENDED], [_ending(error)])


def ask_on_ray(
    run: Run, how: How, workers: int | None = None, address: str | None = None
) -> Generator[int, None, None]:
    """Ask what waits on a cluster, as `cluster` finds or starts it, and tell the number of each row that is done.

    `workers`: how many hold the model; None for one on each machine, and two at least.
    Raises InputError where the cluster fails, and what loading the model or asking raises in a worker.
    """
    how = how.from_anywhere()
    for alone in (False, True):
        if run.done < len(run.rows):
            # Each time anew: actors of blocks that failed may live on, with the CPUs, until their driver has gone.
            with cluster(address, workers):
                yield from _pass(run, how, workers or max(2, len(_machines())), alone)
    for row in run.waiting():
        line = {"row": row.number, **failed(InputError("E-ROW-WORKER"))}
        run.add(row.number, json.dumps(line, ensure_ascii=False).encode())
        yield row.number


def _pass(run: Run, how: How, workers: int, alone: bool) -> Iterator[int]:
    """Ask what waits once, in blocks or each row `alone`; rows of blocks that failed go on waiting."""
    import ray.data

    size = max(1, min(_ROWS, (len(run.rows) - run.done) // (8 * workers)))
    blocks = ([row] for row in run.waiting()) if alone else _blocks(run.waiting(), size)
    with broken():
        tables = [ray.put(_table([row.number for row in block], [row.raw for row in block])) for block in blocks]
        data = ray.data.from_arrow_refs(tables)
        context: Any = data.context
        context.max_errored_blocks = -1  # what is missing is asked again
        context.execution_no_progress_timeout_s = -1  # a long text takes its time
        begun = ray.remote(Begun).options(num_cpus=0).remote()  # lives as long as this name
        asked = data.map_batches(
            Worker,
            fn_constructor_args=(how, begun),
            batch_size=None,
            batch_format="pyarrow",
            # One block at a time: a row that kills its worker fails no other block.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=_cpus(workers),
            num_gpus=1 if how.device.startswith("cuda") else None,
        )
        batches = iter(asked.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    while True:
        with broken():
            batch: Any = next(batches, None)
        if batch is None:
            return
        for number, line in zip(batch.column("number").to_pylist(), batch.column("line").to_pylist(), strict=True):
            if number == _ENDED:
                raise _error(line)
            run.add(number, line)
            yield number


def _blocks(rows: Iterable[Waiting], size: int) -> Iterator[list[Waiting]]:
    """Part rows into blocks of about `size`, so that rows about one text are in one block if these are not too many."""
    block: list[Waiting] = []
    length = 0
    for row in rows:
        enough = len(block) >= size and (row.key != block[-1].key or len(block) >= 4 * size)
        if block and (enough or length + len(row.raw) > _BYTES):
            yield block
            block, length = [], 0
        block.append(row)
        length += len(row.raw)
    if block:
        yield block


def _cpus(workers: int) -> float:
    """CPUs of a worker: all that there are shared out, but no more than a machine has; its threads are as many."""
    machines = _machines()
    share = min(sum(machines) / workers, *machines)
    return float(int(share)) if share >= 1 else share


def _machines() -> list[float]:
    """CPUs of each machine of the cluster that has any."""
    import ray

    cpus = [float(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return [each for each in cpus if each] or [1.0]


def _table(numbers: list[int], lines: list[bytes]) -> "pyarrow.Table":
    import pyarrow as pa

    return pa.table({"number": pa.array(numbers, pa.int64()), "line": pa.array(lines, pa.large_binary())})


def _ending(error: PunaError) -> bytes:
    return json.dumps({"kind": type(error).__name__, "code": error.code, "with": _plain(error)}).encode()


def _plain(error: PunaError) -> dict[str, Any]:
    return {
        name: value if isinstance(value, int | float) else str(value) for name, value in error.parameters.items()
    }


def _error(line: bytes) -> PunaError:
    found = json.loads(line)
    kinds = {kind.__name__: kind for kind in (InputError, LibraryError, ModelFileError, PullError)}
    return kinds.get(found["kind"], PunaError)(found["code"], **found["with"])
