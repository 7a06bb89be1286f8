"""The request as an awaitable: driven by hand, closed, thrown into, dropped, misused."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Generator
from typing import Any

import pytest

from ferrometer import CollectorRegistry, MetricsMiddleware
from tests.middleware.asgi import (
    Client,
    Receive,
    Scope,
    Send,
    body,
    http_scope,
    request,
    series,
    start,
    value,
)


def statuses(registry: CollectorRegistry) -> dict[str, float]:
    return {key[2]: count for key, count in series(registry, "http_requests_total").items()}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(b"hello"))


def test_an_awaitable_that_is_no_coroutine(registry: CollectorRegistry) -> None:
    class Answer:
        def __init__(self, send: Send) -> None:
            self.send = send

        def __await__(self) -> Generator[Any, None, None]:
            yield from self.send(start()).__await__()
            yield from asyncio.sleep(0).__await__()
            yield from self.send(body()).__await__()

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return Answer(send)

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"200": 1}


@pytest.mark.parametrize("result", [None, 5, {}])
def test_an_application_that_is_no_asgi_application(registry: CollectorRegistry, result: object) -> None:
    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        return result

    with pytest.raises(TypeError, match="can't be used in 'await' expression"):
        asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"500": 1}


def test_the_result_is_handed_on(registry: CollectorRegistry) -> None:
    results = ["text", (1, 2), ValueError("a value"), None]

    async def main() -> None:
        for expected in results:

            async def app(scope: Scope, receive: Receive, send: Send) -> Any:
                await asyncio.sleep(0)
                return expected  # noqa: B023  # awaited before the next

            middleware: Any = MetricsMiddleware(app, registry=registry)
            assert await middleware(http_scope(), Client().receive, Client().send) is expected

    asyncio.run(main())


def test_by_hand(registry: CollectorRegistry) -> None:
    """The methods that event loops, wrappers and debuggers use."""

    class Yield:
        def __await__(self) -> Generator[Any, Any, Any]:
            return (yield "a future")

    async def app(scope: Scope, receive: Receive, send: Send) -> Any:
        try:
            first = await Yield()
        except LookupError as error:
            first = repr(error)
        return first, await Yield()

    def fresh() -> Any:
        return MetricsMiddleware(app, registry=registry)(http_scope(), Client().receive, Client().send)

    one = fresh()
    with pytest.raises(TypeError, match="can't send non-None value"):
        one.send(5)
    assert one.send(None) == "a future"
    assert one.send("sent") == "a future"
    with pytest.raises(StopIteration) as end:
        one.send("again")
    assert end.value.value == ("sent", "again")
    with pytest.raises(RuntimeError, match="cannot reuse"):
        one.send(None)

    two = fresh()
    assert next(two) == "a future"
    assert two.throw(LookupError("thrown")) == "a future"
    two.close()
    two.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        two.throw(ValueError())

    three = fresh()
    iterator = three.__await__()
    assert next(iterator) == "a future"
    with pytest.raises(ZeroDivisionError):
        three.throw(ZeroDivisionError)

    assert statuses(registry) == {"500": 2, "499": 1}


def test_what_never_began_is_never_counted(registry: CollectorRegistry) -> None:
    middleware: Any = MetricsMiddleware(answer, registry=registry)
    for _ in range(3):
        middleware(http_scope(), Client().receive, Client().send)
    thrown = middleware(http_scope(), Client().receive, Client().send)
    with pytest.raises(ValueError, match="early"):
        thrown.throw(ValueError("early"))
    middleware(http_scope(), Client().receive, Client().send).close()
    assert statuses(registry) == {}
    assert value(registry, "http_requests_in_flight") == 0


def test_what_is_dropped_half_way_counts_as_cancelled(registry: CollectorRegistry) -> None:
    closed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            closed.append("yes")

    middleware: Any = MetricsMiddleware(app, registry=registry)

    async def main() -> None:
        pending = middleware(http_scope(), Client().receive, Client().send)
        pending.send(None)
        assert value(registry, "http_requests_in_flight") == 1
        del pending
        gc.collect()

    asyncio.run(main())
    assert closed == ["yes"]
    assert value(registry, "http_requests_in_flight") == 0
    assert statuses(registry) == {"499": 1}


def test_awaiting_oneself_is_an_error_and_no_crash(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Any) -> None:
        for misuse in (
            lambda: send.send(None),
            lambda: next(send),
            lambda: send.throw(ValueError()),
            send.close,
        ):
            with pytest.raises(ValueError, match="already executing"):
                misuse()
        await send(start())
        await send(body())

    asyncio.run(request(MetricsMiddleware(app, registry=registry)))
    assert statuses(registry) == {"200": 1}
