"""Counter, Gauge, Histogram, Summary, Info, Enum: prometheus_client's names over native cells.

Signatures, validation and errors are prometheus_client's; ``inc``, ``dec``, ``set``, ``observe`` and
``labels`` are native methods without a Python frame. More than there:

- the same definition twice is the same object, so importing or reloading twice raises nothing;
- ``Histogram(sample=0.01)`` looks at one value in a hundred and still counts all;
- ``histogram.quantile(0.99)`` is within 0.28 % of the true one, whatever the buckets;
- ``Summary(quantiles=(0.5, 0.99))`` exposes quantiles;
- ``max_series`` bounds the memory of every family.
"""

from __future__ import annotations

import time as _time
from itertools import pairwise

from ferrometer import _core
from ferrometer.metrics import created_flag
from ferrometer.metrics.base import MAX_SERIES, PLAIN, MetricWrapperBase, Observed
from ferrometer.metrics.names import (
    bucket_bounds,
    full_name,
    is_plain_label,
    label_names,
    quantile_shares,
    state_names,
)
from ferrometer.metrics.peer_view import Value
from ferrometer.metrics.registry import REGISTRY
from ferrometer.metrics.timers import ExceptionCounter, InprogressTracker, Timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

__all__ = [
    "MAX_SERIES",
    "Counter",
    "Enum",
    "Gauge",
    "Histogram",
    "Info",
    "MetricWrapperBase",
    "Summary",
    "disable_created_metrics",
    "enable_created_metrics",
]

_INF = float("inf")


class Counter(MetricWrapperBase, _core.Counter):
    """A count of events, or a total that only grows.

    ``inc(amount=1, exemplar=None)`` raises ValueError for a negative or non-finite amount. Whole amounts
    are exact beyond 2**53.
    """

    __slots__ = ()
    _type = "counter"

    def reset(self) -> None:
        """Back to zero from now on, for a logical restart within one process."""
        self._reset()

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounter:
        """Counts exceptions that leave a block or a decorated function.

        Raises ValueError when label values are missing.
        """
        self._raise_if_not_observable()
        return ExceptionCounter(self, exception)

    @property
    def _value(self) -> Value:
        return self._observable(Value(self._get, self._put))


class Gauge(MetricWrapperBase, _core.Gauge):
    """A value that goes up and down: ``set(value)``, ``inc(amount=1)``, ``dec(amount=1)``.

    ``multiprocess_mode`` says what several workers' values mean together.
    """

    __slots__ = ()
    _type = "gauge"
    _MULTIPROC_MODES = frozenset(
        live + mode for live in ("", "live") for mode in ("all", "min", "max", "sum", "mostrecent")
    )

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: Any = REGISTRY,
        _labelvalues: Sequence[str] | None = None,
        multiprocess_mode: str = "all",
        *,
        max_series: int = MAX_SERIES,
    ) -> None:
        if multiprocess_mode not in self._MULTIPROC_MODES:
            modes = ", ".join(sorted(self._MULTIPROC_MODES))
            raise ValueError(f"Invalid multiprocess mode: {multiprocess_mode}; one of {modes}")
        given = (name, documentation, labelnames, namespace, subsystem, unit, registry, _labelvalues)
        self._define_or_join(
            *given, max_series, multiprocess_mode, own={"multiprocess_mode": multiprocess_mode}
        )

    def set_to_current_time(self) -> None:
        """Sets the value to the seconds since 1970."""
        self.set(_time.time())

    def set_function(self, f: Callable[[], float]) -> None:
        """Takes the value from ``f()`` at every scrape.

        While ``f`` raises, the family is left out of the scrape and counted in
        ``ferrometer_scrape_errors_total``. Raises ValueError when label values are missing.
        """
        self._set_function(f)

    def track_inprogress(self) -> InprogressTracker:
        """Adds one while a block or a decorated function runs.

        Raises ValueError when label values are missing.
        """
        self._raise_if_not_observable()
        return InprogressTracker(self)

    def time(self) -> Timer:
        """Sets the value to the seconds that a block or a decorated function took."""
        return Timer(self)

    def _record(self, value: float) -> None:
        self.set(value)

    @property
    def _multiprocess_mode(self) -> str:
        return self._meta["kwargs"]["multiprocess_mode"]  # type: ignore[no-any-return]

    @property
    def _value(self) -> Value:
        return self._observable(Value(self._get, self._put))


