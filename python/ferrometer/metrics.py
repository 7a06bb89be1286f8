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

from time import time as _now

from . import _core
from ._validation import full_name, label_names
from .registry import REGISTRY, CollectorRegistry
from .timing import ExceptionCounter, InprogressTracker, Timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Self

    from prometheus_client.metrics_core import Metric

    _Native = _core.Metric
else:
    # At run time each class brings its own native base, and CPython wants only one of them.
    _Native = object

#: Series that a family may have before further label sets share its overflow series.
MAX_SERIES = 10_000

_INF = float("inf")


class _ChildOf(tuple):  # type: ignore[type-arg]  # label values, as a subclass's __init__ passes them on
    parent: MetricWrapperBase


class _Value:
    """prometheus_client's ``metric._value``, for code that reads it."""

    __slots__ = ("get", "set")

    def __init__(self, get: Callable[[], float], set_: Callable[[float], None] | None = None) -> None:
        self.get = get
        if set_ is not None:
            self.set = set_


class MetricWrapperBase(_Native):
    """What all metric types share."""

    __slots__ = ()
    _type: str = ""
    _reserved_labelnames: Sequence[str] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _core._own_methods(cls)

    def __new__(cls, name: str = "", *args: Any, **kwargs: Any) -> Self:
        # Only the library's own classes: a user's subclass may take any arguments.
        if cls in _PLAIN and isinstance(name, str) and name:
            registry = kwargs.get("registry", args[5] if len(args) > 5 else REGISTRY)
            if isinstance(registry, CollectorRegistry):
                parts = (*args[2:5], "", "", "")
                namespace, subsystem, unit = (
                    kwargs.get(key, part) for key, part in zip(("namespace", "subsystem", "unit"), parts)
                )
                known = registry._names_to_collectors.get(full_name(cls._type, name, namespace, subsystem, unit))
                if type(known) is cls:
                    return known
        return super().__new__(cls)

    def _init(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str],
        namespace: str,
        subsystem: str,
        unit: str,
        registry: Any,
        _labelvalues: Sequence[str] | None,
        max_series: int,
        detail: Sequence[Any] = (),
        sample: float = 1.0,
        own: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(_labelvalues, _ChildOf):
            self._become_child(_labelvalues.parent, _labelvalues)
            return
        full = full_name(self._type, name, namespace, subsystem, unit)
        names = label_names(labelnames, self._reserved_labelnames)
        if isinstance(max_series, bool) or not isinstance(max_series, int) or max_series < 1:
            raise ValueError(f"max_series must be a whole number of at least 1, not {max_series!r}")
        meta = {
            "name": full,
            "original_name": name,
            "documentation": documentation,
            "labelnames": names,
            "namespace": namespace,
            "subsystem": subsystem,
            "unit": unit,
            "type": self._type,
            "registry": registry,
            "kwargs": dict(own or ()),
        }
        ours = isinstance(registry, CollectorRegistry)
        self._define(
            registry._native if ours else None,
            self._type,
            full,
            str(documentation),
            unit,
            list(names),
            detail,
            max_series,
            sample,
            type(self) in _PLAIN,
            meta,
        )
        if ours:
            registry._note(self)
        elif registry:
            registry.register(self)

    def _subclass_child(self, labelvalues: tuple[str, ...]) -> Self:
        """The child of a user's subclass, made by its own constructor as prometheus_client does."""
        meta = self._meta
        children: dict[tuple[str, ...], Self] = meta.setdefault("children", {})
        child = children.get(labelvalues)
        if child is None:
            values = _ChildOf(labelvalues)
            values.parent = self
            child = children[labelvalues] = type(self)(
                meta["original_name"],
                documentation=meta["documentation"],
                labelnames=meta["labelnames"],
                namespace=meta["namespace"],
                subsystem=meta["subsystem"],
                unit=meta["unit"],
                _labelvalues=values,
                **meta["kwargs"],
            )
        return child

    def _require_labels(self) -> None:
        if not self._labelnames:
            raise ValueError(f"No label names were set when constructing {self}")

    def remove(self, *labelvalues: object) -> None:
        """Removes the series with these label values; nothing happens when there is none.

        Raises ValueError when there are not as many values as label names.
        """
        self._require_labels()
        if len(labelvalues) != len(self._labelnames):
            raise ValueError(f"Incorrect label count (expected {len(self._labelnames)}, got {labelvalues})")
        self._remove(*labelvalues)
        self._meta.get("children", {}).pop(tuple(map(str, labelvalues)), None)

    def remove_by_labels(self, labels: Mapping[str, object]) -> None:
        """Removes every series that has all of these label values.

        Raises TypeError when ``labels`` is no dict, ValueError for an unknown label name.
        """
        self._require_labels()
        if not isinstance(labels, dict):
            raise TypeError("labels must be a dict of {label_name: label_value}")
        names = self._labelnames
        if invalid := [name for name in labels if name not in names]:
            raise ValueError(f"Unknown label names: {invalid}; expected {names}")
        wanted = [(names.index(name), str(value)) for name, value in labels.items()]
        for values in self._children() if wanted else ():
            if all(values[place] == value for place, value in wanted):
                self.remove(*values)

    def clear(self) -> None:
        """Removes all series of a labelled family."""
        if self._labelnames:
            self._clear()
            self._meta.pop("children", None)

    def collect(self) -> list[Metric]:
        """The family as prometheus_client's object."""
        from prometheus_client.metrics_core import Metric

        self._run_callbacks()
        meta = self._meta
        metric = Metric(meta["name"], meta["documentation"], meta["type"], meta["unit"])
        for suffix, further, value, values in self._samples():
            labels = dict(zip(meta["labelnames"], values))
            metric.add_sample(meta["name"] + suffix, {**labels, **further}, value)
        return [metric]

    def describe(self) -> list[Metric]:
        """The family without samples."""
        from prometheus_client.metrics_core import Metric

        meta = self._meta
        return [Metric(meta["name"], meta["documentation"], meta["type"], meta["unit"])]

    # What prometheus_client keeps as attributes, and downstream code reads.

    @property
    def _name(self) -> str:
        return self._meta["name"]  # type: ignore[no-any-return]

    @property
    def _documentation(self) -> str:
        return self._meta["documentation"]  # type: ignore[no-any-return]

    @property
    def _unit(self) -> str:
        return self._meta["unit"]  # type: ignore[no-any-return]

    @property
    def _labelnames(self) -> tuple[str, ...]:
        return self._meta["labelnames"]  # type: ignore[no-any-return]

    @property
    def _metrics(self) -> dict[tuple[str, ...], Self]:
        return {values: self.labels(*values) for values in self._children()}

    def __str__(self) -> str:
        return f"{self._type}:{self._name}"

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self._name})"


