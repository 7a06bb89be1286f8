"""The pools that are watched in this process, read twice a second: what other workers show lags no longer.

Where none is watched, it looks every five seconds whether there is one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from ferrometer.background.collector import Collector, Stale

_C = TypeVar("_C", bound=Callable[..., Any])


class WatchedPool(Protocol):
    """A pool with gauges."""

    def refresh(self) -> None:
        """Sets them, without waiting for anything."""


#: The pools of this process.
POOLS: weakref.WeakSet[WatchedPool] = weakref.WeakSet()


_WITHOUT_POOLS = 5.0


class PoolsCollector(Collector):
    """Reads them."""

    name = "pools"
    stale: Stale = "keep"
    interval: float = 0.5

    def idle_interval(self) -> float:
        """Seconds to wait at least."""
        return 0.0 if POOLS else _WITHOUT_POOLS

    async def collect(self) -> None:  # on the scheduler's event loop: no thread for a few microseconds
        """Reads every pool."""
        for pool in list(POOLS):
            pool.refresh()


def counting(check: _C, connections: Callable[[], Mapping[str, int]]) -> _C:
    """A health check that tells its pool's connections also without asking the pool for one.

    ``connections`` waits for nothing. Where workers share their metrics, ``/health`` tells the sum of all.
    """
    check.connections = connections  # type: ignore[attr-defined]
    return check


__all__ = ["POOLS", "PoolsCollector", "WatchedPool", "counting"]
