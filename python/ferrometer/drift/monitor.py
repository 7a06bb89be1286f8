"""``DriftMonitor``: compares what a histogram recorded since the last check with its baseline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from ferrometer import _core
from ferrometer.drift.baseline import Baseline
from ferrometer.metrics.types import Histogram

#: Below so many values on either side nothing is said: PSI of 100 values without any drift is 0.1 on average.
MINIMUM_VALUES = 500
#: PSI from which drift is a warning, and from which it is critical.
WARNING, CRITICAL = 0.15, 0.25

Status = Literal["ok", "warning", "critical"]
Report = Callable[[str, float, Status, float], object]


class DriftResult(NamedTuple):
    """What a check found."""

    #: None: too few values on one side.
    status: Status | None
    #: Population stability index over ten deciles of the baseline.
    psi: float | None
    #: The greatest distance of the two distribution functions, 0 to 1.
    ks: float | None
    #: The mean distance of the values, in standard deviations of the baseline; None for values below zero or
    #: infinite.
    wasserstein: float | None
    #: Values of the window.
    values: int
    #: Values of the baseline.
    baseline_values: int
    #: Seconds that the check took.
    seconds: float


class DriftMonitor:
    """One model's drift, from a histogram of its scores, latencies or lengths, over all workers.

    ``baseline`` is one that was saved; without one, the first check that sees ``minimum_values`` takes what
    the histogram holds. ``report`` is called with the model, the PSI, the status and the seconds after each
    check with a verdict: ``get_metrics_exporter(...).update_drift_score``. Run the checks in one worker: a
    window is what came since this object's previous check. Raises ValueError when ``warning`` is not below
    ``critical``.
    """

    def __init__(
        self,
        model: str,
        histogram: Histogram,
        baseline: Baseline | None = None,
        *,
        report: Report | None = None,
        warning: float = WARNING,
        critical: float = CRITICAL,
        minimum_values: int = MINIMUM_VALUES,
    ) -> None:
        if not 0 < warning < critical:
            raise ValueError(f"warning must be above 0 and below critical, not {warning:g} and {critical:g}")
        if minimum_values < 1:
            raise ValueError(f"minimum_values must be at least 1, not {minimum_values}")
        self.model = model
        self.baseline = baseline
        self._histogram = histogram
        self._report = report
        self._thresholds = (warning, critical)
        self._minimum = minimum_values
        self._compared = _core.HistogramBins(() if baseline is None else baseline.bins)
        self._before = _core.HistogramBins(()) if baseline is None else _core.HistogramBins.of(histogram)

    def __repr__(self) -> str:
        return f"DriftMonitor({self.model!r})"

    def check(self) -> DriftResult:
        """Compares what came since the last check that had enough values; below that, the window grows on."""
        began = time.perf_counter()
        now = _core.HistogramBins.of(self._histogram)
        if self.baseline is None:
            if now.count >= self._minimum:
                self.baseline, self._compared, self._before = Baseline(now.pairs()), now, now
            return self._nothing(0, began)
        window = now.since(self._before)
        values, known = window.count, self._compared.count
        if values < self._minimum or known < self._minimum:
            return self._nothing(values, began)
        found = self._compared.compare(window)
        if found is None:
            return self._nothing(values, began)
        self._before = now
        psi, ks, wasserstein = found
        warning, critical = self._thresholds
        status: Status = "critical" if psi > critical else "warning" if psi >= warning else "ok"
        seconds = time.perf_counter() - began
        if self._report is not None:
            self._report(self.model, psi, status, seconds)
        return DriftResult(status, psi, ks, wasserstein, values, known, seconds)

    def _nothing(self, values: int, began: float) -> DriftResult:
        known = self._compared.count
        return DriftResult(None, None, None, None, values, known, time.perf_counter() - began)
