"""The pools that are watched in this process, read twice a second: what other workers show lags no longer."""

from __future__ import annotations

import weakref
from typing import Protocol

from ferrometer.background.collector import Collector, Stale


class WatchedPool(Protocol):
    """A pool with gauges."""

    def refresh(self) -> None:
        """Sets them, without waiting for anything."""


#: The pools of this process.
POOLS: weakref.WeakSet[WatchedPool] = weakref.WeakSet()


class PoolsCollector(Collector):
    """Reads them."""

    name = "pools"
    stale: Stale = "keep"
    interval = 0.5

    async def collect(self) -> None:  # on the scheduler's event loop: no thread for a few microseconds
        """Reads every pool."""
        for pool in list(POOLS):
            pool.refresh()


__all__ = ["POOLS", "PoolsCollector", "WatchedPool"]
