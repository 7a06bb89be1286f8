"""The checks' results as gauges that all workers, the own port and the sidecar read.

``ferrometer_health_check{check}`` is 1 or 0, ``ferrometer_health_check_timestamp_seconds{check}`` when that
was found, ``ferrometer_health_check_critical{check}`` whether the service is unhealthy without the component.
Whichever worker ran a check last has the say. ``ferrometer_health_check_connections{check,state}`` are those
of the pool behind a check, in all workers together.

Of two applications in a process that record into one registry, the second one's checks have its name before
theirs where the first has checks of that name: ``two:database``.
"""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ferrometer._core import shared_values
from ferrometer._process.local_only import OwnSeries
from ferrometer.collectors.app.pools import POOLS
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Gauge

KNOWN_FOR = 90.0
"""Seconds for which a result still says something: three rounds of the checks."""


class Known(NamedTuple):
    """What is known of a check, whichever worker ran it."""

    healthy: bool
    critical: bool


#: Fields of a check, and what their sums over the workers have as label ``state``.
CONNECTIONS = {"total_connections": "total", "idle_connections": "idle", "max_connections": "max"}


class SharedResults:
    """The gauges in one registry.

    ``application`` tells this application's checks from those of others that are called alike; by default,
    its number among those that record into the registry.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, application: str | None = None) -> None:
        _MADE[registry] = number = _MADE.get(registry, 0) + 1
        self._application = application or str(number)
        self._labels: dict[str, str] = {}
        self._taken = _TAKEN.setdefault(registry, {})

        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(name, documentation, ["check"], registry=registry, multiprocess_mode="mostrecent")

        self._healthy = gauge("ferrometer_health_check", "Whether the check found its component healthy.")
        self._time = gauge(
            "ferrometer_health_check_timestamp_seconds", "When the check ended, in seconds since 1970."
        )
        self._critical = gauge(
            "ferrometer_health_check_critical", "Whether the service is unhealthy without the component."
        )

        self._connections = Gauge(
            "ferrometer_health_check_connections",
            "Connections of the pool behind the check.",
            ["check", "state"],
            registry=registry,
            multiprocess_mode="livesum",
        )

    def label(self, check: str) -> str:
        """What the check has as ``check``: its name, unless another application has one of that name."""
        known = self._labels.get(check)
        if known is None:
            known = check
            if self._is_taken(check):
                gc.collect()  # an application that nobody has any more is a cycle until then
                if self._is_taken(check):
                    known = f"{self._application}:{check}"
            self._labels[check] = known
            self._taken[known] = weakref.ref(self)
        return known

    def _is_taken(self, label: str) -> bool:
        owner = self._taken.get(label)
        return owner is not None and owner() not in (None, self)

    def tell(self, check: str, *, healthy: bool, critical: bool) -> None:
        """Sets what a check has found just now."""
        label = self.label(check)
        self._critical.labels(label).set(critical)
        self._healthy.labels(label).set(healthy)
        self._time.labels(label).set(time.time())  # last: whoever sees it sees the rest

    def known(self, checks: list[str]) -> list[Known | None]:
        """What is known of some checks; None of one that nobody ran lately."""
        gauges = [gauge.labels(self.label(check)) for check in checks for gauge in self._all()]
        values = iter(shared_values(gauges))
        now = time.time()
        return [
            Known(bool(healthy), bool(critical)) if now - told < KNOWN_FOR else None
            for healthy, critical, told in zip(values, values, values, strict=True)
        ]

    def connections(self, check: str, own: Mapping[str, int]) -> dict[str, int]:
        """Tells how many connections the pool of this process has, and returns those of all processes."""
        label = self.label(check)
        known = [key for key in CONNECTIONS if key in own]
        told = {key: self._connections.labels(label, CONNECTIONS[key]) for key in known}
        for key, gauge in told.items():
            gauge.set(own[key])
        return {key: int(value) for key, value in zip(told, shared_values(list(told.values())), strict=True)}

    def forget_connections(self, check: str) -> None:
        """The pool of this process is gone, or cannot be read."""
        with OwnSeries():  # other workers have theirs
            for state in CONNECTIONS.values():
                self._connections.remove(self.label(check), state)

    def forget(self, check: str) -> None:
        """Drops what is known of a check that was taken away."""
        for gauge in self._all():
            gauge.remove(self.label(check))

    def _all(self) -> tuple[Gauge, Gauge, Gauge]:
        return self._healthy, self._critical, self._time


#: How many applications recorded into a registry so far.
_MADE: weakref.WeakKeyDictionary[CollectorRegistry, int] = weakref.WeakKeyDictionary()
#: Whose checks have which labels.
_TAKEN: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, weakref.ref[SharedResults]]] = (
    weakref.WeakKeyDictionary()
)


class PoolWatch:
    """The pool behind a check, read twice a second, so that other workers' ``/health`` knows of it."""

    def __init__(self, check: str, read: Callable[[], Mapping[str, int]], results: SharedResults) -> None:
        self._check = check
        self._read = read
        self._results = results
        POOLS.add(self)

    def refresh(self) -> None:
        """Tell them."""
        self.total()

    def total(self) -> Mapping[str, int]:
        """Those of all processes; nothing where the pool cannot be read."""
        try:
            own = self._read()
        except Exception:  # a pool may be closed, and says so in words of its driver
            self._results.forget_connections(self._check)
            return {}
        return self._results.connections(self._check, own)

    def forget(self) -> None:
        """The check was taken away."""
        POOLS.discard(self)
        self._results.forget_connections(self._check)
