"""Money in whole pico-dollars: exact, however many additions there are.

A float that grows by 0.0003075 USD is off by 7 038 micro-dollars after 10⁹ additions. Here the sum is a whole
number, and the float that is shown is made from it anew each time: right to the micro-dollar below
8.5 × 10⁹ USD.
"""

from __future__ import annotations

import threading
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from ferrometer._process import fork

PICO = 10**12
"""Pico-dollars of a dollar."""

#: Forgets what the parent of a fork has counted: it counts it itself.
_epoch = 0


def _forked() -> None:
    global _epoch
    _epoch += 1


fork.in_child(_forked)


def pico(usd: float | Decimal, what: str = "usd") -> int:
    """Whole pico-dollars of an amount. Raises ValueError for one that is negative or not finite."""
    amount = usd if isinstance(usd, Decimal) else Decimal(repr(usd) if isinstance(usd, float) else usd)
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{what} must be finite and not negative, not {usd!r}")
    return int((amount * PICO).to_integral_value(ROUND_HALF_EVEN))


class Ledger:
    """Exact sums behind a gauge that shows dollars: one sum for each series, of this process.

    The gauge's mode is ``sum``: what a worker that died has spent stays spent.
    """

    def __init__(self, gauge: Any) -> None:
        self._gauge = gauge
        self._sums: dict[str, tuple[Any, int]] = {}
        self._epoch = _epoch
        self._lock = threading.Lock()
        fork.hold_during_fork(self._lock)

    def add(self, label: str, amount: int) -> None:
        """Adds whole pico-dollars."""
        with self._lock:
            series = self._gauge.labels(label)
            label = series._labelvalues[0]  # of the overflow series, where there are too many
            if self._epoch != _epoch:
                self._epoch = _epoch
                if not series._get():  # workers share: what was counted before the fork is the parent's
                    self._sums.clear()
            known, total = self._sums.get(label, (series, 0))
            total = total + amount if known is series else amount  # another one: the old one was removed
            self._sums[label] = (series, total)
            series.set(total / PICO)
