"""What a collector is: a name, a rhythm, and ``collect()``.

A collector reads something that nobody increments by hand (a GPU, a database, this process) and
writes what it read into metrics that it owns. When it runs, how often, and what happens when it
fails is the scheduler's business.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, Literal, Protocol, TypeAlias, cast

from ferrometer._core import shared_directory, shared_values
from ferrometer.metrics.types import Counter, Enum, Gauge, Info, MetricWrapperBase

Scope: TypeAlias = Literal["process", "machine"]
Stale: TypeAlias = Literal["drop", "keep", "nan"]

#: Whether a run is that of a collector that one worker runs for all.
machine_wide: ContextVar[bool] = ContextVar("ferrometer_machine_wide", default=False)

_SCOPES = ("process", "machine")
_STALES = ("drop", "keep", "nan")


class Collector(Protocol):
    """Something that is read in the background. Inherit from it, or have the same attributes.

    ``collect()`` updates metrics made at construction. A plain function runs in a thread of its own
    per run, where it may block; a coroutine function runs on the scheduler's event loop, where it
    must not. There is one run at a time. It reports a failure by raising: ``CollectError`` with a
    reason and words that may be logged, or anything else, of which only the type is logged.
    """

    name: str
    """Label value ``collector`` of the self-metrics; unique within a scheduler."""

    interval: float = 10.0
    """Seconds from start to start, ± 5 % of jitter."""

    timeout: float = 5.0
    """Seconds a run may take."""

    scope: Scope = "process"
    """``"machine"``: exactly one worker of the application runs it."""

    lease: str | None = None
    """Of scope ``"machine"``: what the worker that runs it holds; by default its name."""

    stale: Stale = "drop"
    """What becomes of its gauges after a failure: no value, the last value, or NaN. Counters stay."""

    def collect(self) -> Awaitable[None] | None:
        """Read, and update the metrics."""

    def is_brief(self) -> bool:
        """Whether a plain ``collect()`` takes well under a millisecond now, and waits for nothing.

        It then runs on the scheduler's own thread, where it has one, and wakes no other.
        """
        return False

    def idle_interval(self) -> float:
        """Seconds from start to start at least, where there is nothing to read now."""
        return 0.0

    def clear(self) -> None:
        """Drop the values: by default, of every gauge, info and enum among the attributes."""
        drop(metrics_of(self))

    def open(self) -> None:
        """Called by ``start()`` in the caller's thread, where the application's event loop may run."""
        return None  # noqa: RET501  # a body: without one, mypy takes a protocol's method for abstract

    def close(self) -> Awaitable[None] | None:
        """Give back what ``open`` and ``collect`` took: connections, callbacks. More runs may follow."""
        return None


class FunctionCollector(Collector):
    """A function as a collector: ``FunctionCollector("queue", read_queue, interval=30)``.

    ``metrics``: those it updates, for ``stale``; without them, values stay as they are. ``brief``: it takes
    well under a millisecond and waits for nothing, so it needs no thread of its own.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[], object],
        *,
        interval: float = Collector.interval,
        timeout: float = Collector.timeout,
        scope: Scope = "process",
        stale: Stale = "drop",
        metrics: Iterable[MetricWrapperBase] = (),
        brief: bool = False,
    ) -> None:
        self.name = name
        self.interval = interval
        self.timeout = timeout
        self.scope: Scope = scope
        self.stale: Stale = stale
        self.metrics: tuple[MetricWrapperBase, ...] = tuple(metrics)
        self._brief = brief
        # In place of the method, not within it: the scheduler looks whether it is async.
        self.collect = function  # type: ignore[assignment,method-assign]

    def collect(self) -> Awaitable[None] | None:
        """Call the function."""
        raise NotImplementedError  # every object has its function here

    def is_brief(self) -> bool:
        """As it was said."""
        return self._brief


