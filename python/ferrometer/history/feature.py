"""The feature: what is kept, what a query may take, and the API below the endpoints' path."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ferrometer import _core
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.history import source
from ferrometer.sharing.share import shared_directory

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime

_log = logging.getLogger("ferrometer")

#: The longest body of a POST: an expression has 8 KiB at most, `match[]` may come many times.
_MOST_BODY = 1 << 20


@dataclass(frozen=True)
class HistorySettings:
    """The section ``[history]``."""

    seconds_1s: float = option(300.0, "Seconds for which a sample of every second is kept.")
    seconds_10s: float = option(3600.0, "Seconds for which a sample of every 10 seconds is kept.")
    seconds_1m: float = option(86_400.0, "Seconds for which a sample of every minute is kept.")
    seconds_5m: float = option(
        3_024_000.0, "Seconds for which a sample of every 5 minutes of marked series is kept."
    )
    marks: tuple[str, ...] = option(
        ("slo:", "baseline:", "capacity:"), "What the names of marked series begin with."
    )
    budget_mib: float = option(
        32.0, "The most MiB of all samples together; beyond it the finest and oldest go first."
    )
    directory: str | None = option(
        None,
        "Where the files lie, so that they survive restarts; by default what the workers share, or memory.",
    )
    query_seconds: float = option(10.0, "The most seconds that a query may take.")
    query_samples: int = option(20_000_000, "The most samples that a query may read and make.")
    query_mib: float = option(128.0, "The most MiB of results that a query may hold.")
    queries: int = option(4, "Queries of all clients at a time; further ones wait.")
    queries_per_client: int = option(4, "Queries of one client at a time.")
    job: str | None = option(None, "What the application is called among the API's targets.")


class History(Feature):
    """Remembers every metric for a day, and answers PromQL over it with Prometheus's own API.

    ``/api/v1/query``, ``query_range``, ``series``, ``labels``, ``label/NAME/values``, ``metadata``,
    ``targets`` and ``status/buildinfo`` are below the endpoints' path, with their credentials. Grafana,
    promtool and every client of Prometheus can ask; ``ferrometer.query`` does so here, ``ferrometer query``
    from a shell.

    Where workers share their metrics one of them writes, into files that all read.
    """

    section = "history"
    Settings = HistorySettings

    def __init__(
        self,
        *,
        seconds_1s: float | None = None,
        seconds_10s: float | None = None,
        seconds_1m: float | None = None,
        seconds_5m: float | None = None,
        marks: Sequence[str] | None = None,
        budget_mib: float | None = None,
        directory: str | Path | None = None,
        query_seconds: float | None = None,
        query_samples: int | None = None,
        query_mib: float | None = None,
        queries: int | None = None,
        queries_per_client: int | None = None,
        job: str | None = None,
    ) -> None:
        super().__init__(
            seconds_1s=seconds_1s,
            seconds_10s=seconds_10s,
            seconds_1m=seconds_1m,
            seconds_5m=seconds_5m,
            marks=None if marks is None else tuple(marks),
            budget_mib=budget_mib,
            directory=None if directory is None else str(directory),
            query_seconds=query_seconds,
            query_samples=query_samples,
            query_mib=query_mib,
            queries=queries,
            queries_per_client=queries_per_client,
            job=job,
        )
        self._native: _core.History | None = None
        self._runtime: Runtime | None = None
        self._chosen = HistorySettings()
        self._job = "application"
        self._registry: _core.Registry | None = None
        self._limiter: anyio.CapacityLimiter | None = None

    def open(self, runtime: Runtime) -> None:
        """Reads the settings and makes the routes."""
        if sys.platform != "linux":
            raise OSError("the history is there on Linux only")
        chosen: HistorySettings = runtime.settings(self)
        _check(chosen)
        self._chosen = chosen
        self._job = chosen.job or runtime.namespace or "application"
        self._registry, self._runtime = runtime.registry._native, runtime
        runtime.route("/api/v1/{rest:path}", self._answer, methods=("GET", "POST"))
        # What prometheus_api_client asks first.
        runtime.route("/", _here)

    def start(self) -> None:
        """Starts the thread that records, or waits for the one that does."""
        if self._registry is None:
            raise RuntimeError("History() belongs to instrument(app, History())")
        native = self._make()
        try:
            if self._chosen.directory is not None:
                Path(self._chosen.directory).mkdir(mode=0o700, parents=True, exist_ok=True)
            native.start(self._registry)
        except OSError as error:
            # The metrics themselves are not in danger: what can be remembered without a file is.
            _log.warning("%s; this worker remembers in its own memory", error)
            native = self._make(in_memory=True)
            native.start(self._registry)
        self._native = native
        if self._runtime is not None:
            self._runtime.history = native
        source.set_current(native)

    def close(self, deadline: float) -> None:
        """Ends the thread; another worker goes on."""
        native, self._native = self._native, None
        if native is not None:
            source.forget(native)
            if self._runtime is not None:
                self._runtime.history = None
            native.stop()

    def after_fork(self) -> None:
        """Forgets the parent's thread."""
        if self._native is not None:
            self._native.after_fork()
            source.forget(self._native)
            self._native = None
            if self._runtime is not None:
                self._runtime.history = None

    def _make(self, *, in_memory: bool = False) -> _core.History:
        chosen = self._chosen
        directory = None if in_memory else chosen.directory or shared_directory()
        return _core.History(
            directory,
            keep=(chosen.seconds_1s, chosen.seconds_10s, chosen.seconds_1m, chosen.seconds_5m),
            budget=int(chosen.budget_mib * (1 << 20)),
            marks=list(chosen.marks),
            seconds=chosen.query_seconds,
            samples=chosen.query_samples,
            result_bytes=int(chosen.query_mib * (1 << 20)),
            per_client=chosen.queries_per_client,
            at_once=chosen.queries,
            job=self._job,
        )

    async def _answer(self, request: Request) -> Response:
        native = self._native
        if native is None:
            return PlainTextResponse("the history has not started\n", 503)
        pairs: Iterable[tuple[str, str]] = request.query_params.multi_items()
        if request.method == "POST":
            body = await _body(request)
            if body is None:
                return Response(status_code=413)
            media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media == "application/x-www-form-urlencoded":
                pairs = [*pairs, *parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)]
        parameters, client = list(pairs), request.client.host if request.client else ""
        # As sent: a label's name in it may be percent-encoded, and only once.
        raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
        path = raw.partition(b"?")[0].decode("latin-1").rpartition("/api/v1/")[2]
        if self._limiter is None:
            # Threads of its own: queries that take long keep no scrape waiting.
            self._limiter = anyio.CapacityLimiter(2 * self._chosen.queries + 2)
        status, media_type, content = await anyio.to_thread.run_sync(
            lambda: native.respond(request.method, path, parameters, client),
            abandon_on_cancel=True,
            limiter=self._limiter,
        )
        return _compressed(content, status, media_type, request.headers.get("accept-encoding", ""))


