"""What each path says."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ferrometer._process.deadline import within
from ferrometer.exposition.formats import choose_encoder
from ferrometer.health.checks import HealthChecks, HealthReport, timestamp
from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.stats.service import ServiceStats

if TYPE_CHECKING:
    from ferrometer.metrics.registry import Collector

_T = TypeVar("_T")

# Expositions shrink to a twentieth already at the first level, and every further one costs several times the
# encoding itself.
_GZIP_LEVEL = 1

# Seconds; who waits longer need not be hurried, and threads cannot be waited for that long everywhere.
_PATIENCE = 1e6

_THREADS = 2
_limiter: RunVar[CapacityLimiter] = RunVar("ferrometer_endpoints_limiter")


def _list(request: Request, name: str) -> str:
    """A header that is a list: several lines of it are one (RFC 9110, 5.3)."""
    return ", ".join(request.headers.getlist(name))


def _accepts_gzip(header: str) -> bool:
    for item in header.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        if coding == "gzip":
            given = dict(part.split("=", 1) for part in parameters if "=" in part)
            try:
                return float(given.get("q", "1")) > 0
            except ValueError:
                return True
    return False


def _scrape_seconds(header: str | None) -> float | None:
    """How long collecting may take, by what a scraper says about its patience; None where it says nothing."""
    try:
        patience = float(header or "")
    except ValueError:
        return None
    # A tenth is for everything else: the encoding, the network, the thread that had to be waited for.
    return patience * 0.9 if 0 < patience < _PATIENCE else None


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
        self._registry = registry
        self._stats = stats
        self._health = health
        self._flat = flat_health
        self._native_histograms = native_histograms

    async def metrics(self, request: Request) -> Response:
        """Text, OpenMetrics or protobuf, as the scraper prefers; ``name[]`` chooses samples.

        Collectors and callbacks that would outlast the scraper's timeout are left out.
        """
        self._stats.system.watch()
        names = request.query_params.getlist("name[]")
        registry: Collector = self._registry.restricted_registry(names) if names else self._registry
        encode, media_type = choose_encoder(
            _list(request, "accept"), native_histograms=self._native_histograms
        )
        seconds = _scrape_seconds(request.headers.get("x-prometheus-scrape-timeout-seconds"))
        zipped = _accepts_gzip(_list(request, "accept-encoding"))

        def build() -> bytes:
            self._stats.system.read()
            with within(seconds):
                body = encode(registry)
            return gzip.compress(body, _GZIP_LEVEL) if zipped else body

        headers = {"Content-Type": media_type, "Vary": "Accept, Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(await off_loop(build), headers=headers)

    async def stats(self, request: Request) -> Response:
        """Every number, once."""
        self._stats.system.watch()
        return JSONResponse(await off_loop(self._stats_body))

    def _stats_body(self) -> dict[str, Any]:
        self._stats.system.read()
        return self._stats.stats()

    async def polling(self, request: Request) -> Response:
        """Four numbers and the health as last known: no check runs, no thread, no percentile."""
        return JSONResponse(
            {"timestamp": timestamp(), "status": self._health.last_status(), "metrics": self._stats.polling()}
        )

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
        metrics = await off_loop(self._stats.monitor)
        return JSONResponse(
            {
                "timestamp": report.timestamp,
                "status": report.status,
                "health": report.as_dict()["checks"],
                "metrics": metrics,
            }
        )

    async def live(self, request: Request) -> Response:
        """Liveness: the event loop turns. Broken dependencies are no reason to restart."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Readiness: the checks, in one word."""
        report: HealthReport = await self._health.run()
        ready = report.http_status == 200
        return JSONResponse({"status": "ready" if ready else "not ready"}, status_code=report.http_status)
