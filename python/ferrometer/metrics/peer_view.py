"""A metric as prometheus_client shows it: its attributes, and its samples as prometheus_client's objects."""

from __future__ import annotations

from _thread import RLock

from ferrometer import _core
from ferrometer.metrics.peer_dicts import Children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping
    from typing import Any, Self

    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

    _Native = _core.Metric
else:
    # At run time each class brings its own native base, and CPython accepts only one of them.
    _Native = object


class Value:
    """prometheus_client's ``metric._value``, for code that reads or sets it."""

    __slots__ = ("_read", "_write")

    def __init__(self, read: Callable[[], float], write: Callable[[float], None] | None = None) -> None:
        self._read = read
        self._write = write

    def get(self) -> float:
        """The value."""
        return self._read()

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replaces the value."""
        if self._write is None:
            raise AttributeError("what a histogram or summary holds comes from observe() and cannot be set")
        self._write(float(value))

    def inc(self, amount: float) -> None:
        """Adds to the value."""
        self.set(self._read() + amount)

    @property
    def _value(self) -> float:
        return self._read()

    @_value.setter
    def _value(self, value: float) -> None:
        self.set(value)


class PeerView(_Native):
    """prometheus_client's attributes and samples of a metric, which downstream code reads."""

    __slots__ = ()
    _type: str = ""

    def _is_parent(self) -> bool:
        return bool(self._labelnames) and not self._labelvalues

    @property
    def _metrics(self) -> MutableMapping[tuple[str, ...], Self]:
        if not self._is_parent():
            raise AttributeError(f"{self} has no children")
        return Children(self)

    @_metrics.setter
    def _metrics(self, wanted: Mapping[tuple[str, ...], Self]) -> None:
        Children(self).become(wanted)

    @property
    def _lock(self) -> RLock:
        """For programs that hold it while they change ``_metrics``; nothing here needs it."""
        return self._meta.setdefault("lock", RLock())  # type: ignore[no-any-return]

    # Samples, as prometheus_client's objects.

    def _get_metric(self) -> Metric:
        from prometheus_client.metrics_core import Metric

        return Metric(self._name, self._documentation, self._type, self._unit)

    def describe(self) -> Iterable[Metric]:
        """The family without samples."""
        return [self._get_metric()]

    def collect(self) -> Iterable[Metric]:
        """The family with its samples. Raises what a ``set_function`` callback raises."""
        self._run_callbacks()
        metric = self._get_metric()
        told: Iterable[Any] = self._samples()  # a subclass's samples may be shorter
        for suffix, *rest in told:
            metric.add_sample(self._name + suffix, *rest)
        return [metric]

    def _samples(self) -> Iterable[Sample]:
        return self._multi_samples() if self._is_parent() else self._child_samples()

    def _multi_samples(self) -> Iterable[Sample]:
        from prometheus_client.samples import Sample

        names = self._labelnames
        if type(self)._child_samples is not PeerView._child_samples:
            told: Iterable[tuple[tuple[str, ...], Any]] = (
                (values, sample)
                for values, child in self._metrics.items()
                for sample in child._child_samples()
            )
            return [
                Sample(suffix, {**dict(zip(names, values, strict=True)), **labels}, *rest)
                for values, (suffix, labels, *rest) in told
            ]
        return [
            Sample(
                suffix, {**dict(zip(names, values, strict=True)), **labels}, value, None, _exemplar(exemplar)
            )
            for suffix, labels, value, values, exemplar in self._rows()
        ]

    def _child_samples(self) -> Iterable[Sample]:
        from prometheus_client.samples import Sample

        return tuple(
            Sample(suffix, labels, value, None, _exemplar(exemplar))
            for suffix, labels, value, _, exemplar in self._rows()
        )

    # What prometheus_client keeps as attributes, and downstream code reads.

    @property
    def _name(self) -> str:
        return self._meta["name"]  # type: ignore[no-any-return]

    @property
    def _original_name(self) -> str:
        return self._meta["original_name"]  # type: ignore[no-any-return]

    @property
    def _namespace(self) -> str:
        return self._meta["namespace"]  # type: ignore[no-any-return]

    @property
    def _subsystem(self) -> str:
        return self._meta["subsystem"]  # type: ignore[no-any-return]

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
    def _kwargs(self) -> dict[str, Any]:
        """What a subclass's children are made with; a subclass may add its own arguments."""
        return self._meta["kwargs"]  # type: ignore[no-any-return]

    def _observable(self, value: Value) -> Value:
        """The value, where prometheus_client has the attribute."""
        if self._is_parent():
            raise AttributeError(f"{self} has children with values, and none itself")
        return value

    def __str__(self) -> str:
        return f"{self._type}:{self._name}"

    def __repr__(self) -> str:
        stands_in = type(self).__module__ == "prometheus_client.metrics"  # whose children do not tell theirs
        values = () if stands_in else getattr(self, "_labelvalues", ())
        labels = ", ".join(f"{name}={value!r}" for name, value in zip(self._labelnames, values, strict=False))
        shown = f"{self._name}{{{labels}}}" if labels else self._name
        return f"{type(self).__module__}.{type(self).__name__}({shown})"


def _exemplar(parts: tuple[dict[str, str], float, float] | None) -> Any:
    if parts is None:
        return None
    from prometheus_client.samples import Exemplar

    return Exemplar(*parts)
