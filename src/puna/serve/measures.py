"""What the service counts, in Prometheus' form."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from puna.serve.engine import Engine

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Measures:
    """Counters of one service, in a registry of their own."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        names = ["route", "status"]
        self._requests = Counter("puna_requests", "Requests answered.", names, registry=self.registry)
        self._seconds = Histogram(
            "puna_request_seconds",
            "Time to the end of an answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.registry.register(_Work(engine))

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count a request. `route` is that of the code, never what a client wrote."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class _Work(Collector):
    """The engine's own numbers, read when they are asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Give them."""
        engine, counts = self._engine, self._engine.texts.counts
        yield GaugeMetricFamily("puna_running", "Requests in work.", value=engine.running)
        yield GaugeMetricFamily("puna_waiting", "Requests that wait.", value=engine.waiting)
        for name, said, value in (
            ("steps", "Turns of the engine that did something.", engine.steps),
            ("dropped", "Requests whose clients went first.", engine.dropped),
            ("forwards", "Forwards over texts.", counts.forwards),
            ("tokens_read", "Tokens of texts that were computed.", counts.read),
            ("tokens_shared", "Tokens of texts that had been computed for another.", counts.shared),
            ("tokens_written", "Tokens written.", counts.written),
        ):
            yield CounterMetricFamily(f"puna_{name}", said, value=value)
