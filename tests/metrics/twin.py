"""prometheus_client as the oracle: both libraries run one script, and must then show the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import prometheus_client
from prometheus_client.openmetrics import exposition as openmetrics

import ferrometer
from ferrometer.exposition import generate_openmetrics

#: A line whose value is the moment at which a series was made.
_CREATED = re.compile(r"^([A-Za-z0-9_:]+_created(?:\{.*\})?) \S+$", re.MULTILINE)

#: An exemplar, which ends in the moment at which it was kept.
_EXEMPLAR = re.compile(r"( # \{[^}]*\} \S+) [0-9.]+$", re.MULTILINE)

Labels = Sequence[object] | Mapping[str, object]


def masked(text: bytes) -> str:
    """An exposition without the moments at which its series and exemplars were made."""
    return _EXEMPLAR.sub(r"\1 <kept>", _CREATED.sub(r"\1 <created>", text.decode()))


def outcome(action: Callable[[], Any]) -> tuple[str, Any]:
    """What an action returned, or the type of its exception."""
    try:
        result = action()
    except Exception as error:
        return "raised", type(error)
    return "returned", result


def child(metric: Any, labels: Labels) -> Any:
    """The metric itself without labels, its child with them, by position or by name."""
    if isinstance(labels, Mapping):
        return metric.labels(**labels) if labels else metric
    return metric.labels(*labels) if labels else metric


class Twins:
    """A registry of each library, and pairs of metrics defined alike."""

    def __init__(self) -> None:
        self.ours = ferrometer.CollectorRegistry()
        self.theirs = prometheus_client.CollectorRegistry()

    def define(self, kind: str, name: str, *args: Any, **kwargs: Any) -> Pair:
        """The metric class ``kind`` of both libraries with the same arguments."""

        def make(library: ModuleType, registry: Any) -> Any:
            return getattr(library, kind)(name, *args, registry=registry, **kwargs)

        return Pair(make(ferrometer, self.ours), make(prometheus_client, self.theirs))

    def texts(self) -> tuple[str, str]:
        """Both expositions, comparable."""
        return (
            masked(ferrometer.generate_latest(self.ours)),
            masked(prometheus_client.generate_latest(self.theirs)),
        )

    def open_texts(self) -> tuple[str, str]:
        """Both expositions in OpenMetrics, comparable."""
        return (
            masked(generate_openmetrics(self.ours)),
            masked(openmetrics.generate_latest(self.theirs)),  # type: ignore[no-untyped-call]
        )

    def agree(self) -> None:
        """Text, samples and single values are the same."""
        ours, theirs = self.open_texts()
        assert ours == theirs
        ours, theirs = self.texts()
        assert ours == theirs
        samples = _samples(self.theirs)
        assert _samples(self.ours) == samples
        for name, labels, value in samples[:20]:
            if value != "<created>":
                assert repr(self.ours.get_sample_value(name, dict(labels))) == value
        # A registry of theirs reads our metrics through `collect()`, and prints the same once more.
        assert masked(prometheus_client.generate_latest(self.ours)) == theirs


def _samples(registry: Any) -> list[tuple[str, tuple[tuple[str, str], ...], str]]:
    rows = []
    for metric in registry.collect():
        for sample in metric.samples:
            # repr tells -0.0 from 0.0 and compares NaN, but 1 is 1.0.
            value = "<created>" if sample.name.endswith("_created") else repr(float(sample.value))
            rows.append((sample.name, tuple(sorted(sample.labels.items())), value))
    return rows


class Pair:
    """One metric of each library."""

    def __init__(self, ours: Any, theirs: Any) -> None:
        self.ours = ours
        self.theirs = theirs

    def do(self, call_: str, /, *args: Any, on: Labels = (), **kwargs: Any) -> tuple[str, Any]:
        """Calls a method of both, whose outcomes must be the same; returns ours."""

        def call(metric: Any) -> Callable[[], Any]:
            return lambda: getattr(child(metric, on), call_)(*args, **kwargs)

        ours, theirs = outcome(call(self.ours)), outcome(call(self.theirs))
        if theirs[0] == "raised" and ours[0] == "raised":
            assert issubclass(ours[1], theirs[1]), (call_, args, on, ours, theirs)
        else:
            assert ours == theirs, (call_, args, on)
        return ours
