"""Series whose subject ends: a session or user that no process has told of for some time goes, everywhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from ferrometer._process import fork
from ferrometer.instruments.family import Metric
from ferrometer.metrics.types import Gauge


class Expiry:
    """Removes the series of subjects whose latest update, in any worker, is ``ttl`` seconds old.

    The time of the latest update is itself a gauge, so that all workers see it, a dead worker's too.
    """

    def __init__(self, updated: Gauge, metrics: Sequence[Metric], ttl: float) -> None:
        self._updated = updated
        self._metrics = metrics
        self.ttl = ttl
        self._due = time.monotonic() + ttl / 4
        self._lock = threading.Lock()
        fork.hold_during_fork(self._lock)

    def touch(self, subject: str) -> None:
        """The subject is alive now."""
        self._updated.labels(subject).set(time.time())
        if time.monotonic() >= self._due:
            self.sweep()

    def sweep(self) -> None:
        """Removes what is too old, in all workers."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._due = time.monotonic() + self.ttl / 4
            oldest = time.time() - self.ttl
            ended = [labels[0] for _, _, latest, labels, _ in self._updated._rows() if latest < oldest]
            for subject in ended:
                self.remove(subject)
        finally:
            self._lock.release()

    def remove(self, subject: str) -> None:
        """Removes the subject's series now."""
        for metric in (*self._metrics, self._updated):
            metric.remove(subject)
