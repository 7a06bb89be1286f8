"""What all metric types share: definition, children and removal."""

from __future__ import annotations

from _thread import _local

from ferrometer import _core
from ferrometer._process.local_only import only_own
from ferrometer.metrics import late
from ferrometer.metrics.families import Taking
from ferrometer.metrics.families import names as names_of_family
from ferrometer.metrics.names import full_name, is_plain_label, is_plain_name, label_names
from ferrometer.metrics.peer_view import PeerView
from ferrometer.metrics.python_metric import adopt
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.timers import Timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, NoReturn, Self


#: Series that a family may have before further label sets share its overflow series.
MAX_SERIES = _core.MAX_SERIES

#: The library's own classes; a user's subclass has children, and perhaps samples, of its own making.
PLAIN: set[type] = set()

#: The family whose child this thread is making: a subclass's `__init__` passes on label values only.
_making = _local()


class MetricWrapperBase(PeerView):
    """The base of all metric types."""

    __slots__ = ()
    _reserved_labelnames: Sequence[str] = ()
    #: Whether a subclass says itself what its samples are, which a scrape then has to ask it.
    _has_custom_samples: bool = False

    def __new__(cls, name: str = "", *args: Any, **kwargs: Any) -> Self:
        """The metric of that definition, where there is one already."""
        # Only the library's own classes: a user's subclass may take any arguments.
        if cls in PLAIN and isinstance(name, str) and name:
            registry = kwargs.get("registry", args[5] if len(args) > 5 else REGISTRY)
            known = getattr(registry, "_by_name", None) or getattr(registry, "_names_to_collectors", None)
            if known:
                parts = (*args[2:5], "", "", "")
                namespace, subsystem, unit = (
                    kwargs.get(key, part)
                    for key, part in zip(("namespace", "subsystem", "unit"), parts, strict=False)
                )
                same = known.get(full_name(cls._type, name, namespace, subsystem, unit))
                if type(same) is cls:
                    return same
        return super().__new__(cls)

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
        given = (name, documentation, labelnames, namespace, subsystem, unit, registry, _labelvalues)
        self._define_or_join(*given, max_series)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        native: tuple[type, ...] = (_core.Metric,)
        if not issubclass(cls, native):
            if MetricWrapperBase in cls.__bases__ and cls.__module__ != __name__:
                adopt(cls, MetricWrapperBase, REGISTRY)
            return
        told = ("collect", "_samples", "_multi_samples", "_child_samples")
        cls._has_custom_samples = any(
            getattr(cls, name) is not getattr(MetricWrapperBase, name) for name in told
        )
        if "observe" in cls.__dict__:
            # What a subclass makes of an observation holds for timers, too; it decides about sampling.
            cls._record = lambda self, value: self.observe(value)  # type: ignore[attr-defined,method-assign]
            cls._take = lambda self: True  # type: ignore[method-assign]
        _core.own_methods(cls)  # last: it adds to the class what was looked for above

    def _define_or_join(
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
        parent: MetricWrapperBase | None = getattr(_making, "parent", None)
        if parent is not None and (_labelvalues or type(self) is type(parent)):
            if not _labelvalues:
                kind = type(self).__name__
                raise TypeError(
                    f"{kind}.__init__ must pass _labelvalues on to super().__init__(), e.g. in **kwargs"
                )
            _making.parent = None  # a metric that `__init__` makes beside is no child
            self._become_child(parent, tuple(_labelvalues))
            return self._initialise()
        late.follow()
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
            "kwargs": dict(own or ()),
            # Whether its names need quotes or escapes, which a scrape leaves to prometheus_client.
            "odd": not (is_plain_name(full) and all(map(is_plain_label, (*names, *self._own_labels(full))))),
        }
        ours = isinstance(registry, CollectorRegistry)
        known = self._defined
        native = registry._native if ours else None
        plain = type(self) in PLAIN
        with registry._taking(names_of_family(full, self._type)) if ours else Taking({}, []):
            self._define(
                native,
                self._type,
                full,
                documentation,
                unit or "",
                list(names),
                detail,
                max_series,
                sample,
                plain,
                meta,
            )
        if ours:
            registry._note(self)
        elif registry and not (known and self in registry._collector_to_names):
            registry.register(self)
        if not names:
            self._initialise()
        return None

    def _own_labels(self, full: str) -> tuple[str, ...]:
        """Labels that the metric's samples have besides those of its series."""
        return ()

    def _metric_init(self) -> None:
        """For subclasses: called once the metric, or the child with its label values, can be used.

        Called by a program, it begins anew from zero, as prometheus_client's does.
        """
        if not getattr(_making, "is_initialising", False) and not self._is_parent():
            self._reset()

    def _initialise(self) -> None:
        outer, _making.is_initialising = getattr(_making, "is_initialising", False), True
        try:
            self._metric_init()
        finally:
            _making.is_initialising = outer

    # Children.

    def _subclass_child(self, labelvalues: tuple[str, ...]) -> MetricWrapperBase:
        """The child of a user's subclass, made by its own constructor as prometheus_client does."""
        children = self._subclass_children
        child: MetricWrapperBase | None = children.get(labelvalues)
        if child is None or child._is_removed:
            meta = self._meta
            outer, _making.parent = getattr(_making, "parent", None), self
            try:
                child = type(self)(
                    meta["original_name"],
                    documentation=meta["documentation"],
                    labelnames=meta["labelnames"],
                    namespace=meta["namespace"],
                    subsystem=meta["subsystem"],
                    unit=meta["unit"],
                    _labelvalues=labelvalues,
                    **meta["kwargs"],
                )
            finally:
                _making.parent = outer
            # Under the values that it got: past `max_series`, all share one child.
            known: MetricWrapperBase = children.setdefault(child._labelvalues, child)
            if known._is_removed:
                children[child._labelvalues] = known = child
            return known
        return child

    def _is_observable(self) -> bool:
        return not self._is_parent()

    def _raise_if_not_observable(self) -> None:
        if self._is_parent():
            raise ValueError(f"{self._type} metric is missing label values")

    def _require_parent(self) -> None:
        if not self._labelnames:
            raise ValueError(f"No label names were set when constructing {self}")
        if self._labelvalues:
            raise ValueError(f"{self} is the child with {self._labelvalues}; call this on the whole family")

    def remove(self, *labelvalues: object) -> None:
        """Removes the series with these label values; nothing happens when there is none.

        Handles to it go on working, but no scrape sees them. Raises ValueError when there are not as many
        values as label names.
        """
        self._require_parent()
        if len(labelvalues) != len(self._labelnames):
            raise ValueError(f"Incorrect label count (expected {len(self._labelnames)}, got {labelvalues})")
        (self._forget if only_own.get() else self._remove)(*labelvalues)

    def remove_by_labels(self, labels: dict[str, object]) -> None:
        """Removes every series that has all of these label values.

        Raises TypeError when ``labels`` is no dict, ValueError for an unknown label name.
        """
        self._require_parent()
        if not isinstance(labels, dict):
            raise TypeError("labels must be a dict of {label_name: label_value}")
        names = self._labelnames
        if invalid := [name for name in labels if name not in names]:
            raise ValueError(f"Unknown label names: {invalid}; expected {names}")
        # As the native side does: what UTF-8 cannot say is a question mark.
        wanted = [(names.index(k), str(v).encode("utf-8", "replace").decode()) for k, v in labels.items()]
        for values in self._children() if wanted else ():
            if all(values[place] == value for place, value in wanted):
                self.remove(*values)

    def clear(self) -> None:
        """Removes all series of a labelled family; nothing happens without labels."""
        if self._labelnames:
            self._require_parent()
            (self._forget_all if only_own.get() else self._clear)()

    # A metric is a name for cells in this process: copies are the metric itself.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle {self!r}: its cells are this process's memory. Define it where it is unpickled; "
            "the same definition is the same metric"
        )


class Observed(MetricWrapperBase):
    """What histograms and summaries share."""

    __slots__ = ()

    def time(self) -> Timer:
        """Observes the seconds that a block or a decorated function took."""
        return Timer(self)

    def quantile(self, q: float) -> float:
        """The value below or at which the share ``q`` of all observations lies, within 0.28 %.

        Exact at 0 and 1; NaN while nothing is recorded. Negative values count as the smallest one. Raises
        ValueError unless 0 <= q <= 1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is in [0, 1], not {q}: p99 is 0.99")
        return self._quantiles([q])[0]