class Counter(MetricWrapperBase, _core.Counter):
    """A count of events, or a total that only grows.

    ``inc(amount=1, exemplar=None)`` raises ValueError for a negative or non-finite amount. Whole amounts
    are exact beyond 2**53.
    """

    __slots__ = ()
    _type = "counter"

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
        max_series: int = MAX_SERIES,
    ) -> None:
        self._init(name, documentation, labelnames, namespace, subsystem, unit, registry, _labelvalues, max_series)

    def reset(self) -> None:
        """Back to zero, for a logical restart within one process."""
        self._reset()

    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCounter:
        """Counts exceptions that leave a block or a decorated function."""
        self._get()  # raises when label values are missing
        return ExceptionCounter(self, exception)

    @property
    def _value(self) -> _Value:
        return _Value(self._get)


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
        self._init(
            name,
            documentation,
            labelnames,
            namespace,
            subsystem,
            unit,
            registry,
            _labelvalues,
            max_series,
            own={"multiprocess_mode": multiprocess_mode},
        )

    def set_to_current_time(self) -> None:
        """Sets the value to the seconds since 1970."""
        self.set(_now())

    def set_function(self, f: Callable[[], float]) -> None:
        """Takes the value from ``f()`` at every scrape.

        While ``f`` raises, the family is left out of the scrape and counted in
        ``ferrometer_scrape_errors_total``.
        """
        self._set_function(f)
        registry = self._meta["registry"]
        if isinstance(registry, CollectorRegistry):
            registry._with_callbacks[self._name] = self

    def track_inprogress(self) -> InprogressTracker:
        """Adds one while a block or a decorated function runs."""
        self._get()  # raises when label values are missing
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
    def _value(self) -> _Value:
        return _Value(self._get, self.set)


