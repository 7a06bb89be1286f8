"""What a library says it counted, read back from what it exposes: proof that a timed call did its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, tuple[tuple[str, str], ...]]


def exposed(text: bytes | str) -> dict[Sample, float]:
    """Every sample of a text exposition, parsed by prometheus_client, keyed by name and sorted labels."""
    if isinstance(text, bytes):
        text = text.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(text: bytes | str, name: str) -> float:
    """The sum of a sample over all of its label sets."""
    return sum(value for (sample, _), value in exposed(text).items() if sample == name)


def otel_points(reader: Any) -> list[Any]:
    """The data points that an OpenTelemetry in-memory reader holds."""
    data = reader.get_metrics_data()
    return [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def equals(read: Callable[[], float], what: str) -> Callable[[int], None]:
    """A check for `Subject`: the number read back is the number of operations."""

    def check(done: int) -> None:
        value = read()
        assert value == done, f"{what}: {done} operations, but it says {value}"

    return check
