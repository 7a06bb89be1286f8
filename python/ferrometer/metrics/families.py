"""Families of metrics as prometheus_client's objects, and the names that they take."""

from __future__ import annotations

from ferrometer import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Protocol

    from prometheus_client.metrics_core import Metric

    class Collector(Protocol):
        """Anything with prometheus_client's ``collect()``."""

        def collect(self) -> Iterable[Metric]:
            """The families of this moment."""


#: What the sample names of a type may end in.
SUFFIXES = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}


def names(name: str, kind: str) -> list[str]:
    """The names of a family of that type, and of its samples."""
    return [name + suffix for suffix in ("", *SUFFIXES.get(kind, ()))]


def names_of(metrics: Iterable[Metric]) -> list[str]:
    """The same of several families."""
    return [name for metric in metrics for name in names(metric.name, metric.type)]


def described(collector: Collector) -> Iterable[Metric]:
    """The families of a collector, with or without samples."""
    describe: Callable[[], Iterable[Metric]] = getattr(collector, "describe", collector.collect)
    return describe()


class DuplicateTimeseries(ValueError):
    """A name is taken: ``duplicates`` are those that clash."""

    def __init__(self, text: str, duplicates: set[str]) -> None:
        super().__init__(text)
        self.duplicates = duplicates


class Taking:
    """Makes of a name's being taken the error that prometheus_client raises."""

    def __init__(self, taken: Mapping[str, Collector], names: list[str]) -> None:
        self._taken = taken
        self._names = names

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError) and str(error).startswith("Duplicated"):
            raise DuplicateTimeseries(str(error), self._taken.keys() & set(self._names)) from None


def computed(rows: Iterable[_core._Family]) -> Iterator[Metric]:
    """Families that native code has told."""
    for name, help_, kind, unit, samples in rows:
        from prometheus_client.metrics_core import Metric

        metric = Metric(name, help_, kind, unit)
        for suffix, labels, value in samples:
            metric.add_sample(name + suffix, labels, value)
        yield metric


def protobuf_of(family: Metric) -> bytes:
    """A family made in Python as a length-delimited protobuf message."""
    return _core.protobuf_family(
        family.name,
        family.documentation,
        family.type,
        family.unit,
        [
            (
                sample.name.removeprefix(family.name),
                sorted(sample.labels.items()),
                float(sample.value),
                None if sample.timestamp is None else int(float(sample.timestamp) * 1000),
            )
            for sample in family.samples
        ],
    )


class CellRefresher:
    """A collector that has no samples: before a scrape it fills cells of native families."""

    def refresh(self) -> None:
        """Fills them."""
        raise NotImplementedError


class Families:
    """A collector of given families."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self._families


class TargetInfo:
    """The collector that stands for a registry's target info."""

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels

    def collect(self) -> list[Metric]:
        """The one family, made anew."""
        from prometheus_client.metrics_core import Metric

        metric = Metric("target", "Target metadata", "info")
        metric.add_sample("target_info", self._labels, 1)
        return [metric]
