"""How long a scrape may take: callbacks and collectors that would outlast it are left out."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_T = TypeVar("_T")
_K = TypeVar("_K")

#: When the scrape that is being answered must be over, by the monotonic clock; None for whenever.
_deadline: ContextVar[float | None] = ContextVar("ferrometer_scrape_deadline", default=None)


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Expositions written in this block are done after so many seconds, with what is known then."""
    token = _deadline.set(None if seconds is None else monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


class Errands(Generic[_K, _T]):
    """Runs what a scrape has to ask Python code for, one after the other.

    Python code cannot be interrupted, so under a deadline it runs in a thread that is left behind when the
    time is up. Who took long the last time comes last, and thereby costs nobody but itself; who has not
    come back from an earlier scrape is waited for, but not asked twice at the same time.
    """

    def __init__(self) -> None:
        self._took: dict[_K, float] = {}
        self._running: set[_K] = set()
        self._changed = threading.Condition()

    def run(self, errands: Mapping[_K, Callable[[], _T]]) -> Iterator[tuple[_K, _T | None]]:
        """Each errand's result in the order given; None for those that the scrape would not live to see."""
        deadline = _deadline.get()
        if deadline is None or not errands:
            yield from ((key, errand()) for key, errand in errands.items())
            return
        results: dict[_K, _T] = {}

        def work() -> None:
            for key in sorted(errands, key=lambda key: (key in self._running, self._took.get(key, 0.0))):
                if self._start(key, deadline):
                    began = monotonic()
                    try:
                        results[key] = errands[key]()
                    finally:
                        self._end(key, monotonic() - began)

        thread = threading.Thread(
            target=copy_context().run, args=(work,), name="ferrometer-scrape", daemon=True
        )
        thread.start()
        thread.join(max(0.0, deadline - monotonic()))
        found = results.copy()
        self._took = {key: self._took[key] for key in errands if key in self._took}
        yield from ((key, found.get(key)) for key in errands)

    def _start(self, key: _K, deadline: float) -> bool:
        with self._changed:
            left = deadline - monotonic()
            if left <= 0 or not self._changed.wait_for(lambda: key not in self._running, left):
                return False
            self._running.add(key)
            return True

    def _end(self, key: _K, seconds: float) -> None:
        with self._changed:
            self._running.discard(key)
            self._took[key] = seconds
            self._changed.notify_all()
