"""Registries: which metrics a scrape shows."""

from __future__ import annotations

import os
from _thread import RLock

from . import _core
from ._peer import lazily, printer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Protocol

    from prometheus_client.metrics_core import Metric
    from typing_extensions import TypeIs

    from ._metric import MetricWrapperBase

    class Collector(Protocol):
        """Anything with prometheus_client's ``collect()``."""

        def collect(self) -> Iterable[Metric]:
            """The families of this moment."""


#: What the sample names of a type may end in.
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}


#: What a registry may have to say about itself.
_OWN = [
    f"ferrometer_{fault}{suffix}"
    for fault in ("series_overflow", "observations_refused", "scrape_errors")
    for suffix in ("", "_total")
]


def _names(name: str, kind: str) -> list[str]:
    return [name + suffix for suffix in ("", *_SUFFIXES.get(kind, ()))]


def _names_of(metrics: Iterable[Metric]) -> list[str]:
    return [name for metric in metrics for name in _names(metric.name, metric.type)]


def _described(collector: Collector) -> Iterable[Metric]:
    describe: Callable[[], Iterable[Metric]] = getattr(collector, "describe", collector.collect)
    return describe()


class DuplicateTimeseries(ValueError):
    """A name is taken: ``duplicates`` are those that clash."""

    def __init__(self, text: str, duplicates: set[str]) -> None:
        super().__init__(text)
        self.duplicates = duplicates


def _is_native(collector: object) -> TypeIs[MetricWrapperBase]:
    return isinstance(collector, _core.Metric)


def _computed(rows: Iterable[_core._Family]) -> Iterator[Metric]:
    for name, help_, kind, unit, samples in rows:
        from prometheus_client.metrics_core import Metric

        metric = Metric(name, help_, kind, unit)
        for suffix, labels, value in samples:
            metric.add_sample(name + suffix, labels, value)
        yield metric


class _Families:
    """A collector of given families."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class _TargetInfo:
    """The collector that stands for a registry's target info."""

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels

    def collect(self) -> list[Metric]:
        from prometheus_client.metrics_core import Metric

        metric = Metric("target", "Target metadata", "info")
        metric.add_sample("target_info", self._labels, 1)
        return [metric]


# Re-entrant: a finaliser or a signal handler that comes here may interrupt a holder. One for all
# registries, so that a fork can wait for it: a child would find it held for ever by a thread it lacks.
_LOCK = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


class _Taking:
    """Makes of a name's being taken the error that prometheus_client raises."""

    def __init__(self, taken: dict[str, Collector], names: list[str]) -> None:
        self._taken = taken
        self._names = names

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError) and str(error).startswith("Duplicated"):
            raise DuplicateTimeseries(str(error), self._taken.keys() & set(self._names)) from None


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