class CollectError(Exception):
    """A run failed, and why is known.

    ``reason`` is a label value of ``ferrometer_collector_errors_total``: a word from a small set, such
    as ``"refused"``. The message is logged, so it must hold no secret.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnavailableError(CollectError):
    """What is to be read does not exist here (no driver, no such kernel file): no error, only no values.

    It is said once at level INFO, and asked again from time to time.
    """

    def __init__(self, message: str, *, reason: str = "unavailable") -> None:
        super().__init__(message, reason=reason)


def metrics_of(collector: object) -> list[MetricWrapperBase]:
    """The metrics among the attributes of an object, and in its tuples and lists."""
    found: list[MetricWrapperBase] = []
    for value in getattr(collector, "__dict__", {}).values():
        items = value if isinstance(value, tuple | list) else (value,)
        found.extend(item for item in items if isinstance(item, MetricWrapperBase))
    return found


def drop(metrics: Iterable[MetricWrapperBase]) -> None:
    """Take away the current values. A family without labels cannot lose its series: it becomes NaN."""
    for metric in metrics:
        if not isinstance(metric, Gauge | Info | Enum):
            continue  # a counter that stands still says nothing wrong, and one that vanishes loses history
        if metric._labelnames:
            metric.clear()
        elif isinstance(metric, Gauge):
            metric.set(math.nan)


def to_nan(metrics: Iterable[MetricWrapperBase]) -> None:
    """Set every series of the gauges to NaN."""
    for metric in metrics:
        if isinstance(metric, Gauge):
            for series in metric._metrics.values() if metric._labelnames else (metric,):
                series.set(math.nan)


def set_total(counter: Counter, total: float) -> None:
    """Bring a counter to a total that is counted elsewhere (by the kernel, by a server).

    A total below what the counter shows means that the counting began anew: the counter follows, as
    Prometheus expects of a restart. ``counter`` is one series: ``family.labels(...)`` where it has labels.
    In the run of a collector that one of several workers runs, it is the counter of all of them.
    """
    if machine_wide.get() and shared_directory() is not None:
        _follow(counter, total)
        return
    shown = counter._get()
    if total > shown:
        counter.inc(total - shown)
    elif total < shown - 1e-9 * abs(shown):  # not for the last bit of a float
        counter.reset()
        counter.inc(max(total, 0.0))


def _follow(counter: Counter, total: float) -> None:
    """The same for a counter to which other workers, perhaps dead ones, have added: it cannot go back."""
    shown = shared_values([counter])[0]
    known: dict[tuple[str, ...], tuple[float, float]] = counter._meta.setdefault("totals", {})
    labels = counter._labelvalues
    before, last = known.get(labels, (0.0, total))
    if total < last:
        before = shown  # counted anew: on top of what there was
    elif labels not in known and total < shown:
        before = shown - total  # since an earlier worker saw it begin anew
    known[labels] = before, total
    if before + total > shown:
        counter.inc(before + total - shown)


def restart_counters(metrics: Iterable[MetricWrapperBase]) -> None:
    """Set every series of the counters to zero; handles to them stay good."""
    for metric in metrics:
        if isinstance(metric, Counter):
            for series in metric._metrics.values() if metric._labelnames else (metric,):
                series.reset()


def mark_stale(collector: Collector) -> None:
    """Do with the values of a failed collector what it declares."""
    stale = attribute(collector, "stale")
    if stale == "nan":
        to_nan(metrics_of(collector))
    elif stale == "drop":
        clear(collector)


def clear(collector: Collector) -> None:
    """Drop the values, also of a collector that has no ``clear`` of its own."""
    own = getattr(collector, "clear", None)
    if callable(own):
        own()
    else:
        drop(metrics_of(collector))


def attribute(collector: Collector, name: str) -> Any:
    """An attribute of the protocol, its default where the object has none."""
    return getattr(collector, name, getattr(Collector, name, None))


def check(collector: object) -> Collector:
    """The object as a collector; TypeError or ValueError says what it lacks."""
    kind = type(collector).__name__
    if isinstance(collector, type):
        raise TypeError(
            f"a collector is an object, not the class {collector.__name__}: write {collector.__name__}()"
        )
    if not callable(getattr(collector, "collect", None)):
        raise TypeError(f"{kind} is no collector: it has no collect()")
    name = getattr(collector, "name", None)
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"{kind}.name must be a printable string, the collector's label value, not {name!r}")
    typed = cast("Collector", collector)
    for what in ("interval", "timeout"):
        seconds = attribute(typed, what)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"{kind}.{what} must be a number of seconds, not {seconds!r}")
        if not math.isfinite(seconds) or seconds <= 0:
            raise ValueError(f"{kind}.{what} must be a finite number of seconds above 0, not {seconds!r}")
    for what, allowed in (("scope", _SCOPES), ("stale", _STALES)):
        if attribute(typed, what) not in allowed:
            raise ValueError(
                f"{kind}.{what} must be one of {', '.join(allowed)}, not {attribute(typed, what)!r}"
            )
    return typed


__all__ = [
    "CollectError",
    "Collector",
    "FunctionCollector",
    "Scope",
    "Stale",
    "UnavailableError",
    "drop",
    "metrics_of",
    "set_total",
    "to_nan",
]
