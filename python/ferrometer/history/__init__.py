"""The last day of every metric, in the process itself, and PromQL over it: ``instrument(app, History())``."""

from __future__ import annotations

from ferrometer.history.feature import History, HistorySettings
from ferrometer.history.source import QueryError
from ferrometer.history.values import NativeHistogram, Sample, Series, query

__all__ = ["History", "HistorySettings", "NativeHistogram", "QueryError", "Sample", "Series", "query"]
