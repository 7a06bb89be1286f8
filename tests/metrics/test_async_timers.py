"""time(), track_inprogress() and count_exceptions() on coroutine functions and async generators."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ferrometer import Histogram
from tests.metrics.clock import Clock, Watched, recorded

pytestmark = pytest.mark.anyio


async def test_a_coroutine_function(clock: Clock, watched: Watched) -> None:
    @watched
    async def work(pause: float, fail: bool = False) -> str:
        """Works."""
        assert watched.busy._value.get() == 1
        await anyio.lowlevel.checkpoint()
        clock.pass_(pause)
        if fail:
            raise LookupError
        return "done"

    assert inspect.iscoroutinefunction(work)
    assert (work.__name__, work.__doc__) == ("work", "Works.")
    unstarted = work(2)
    clock.pass_(1000)  # the making of a coroutine is not its work
    assert watched.now() == (0, 0, 0)
    assert await unstarted == "done"
    with pytest.raises(LookupError):
        await work(pause=3, fail=True)
    assert recorded(watched.seconds) == (2, 5)
    assert watched.now() == (2, 0, 1)


async def test_methods_partials_and_objects(clock: Clock, watched: Watched) -> None:
    class Service:
        @watched
        async def bound(self, pause: float) -> Service:
            await anyio.lowlevel.checkpoint()
            clock.pass_(pause)
            return self

        @watched
        @staticmethod
        async def static(pause: float) -> None:
            await anyio.lowlevel.checkpoint()
            clock.pass_(pause)

        @classmethod
        @watched
        async def of_class(cls, pause: float) -> type[Service]:
            await anyio.lowlevel.checkpoint()
            clock.pass_(pause)
            return cls

        async def __call__(self, pause: float) -> None:
            await anyio.lowlevel.checkpoint()
            clock.pass_(pause)

    service = Service()
    assert await service.bound(1) is service
    await Service.static(1)
    await service.static(1)
    assert await Service.of_class(1) is Service
    await watched(service)(1)
    await watched(functools.partial(service.__call__, 1))()
    assert isinstance(watched(Service)(), Service)  # a class is called to make an instance
    assert recorded(watched.seconds) == (7, 6)
    assert watched.now() == (7, 0, 0)


async def test_many_at_once(clock: Clock, watched: Watched) -> None:
    most = 0.0

    @watched
    async def work() -> None:
        nonlocal most
        await anyio.lowlevel.checkpoint()
        most = max(most, watched.busy._value.get())
        clock.pass_(1)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(work)
    assert most == 10
    assert watched.now() == (10, 0, 0)
    # All began at once, and each saw the others' seconds pass.
    assert recorded(watched.seconds) == (10, sum(range(1, 11)))


async def test_cancellation_is_timed_and_is_no_failure(watched: Watched) -> None:
    @watched
    async def forever() -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(0.01):
        await forever()
    assert watched.now() == (1, 0, 0)


async def test_sampled_coroutines_read_no_clock(clock: Clock) -> None:
    histogram = Histogram("h", "h", registry=None, sample=0.1)

    @histogram.time()
    async def work() -> None:
        clock.pass_(1)

    for _ in range(500):
        await work()
    # Each is sampled with the chance 0.1, independently: within seven standard deviations of 50.
    assert clock.reads % 2 == 0
    assert abs(clock.reads / 2 - 50) < 7 * (500 * 0.1 * 0.9) ** 0.5
    assert recorded(histogram) == (500, 500)


async def test_an_async_generator(clock: Clock, watched: Watched) -> None:
    @watched
    async def double(first: int) -> AsyncGenerator[int, int | None]:
        got = yield first
        while got:
            await anyio.lowlevel.checkpoint()
            clock.pass_(1)
            got = yield got * 2

    assert inspect.isasyncgenfunction(double)
    running = double(1)
    assert watched.now() == (0, 0, 0)
    assert await anext(running) == 1
    assert watched.now() == (0, 1, 0)
    assert await running.asend(5) == 10
    assert await running.asend(7) == 14
    with pytest.raises(StopAsyncIteration):
        await running.asend(None)
    with pytest.raises(StopAsyncIteration):
        await anext(running)
    assert recorded(watched.seconds) == (1, 2)
    assert [item async for item in double(0)] == [0]
    assert watched.now() == (2, 0, 0)


async def test_an_async_generator_thrown_into(watched: Watched) -> None:
    caught: list[BaseException] = []

    @watched
    async def stubborn() -> AsyncGenerator[str, None]:
        try:
            yield "one"
        except KeyError as error:
            caught.append(error)
            yield "two"
        yield "three"

    running = stubborn()
    await anext(running)
    error = KeyError()
    assert await running.athrow(error) == "two"
    assert caught == [error]
    assert await anext(running) == "three"
    with pytest.raises(OSError, match="out"):
        await running.athrow(OSError("out"))
    assert watched.now() == (1, 0, 1)

    swallowing = stubborn()
    await anext(swallowing)
    await swallowing.athrow(KeyError())
    await anext(swallowing)
    with pytest.raises(StopAsyncIteration):
        await anext(swallowing)
    assert watched.now() == (2, 0, 1)


async def test_an_async_generator_that_is_closed(clock: Clock, watched: Watched) -> None:
    steps: list[str] = []

    @watched
    async def lender() -> AsyncGenerator[str, None]:
        try:
            yield "one"
            yield "two"
        finally:
            await anyio.lowlevel.checkpoint()
            clock.pass_(1)
            steps.append("closed")

    running = lender()
    await anext(running)
    await running.aclose()
    assert steps == ["closed"]
    assert recorded(watched.seconds) == (1, 1)
    unstarted = lender()
    await unstarted.aclose()
    assert watched.now() == (1, 0, 0)
    async with aclosing(lender()) as lent:
        async for _ in lent:
            break
    assert steps == ["closed", "closed"]
    assert watched.now() == (2, 0, 0)


async def test_an_async_generator_that_raises(watched: Watched) -> None:
    @watched
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise LookupError("within")

    with pytest.raises(LookupError, match="within"):
        async for _ in broken():
            pass
    assert watched.now() == (1, 0, 1)


async def test_an_async_generator_that_does_not_stop(watched: Watched) -> None:
    @watched
    async def immortal() -> AsyncGenerator[int, None]:
        while True:
            try:
                yield 1
            except GeneratorExit:
                yield 2

    running = immortal()
    await anext(running)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        await running.aclose()
    assert watched.busy._value.get() == 0


async def test_under_asynccontextmanager(clock: Clock, watched: Watched) -> None:
    @asynccontextmanager
    @watched
    async def lent(thing: str) -> AsyncIterator[str]:
        yield thing

    async with lent("x") as thing:
        clock.pass_(1)
        assert (thing, watched.busy._value.get()) == ("x", 1)
    with pytest.raises(LookupError):
        async with lent("x"):
            raise LookupError
    assert watched.now() == (2, 0, 1)
    assert recorded(watched.seconds) == (2, 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_abandoned_async_generator(watched: Watched) -> None:
    """The loop's hooks close it: nothing stays in progress."""

    @watched
    async def endless() -> AsyncGenerator[int, None]:
        while True:
            yield 1

    running = endless()
    await anext(running)
    del running
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
    assert watched.now() == (1, 0, 0)


async def test_an_awaitable_class_is_not_awaited_for_you(watched: Watched) -> None:
    """A plain function that returns an awaitable is timed as what it is: the making."""

    class Later:
        def __await__(self) -> Generator[Any, None, int]:
            yield from anyio.lowlevel.checkpoint().__await__()
            return 5

    @watched
    def later() -> Awaitable[int]:
        return Later()

    assert await later() == 5
    assert watched.now() == (1, 0, 0)
