"""Since when each item of a queue has been waiting, in the order in which the queue gives them out."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from typing import Any, Protocol


class WaitingLine(Protocol):
    """The times beside the items. ``None``: it was there before anybody looked at a clock."""

    def put(self, item: object, now: float) -> None:
        """An item came."""

    def get(self, item: object) -> float | None:
        """An item left: when did it come?"""

    def skip(self, items: int) -> None:
        """So many are there already."""

    def __len__(self) -> int: ...


class FirstInFirstOut:
    """For plain queues."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float | None] = deque()

    def put(self, item: object, now: float) -> None:
        """An item came."""
        self._times.append(now)

    def get(self, item: object) -> float | None:
        """The one that waited longest left."""
        return self._times.popleft() if self._times else None

    def skip(self, items: int) -> None:
        """So many are there already."""
        self._times.extend([None] * items)

    def __len__(self) -> int:
        return len(self._times)


class LastInFirstOut(FirstInFirstOut):
    """For LIFO queues."""

    __slots__ = ()

    def get(self, item: object) -> float | None:
        """The latest one left."""
        return self._times.pop() if self._times else None


class AnyOrder:
    """For priority queues and whatever a subclass does: by the item's identity.

    An item lives as long as it waits, so no other one has its identity meanwhile.
    """

    __slots__ = ("_times", "_waiting")

    def __init__(self) -> None:
        self._times: dict[int, list[float]] = {}
        self._waiting = 0

    def put(self, item: object, now: float) -> None:
        """An item came."""
        self._times.setdefault(id(item), []).append(now)
        self._waiting += 1

    def get(self, item: object) -> float | None:
        """This item left; put in twice, the first time counts first."""
        self._waiting -= 1
        times = self._times.get(id(item))
        if not times:
            return None
        since = times.pop(0)
        if not times:
            del self._times[id(item)]
        return since

    def skip(self, items: int) -> None:
        """So many are there already."""
        self._waiting += items

    def __len__(self) -> int:
        return self._waiting


def line_of(kind: type) -> WaitingLine:
    """The line that fits a class of queues."""
    order = (getattr(kind, "_put", None), getattr(kind, "_get", None))
    if order in _FIRST:
        return FirstInFirstOut()
    return LastInFirstOut() if order in _LAST else AnyOrder()


def _order(kind: Any) -> tuple[object, object]:
    return kind._put, kind._get


_FIRST = (_order(queue.Queue), _order(asyncio.Queue))
_LAST = (_order(queue.LifoQueue), _order(asyncio.LifoQueue))
