"""A health check for the application's Redis client: PING, and the pool's connection counts."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ferrometer.collectors.app.pools import counting
from ferrometer.collectors.redis.pool import read_pools


def redis_check(
    client: Any,
) -> Callable[[], Awaitable[Mapping[str, int]]] | Callable[[], Mapping[str, int]]:
    """A check for ``HealthChecks.register``: PING, of a cluster to every node.

    Takes a ``Redis`` or ``RedisCluster`` client, sync or asyncio. Its answer holds
    ``total_connections``, ``idle_connections`` and, where the pool has a limit, ``max_connections``.
    It raises what the client raises, of which ``/health`` shows the type. Raises TypeError for
    anything that is no client.
    """
    if not callable(getattr(client, "execute_command", None)):
        raise TypeError(f"redis_check takes a Redis or RedisCluster client, not {type(client).__name__}")

    def counts() -> Mapping[str, int]:
        active, idle, maximum = read_pools(client)
        found = {"total_connections": active + idle, "idle_connections": idle}
        return found if maximum is None else {**found, "max_connections": maximum}

    if inspect.iscoroutinefunction(client.execute_command):

        async def check_async() -> Mapping[str, int]:
            await client.ping()
            return counts()

        return counting(check_async, counts)

    def check() -> Mapping[str, int]:
        client.ping()
        return counts()

    return counting(check, counts)


__all__ = ["redis_check"]
