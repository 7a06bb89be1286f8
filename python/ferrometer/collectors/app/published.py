"""Custom collectors in several workers: what ``collect()`` tells goes into native metrics, in the background.

A collector written for prometheus_client is asked when somebody scrapes, and only in the worker that answers.
Published, each worker asks its own one from time to time, and every scrape shows all of their answers:
added up, the largest, the latest, or labelled by worker.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from ferrometer.background.collector import CollectError, Collector, set_total
from ferrometer.background.scheduler import CollectorScheduler
from ferrometer.metrics.families import CellRefresher
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Info, MetricWrapperBase

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample


class Telling(Protocol):
    """A collector as ``prometheus_client`` knows it."""

    def collect(self) -> Iterable[Metric]:
        """The families of this moment."""


class Published(Collector):
    """Asks a custom collector in the background; ``publish()`` makes it.

    Gauges and families of unknown type become gauges of ``mode``, counters are added up, of info the latest
    counts. A family of another type is an error: its buckets belong into a ``Histogram``.
    """

    def __init__(
        self,
        collector: Telling | Gauge,
        *,
        mode: str = "all",
        interval: float = Collector.interval,
        timeout: float = Collector.timeout,
        name: str | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        if mode not in Gauge._MULTIPROC_MODES:
            raise ValueError(f"invalid mode {mode!r}; one of {', '.join(sorted(Gauge._MULTIPROC_MODES))}")
        if not callable(getattr(collector, "collect", None)):
            raise TypeError(f"cannot publish {type(collector).__name__}: it has no collect()")
        self.name: str = name or (
            collector._name if isinstance(collector, Gauge) else type(collector).__name__
        )
        self.interval = interval
        self.timeout = timeout
        self.metrics: list[MetricWrapperBase] = []
        self._mode = mode
        self._registry = registry
        self._families: dict[str, _Family] = {}
        self._ask: Callable[[], None] = self._read
        self._told = collector
        if isinstance(collector, Gauge):
            self._ask = collector._run_callbacks
            self.metrics.append(collector)
        else:
            with suppress(KeyError):  # its names are the native metrics' from now on
                registry.unregister(collector)

    def collect(self) -> None:
        """Ask it, and write down what it tells."""
        self._ask()

    def _read(self) -> None:
        for told in self._told.collect():
            family = self._families.get(told.name)
            if family is None:
                samples = _values(told)
                family = self._families[told.name] = _Family(told, samples, self._mode, self._registry)
                self.metrics.append(family.metric)
            family.write(_values(told))


class _Family:
    """A native metric, and which of its series were told the last time."""

    def __init__(self, told: Metric, samples: list[Sample], mode: str, registry: CollectorRegistry) -> None:
        self.metric: Counter | Gauge | Info
        self._known: set[tuple[str, ...]] = set()
        self._labels: tuple[str, ...] = ()
        if told.type == "info":
            self.metric = Info(told.name, told.documentation, registry=registry)
            return
        self._labels = tuple(dict.fromkeys(name for sample in samples for name in sample.labels))
        words = (told.name, told.documentation, self._labels)
        if told.type == "counter":
            self.metric = Counter(*words, unit=told.unit, registry=registry)
        elif told.type in ("gauge", "unknown", "untyped", "stateset"):
            self.metric = Gauge(*words, unit=told.unit, registry=registry, multiprocess_mode=mode)
        else:
            raise CollectError(
                f"{told.name} is a {told.type}, which cannot be published; observe into a native one",
                reason="type",
            )

    def write(self, samples: list[Sample]) -> None:
        """Set what is told, remove what is no more."""
        seen: set[tuple[str, ...]] = set()
        for sample in samples:
            if isinstance(self.metric, Info):
                self.metric.info(sample.labels)
                continue
            labels = tuple(sample.labels.get(name, "") for name in self._labels)
            if sample.labels.keys() - set(self._labels):
                raise CollectError(
                    f"{sample.name} has other labels than at first, {sorted(sample.labels)} and not"
                    f" {list(self._labels)}: tell all of them each time, empty where unknown",
                    reason="labels",
                )
            seen.add(labels)
            series: Any = self.metric.labels(*labels) if labels else self.metric
            if isinstance(series, Counter):
                set_total(series, float(sample.value))
            else:
                series.set(float(sample.value))
        for labels in self._known - seen:
            if labels and isinstance(self.metric, Gauge):  # a count that is no longer told goes on counting
                self.metric.remove(*labels)
        self._known = seen


def _values(told: Metric) -> list[Sample]:
    return [sample for sample in told.samples if not sample.name.endswith("_created")]


def publish(
    collector: Telling | Gauge,
    *,
    mode: str = "all",
    interval: float = Collector.interval,
    timeout: float = Collector.timeout,
    name: str | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> Published:
    """Have a custom collector, or a gauge with ``set_function``, asked in the background of each worker.

    Instead of ``registry.register(collector)``. ``mode`` says what the workers' gauges mean together, as
    ``multiprocess_mode`` does; ``interval`` and ``timeout`` are in seconds; ``name`` is the label value of
    the collector's self-metrics, by default the class's name. It runs with the collectors of
    ``instrument()``; a program without one adds it to a ``CollectorScheduler`` of its own.
    """
    made = Published(collector, mode=mode, interval=interval, timeout=timeout, name=name, registry=registry)
    with _LOCK:
        scheduler = _SCHEDULERS.get(registry, _none)()
        if scheduler is None:
            _WAITING.setdefault(registry, []).append(made)
    if scheduler is not None:
        scheduler.add(made)
    return made


def run_published(registry: CollectorRegistry, scheduler: CollectorScheduler) -> None:
    """Whatever is published of this registry runs there: what was until now, and what will be."""
    with _LOCK:
        if _SCHEDULERS.get(registry, _none)() is not None:
            return
        _SCHEDULERS[registry] = weakref.ref(scheduler)
        waiting = _WAITING.pop(registry, [])
    for collector in waiting:
        scheduler.add(collector)


class CallbackCollector(Collector):
    """Asks the callbacks of a registry's gauges and OpenTelemetry's instruments, so that other workers show
    their values, too."""

    name = "callbacks"

    def __init__(self, *, registry: CollectorRegistry = REGISTRY, interval: float = 10.0) -> None:
        self.interval = interval
        self._registry = registry

    def collect(self) -> None:
        """Ask them all. Raises what the first failing one raised."""
        failed: Exception | None = None
        for metric in list(self._registry._collectors):
            try:
                if isinstance(metric, CellRefresher):
                    metric.refresh()
                elif isinstance(metric, Gauge) and metric._has_callbacks:
                    metric._run_callbacks()
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed


def _none() -> None:
    return None


_LOCK = threading.Lock()
_WAITING: weakref.WeakKeyDictionary[CollectorRegistry, list[Published]] = weakref.WeakKeyDictionary()
_SCHEDULERS: weakref.WeakKeyDictionary[CollectorRegistry, Callable[[], CollectorScheduler | None]] = (
    weakref.WeakKeyDictionary()
)
