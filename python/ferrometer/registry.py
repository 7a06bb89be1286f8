"""Registries: which metrics a scrape shows."""

from __future__ import annotations

from _thread import allocate_lock

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import RestrictedRegistry

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


def _names_of(metrics: Iterable[Metric]) -> list[str]:
    return [m.name + suffix for m in metrics for suffix in ("", *_SUFFIXES.get(m.type, ()))]


class _TargetInfo:
    """The collector that stands for a registry's target info."""

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.metrics_core import Metric

        metric = Metric("target", "Target metadata", "info")
        metric.add_sample("target_info", self._labels, 1)
        return [metric]


class CollectorRegistry:
    """A set of metrics and collectors without two of one name.

    Takes ferrometer's metrics, and every collector written for ``prometheus_client``. A collector that
    raises is left out of that scrape and counted in ``ferrometer_scrape_errors_total{source}``.
    """

    def __init__(
        self,
        auto_describe: bool = False,
        target_info: dict[str, str] | None = None,
        support_collectors_without_names: bool = False,
    ) -> None:
        self._native = _core.Registry()
        self._lock = allocate_lock()
        self._collector_to_names: dict[Collector, list[str]] = {}
        self._names_to_collectors: dict[str, Collector] = {}
        self._collectors_without_names: list[Collector] = []
        self._auto_describe = auto_describe
        self._support_collectors_without_names = support_collectors_without_names
        self._with_callbacks: dict[str, _core.Metric] = {}
        self._target_info: dict[str, str] | None = None
        self.set_target_info(target_info)

    def register(self, collector: Collector) -> None:
        """Adds a metric or a collector.

        Raises ValueError when one of its names is taken; the text shows both definitions.
        """
        if isinstance(collector, _core.Metric):
            self._native.adopt(collector)
            self._note(collector)
            return
        describe = getattr(collector, "describe", None) or (collector.collect if self._auto_describe else list)
        names = _names_of(describe())
        self._native.reserve(names, repr(collector))
        with self._lock:
            self._collector_to_names[collector] = names
            self._names_to_collectors.update(dict.fromkeys(names, collector))
            if self._support_collectors_without_names and not names:
                self._collectors_without_names.append(collector)

    def _note(self, metric: Collector) -> None:
        """Remembers a metric that the native registry has taken."""
        meta = metric._meta  # type: ignore[attr-defined]  # a native metric
        names = [meta["name"] + suffix for suffix in ("", *_SUFFIXES.get(meta["type"], ()))]
        with self._lock:
            if names[0] not in self._names_to_collectors:
                self._collector_to_names[metric] = names
                self._names_to_collectors.update(dict.fromkeys(names, metric))

    def unregister(self, collector: Collector) -> None:
        """Removes a metric or a collector. Raises KeyError when it is not registered."""
        with self._lock:
            names = self._collector_to_names.pop(collector)
            for name in names:
                del self._names_to_collectors[name]
            if collector in self._collectors_without_names:
                self._collectors_without_names.remove(collector)
            self._with_callbacks.pop(names[0] if names else "", None)
        if isinstance(collector, _core.Metric):
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

    def _target_info_metric(self) -> Metric:
        (metric,) = _TargetInfo(self._target_info or {}).collect()
        return metric

    def collect(self) -> Iterator[Metric]:
        """The families as prometheus_client's objects, for code that reads samples in Python."""
        with self._lock:
            collectors = list(self._collector_to_names)
        if self._target_info:
            yield self._target_info_metric()
        for collector in collectors:
            yield from collector.collect()

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """A registry of only the samples with these names."""
        from prometheus_client.registry import RestrictedRegistry

        return RestrictedRegistry(names, self)  # type: ignore[arg-type]  # same attributes, other class

    def get_sample_value(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        """The value of one sample, None when there is none. For tests: it collects everything."""
        for metric in self.collect():
            for sample in metric.samples:
                if sample.name == name and sample.labels == (labels or {}):
                    return sample.value
        return None

    def _text(self) -> bytes:
        """The text exposition. Only callbacks and foreign collectors run Python."""
        with self._lock:
            callbacks = list(self._with_callbacks.items())
            foreign = [c for c in self._collector_to_names if not isinstance(c, _core.Metric)]
        failed = []
        for name, metric in callbacks:
            try:
                metric._run_callbacks()
            except Exception:  # the application's own code: anything can come out of it
                self._native.fail(name)
                failed.append(metric)
        families = [self._target_info_metric()] if self._target_info else []
        for collector in foreign:
            try:
                families.extend(collector.collect())
            except Exception:  # likewise
                self._native.fail(type(collector).__qualname__)
        return self._native.text(failed) + (self._foreign_text(families) if families else b"")

    def _foreign_text(self, families: list[Metric]) -> bytes:
        from prometheus_client import CollectorRegistry as Foreign
        from prometheus_client.exposition import generate_latest

        out = []
        for family in families:
            one = Foreign()
            one.collect = lambda family=family: [family]  # type: ignore[method-assign,misc]
            try:
                out.append(generate_latest(one))
            except Exception:  # a family that prometheus_client itself cannot print
                self._native.fail(str(getattr(family, "name", family)))
        return b"".join(out)


#: The registry that metrics join by default.
REGISTRY = CollectorRegistry(auto_describe=True)
