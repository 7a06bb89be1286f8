"""What a service counts about its GPUs: instances, requests, cost."""

from __future__ import annotations

import math
from typing import Any

from ferrometer._core import shared_values
from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge


class GpuStats:
    """``gpu_instances_active``, ``gpu_requests_total``, ``gpu_requests_failed``, ``gpu_cost_total``."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self.instances_active: Gauge = Gauge(
            f"{prefix}gpu_instances_active",
            "Active GPU instances",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.requests_total: Counter = Counter(f"{prefix}gpu_requests", "GPU requests", registry=registry)
        self.requests_failed: Gauge = Gauge(
            f"{prefix}gpu_requests_failed", "Failed GPU requests", registry=registry, multiprocess_mode="sum"
        )
        self.cost_total: Counter = Counter(f"{prefix}gpu_cost", "GPU cost in USD", registry=registry)

    def instances(self, active: int) -> None:
        """Set how many instances are active now."""
        self.instances_active.set(active)

    def request(self, *, failed: bool = False, cost_usd: float = 0.0) -> None:
        """Count one GPU request, and what it cost in USD (not negative)."""
        if cost_usd:
            self.cost_total.inc(cost_usd)
        self.requests_total.inc()
        if failed:
            self.requests_failed.inc()

    def cost(self, usd: float) -> None:
        """Add a cost in USD that belongs to no single request."""
        self.cost_total.inc(usd)

    def as_dict(self) -> dict[str, Any]:
        """The ``gpu`` part of ``/stats``."""
        active, cost, requests, failed = finite_values(
            self.instances_active, self.cost_total, self.requests_total, self.requests_failed
        )
        return {
            "active_instances": int(active),
            "total_cost_usd": cost,
            "requests_total": int(requests),
            "requests_failed": int(failed),
        }


def finite_values(*metrics: Counter | Gauge) -> list[float]:
    """The metrics' values in all workers; 0.0 for one set to NaN or infinity, which JSON cannot carry."""
    return [value if math.isfinite(value) else 0.0 for value in shared_values(metrics)]
