"""Registries: which metrics a scrape shows."""

from __future__ import annotations

from _thread import RLock

from ferrometer import _core, _prometheus_client
from ferrometer._process import fork
from ferrometer._prometheus_client import lazily
from ferrometer.metrics import created_flag
from ferrometer.metrics.families import DuplicateTimeseries as DuplicateTimeseries
from ferrometer.metrics.families import Taking, TargetInfo, computed, described, names, names_of, protobuf_of
from ferrometer.metrics.peer_dicts import Collectors, Names
from ferrometer.metrics.scrape import Scrape, is_native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
    from types import ModuleType
    from typing import TypeVar

    from prometheus_client.metrics_core import Metric

    from ferrometer.metrics.base import MetricWrapperBase
    from ferrometer.metrics.families import Collector as Collector

    _T = TypeVar("_T")

#: What a registry may have to say about itself.
_OWN = [
    f"ferrometer_{fault}{suffix}"
    for fault in ("series_overflow", "observations_refused", "scrape_errors")
    for suffix in ("", "_total")
]


# Re-entrant: a finaliser or a signal handler that comes here may interrupt a holder. One for all
# registries, so that a fork can wait for it: a child would find it held for ever by a thread it lacks.
_LOCK = RLock()
fork.hold_during_fork(_LOCK)


class RestrictedRegistry:
    """The samples of a registry that have certain names. Collectors without such samples are not run."""

    def __init__(self, names: Iterable[str], registry: CollectorRegistry) -> None:
        self._name_set = set(names)
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """The families, each with those of its samples only."""
        for family in self._registry._families(self._name_set):
            if restricted := family._restricted_metric(self._name_set):  # type: ignore[no-untyped-call]
                yield restricted

    def _protobuf(self, native_buckets: int) -> bytes:
        return self._registry._protobuf(native_buckets, self._name_set)


