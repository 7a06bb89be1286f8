"""The self-metrics of deliveries, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge


class DeliveryMetrics:
    """Counts the items of one delivery."""

    def __init__(self, registry: CollectorRegistry, name: str) -> None:
        prefix, labels = "ferrometer_delivery", ["delivery"]
        self._sent = Counter(f"{prefix}_items", "Items that were taken", labels, registry=registry)
        self._retried = Counter(f"{prefix}_retries", "Batches sent again", labels, registry=registry)
        self._dropped = Counter(
            f"{prefix}_dropped_items", "Items given up", [*labels, "reason"], registry=registry
        )
        self._queued = Gauge(
            f"{prefix}_queue_items", "Items that wait", labels, registry=registry, multiprocess_mode="livesum"
        )
        self._name = name
        for family in (self._sent, self._retried, self._queued):
            family.labels(name)  # shown from now on

    # Each call looks its series up: somebody may have removed it meanwhile.

    def sent(self, items: Sequence[Any]) -> None:
        """They were taken."""
        self._sent.labels(self._name).inc(len(items))

    def retried(self) -> None:
        """A batch is sent again."""
        self._retried.labels(self._name).inc()

    def dropped(self, items: Sequence[Any], reason: str) -> None:
        """They were given up."""
        self._dropped.labels(self._name, reason).inc(len(items))

    def queued(self, items: int) -> None:
        """So many wait now."""
        self._queued.labels(self._name).set(items)