class Histogram(MetricWrapperBase, _core.Histogram):
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
        bounds = [float(bound) for bound in buckets]
        if len(bounds) < (2 if bounds[-1:] == [_INF] else 1):
            raise ValueError("Must have at least two buckets")
        self._init(
            name,
            documentation,
            labelnames,
            namespace,
            subsystem,
            unit,
            registry,
            _labelvalues,
            max_series,
            bounds,
            sample,
            own={"buckets": buckets, "sample": sample},
        )

    def time(self) -> Timer:
        """Observes the seconds that a block or a decorated function took."""
        return Timer(self)

    def quantile(self, q: float) -> float:
        """The value below or at which the share ``q`` of all observations lies, within 0.28 %.

        NaN while nothing is recorded. Raises ValueError unless 0 <= q <= 1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is in [0, 1], not {q}: p99 is 0.99")
        return self._quantiles([q])[0]

    @property
    def _upper_bounds(self) -> list[float]:
        bounds = [float(bound) for bound in self._meta["kwargs"]["buckets"]]
        return bounds if bounds[-1] == _INF else [*bounds, _INF]

    @property
    def _sum(self) -> _Value:
        return _Value(lambda: self._statistics()[1])

    @property
    def _buckets(self) -> list[_Value]:
        totals = [0.0, *(value for suffix, _, value, _ in self._samples() if suffix == "_bucket")]
        return [_Value(lambda count=b - a: count) for a, b in zip(totals, totals[1:])]  # type: ignore[misc]


class Summary(MetricWrapperBase, _core.Summary):
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
        shares = [float(q) for q in quantiles]
        if bad := [q for q in shares if not 0 <= q <= 1]:
            raise ValueError(f"quantiles are in [0, 1], not {bad[0]}: p99 is 0.99")
        self._init(
            name,
            documentation,
            labelnames,
            namespace,
            subsystem,
            unit,
            registry,
            _labelvalues,
            max_series,
            shares,
            own={"quantiles": quantiles},
        )

    def time(self) -> Timer:
        """Observes the seconds that a block or a decorated function took."""
        return Timer(self)

    quantile = Histogram.quantile

    @property
    def _count(self) -> _Value:
        return _Value(lambda: float(self._statistics()[0]))

    @property
    def _sum(self) -> _Value:
        return _Value(lambda: self._statistics()[1])


class Info(MetricWrapperBase, _core.Info):
    """Constant labels with the value 1: versions, build facts."""

    __slots__ = ()
    _type = "info"

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
        max_series: int = MAX_SERIES,
    ) -> None:
        self._init(name, documentation, labelnames, namespace, subsystem, unit, registry, _labelvalues, max_series)

    def info(self, val: Mapping[str, str]) -> None:
        """Replaces the labels.

        Raises ValueError for a malformed or overlapping label name and for a value of None.
        """
        label_names(val, ())
        if set(self._labelnames).intersection(val):
            raise ValueError(f"Overlapping labels for Info metric, metric: {self._labelnames} child: {val}")
        if any(value is None for value in val.values()):
            raise ValueError("Label value cannot be None")
        self._set_info([(name, str(value)) for name, value in val.items()])


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
        if name in labelnames:
            raise ValueError(f"Overlapping labels for Enum metric: {name}")
        if not states:
            raise ValueError(f"No states provided for Enum metric: {name}")
        self._init(
            name,
            documentation,
            labelnames,
            namespace,
            subsystem,
            unit,
            registry,
            _labelvalues,
            max_series,
            states,
            own={"states": states},
        )

    def state(self, state: str) -> None:
        """Makes a state the current one. Raises ValueError when it is not among the states."""
        states: Sequence[str] = self._meta["kwargs"]["states"]
        if state not in states:
            raise ValueError(f"{state!r} is not a state of {self}; one of {', '.join(states)}")
        self._set_state(list(states).index(state))


_PLAIN = frozenset((Counter, Gauge, Histogram, Summary, Info, Enum))
