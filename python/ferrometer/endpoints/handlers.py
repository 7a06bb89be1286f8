"""What each path says."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ferrometer._core import Registry, Responder
from ferrometer._process.deadline import within
from ferrometer.exposition.formats import additions
from ferrometer.health.checks import HealthChecks, HealthReport
from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.stats.service import ServiceStats

_T = TypeVar("_T")

# Seconds; who waits longer need not be hurried, and threads cannot be waited for that long everywhere.
_PATIENCE = 1e6

_THREADS = 2
_limiter: RunVar[CapacityLimiter] = RunVar("ferrometer_endpoints_limiter")


def _scrape_seconds(header: str | None) -> float | None:
    """How long collecting may take, by what a scraper says about its patience; None where it says nothing."""
    try:
        patience = float(header or "")
    except ValueError:
        return None
    # A tenth is for everything else: the encoding, the network, the thread that had to be waited for.
    return patience * 0.9 if 0 < patience < _PATIENCE else None


def _members(known: dict[str, Any]) -> str:
    """Members of a JSON object, with a comma behind each."""
    return json.dumps(known, ensure_ascii=False, allow_nan=False, separators=(",", ":"))[1:-1] + ","


async def off_loop(build: Callable[[], _T]) -> _T:
    """Run ``build`` in a worker thread, so that requests go on meanwhile.

    The threads are counted apart from the application's: when its own forty all wait for a database,
    the scrape that would show it must still get through.
    """
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(build, limiter=limiter)


class Answers:
    """The bodies and status codes behind the paths."""

    def __init__(
        self,
        registry: CollectorRegistry,
        stats: ServiceStats,
        health: HealthChecks,
        flat_health: bool,
        *,
        native_histograms: bool = False,
    ) -> None:
        self._stats = stats
        self._health = health
        self._flat = flat_health
        self._from_python = partial(additions, registry)
        figures, prefix = stats.figures()
        native = getattr(registry, "_native", None)
        self._responder = Responder(
            native if isinstance(native, Registry) else figures._native,
            figures=figures._native,
            prefix=prefix,
            native_histograms=native_histograms,
        )
        #: Whether something else than this registry counts the requests.
        self._foreign = not stats.counts_into(registry)

    def _respond(
        self, request: Request, page: str, *, timestamp: str | None = None, health: str = ""
    ) -> Response:
        """What the own port would answer, and what only Python knows."""
        status, headers, body = self._responder.respond(
            "GET",  # Endpoint takes the body of a HEAD away
            page,
            request.url.query,
            request.scope["headers"],
            None,
            from_python=self._from_python,
            timestamp=timestamp,
            health=health,
            requests=self._stats.requests() if self._foreign else None,
        )
        return Response(body, status, headers=dict(headers))

    async def metrics(self, request: Request) -> Response:
        """Text, OpenMetrics or protobuf, as the scraper prefers; ``name[]`` chooses samples.

        Collectors and callbacks that would outlast the scraper's timeout are left out.
        """
        self._stats.system.watch()
        seconds = _scrape_seconds(request.headers.get("x-prometheus-scrape-timeout-seconds"))

        def build() -> Response:
            self._stats.system.read()
            with within(seconds):
                return self._respond(request, "/metrics")

        return await off_loop(build)

    async def stats(self, request: Request) -> Response:
        """Every number, once."""
        self._stats.system.watch()

        def build() -> Response:
            self._stats.system.read()
            return self._respond(request, "/stats")

        return await off_loop(build)

    async def polling(self, request: Request) -> Response:
        """Four numbers and the health as last known: no check runs."""
        health = _members({"status": self._health.last_status()})
        return await off_loop(lambda: self._respond(request, "/polling", health=health))

    async def health(self, request: Request) -> Response:
        """The components; 503 when a critical one is unhealthy. ``?format=flat`` or ``nested``."""
        report = await self._health.run()
        form = request.query_params.get("format")
        flat = form == "flat" if form in ("flat", "nested") else self._flat
        body = report.as_flat(self._stats.uptime_seconds()) if flat else report.as_dict()
        return JSONResponse(body, status_code=report.http_status)

    async def monitor(self, request: Request) -> Response:
        """Health and numbers in one answer; always 200, the status is in the body."""
        report = await self._health.run()
        health = _members({"status": report.status, "health": report.as_dict()["checks"]})
        return await off_loop(
            lambda: self._respond(request, "/monitor", timestamp=report.timestamp, health=health)
        )

    async def live(self, request: Request) -> Response:
        """Liveness: the event loop turns. Broken dependencies are no reason to restart."""
        return self._respond(request, "/live")

    async def ready(self, request: Request) -> Response:
        """Readiness: the checks, in one word."""
        report: HealthReport = await self._health.run()
        ready = report.http_status == 200
        return JSONResponse({"status": "ready" if ready else "not ready"}, status_code=report.http_status)