async def _body(request: Request) -> bytes | None:
    """The body; None for one that is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY:
            return None
    return bytes(body)


def _compressed(content: bytes, status: int, media_type: str, accepted: str) -> Response:
    headers = {"Vary": "Accept-Encoding"}
    if len(content) > 1024 and "gzip" in accepted.lower():
        import zlib

        # A JSON of numbers shrinks to a tenth at the first level already.
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        content = packer.compress(content) + packer.flush()
        headers["Content-Encoding"] = "gzip"
    return Response(content, status, headers, media_type)


async def _here(_: Request) -> Response:
    return PlainTextResponse("Prometheus's API is below api/v1/\n")


def _check(chosen: HistorySettings) -> None:
    for name in ("seconds_1s", "seconds_10s", "seconds_1m", "seconds_5m"):
        value = getattr(chosen, name)
        if not 1 <= value <= 1e10:
            raise ValueError(f"[history] {name} must be from 1 to 1e10 seconds, not {value!r}")
    for name in (
        "budget_mib",
        "query_seconds",
        "query_samples",
        "query_mib",
        "queries",
        "queries_per_client",
    ):
        value = getattr(chosen, name)
        if not value > 0:
            raise ValueError(f"[history] {name} must be greater than 0, not {value!r}")
    if any(not mark for mark in chosen.marks):
        raise ValueError("[history] marks must not be empty: every series would be kept for 35 days")


FEATURE = History
