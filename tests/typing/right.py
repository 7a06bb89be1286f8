"""Code as users write it: `mypy --strict` has nothing to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, assert_type

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

import ferrometer
from ferrometer import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)

registry = CollectorRegistry(auto_describe=True, target_info={"service": "gateway"})
requests = Counter("requests", "Requests.", ["method", "status"], namespace="app", registry=registry)
pending = Gauge("pending", "Pending.", registry=registry, multiprocess_mode="livesum")
latency = Histogram(
    "latency_seconds", "Latency.", ("route",), buckets=(0.1, 1, "+Inf"), sample=0.01, registry=registry
)
tokens = Summary("tokens", "Tokens.", quantiles=(0.5, 0.99), max_series=500, registry=registry)
build = Info("build", "Build.", registry=registry)
state = Enum("state", "State.", states=["up", "down"], registry=registry)

assert_type(requests.labels("GET", 200), Counter)
assert_type(requests.labels(method="GET", status=200), Counter)
assert_type(latency.labels("/").quantile(0.99), float)
assert_type(generate_latest(), bytes)
assert_type(generate_latest(registry.restricted_registry(["app_requests_total"])), bytes)
assert_type(registry.get_sample_value("pending"), float | None)
assert_type(registry.collect(), Iterator[Metric])
assert_type(REGISTRY, CollectorRegistry)
assert_type(CONTENT_TYPE_LATEST, str)
assert_type(ferrometer.__version__, str)


def record(sizes: Sequence[int]) -> None:
    requests.labels("GET", 200).inc()
    requests.labels("GET", 200).inc(2, exemplar={"trace_id": "abc"})
    pending.set(len(sizes))
    pending.set_function(lambda: len(sizes))
    pending.inc(0.5)
    pending.dec()
    tokens.observe(sum(sizes))
    build.info({"version": "1"})
    state.state("down")
    requests.remove("GET", 200)
    requests.remove_by_labels({"method": "GET"})
    requests.clear()


def timed() -> float | None:
    with (
        latency.labels("/").time() as timer,
        pending.track_inprogress(),
        requests.labels("GET", 200).count_exceptions(),
    ):
        pass
    with latency.time() as chosen_later:
        chosen_later.labels(route="/")
    return timer.duration


@tokens.time()
def add(a: int, b: int = 1) -> int:
    return a + b


@pending.track_inprogress()
async def fetch(url: str) -> bytes:
    await asyncio.sleep(0)
    return url.encode()


@requests.labels("GET", "500").count_exceptions((OSError, ValueError))
async def stream(n: int) -> AsyncIterator[int]:
    for i in range(n):
        yield i


async def use() -> None:
    assert_type(add(1), int)
    assert_type(await fetch("/"), bytes)
    async for item in stream(3):
        assert_type(item, int)


class Budget(Counter):
    def __init__(self, name: str, documentation: str, *args: Any, limit: float = 1, **kwargs: Any) -> None:
        super().__init__(name, documentation, *args, **kwargs)
        self.limit = limit

    def inc(self, amount: float = 1, exemplar: Any = None) -> None:
        super().inc(min(amount, self.limit), exemplar)


assert_type(Budget("budget", "h", ["team"], registry=registry).labels("a"), Budget)


class Queue:
    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("queue", "Queue.", value=1)


registry.register(Queue())
registry.register(Counter("later", "h", registry=None))
registry.unregister(pending)