class CollectorRegistry:
    """A set of metrics and collectors without two of one name.

    Takes ferrometer's metrics, and every collector written for ``prometheus_client``. A collector or
    callback that raises is left out of that scrape, counted in ``ferrometer_scrape_errors_total{source}``,
    and logged the first time.
    """

    def __init__(
        self,
        auto_describe: bool = False,
        target_info: dict[str, str] | None = None,
        support_collectors_without_names: bool = False,
    ) -> None:
        self._native = _core.Registry()
        self._native.reserve(_OWN, "ferrometer itself")
        self._lock = _LOCK
        self._collectors: dict[Collector, list[str]] = {}
        self._names_to_collectors: dict[str, Collector] = {}
        self._collectors_without_names: list[Collector] = []
        self._auto_describe = auto_describe
        self._support_collectors_without_names = support_collectors_without_names
        self._target_info: dict[str, str] | None = None
        self._logged: set[str] = set()
        #: Modules whose collectors join at the first look at the registry, and those that have.
        self._defaults: tuple[str, ...] = ()
        self._default_collectors: list[Collector] = []
        self.set_target_info(target_info)

    def register(self, collector: Collector) -> None:
        """Adds a metric or a collector.

        Raises ValueError when one of its names is taken; the text shows both definitions.
        """
        if _is_native(collector):
            with self._taking(_names(collector._name, collector._type)):
                self._native.adopt(collector)
            self._note(collector)
            return
        hash(collector)  # raises before a name is taken
        describe = getattr(collector, "describe", None) or (
            collector.collect if self._auto_describe else list
        )
        names = _names_of(describe())
        with self._taking(names):
            self._native.reserve(names, repr(collector))
        with self._lock:
            self._collectors[collector] = names
            self._names_to_collectors.update(dict.fromkeys(names, collector))
            if self._support_collectors_without_names and not names:
                self._collectors_without_names.append(collector)

    def _taking(self, names: list[str]) -> _Taking:
        """While names are taken: default collectors give way, and a clash says which names it is about."""
        for collector in self._default_collectors:
            if collector in self._collectors and set(names).intersection(self._collectors[collector]):
                self.unregister(collector)
        return _Taking(self._names_to_collectors, names)

    def _load_defaults(self) -> None:
        modules, self._defaults = self._defaults, ()
        for module in modules:
            from importlib import import_module

            known = set(self._collectors)
            try:
                import_module(module)
            except DuplicateTimeseries:
                continue  # the application tells these itself
            self._default_collectors += [c for c in self._collectors if c not in known]

    @property
    def _collector_to_names(self) -> dict[Collector, list[str]]:
        self._load_defaults()
        return self._collectors

    def _note(self, metric: MetricWrapperBase) -> None:
        """Remembers a metric that the native registry has taken."""
        names = _names(metric._name, metric._type)
        with self._lock:
            known = self._names_to_collectors.get(names[0])
            if known is metric:
                return
            if known is not None:
                # The same definition as another class, as after a reload: the new one speaks for it.
                del self._collectors[known]
            self._collectors[metric] = names
            self._names_to_collectors.update(dict.fromkeys(names, metric))

    def unregister(self, collector: Collector) -> None:
        """Removes a metric or a collector. Raises KeyError when it is not registered."""
        with self._lock:
            names = self._collectors.pop(collector)
            for name in names:
                self._names_to_collectors.pop(name, None)
            if collector in self._collectors_without_names:
                self._collectors_without_names.remove(collector)
        if _is_native(collector):
            self._native.unregister(collector)
        else:
            self._native.release(names)

    def set_target_info(self, labels: dict[str, str] | None) -> None:
        """Sets the labels of ``target_info``; None or an empty dict removes it."""
        if labels and not self._target_info:
            if "target_info" in self._names_to_collectors:
                raise ValueError("CollectorRegistry already contains a target_info metric")
            self._native.reserve(["target_info"], "target_info of the registry")
        elif self._target_info and not labels:
            self._native.release(["target_info"])
        with self._lock:
            if labels:
                self._names_to_collectors["target_info"] = _TargetInfo(labels)
            else:
                self._names_to_collectors.pop("target_info", None)
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
        return [metric for collector in self._collectors for metric in _described(collector)]

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
        self._load_defaults()
        with self._lock:
            everything = list(self._collectors)
            if names is None:
                wanted: Iterable[Collector] = everything
            else:
                chosen = {self._names_to_collectors.get(name): None for name in names}
                wanted = [c for c in everything if c in chosen] + self._collectors_without_names
        if names is None or "target_info" in names:
            yield from self._target_families()
        for collector in wanted:
            yield from self._collected(collector)
        # What native code records, and what the registry has to say about itself.
        yield from _computed(self._native.computed([c for c in everything if _is_native(c)]))

    def _collected(self, collector: Collector) -> list[Metric]:
        """The families of one collector; none when it raises."""
        try:
            return list(collector.collect())
        except Exception as error:  # the application's own code: anything can come out of it
            self._failed(collector._name if _is_native(collector) else type(collector).__qualname__, error)
            return []

    def _failed(self, source: str, error: Exception) -> None:
        self._native.fail(source)
        if source not in self._logged:
            self._logged.add(source)
            import logging

            logging.getLogger("ferrometer").warning(
                "%s is left out of scrapes: it raised", source, exc_info=error
            )

    # The native part comes last, so that it counts what went wrong before, and is put in its place.

    def _text(self, **how: str) -> bytes:
        """The text exposition. Only callbacks, foreign collectors and odd names run Python."""
        from_python, leave_out = self._from_python()
        further = self._printed(from_python, "exposition", how)
        return self._target("exposition", how) + self._native.text(leave_out) + further

    def _openmetrics(self, **how: str) -> bytes:
        """The OpenMetrics exposition, likewise."""
        from_python, leave_out = self._from_python()
        printed = (
            self._target("openmetrics.exposition", how),
            self._printed(from_python, "openmetrics.exposition", how),
        )
        target, further = (part.replace(b"# EOF\n", b"") for part in printed)
        return target + self._native.openmetrics(leave_out) + further + b"# EOF\n"

    def _protobuf(self, native_buckets: int) -> bytes:
        """The protobuf exposition, likewise."""
        from_python, leave_out = self._from_python()
        further = []
        for family in (*self._target_families(), *from_python):
            try:
                samples = [
                    (s.name.removeprefix(family.name), sorted(s.labels.items()), float(s.value))
                    for s in family.samples
                ]
                further.append((family.name, family.documentation, family.type, samples))
            except Exception as error:  # a family that is none
                self._failed(str(getattr(family, "name", family)), error)
        return self._native.protobuf(leave_out, native_buckets, further)

    def _target_families(self) -> Sequence[Metric]:
        return _TargetInfo(self._target_info).collect() if self._target_info else ()

    def _target(self, module: str, how: dict[str, str]) -> bytes:
        return self._printed(self._target_families(), module, how)

    def _from_python(self) -> tuple[list[Metric], list[MetricWrapperBase]]:
        """Families that only Python code can tell, and the metrics that native code leaves out."""
        self._load_defaults()
        with self._lock:
            collectors = list(self._collectors)
        leave_out: list[MetricWrapperBase] = []
        families: list[Metric] = []
        for collector in collectors:
            if not _is_native(collector):
                families += self._collected(collector)
            elif collector._tells_samples or collector._meta["odd"]:
                leave_out.append(collector)
                families += self._collected(collector)
            elif collector._has_callbacks:
                try:
                    collector._run_callbacks()
                except Exception as error:  # the application's own code: anything can come out of it
                    leave_out.append(collector)
                    self._failed(collector._name, error)
        return families, leave_out

    def _printed(self, families: Sequence[Metric], module: str, how: dict[str, str]) -> bytes:
        """Families made by Python code, as that module of prometheus_client prints them."""
        if not families:
            return b""
        generate_latest = printer(module)
        out = []
        for family in families:
            try:
                out.append(generate_latest(_Families([family]), **how))
            except Exception as error:  # a family that prometheus_client itself cannot print
                self._failed(str(getattr(family, "name", family)), error)
        return b"".join(out)


#: The registry that metrics join by default.
REGISTRY = CollectorRegistry(auto_describe=True)
REGISTRY._defaults = tuple(f"ferrometer.{what}_collector" for what in ("gc", "platform", "process"))
__getattr__ = lazily(globals())
