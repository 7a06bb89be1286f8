"""The checks' results as gauges that all workers, the own port and the sidecar read.

``ferrometer_health_check{check}`` is 1 or 0, ``ferrometer_health_check_timestamp_seconds{check}`` when that
was found, ``ferrometer_health_check_critical{check}`` whether the service is unhealthy without the component.
Whichever worker ran a check last has the say.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from ferrometer._core import shared_values
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Gauge

KNOWN_FOR = 90.0
"""Seconds for which a result still says something: three rounds of the checks."""


class Known(NamedTuple):
    """What is known of a check, whichever worker ran it."""

    healthy: bool
    critical: bool


class SharedResults:
    """The gauges in one registry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(name, documentation, ["check"], registry=registry, multiprocess_mode="mostrecent")

        self._healthy = gauge("ferrometer_health_check", "Whether the check found its component healthy.")
        self._time = gauge(
            "ferrometer_health_check_timestamp_seconds", "When the check ended, in seconds since 1970."
        )
        self._critical = gauge(
            "ferrometer_health_check_critical", "Whether the service is unhealthy without the component."
        )

    def tell(self, check: str, *, healthy: bool, critical: bool) -> None:
        """Sets what a check has found just now."""
        self._critical.labels(check).set(critical)
        self._healthy.labels(check).set(healthy)
        self._time.labels(check).set(time.time())  # last: whoever sees it sees the rest

    def known(self, checks: list[str]) -> list[Known | None]:
        """What is known of some checks; None of one that nobody ran lately."""
        gauges = [gauge.labels(check) for check in checks for gauge in self._all()]
        values = iter(shared_values(gauges))
        now = time.time()
        return [
            Known(bool(healthy), bool(critical)) if now - told < KNOWN_FOR else None
            for healthy, critical, told in zip(values, values, values, strict=True)
        ]

    def forget(self, check: str) -> None:
        """Drops what is known of a check that was taken away."""
        for gauge in self._all():
            gauge.remove(check)

    def _all(self) -> tuple[Gauge, Gauge, Gauge]:
        return self._healthy, self._critical, self._time
