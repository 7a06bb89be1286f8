"""The response's end is the request's end; what the application does afterwards has a family of its own."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from ferrometer import CollectorRegistry, MetricsMiddleware
from tests.middleware.asgi import Receive, Scope, Send, body, request, series, start, value

LABELS = {"method": "GET", "endpoint": "/x"}
DURATION = "http_request_duration_seconds"
BACKGROUND = "http_background_duration_seconds"


def measured(app: Any, registry: CollectorRegistry, **options: Any) -> Any:
    return MetricsMiddleware(app, registry=registry, route=lambda scope: "/x", **options)


async def answer(send: Send) -> None:
    await send(start())
    await send(body(b"hello"))


async def from_a_task(send: Send) -> None:
    await asyncio.create_task(answer(send))


async def streamed(send: Send) -> None:
    await send(start())
    await send(body(b"hel", more=True))
    await send(body(b"lo", more=True))
    await send(body())


RESPONSES = [answer, from_a_task, streamed]


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("options", [{}, {"request_id": True}, {"exemplars": True}], ids=str)
def test_a_request_is_counted_while_its_background_task_runs(
    registry: CollectorRegistry, response: Any, options: dict[str, Any]
) -> None:
    async def main() -> None:
        done = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await response(send)
            await done.wait()

        running = asyncio.create_task(request(measured(app, registry, **options)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert value(registry, "http_requests_in_flight") == 0
        assert value(registry, "http_requests_total", status="200", **LABELS) == 1
        assert value(registry, f"{DURATION}_count", **LABELS) == 1
        assert value(registry, "http_response_body_bytes_total", **LABELS) == 5
        assert value(registry, f"{BACKGROUND}_count", **LABELS) == 0
        begun = time.perf_counter()
        await asyncio.sleep(0.05)
        waited = time.perf_counter() - begun
        done.set()
        await running
        assert value(registry, "http_requests_total", status="200", **LABELS) == 1
        assert value(registry, f"{DURATION}_count", **LABELS) == 1
        assert value(registry, f"{BACKGROUND}_count", **LABELS) == 1
        assert value(registry, f"{BACKGROUND}_sum", **LABELS) >= waited * 0.99
        assert value(registry, "http_requests_in_flight") == 0

    asyncio.run(main())


def test_work_that_never_waits_is_no_part_of_the_duration(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)
        end = time.perf_counter() + 0.2
        while time.perf_counter() < end:
            pass

    begun = time.perf_counter()
    asyncio.run(request(measured(app, registry)))
    whole = time.perf_counter() - begun
    assert value(registry, f"{DURATION}_sum", **LABELS) <= whole - 0.2


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("waits", [False, True])
def test_a_complete_response_keeps_its_status(
    registry: CollectorRegistry, response: Any, waits: bool
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await response(send)
        if waits:
            await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(request(measured(app, registry)))
    assert series(registry, "http_requests_total") == {("/x", "GET", "200"): 1}
    assert series(registry, "http_exceptions_total") == {("/x", "LookupError", "GET"): 1}


@pytest.mark.parametrize("messages", [[], [start()], [start(), body(b"x", more=True)]], ids=len)
def test_an_incomplete_response_that_raises_is_500(registry: CollectorRegistry, messages: list[Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(request(measured(app, registry)))
    assert series(registry, "http_requests_total") == {("/x", "GET", "500"): 1}


@pytest.mark.parametrize("end", ["cancel", "close", "collect"])
def test_a_background_task_that_is_given_up(registry: CollectorRegistry, end: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)
        await asyncio.sleep(3600)

    async def main() -> None:
        running = asyncio.create_task(request(measured(app, registry)))
        await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    if end == "cancel":
        asyncio.run(main())
    else:

        class Forever:
            def __await__(self) -> Any:
                yield

        async def waits(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(send)
            await Forever()

        coroutine = request(measured(waits, registry))
        coroutine.send(None)
        if end == "close":
            coroutine.close()
        del coroutine
    assert series(registry, "http_requests_total") == {("/x", "GET", "200"): 1}
    assert series(registry, "http_requests_cancelled_total") == {}
    assert value(registry, f"{BACKGROUND}_count", **LABELS) == 1
    assert value(registry, "http_requests_in_flight") == 0


def test_background_tasks_of_untimed_requests_are_counted_too(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)
        await asyncio.sleep(0)

    sampled = measured(app, registry, sample=0.05)

    async def main() -> None:
        for _ in range(400):
            await request(sampled)

    asyncio.run(main())
    assert value(registry, f"{BACKGROUND}_count", **LABELS) == 400
    assert value(registry, f"{DURATION}_count", **LABELS) == 400


def test_without_background_tasks_there_is_no_family(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)

    asyncio.run(request(measured(app, registry)))
    assert series(registry, f"{BACKGROUND}_count") == {}
