"""Numbers for Prometheus: counted where things happen, or read from their owners when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Reading = tuple[str, str, Callable[[], float]]
"""Name, help text, and how to read a gauge now."""


class Metrics:
    """One registry per daemon, so that tests can run several in one process."""

    def __init__(self, readings: Iterable[Reading] = ()) -> None:
        self._registry = CollectorRegistry()
        self._commands = Counter(
            "teleclaude_commands",
            "Commands by operation and code",
            ["operation", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "teleclaude_command_seconds",
            "Time to answer a command",
            ["operation"],
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30),
            registry=self._registry,
        )
        self._registry.register(_Readings(list(readings)))
        ProcessCollector(registry=self._registry)

    def observe(self, operation: str, code: str, seconds: float) -> None:
        self._commands.labels(operation, code).inc()
        self._seconds.labels(operation).observe(seconds)

    def render(self) -> bytes:
        return generate_latest(self._registry)


class _Readings(Collector):
    def __init__(self, readings: list[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        for name, text, read in self._readings:
            gauge = GaugeMetricFamily(name, text)
            gauge.add_metric([], read())
            yield gauge
