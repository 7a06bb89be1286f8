"""Delivery: a bounded queue, a thread that sends, retries, and exact counts of what was given up."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ferrometer._process.jitter import jittered

_log = logging.getLogger("ferrometer")

#: Seconds before the first retry, and the longest before any.
FIRST_WAIT, LONGEST_WAIT = 0.1, 30.0


class RefusedError(Exception):
    """The receiver will never take this: it is dropped and counted."""


class LaterError(Exception):
    """The receiver does not take it now. ``after``: the seconds that it asks us to wait, else 0."""

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Counts(Protocol):
    """Where a delivery counts; called from its thread and from those that put."""

    def sent(self, items: Sequence[Any]) -> None:
        """They were taken."""

    def retried(self) -> None:
        """A batch is sent again."""

    def dropped(self, items: Sequence[Any], reason: str) -> None:
        """They were given up: ``queue_full``, ``refused`` or ``stopped``."""

    def queued(self, items: int) -> None:
        """So many wait now."""


class Delivery:
    """Sends what is put into it, in order, from a thread of its own.

    ``send`` is given up to ``batch`` items. It raises RefusedError or LaterError; any other exception counts
    as refused. What is not taken now is sent again, ever more patiently and not in step with others. When
    more than ``queue`` items wait, the oldest is dropped: the caller is never blocked.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[Any]], object],
        counts: Counts,
        *,
        queue: int,
        batch: int = 1,
    ) -> None:
        for what, value in {"queue": queue, "batch": batch}.items():
            if not value > 0:
                raise ValueError(f"{what} of the delivery {name!r} must be positive, not {value!r}")
        self.name = name
        self._send = send
        self._counts = counts
        self._most = queue
        self._batch = batch
        self._waiting: deque[Any] = deque()
        self.after_fork()

    def after_fork(self) -> None:
        """In a child: nothing waits (the parent sends it), and no thread came along."""
        self._waiting.clear()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to send; does nothing when it has begun."""
        if self._thread is None:
            self._stopping.clear()
            self._deadline = float("inf")
            self._thread = threading.Thread(target=self._run, name=f"ferrometer-{self.name}", daemon=True)
            self._thread.start()

    def put(self, item: object) -> None:
        """Leaves an item to be sent; from any thread, never blocking."""
        with self._changed:
            if len(self._waiting) >= self._most:
                self._counts.dropped([self._waiting.popleft()], "queue_full")
            self._waiting.append(item)
            self._counts.queued(len(self._waiting))
            self._changed.notify_all()

    def stop(self, deadline: float) -> bool:
        """Sends until ``deadline``, of ``time.monotonic()``, and drops the rest; whether all went out."""
        self._deadline = deadline
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._changed:
                self._changed.notify_all()
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            self._counts.queued(0)
        if left:
            self._counts.dropped(left, "stopped")
        return not left and (thread is None or not thread.is_alive())

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._stopping.is_set():
                        return
                    self._changed.wait()
                items = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
                self._counts.queued(len(self._waiting))
            self._deliver(items)

    def _deliver(self, items: list[Any]) -> None:
        wait = FIRST_WAIT
        while True:
            try:
                self._send(items)
            except LaterError as error:
                asked = error.after
            except Exception as error:
                _log.warning("%s: refused: %s", self.name, error)
                return self._counts.dropped(items, "refused")
            else:
                return self._counts.sent(items)
            if not self._rest(min(max(asked, jittered(wait, 0.5, 1.0)), LONGEST_WAIT)):
                return self._counts.dropped(items, "stopped")
            wait = min(2 * wait, LONGEST_WAIT)
            self._counts.retried()

    def _rest(self, seconds: float) -> bool:
        """Waits, not for long when the end is near; whether there is time for another try."""
        if self._stopping.is_set():
            time.sleep(min(seconds, FIRST_WAIT, max(0.0, self._deadline - time.monotonic())))
        else:
            self._stopping.wait(seconds)
        return time.monotonic() < self._deadline
