"""An exposition read back by prometheus_client's parser."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ferrometer import CollectorRegistry, generate_latest

Series = tuple[str, tuple[tuple[str, str], ...]]


def parsed(text: bytes) -> dict[Series, float]:
    """Sample values by name and sorted labels; no line may come twice."""
    values: dict[Series, float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in values, f"{key} comes twice"
            values[key] = sample.value
    return values


def scrape(registry: CollectorRegistry) -> dict[Series, float]:
    """What a scraper reads now."""
    return parsed(generate_latest(registry))


def value(registry: CollectorRegistry, name: str, **labels: Any) -> float | None:
    """One sample of a scrape, None when it is not there."""
    return scrape(registry).get((name, tuple(sorted(labels.items()))))
