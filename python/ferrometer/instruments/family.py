"""How a family is declared, and the families of a registry: made when first asked for."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ferrometer._process import fork
from ferrometer.metrics.base import MAX_SERIES
from ferrometer.metrics.names import is_plain_name
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Histogram

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Metric: TypeAlias = Counter | Gauge | Histogram


@dataclass(frozen=True, slots=True)
class Family:
    """The declaration of a family. ``name`` is the name in the text exposition, without a namespace."""

    kind: Kind
    name: str
    labels: tuple[str, ...]
    help: str
    #: The unit that OpenMetrics is told; the name ends with it.
    unit: str = ""
    #: Upper bounds of a histogram.
    buckets: tuple[float, ...] = ()
    #: What the values of several workers mean together, for a gauge.
    mode: str = ""
    #: Label values whose series exist from the beginning, so that ``rate()`` sees their first event.
    known: tuple[tuple[str, ...], ...] = ()
    #: Whether the user's namespace stands before the name.
    namespaced: bool = False
    max_series: int = MAX_SERIES


class Families:
    """The families of one registry. The same declaration is the same metric, whoever asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Weak: the families of a registry end with it.
        self._registry = weakref.ref(registry)
        self.namespace: str | None = None
        #: What is made once for each registry, by its own key.
        self.exporters: dict[object, Any] = {}
        #: Which names one inference is recorded under.
        self.conventions: tuple[str, ...] = ("native",)
        self.recorders: dict[str, Any] = {}
        #: Called with each inference that has ended.
        self.listeners: list[Any] = []
        self.costs: Any = None
        self._shared: dict[str, Any] = {}

    def has_middleware(self) -> bool:
        """Whether a middleware records requests into the registry."""
        registry = self._registry()
        return registry is not None and "http_requests_in_flight" in registry._native.names()

    def shared(self, family: Family) -> Any:
        """The metric of a declaration; made at the first call."""
        made = self._shared.get(family.name)
        if made is None:
            made = self._shared[family.name] = self.make(family)
        return made

    def name(self, family: Family, namespace: str | None = None) -> str:
        """The name in the text exposition."""
        namespace = namespace or self.namespace
        return f"{namespace}_{family.name}" if family.namespaced and namespace else family.name

    def make(self, family: Family, namespace: str | None = None) -> Metric:
        """The metric of a declaration, with its known series.

        Raises ValueError where the registry has another metric of that name.
        """
        registry = self._registry()
        if registry is None:
            raise RuntimeError("the registry of these families is gone")
        name, unit, most = self.name(family, namespace), family.unit, family.max_series
        metric: Metric
        if family.kind == "counter":
            metric = Counter(name, family.help, family.labels, unit=unit, registry=registry, max_series=most)
        elif family.kind == "gauge":
            metric = Gauge(
                *(name, family.help, family.labels),
                unit=unit,
                registry=registry,
                multiprocess_mode=family.mode,
                max_series=most,
            )
        else:
            metric = Histogram(
                *(name, family.help, family.labels),
                unit=unit,
                registry=registry,
                buckets=family.buckets,
                max_series=most,
            )
        for values in family.known:
            metric.labels(*values)
        return metric


_LOCK = threading.Lock()
fork.hold_during_fork(_LOCK)
_FAMILIES: weakref.WeakKeyDictionary[CollectorRegistry, Families] = weakref.WeakKeyDictionary()


def families_of(registry: CollectorRegistry = REGISTRY) -> Families:
    """The families of a registry, one object for all who ask."""
    found = _FAMILIES.get(registry)
    if found is None:
        with _LOCK:
            found = _FAMILIES.setdefault(registry, Families(registry))
    return found


def checked_namespace(namespace: str | None) -> str | None:
    """The namespace, or None for an empty one. Raises ValueError for one that no metric may have."""
    if namespace and not is_plain_name(namespace):
        raise ValueError(f"invalid namespace {namespace!r}: letters, digits, '_' and ':' only")
    return namespace or None


def each(*names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """All combinations of label values, for ``Family.known``."""
    sets: list[tuple[str, ...]] = [()]
    for values in names:
        sets = [(*before, value) for before in sets for value in values]
    return tuple(sets)
