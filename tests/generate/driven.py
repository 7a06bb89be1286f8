"""An application that has every metric of the dashboards, driven while it is scraped.

Requests, the service's own families, health checks and collectors are real. The rest, much of which needs
hardware, has the names, kinds and labels of its definitions, or those of ELSEWHERE, and values that move.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

import ferrometer
from ferrometer.background.collector import Collector
from ferrometer.generate.dashboards import boards

NAMESPACE = "gateway"
#: Families whose definitions are made by features while they run.
ELSEWHERE: dict[str, tuple[str, tuple[str, ...]]] = {
    "filesystem_avail_bytes": ("gauge", ("mountpoint",)),
    "filesystem_size_bytes": ("gauge", ("mountpoint",)),
    "network_receive_bytes_total": ("counter", ("device",)),
    "network_transmit_bytes_total": ("counter", ("device",)),
    "jobs_processed_total": ("counter", ("status",)),
    "job_processing_duration_seconds": ("histogram", ()),
    "provider_availability": ("gauge", ("provider",)),
    "provider_error_rate": ("gauge", ("provider",)),
    f"{NAMESPACE}_provider_health_score": ("gauge", ("provider",)),
    f"{NAMESPACE}_circuit_breaker_state": ("gauge", ("provider", "state")),
    f"{NAMESPACE}_active_users": ("gauge", ("kind", "window")),
    **{
        f"{NAMESPACE}_job_{name}_total": ("counter", ("job_type",))
        for name in ("submitted", "started", "completed", "failed")
    },
    **{f"{NAMESPACE}_job_{name}": ("gauge", ("job_type",)) for name in ("in_flight", "stuck")},
    f"{NAMESPACE}_job_duration_seconds": ("histogram", ("job_type", "status")),
    f"{NAMESPACE}_job_wait_seconds": ("histogram", ("job_type",)),
}
_VALUES = {
    "status": ("success", "error", "completed", "failed"),
    "state": ("active", "idle", "open"),
    "window": ("5m",),
}
#: What the application has by itself.
_REAL = re.compile(rf"http_|ferrometer_|{NAMESPACE}_(?:request|gpu_(?!util)|memory|goroutines)")
_NAME = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b(?!\s*\()")
_SUFFIX = re.compile(r"_(?:bucket|count|sum)$")


def wanted() -> list[str]:
    """The names in the expressions of the application's panels."""
    panels = (panel for board in boards(NAMESPACE) for row in board.rows for panel in row.panels)
    own = [panel for panel in panels if panel.source not in ("node", "kubernetes")]
    found: set[str] = set()
    for expression, _ in itertools.chain.from_iterable(panel.lines for panel in own):
        without = re.sub(r'"[^"]*"|\bby \([^)]*\)|\$\w+', " ", expression)
        found.update(re.findall(_NAME, re.sub(r"\{[^}]*\}", "", without)))
    return sorted({_SUFFIX.sub("", name) for name in found if name != "histogram_quantile"})


def defined(names: Iterable[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The kind and the labels of each. Raises KeyError for one that nothing defines."""
    from tests.docs_tables import families

    known = {
        name.replace("gpuproxy_", f"{NAMESPACE}_"): (family.kind, family.labels)
        for name, family in families().items()
    }
    return {name: {**ELSEWHERE, **known}[name] for name in names}


class Driven:
    """Series of all these families, and what moves them."""

    def __init__(self, registry: ferrometer.CollectorRegistry) -> None:
        self.counters: list[Any] = []
        self.histograms: list[Any] = []
        for name, (kind, labels) in defined(wanted()).items():
            if not _REAL.match(name):
                self._make(name, kind, labels, registry)

    def _make(
        self, name: str, kind: str, labels: tuple[str, ...], registry: ferrometer.CollectorRegistry
    ) -> None:
        made = {"counter": ferrometer.Counter, "gauge": ferrometer.Gauge, "histogram": ferrometer.Histogram}
        metric: Any = made[kind](name.removesuffix("_total"), "Driven", labels, registry=registry)
        for values in itertools.product(*(_VALUES.get(label, ("a",)) for label in labels)):
            series = metric.labels(*values) if labels else metric
            if kind == "gauge":
                series.set(0.5)
            else:
                (self.counters if kind == "counter" else self.histograms).append(series)

    def move(self) -> None:
        """A tenth of a second of work."""
        for counter in self.counters:
            counter.inc()
        for histogram in self.histograms:
            histogram.observe(0.2)


class Idle(Collector):
    """A collector that finds nothing: those of the machine would be in the way of what is driven."""

    name = "idle"

    def collect(self) -> None:
        """Nothing."""


def make() -> Starlette:
    """The application; ``HISTORY=1`` in the environment lets it answer PromQL."""
    registry = ferrometer.CollectorRegistry()

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("done", int(request.path_params["status"]))

    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            for _ in range(3):
                yield "part"
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    @asynccontextmanager
    async def moved(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(drive())
        yield
        task.cancel()

    async def drive() -> None:
        while True:
            driven.move()
            watched.stats.gpu.instances(2)
            watched.stats.gpu.request(cost_usd=0.01)
            await asyncio.sleep(0.1)

    app = Starlette(routes=[Route("/status/{status}", answer), Route("/stream", stream)], lifespan=moved)
    driven = Driven(registry)
    history = (ferrometer.History(),) if os.environ.get("HISTORY") else ()
    watched = ferrometer.instrument(
        app,
        *history,
        namespace=NAMESPACE,
        registry=registry,
        health_checks={"database": lambda: True},
        collectors=[Idle()],
    )
    return app
