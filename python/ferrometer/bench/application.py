"""What measuring costs an application of the user's own: the same requests with and without a middleware."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferrometer.bench import wrapped
from ferrometer.bench.requests import HEADERS, receive, scope_of
from ferrometer.bench.rounds import Subject, interleave
from ferrometer.http.middleware import MetricsMiddleware

CONTROL = "empty pass-through, twice"


class Cost(NamedTuple):
    """What a middleware adds to a request, in seconds: the median over rounds, and the quartiles."""

    name: str
    median: float
    low: float
    high: float


class Report(NamedTuple):
    """What came out."""

    status: int
    #: Seconds of a request without any middleware of metrics.
    bare: float
    costs: list[Cost]
    #: Whether two empty middlewares cost more than one did; otherwise the figures are noise.
    is_clear: bool


def bare(app: ASGIApp) -> ASGIApp:
    """The application without Ferrometer's middleware, whichever way it was put around it."""
    while isinstance(app, MetricsMiddleware):
        app = app.app
    if isinstance(app, Starlette) and hasattr(app.state, "ferrometer"):
        # instrument() puts it around the stack as it is built; the class builds one without.
        stack: ASGIApp = type(app).build_middleware_stack(app)

        async def uninstrumented(scope: Scope, receive: Receive, send: Send) -> None:
            scope["app"] = app
            await stack(scope, receive, send)

        return uninstrumented
    return app


async def measure(
    app: ASGIApp,
    path: str = "/",
    *,
    method: str = "GET",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    rounds: int = 60,
) -> Report:
    """Measures it, between its start and its end. Raises RuntimeError when it answers with a server error."""
    loop = asyncio.get_running_loop()
    async with started(app):
        inner = bare(app)
        new_scope = partial(scope_of, path, method, HEADERS + headers)
        status = await _status(inner, new_scope())
        if status >= 500:
            raise RuntimeError(f"{method} {path} answers {status}: measure a request that succeeds")
        made = await loop.run_in_executor(None, partial(_rounds, inner, new_scope, rounds, loop))
    costs = []
    for name, samples in made.items():
        if name in (wrapped.BARE, CONTROL):
            continue
        costs.append(Cost(name, *_quartiles(_less(samples, made[wrapped.BARE]))))
    medians = {name: statistics.median(_less(samples, made[wrapped.BARE])) for name, samples in made.items()}
    return Report(
        status,
        statistics.median(made[wrapped.BARE]),
        costs,
        medians[CONTROL] > medians[wrapped.PASS_THROUGH] > 0,
    )


def _rounds(
    app: ASGIApp, new_scope: Callable[[], Scope], rounds: int, loop: asyncio.AbstractEventLoop
) -> dict[str, list[float]]:
    makers = dict(wrapped.MAKERS)
    makers[CONTROL] = lambda app: wrapped.pass_through(wrapped.pass_through(app).app)

    def subjects() -> list[Subject]:
        made = {name: maker(app) for name, maker in makers.items()}
        return [_subject(name, it, new_scope, loop) for name, it in made.items() if it is not None]

    samples = interleave(subjects, rounds=rounds, seconds=0.02, title="requests", builds=4)
    return {name: [value for value in values if value is not None] for name, values in samples.items()}


def _subject(
    name: str, it: wrapped.Wrapped, new_scope: Callable[[], Scope], loop: asyncio.AbstractEventLoop
) -> Subject:
    async def batch(requests: int) -> float:
        began = perf_counter()
        for _ in range(requests):
            await it.app(new_scope(), receive, _ignore)
        return perf_counter() - began

    own = wrapped.own_code(batch)

    def sample(requests: int) -> float:
        # On the application's own loop, where its pools and locks belong; this thread waits.
        took: float = asyncio.run_coroutine_threadsafe(own(requests), loop).result()
        return took

    def check(done: int) -> None:
        # Some peers count no path that matches no route, and say so.
        if name.startswith("ferrometer") and it.seen is not None and (seen := it.seen()) != done:
            raise RuntimeError(f"{name} counted {seen} of {done} requests")

    return Subject(name, sample, check)


async def _ignore(message: Message) -> None:
    """Takes every message."""


async def _status(app: ASGIApp, scope: Scope) -> int:
    status = 0

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await app(scope, receive, send)
    return status


def _less(samples: list[float], baseline: list[float]) -> list[float]:
    return [value - base for value, base in zip(samples, baseline, strict=True)]


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    low, median, high = statistics.quantiles(values, n=4)
    return median, low, high


@asynccontextmanager
async def started(app: ASGIApp) -> AsyncIterator[None]:
    """The application between its start and its end, as a server runs it by the lifespan protocol.

    Raises RuntimeError when it does not start. One that knows no lifespan is run without.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.3"}, "state": {}}
    task = asyncio.ensure_future(_quietly(app(scope, inbox.get, outbox.put)))
    await inbox.put({"type": "lifespan.startup"})
    answer = asyncio.ensure_future(outbox.get())
    await asyncio.wait({task, answer}, return_when=asyncio.FIRST_COMPLETED)
    knows = answer.done()
    if knows and answer.result()["type"] == "lifespan.startup.failed":
        raise RuntimeError(f"the application does not start: {answer.result().get('message', '')}")
    try:
        yield
    finally:
        if knows:
            await inbox.put({"type": "lifespan.shutdown"})
            await task
        answer.cancel()


async def _quietly(run: object) -> None:
    """Whatever an application raises that knows no lifespan: a server goes on without it, too."""
    try:
        await run  # type: ignore[misc]
    except Exception:
        return
