"""The gateway's cache in Valkey: models' contexts, and a list of the latest prompts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import ferrometer
from ferrometer.collectors.redis import instrument_redis, redis_check
from ferrometer.stats.service import ServiceStats

LATEST = "usage:latest"
"""The key of the list."""
_KEPT = 100
_SECONDS = 300
_NO_MODEL = b"-"

Contexts = Callable[[str], Awaitable[int | None]]


class Shelf:
    """A client of redis-py, and what the gateway does with it."""

    def __init__(self, address: str, contexts: Contexts) -> None:
        import redis.asyncio

        self._client: Any = redis.asyncio.Redis.from_url(address)
        self._contexts = contexts
        self._stats: ServiceStats | None = None

    def watch(self, stats: ServiceStats, registry: ferrometer.CollectorRegistry) -> None:
        """Has its commands, connections, hits and misses counted."""
        instrument_redis(self._client, name="shelf", registry=registry)
        self._stats = stats

    def check(self) -> Any:
        """A health check."""
        return redis_check(self._client)

    async def context(self, name: str) -> int | None:
        """A model's context from the cache, else from where it is known for certain."""
        key = f"context:{name}"
        kept = await self._client.get(key)
        if self._stats is not None:
            (self._stats.cache.miss if kept is None else self._stats.cache.hit)()
        if kept is not None:
            return None if kept == _NO_MODEL else int(kept)
        found = await self._contexts(name)
        await self._client.set(key, _NO_MODEL if found is None else found, ex=_SECONDS)
        return found

    async def note(self, model: str, tokens: int) -> None:
        """Puts a prompt on the list of the latest."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.lpush(LATEST, f"{model} {tokens}")
        pipeline.ltrim(LATEST, 0, _KEPT - 1)
        await pipeline.execute()

    async def close(self) -> None:
        """Lets go of all connections."""
        await self._client.aclose()
