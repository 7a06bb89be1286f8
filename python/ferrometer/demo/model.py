"""A language model that only takes time: as slow as a real one, as certain as a clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

NAMES = ("llama-8b", "llama-70b")
_SECONDS_PER_TOKEN = {"llama-8b": 0.0008, "llama-70b": 0.002}
_PREFILL_SECONDS = 0.004
_SLOTS = 8
"""Requests the GPU works on at once; the next ones wait, as they would on a real one."""


class SimulatedModel:
    """Answers prompts with as many tokens as asked for, at a fixed speed, on a fixed number of GPU slots."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_SLOTS)
        self.waiting: int = 0
        """Requests that have no slot yet."""

    async def tokens(self, model: str, count: int) -> AsyncIterator[str]:
        """`count` tokens, the first one after the prompt was read."""
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        try:
            await asyncio.sleep(_PREFILL_SECONDS)
            for index in range(count):
                await asyncio.sleep(_SECONDS_PER_TOKEN[model])
                yield f"token{index} "
        finally:
            self._slots.release()

    async def embed(self, text: str) -> list[float]:
        """A vector for `text`; needs no slot and about a millisecond."""
        await asyncio.sleep(0.001)
        return [len(word) / 10 for word in text.split()[:8]]

    async def alive(self) -> bool:
        """Health check: whether the GPU answers."""
        await asyncio.sleep(0)
        return True
