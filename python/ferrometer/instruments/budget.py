"""A budget of money: what a tenant may spend, what it has spent, and when the rest is gone."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ferrometer._core import shared_values
from ferrometer._process import fork
from ferrometer.instruments.budget_book import BudgetBook
from ferrometer.sharing.share import shared_directory

_log = logging.getLogger("ferrometer")

_HOUR = 3600.0
_OFTEN = 1.0


class Budget:
    """One tenant's budget; ``costs().budget(...)`` makes it.

    The spending of all workers counts, from the moment when the first of them made it. What has been told
    and when it began is known to all workers that share their metrics, and outlives them.
    """

    def __init__(
        self,
        costs: Any,
        tenant: str,
        usd: float,
        thresholds: Sequence[float],
        on_threshold: Callable[[str, float, float], object] | None,
        period: str = "",
    ) -> None:
        if not 0 < usd < math.inf:
            raise ValueError(f"the budget of {tenant!r} must be finite and above 0, not {usd!r}")
        for threshold in thresholds:
            if not 0 < threshold < math.inf:
                raise ValueError(f"a threshold must be finite and above 0, not {threshold!r}")
        self.tenant = tenant
        self.total: float = float(usd)
        self.used: float = 0.0
        self._costs = costs
        self._left = sorted(thresholds)
        self._on_threshold = on_threshold
        self._book = BudgetBook(tenant, "\0".join((costs.namespace or "", tenant, repr(self.total), period)))
        self._before = self._spent()
        self._shares = False
        self._looked = -math.inf
        self._samples: deque[tuple[float, float]] = deque(maxlen=128)
        self._lock = threading.Lock()
        fork.hold_during_fork(self._lock)

    def __repr__(self) -> str:
        return f"Budget({self.tenant!r}, {self.used:.6f} of {self.total:g} USD)"

    @property
    def utilization(self) -> float:
        """Spent over total."""
        return self.used / self.total

    def _spent(self) -> float:
        return shared_values([self._costs.cost_by_tenant.labels(self.tenant)])[0]

    def look(self, *, soon: bool = False) -> None:
        """Reads what all workers have spent; ``soon``: not oftener than once a second."""
        now = time.monotonic()
        if (soon and now - self._looked < _OFTEN) or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked = now
            self._read()
            while self._samples and now - self._samples[0][0] > _HOUR:
                self._samples.popleft()
            if not self._samples or now - self._samples[-1][0] >= _HOUR / 128:
                self._samples.append((now, self.used))
            self._tell(now)
            passed = [threshold for threshold in self._left if self.utilization >= threshold]
            del self._left[: len(passed)]
        finally:
            self._lock.release()
        for threshold in passed:
            if self._on_threshold is not None and self._book.claim(threshold):
                try:
                    self._on_threshold(self.tenant, threshold, self.utilization)
                except Exception:  # what a budget's owner does must not break the call that spent
                    _log.exception("the callback of the budget of %r failed", self.tenant)

    def _read(self) -> None:
        spent = self._spent()
        if not self._shares and shared_directory() is not None:
            # Sharing may begin after the budget was made: what this process spent came along.
            self._shares = True
            self._before = self._book.begin(max(0.0, spent - self.used))
        if spent < self._before:  # the tenant's series was removed, and counts anew
            self._before = 0.0
            self._book.restart()
        self.used = spent - self._before

    def _tell(self, now: float) -> None:
        costs, tenant = self._costs, self.tenant
        costs.cost_budget_total_usd.labels(tenant).set(self.total)
        costs.cost_budget_used_usd.labels(tenant).set(self.used)
        costs.cost_budget_utilization.labels(tenant).set(self.utilization)
        since, used = self._samples[0]
        rate = (self.used - used) / (now - since) if now > since else 0.0
        forecast = costs.cost_budget_exhausted_timestamp_seconds
        if rate > 0:
            forecast.labels(tenant).set(time.time() + max(0.0, self.total - self.used) / rate)
        else:
            forecast.remove(tenant)