class CollectorRegistry:
    """A set of metrics and collectors without two of one name.

    Takes ferrometer's metrics, and every collector written for ``prometheus_client``. A collector or
    callback that raises is left out of that scrape, counted in ``ferrometer_scrape_errors_total{source}``,
    and logged the first time.

    Where several workers share their metrics, registries of the same ``scope`` show each other's families;
    one without shows its own families, with the totals of all workers that have them.
    """

    def __init__(
        self,
        auto_describe: bool = False,
        target_info: dict[str, str] | None = None,
        support_collectors_without_names: bool = False,
        *,
        scope: str = "",
    ) -> None:
        self._native = _core.Registry(scope)
        self._native.reserve(_OWN, "ferrometer itself")
        self._lock = _LOCK
        self._collectors: dict[Collector, list[str]] = {}
        self._by_name: dict[str, Collector] = {}
        #: Whether a name was taken out of the private dict while its collector stayed.
        self._has_free_names = False
        self._collectors_without_names: list[Collector] = []
        self._auto_describe = auto_describe
        self._support_collectors_without_names = support_collectors_without_names
        self._target_info: dict[str, str] | None = None
        #: Modules whose collectors join at the first look at the registry, and those that have.
        self._defaults: tuple[str, ...] = ()
        self._default_collectors: list[Collector] = []
        self._scrape = Scrape(self._native, self._lock)
        self._is_loading_defaults = False
        #: Collectors of prometheus_client's default registry, while it is accelerated; they give way, too.
        self._guests: set[Collector] = set()
        self._has_multiprocess_collector = False
        self.set_target_info(target_info)

    def register(self, collector: Collector) -> None:
        """Adds a metric or a collector.

        Raises ValueError when one of its names is taken; the text shows both definitions.
        """
        if is_native(collector):
            with self._taking(names(collector._name, collector._type)):
                self._native.adopt(collector)
            self._note(collector)
            return
        hash(collector)  # raises before a name is taken
        describe = getattr(collector, "describe", None) or (
            collector.collect if self._auto_describe else list
        )
        taken = names_of(describe())
        try:
            with self._taking(taken):
                self._native.reserve(taken, repr(collector))
        except DuplicateTimeseries:
            if self._is_loading_defaults:
                self._default_collectors.append(collector)
                return  # the application tells these itself
            raise
        if self._is_loading_defaults:
            self._default_collectors.append(collector)
        if any(kind.__name__ == "MultiProcessCollector" for kind in type(collector).__mro__):
            self._has_multiprocess_collector = True
        with self._lock:
            self._collectors[collector] = taken
            self._by_name.update(dict.fromkeys(taken, collector))
            if self._support_collectors_without_names and not taken:
                self._collectors_without_names.append(collector)

    def load_default(self, module: ModuleType, execute: Callable[[ModuleType], None]) -> None:
        """Execute a module that registers a default collector: names that are taken are no error."""
        self._is_loading_defaults = True
        try:
            execute(module)
        finally:
            self._is_loading_defaults = False

    def _join_as_guest(self, collector: Collector, taken: list[str]) -> None:
        """Show a collector of another registry, too, as long as its names are free here."""
        try:
            if not self._by_name.keys().isdisjoint(taken):
                raise ValueError("Duplicated")
            if is_native(collector):
                self._native.adopt(collector)
            else:
                self._native.reserve(taken, repr(collector))
        except ValueError:
            import logging

            text = "%s of prometheus_client's registry is not shown here: its name is taken"
            logging.getLogger("ferrometer").warning(text, getattr(collector, "_name", collector))
            return
        with self._lock:
            self._guests.add(collector)
            self._collectors[collector] = taken
            self._by_name.update(dict.fromkeys(taken, collector))

    def with_room(self, make: Callable[[], _T]) -> _T:
        """Call what takes names in native code: guests that have one of them give way."""
        guests = {collector: self._collectors[collector] for collector in self._guests}
        for collector in guests:
            self.unregister(collector)
        try:
            return make()
        finally:
            for collector, taken in guests.items():
                self._join_as_guest(collector, taken)

    def _taking(self, taken: list[str]) -> Taking:
        """While names are taken: default collectors give way, and a clash says which names it is about."""
        if self._guests:
            for collector in [c for c in self._guests if not set(taken).isdisjoint(self._collectors[c])]:
                self.unregister(collector)
        for collector in self._default_collectors:
            if collector in self._collectors and set(taken).intersection(self._collectors[collector]):
                self.unregister(collector)
        self._give_way(taken)
        return Taking(self._by_name, taken)

    def _load_defaults(self) -> None:
        modules, self._defaults = self._defaults, ()
        for module in modules:
            from importlib import import_module

            import_module(module)

    # prometheus_client's private dicts: what programs do to them happens.

    @property
    def _collector_to_names(self) -> MutableMapping[Collector, list[str]]:
        self._load_defaults()
        return Collectors(self)

    @_collector_to_names.setter
    def _collector_to_names(self, wanted: Mapping[Collector, list[str]]) -> None:
        self._load_defaults()
        Collectors(self).become(wanted)

    @property
    def _names_to_collectors(self) -> MutableMapping[str, Collector]:
        return Names(self)

    @_names_to_collectors.setter
    def _names_to_collectors(self, wanted: Mapping[str, Collector]) -> None:
        Names(self).become(wanted)

    def _give_way(self, taken: list[str]) -> None:
        """Take out whoever has lost one of these names, since another one takes it."""
        if self._has_free_names:
            wanted = set(taken) - self._by_name.keys()
            for collector, names in list(self._collectors.items()):
                if not wanted.isdisjoint(names):
                    self.unregister(collector)

    def _note(self, metric: MetricWrapperBase) -> None:
        """Remembers a metric that the native registry has taken."""
        taken = names(metric._name, metric._type)
        with self._lock:
            known = self._by_name.get(taken[0])
            if known is metric:
                return
            if known is not None:
                # The same definition as another class, as after a reload: the new one speaks for it.
                del self._collectors[known]
            self._collectors[metric] = taken
            self._by_name.update(dict.fromkeys(taken, metric))

    def unregister(self, collector: Collector) -> None:
        """Removes a metric or a collector. Raises KeyError when it is not registered."""
        with self._lock:
            if collector in self._default_collectors and collector not in self._collectors:
                return  # it gave way, or was never in
            names = self._collectors.pop(collector)
            self._guests.discard(collector)
            for name in names:
                if self._by_name.get(name) is collector:
                    del self._by_name[name]
            if collector in self._collectors_without_names:
                self._collectors_without_names.remove(collector)
        if is_native(collector):
            self._native.unregister(collector)
        else:
            self._native.release(names)

    def set_target_info(self, labels: dict[str, str] | None) -> None:
        """Sets the labels of ``target_info``; None or an empty dict removes it."""
        if labels and not self._target_info:
            if "target_info" in self._by_name:
                raise ValueError("CollectorRegistry already contains a target_info metric")
            self._native.reserve(["target_info"], "target_info of the registry")
        elif self._target_info and not labels:
            self._native.release(["target_info"])
        with self._lock:
            if labels:
                self._by_name["target_info"] = TargetInfo(labels)
            else:
                self._by_name.pop("target_info", None)
            self._target_info = labels

    def get_target_info(self) -> dict[str, str] | None:
        """The labels of ``target_info``."""
        return self._target_info

    # Reading.

    def collect(self) -> Iterator[Metric]:
        """The families as prometheus_client's objects, for code that reads samples in Python."""
        return self._families(None)

    def describe(self) -> Iterable[Metric]:
        """The families, for a registry that this one joins as a collector: ``other.register(this)``.

        The default collectors leave it then, because that registry will have its own.
        """
        self._load_defaults()
        for collector in self._default_collectors:
            if collector in self._collectors:
                self.unregister(collector)
        return [metric for collector in self._collectors for metric in described(collector)]

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """A registry of only the samples with these names."""
        return RestrictedRegistry(names, self)

    def get_sample_value(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        """The value of one sample, None when there is none. For tests: it collects everything."""
        for metric in self.collect():
            for sample in metric.samples:
                if sample.name == name and sample.labels == (labels or {}):
                    return sample.value
        return None

    def _families(self, names: set[str] | None) -> Iterator[Metric]:
        """All families, or those of the collectors that may have samples of these names."""
        everything, wanted = self._wanted(names)
        yield from self._target_families(names)
        yield from self._scrape.families(c for c in wanted if not self._is_told_elsewhere(c))
        # What native code records, and what the registry has to say about itself.
        yield from computed(self._native.computed([c for c in everything if is_native(c)]))

    def _wanted(self, names: set[str] | None) -> tuple[list[Collector], list[Collector]]:
        """All collectors, and those that may have samples of these names."""
        self._load_defaults()
        created_flag.follow()
        # Of several workers, the one that answers: its own process is nobody's total, and goes up and down.
        alone = _core.shared_directory() is None
        with self._lock:
            everything = [c for c in self._collectors if alone or c not in self._default_collectors]
            if names is None:
                return everything, everything
            chosen = {self._by_name.get(name): None for name in names}
            return everything, [c for c in everything if c in chosen] + self._collectors_without_names

    def _is_told_elsewhere(self, collector: Collector) -> bool:
        """Whether a metric is in the directory that this registry's MultiProcessCollector reads."""
        if not self._has_multiprocess_collector or not is_native(collector):
            return False
        return _core.shared_directory() is not None

    def _refresh(self) -> None:
        """Runs the callbacks of gauges, for readers that run no Python."""
        self._scrape.refresh(self._wanted(None)[1])

    def _target_families(self, names: set[str] | None = None) -> list[Metric]:
        wanted = self._target_info and (names is None or "target_info" in names)
        return TargetInfo(self._target_info).collect() if wanted and self._target_info else []

    # The native part is encoded last, so that it counts what failed before it, and is put in its place.

    def _text(self, **how: str) -> bytes:
        """The text exposition. Only callbacks, foreign collectors and names that need quotes run Python."""
        return self._native.text(*self._additions("exposition", how))

    def _openmetrics(self, **how: str) -> bytes:
        """The OpenMetrics exposition, likewise."""
        leave_out, before, after = self._additions("openmetrics.exposition", how)
        return self._native.openmetrics(leave_out, before, after + b"# EOF\n")

    def _protobuf(self, native_buckets: int, names: set[str] | None = None) -> bytes:
        """The protobuf exposition, likewise; where names are given, the families with such samples."""
        leave_out, before, after = self._additions(None, {}, names)
        return self._native.protobuf(leave_out, names, native_buckets, before, after)

    def _additions(
        self, module: str | None, how: dict[str, str], names: set[str] | None = None
    ) -> tuple[list[MetricWrapperBase], bytes, bytes]:
        """The metrics that native code leaves out, and what Python writes before and after the others.

        It is written as that module of prometheus_client prints it, or in protobuf; where names are given, it
        holds only these samples.
        """
        wanted = self._wanted(names)[1]
        told = [c for c in wanted if is_native(c) and self._is_told_elsewhere(c)]
        from_python, leave_out = self._scrape.from_python([c for c in wanted if c not in told], names)
        leave_out += told
        before, after = (
            b"".join(self._scrape.each(families, protobuf_of))
            if module is None
            else self._scrape.print(families, module, how)
            for families in (self._target_families(names), from_python)
        )
        return leave_out, before, after


#: The registry that metrics join by default.
REGISTRY = CollectorRegistry(auto_describe=True, scope="default")
_prometheus_client.load_default = REGISTRY.load_default
REGISTRY._defaults = tuple(f"ferrometer.{what}_collector" for what in ("gc", "platform", "process"))
__getattr__ = lazily(globals(), "registry")
