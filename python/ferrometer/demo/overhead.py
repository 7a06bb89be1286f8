"""What measuring costs per request: the same small application bare, in an empty middleware, in Ferrometer.

Called in this process without a network, in rounds that take turns, so that whatever else the machine does
falls on all of them alike. The bare application is subtracted within its round; medians are what is shown.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import ferrometer

_ROUNDS = 151
_CALLS = 500

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Overhead:
    """Nanoseconds per request; the middlewares' own share, without the application."""

    application: float
    empty: float
    measured: float
    sampled: float


def measure(rounds: int = _ROUNDS, calls: int = _CALLS) -> Overhead:
    """Takes the medians; a fraction of a second of one core."""
    every = ferrometer.HttpMetrics(ferrometer.CollectorRegistry())
    some = ferrometer.HttpMetrics(ferrometer.CollectorRegistry(), sample=0.01)
    apps: list[App] = [
        _application,
        _EmptyMiddleware(_application),
        ferrometer.MetricsMiddleware(_application, metrics=every),
        ferrometer.MetricsMiddleware(_application, metrics=some),
    ]
    taken: list[list[float]] = [[] for _ in apps]
    for _ in range(rounds):
        for app, times in zip(apps, taken, strict=True):
            times.append(_nanoseconds(app, calls))
    for metrics in (every, some):
        counted = metrics.snapshot()["total"]
        if counted != rounds * calls:
            raise RuntimeError(f"{rounds * calls} requests were measured, {counted} were counted")
    bare, *wrapped = taken
    own = [[with_it - without for with_it, without in zip(times, bare, strict=True)] for times in wrapped]
    return Overhead(statistics.median(bare), *map(statistics.median, own))


class _EmptyMiddleware:
    """The least a Python middleware can do, and what most do before they begin."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class _Route:
    """As much of a router's route as a middleware reads."""

    path = path_format = "/v1/models/{name}"


_SCOPE: Scope = {
    "type": "http",
    "method": "GET",
    "path": "/v1/models/llama-8b",
    "root_path": "",
    "headers": [(b"host", b"127.0.0.1"), (b"accept", b"*/*")],
    "route": _Route(),
}
_START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
_BODY: Message = {"type": "http.response.body", "body": b"{}"}


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    await send(_START)
    await send(_BODY)


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Message) -> None:
    pass


def _nanoseconds(app: App, calls: int) -> float:
    """Time per call. Nothing in here waits, so one step runs them all and no event loop is in the figure."""

    async def run() -> None:
        for _ in range(calls):
            await app(dict(_SCOPE), _receive, _send)

    coroutine = run()
    started = time.perf_counter_ns()
    try:
        coroutine.send(None)
    except StopIteration:
        return (time.perf_counter_ns() - started) / calls
    raise AssertionError("the measured application waited for something")
