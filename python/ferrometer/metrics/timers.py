"""What ``time()``, ``track_inprogress()`` and ``count_exceptions()`` return.

Each is a context manager, and a decorator for plain functions, coroutine functions, generators and
async generators: what is measured is always the work, never the making of a coroutine object.
"""

from __future__ import annotations

from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from ferrometer._core import Counter, Gauge, Metric

    F = TypeVar("F", bound=Callable[..., Any])


def _decorate(function: F, managed: Callable[[], AbstractContextManager[Any]]) -> F:
    """``function`` with every run of its body inside a fresh context manager."""
    import contextlib
    import functools
    import inspect

    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(_decorate(function.__func__, managed))
    # What runs is `__call__` for an object, but for a class it is the making of an instance.
    is_object = not (inspect.isroutine(function) or inspect.isclass(function))
    call = getattr(function, "__call__", function) if is_object else function  # noqa: B004

    def is_a(predicate: Callable[[object], bool]) -> bool:
        return predicate(function) or predicate(call)

    wrapped: Callable[..., Any]
    if is_a(inspect.iscoroutinefunction):

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            with managed():
                return await function(*args, **kwargs)

    elif is_a(inspect.isasyncgenfunction):

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            with managed():
                inner = function(*args, **kwargs)
                try:
                    item = await anext(inner)
                    while True:
                        # What "yield from" would do, if async generators had it.
                        try:
                            sent = yield item
                        except GeneratorExit:
                            await inner.aclose()
                            raise
                        except BaseException as error:
                            item = await inner.athrow(error)
                        else:
                            item = await inner.asend(sent)
                except StopAsyncIteration:
                    return

    elif is_a(inspect.isgeneratorfunction):

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with managed():
                return (yield from function(*args, **kwargs))

    else:

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with managed():
                return function(*args, **kwargs)

    shown: Any = functools.wraps(function)(wrapped)
    with contextlib.suppress(TypeError, ValueError):  # some callables have no signature to show
        # For those who look at it without going to what was wrapped, as `getfullargspec` does.
        shown.__signature__ = inspect.signature(function)
    return shown  # type: ignore[no-any-return]  # same signature by construction


class Timer:
    """Times a block in seconds; ``duration`` is what was recorded, None for one that was not sampled."""

    __slots__ = ("_metric", "_start", "duration")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._start: float | None = None
        self.duration: float | None = None

    def __enter__(self) -> Self:
        # Decided before the clock is read: an event that is not sampled costs no clock.
        self._start = perf_counter() if self._metric._take() else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._start is None:
            self._metric._hold()
            return
        self.duration = max(perf_counter() - self._start, 0.0)
        self._metric._record(self.duration)

    def labels(self, *labelvalues: object, **labelkwargs: object) -> None:
        """Chooses the child while the block runs."""
        self._metric = self._metric.labels(*labelvalues, **labelkwargs)

    def __call__(self, function: F) -> F:
        """Decorates a function of any kind."""
        metric = self._metric
        return _decorate(function, lambda: Timer(metric))


class InprogressTracker:
    """Adds one to a gauge while a block runs."""

    __slots__ = ("_gauge",)

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge

    def __enter__(self) -> None:
        self._gauge.inc()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gauge.dec()

    def __call__(self, function: F) -> F:
        """Decorates a function of any kind."""
        return _decorate(function, lambda: self)


class ExceptionCounter:
    """Counts exceptions of some types that leave a block, and lets them pass."""

    __slots__ = ("_counter", "_exception")

    def __init__(
        self, counter: Counter, exception: type[BaseException] | tuple[type[BaseException], ...]
    ) -> None:
        self._counter = counter
        self._exception = exception

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, self._exception):
            self._counter.inc()

    def __call__(self, function: F) -> F:
        """Decorates a function of any kind."""
        return _decorate(function, lambda: self)