class Histogram(Observed, _core.Histogram):
    """Classic buckets, exact for every ``le``, and narrow bins that give quantiles, from one record.

    :param buckets: upper bounds in the metric's own unit, ascending; +Inf is added.
    :param sample: the share of observations that are looked at, in (0, 1]. All are counted: an
        observation that is not looked at counts as the latest one that was.
    """

    __slots__ = ()
    _type = "histogram"
    _reserved_labelnames = ("le",)
    DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, _INF)

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: Any = REGISTRY,
        _labelvalues: Sequence[str] | None = None,
        buckets: Sequence[float | str] = DEFAULT_BUCKETS,
        *,
        sample: float = 1.0,
        max_series: int = MAX_SERIES,
    ) -> None:
        bounds = bucket_bounds(buckets)
        own: dict[str, Any] = {"buckets": bounds}
        if sample != 1.0:
            # A subclass written for prometheus_client does not know the argument.
            own["sample"] = sample
        given = (name, documentation, labelnames, namespace, subsystem, unit, registry, _labelvalues)
        self._define_or_join(*given, max_series, bounds, sample, own=own)

    @property
    def _upper_bounds(self) -> list[float]:
        return list(self._meta["kwargs"]["buckets"])

    @property
    def _sum(self) -> Value:
        return self._observable(Value(lambda: self._statistics()[1]))

    @property
    def _buckets(self) -> list[Value]:
        self._observable(self._sum)
        totals = [0.0, *(value for suffix, _, value, *_ in self._rows(True) if suffix == "_bucket")]
        return [Value(lambda count=b - a: count) for a, b in pairwise(totals)]  # type: ignore[misc]


class Summary(Observed, _core.Summary):
    """Count and sum of observations, and the quantiles that are asked for.

    :param quantiles: shares to expose, e.g. ``(0.5, 0.95, 0.99)``; over all time, within 0.28 %.
    """

    __slots__ = ()
    _type = "summary"
    _reserved_labelnames = ("quantile",)

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: Any = REGISTRY,
        _labelvalues: Sequence[str] | None = None,
        *,
        quantiles: Sequence[float] = (),
        max_series: int = MAX_SERIES,
    ) -> None:
        shares = quantile_shares(quantiles)
        given = (name, documentation, labelnames, namespace, subsystem, unit, registry, _labelvalues)
        self._define_or_join(*given, max_series, shares, own={"quantiles": shares} if shares else None)

    @property
    def _count(self) -> Value:
        return self._observable(Value(lambda: float(self._statistics()[0])))

    @property
    def _sum(self) -> Value:
        return self._observable(Value(lambda: self._statistics()[1]))


class Info(MetricWrapperBase, _core.Info):
    """Constant labels with the value 1: versions, build facts."""

    __slots__ = ()
    _type = "info"

    def info(self, val: Mapping[str, str]) -> None:
        """Replaces the labels.

        Raises ValueError for a malformed or overlapping label name and for a value of None.
        """
        label_names(val, ())
        if set(self._labelnames).intersection(val):
            raise ValueError(f"Overlapping labels for Info metric, metric: {self._labelnames} child: {val}")
        if any(value is None for value in val.values()):
            raise ValueError("Label value cannot be None")
        if not all(map(is_plain_label, val)):
            self._meta["odd"] = True
        self._set_info(list(val.items()))


class Enum(MetricWrapperBase, _core.Enum):
    """Which of some states is the current one; the first until ``state()`` is called."""

    __slots__ = ()
    _type = "stateset"

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: Any = REGISTRY,
        _labelvalues: Sequence[str] | None = None,
        states: Sequence[str] | None = None,
        *,
        max_series: int = MAX_SERIES,
    ) -> None:
        labelnames = label_names(labelnames, ())
        full = full_name(self._type, name, namespace, subsystem, unit)
        if {name, full}.intersection(labelnames):
            raise ValueError(
                f"Overlapping labels for Enum metric: {full}; its states are in a label of its name"
            )
        try:
            label_names((full,), ())
        except ValueError as error:
            raise ValueError(f"an Enum has its states in a label of its own name: {error}") from None
        states = state_names(name, states)
        given = (name, documentation, labelnames, namespace, subsystem, unit, registry, _labelvalues)
        self._define_or_join(*given, max_series, states, own={"states": states})

    def _own_labels(self, full: str) -> tuple[str, ...]:
        return (full,)

    def state(self, state: str) -> None:
        """Makes a state the current one. Raises ValueError when it is not among the states."""
        states = self._states
        if state not in states:
            raise ValueError(f"{state!r} is not a state of {self}; one of {', '.join(states)}")
        self._set_state(states.index(state))

    @property
    def _states(self) -> tuple[str, ...]:
        return self._meta["kwargs"]["states"]  # type: ignore[no-any-return]


def disable_created_metrics() -> None:
    """Leaves the ``_created`` series out of the text formats and of ``collect()``, in all registries."""
    created_flag.switch(False)


def enable_created_metrics() -> None:
    """Puts them back; the environment's ``PROMETHEUS_DISABLE_CREATED_SERIES`` says what holds at first."""
    created_flag.switch(True)


def _named_constructor(kind: type[MetricWrapperBase]) -> None:
    """Gives a class that inherits its constructor one of its own, so that a TypeError names the class."""
    inherited: Any = MetricWrapperBase.__init__
    made = type(inherited)(inherited.__code__, inherited.__globals__, "__init__", inherited.__defaults__)
    made.__kwdefaults__ = inherited.__kwdefaults__
    made.__annotations__ = inherited.__annotations__
    made.__qualname__ = f"{kind.__qualname__}.__init__"
    kind.__init__ = made  # type: ignore[method-assign]


_named_constructor(Counter)
_named_constructor(Info)
PLAIN.update((Counter, Gauge, Histogram, Summary, Info, Enum))
