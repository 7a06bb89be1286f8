"""What `ferrometer.accelerate()` gives users of prometheus_client: `python -m benches.accelerate`.

The same code twice in one process, before and after the call, in turns; the figure is the median of the
rounds. The answers of both are compared first: what is fast and wrong does not count.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette_exporter import PrometheusMiddleware

import ferrometer

ROUNDS = 15
CHILDREN = 1000
Subject = tuple[Callable[[int], None], Callable[[], bytes]]
"""Something to do so many times, and what was seen of it."""


class Row(NamedTuple):
    """One operation: nanoseconds each."""

    name: str
    before: float
    after: float


def _registry_of(act: Callable[[CollectorRegistry], Callable[[int], None]]) -> Callable[[], Subject]:
    def make() -> Subject:
        registry = CollectorRegistry()
        return act(registry), lambda: generate_latest(registry)

    return make


@_registry_of
def _inc(registry: CollectorRegistry) -> Callable[[int], None]:
    inc = Counter("c", "h", registry=registry).inc

    def work(times: int) -> None:
        for _ in range(times):
            inc()

    return work


@_registry_of
def _labels(registry: CollectorRegistry) -> Callable[[int], None]:
    labels = Counter("c", "h", ["method", "path", "status"], registry=registry).labels

    def work(times: int) -> None:
        for _ in range(times):
            labels("GET", "/x", "200").inc()

    return work


@_registry_of
def _observe(registry: CollectorRegistry) -> Callable[[int], None]:
    observe = Histogram("h", "h", registry=registry).observe

    def work(times: int) -> None:
        for _ in range(times):
            observe(0.3)

    return work


@_registry_of
def _scrape(registry: CollectorRegistry) -> Callable[[int], None]:
    histogram = Histogram("h", "h", ["route"], registry=registry)
    for number in range(CHILDREN):
        histogram.labels(f"/{number}").observe(0.3)

    def work(times: int) -> None:
        for _ in range(times):
            generate_latest(registry)

    return work


class _Prefixed:
    """The families of the default registry whose names begin so, without that."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def collect(self) -> Iterator[Metric]:
        for family in prometheus_client.REGISTRY.collect():
            if family.name.startswith(self._prefix):
                family.name = family.name.removeprefix(self._prefix + "_")
                renamed = (s._replace(name=s.name.removeprefix(self._prefix + "_")) for s in family.samples)
                family.samples = list(renamed)
                yield family


_numbers = itertools.count()


async def _hello(_: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


def _served(instrument: Callable[[Starlette, CollectorRegistry], object]) -> Callable[[], Subject]:
    def make() -> Subject:
        registry = CollectorRegistry()
        app = Starlette(routes=[Route("/hello", _hello)])
        instrument(app, registry)
        scope = {"type": "http", "method": "GET", "path": "/hello", "query_string": b"", "headers": []}
        statuses: set[int] = set()

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b""}

        async def send(message: dict[str, Any]) -> None:
            if "status" in message:
                statuses.add(message["status"])

        async def requests(times: int) -> None:
            for _ in range(times):
                await app(dict(scope), receive, send)  # type: ignore[arg-type]  # as a server does

        def work(times: int) -> None:
            asyncio.run(requests(times))
            assert statuses <= {200}

        return work, lambda: generate_latest(registry)

    return make


@_served
def _bare(app: Starlette, registry: CollectorRegistry) -> None:
    pass


@_served
def _exporter(app: Starlette, registry: CollectorRegistry) -> None:
    # It knows the default registry only, and its applications share the metrics of one prefix.
    prefix = f"exporter{next(_numbers)}"
    app.add_middleware(PrometheusMiddleware, prefix=prefix)
    registry.register(_Prefixed(prefix))


@_served
def _instrumentator(app: Starlette, registry: CollectorRegistry) -> None:
    Instrumentator(registry=registry).instrument(app)


#: Name, what it is, how often in a round.
SUBJECTS: list[tuple[str, Callable[[], Subject], int]] = [
    ("counter.inc()", _inc, 20_000),
    ("counter.labels(3 values).inc()", _labels, 10_000),
    ("histogram.observe()", _observe, 10_000),
    (f"generate_latest(), {CHILDREN} histograms", _scrape, 1),
    ("a request, no middleware", _bare, 300),
    ("a request, starlette_exporter", _exporter, 300),
    ("a request, prometheus-fastapi-instrumentator", _instrumentator, 300),
]


def measure(make: Callable[[], Subject], times: int, rounds: int) -> tuple[float, float]:
    """Nanoseconds before and after. Raises AssertionError when the two do not say the same."""
    # Warm, which is when the middlewares make their metrics.
    plain, told_before = make()
    plain(times)
    with ferrometer.accelerate():
        native, told_after = make()
        native(times)
    assert _counts(told_before()) == _counts(told_after())
    assert len(_counts(told_after())) > 0 or make is _bare
    before, after = [], []
    for _ in range(rounds):
        before.append(_timed(plain, times))
        with ferrometer.accelerate():
            after.append(_timed(native, times))
    assert _counts(told_before()) == _counts(told_after())
    return statistics.median(before), statistics.median(after)


def _timed(work: Callable[[int], None], times: int) -> float:
    began = time.perf_counter_ns()
    work(times)
    return (time.perf_counter_ns() - began) / times


def _counts(text: bytes) -> set[str]:
    """The lines that do not depend on time."""
    moving = ("_sum", "_created", "_bucket", "process_", "python_", "# ")
    return {
        line
        for line in text.decode().splitlines()
        if not any(part in line.split("{")[0] for part in moving) and "ferrometer_" not in line
    }


def rows(rounds: int = ROUNDS, share: float = 1.0) -> list[Row]:
    """All of them, with a share of the repetitions."""
    return [Row(name, *measure(make, max(1, int(times * share)), rounds)) for name, make, times in SUBJECTS]


def main() -> int:
    """Prints the table."""
    print(f"{'':<46}{'before':>12}{'after':>12}{'gain':>8}   ns, median of {ROUNDS} rounds")
    for row in rows():
        print(f"{row.name:<46}{row.before:>12,.0f}{row.after:>12,.0f}{row.before / row.after:>7.1f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
