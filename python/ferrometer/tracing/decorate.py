"""A span around each call of a function: plain, coroutine, generator, asynchronous generator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from ferrometer._core import Span
from ferrometer.tracing.propagation import within


def decorated(span: Span, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with such a span around each call.

    The span of a generator lasts from its first step to its end; between two steps it is not the present
    one, for that is the caller's time.
    """
    again = span.again
    if inspect.iscoroutinefunction(function):

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with again():
                return await function(*args, **kwargs)

        return functools.wraps(function)(call_async)
    if inspect.isasyncgenfunction(function):

        async def call_async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            # Delegated by hand: there is no ``yield from`` for these.
            inner = _asynchronously(again(), function(*args, **kwargs))
            try:
                value = await anext(inner)
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # it is thrown into what is decorated
                        value = await inner.athrow(error)
                    else:
                        value = await inner.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await inner.aclose()

        return functools.wraps(function)(call_async_generator)
    if inspect.isgeneratorfunction(function):

        def call_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _steps(again(), function(*args, **kwargs)))

        return functools.wraps(function)(call_generator)

    def call(*args: Any, **kwargs: Any) -> Any:
        with again():
            return function(*args, **kwargs)

    return functools.wraps(function)(call)


def _steps(span: Span, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    span.start()
    step: Callable[[Any], Any] = inner.send
    argument: Any = None
    try:
        while True:
            try:
                with within(span):
                    value = step(argument)
            except StopIteration as end:
                return end.value
            try:
                step, argument = inner.send, (yield value)
            except GeneratorExit:
                with within(span):
                    inner.close()
                raise
            except BaseException as error:  # it is thrown into what is decorated
                step, argument = inner.throw, error
    except BaseException as error:
        span.record_failure(error)
        raise
    finally:
        span.end()


async def _asynchronously(span: Span, inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    span.start()
    step: Callable[[Any], Any] = inner.asend
    argument: Any = None
    try:
        while True:
            try:
                with within(span):
                    value = await step(argument)
            except StopAsyncIteration:
                return
            try:
                step, argument = inner.asend, (yield value)
            except GeneratorExit:
                with within(span):
                    await inner.aclose()
                raise
            except BaseException as error:  # it is thrown into what is decorated
                step, argument = inner.athrow, error
    except BaseException as error:
        span.record_failure(error)
        raise
    finally:
        span.end()
