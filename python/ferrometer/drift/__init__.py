"""Whether what a histogram records now is still what it recorded before."""

from ferrometer.drift.baseline import Baseline
from ferrometer.drift.monitor import DriftMonitor, DriftResult

__all__ = ["Baseline", "DriftMonitor", "DriftResult"]
