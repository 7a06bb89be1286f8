"""The series of a family as rows of a server's answer: set anew each run, removed when gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ferrometer.background.collector import set_total
from ferrometer.metrics.types import Counter, Gauge

Labels = tuple[str, ...]


class Rows:
    """One family whose values some server keeps; its first label, ``server``, is the same in all rows.

    A counter shows the server's own count, also where that has begun anew.
    """

    def __init__(self, metric: Counter | Gauge, server: str) -> None:
        self._metric = metric
        self._server = server
        self._known: set[Labels] = set()
        self._seen: set[Labels] = set()

    def set(self, value: Any, *labels: str) -> None:
        """The value of one row; None, which servers say for "unknown", is no row."""
        if value is None:
            return
        series = self._metric.labels(self._server, *labels)
        if isinstance(series, Counter):
            set_total(series, float(value))
        else:
            series.set(float(value))
        self._known.add(labels)
        self._seen.add(labels)

    def sweep(self) -> None:
        """Remove the series that were not set since the last sweep: the database was dropped, say."""
        gone = self._known - self._seen
        self._known -= gone
        for labels in gone:
            self._metric.remove(self._server, *labels)
        self._seen.clear()

    def clear(self) -> None:
        """Remove all series: nothing is known any more."""
        self._seen.clear()
        self.sweep()


class Table:
    """The families of one part of a server: ``table["name"].set(value, *labels)``."""

    def __init__(self, server: str, metrics: Iterable[Counter | Gauge]) -> None:
        self._rows = {metric._name: Rows(metric, server) for metric in metrics}

    def __getitem__(self, name: str) -> Rows:
        return self._rows[name]

    def sweep(self) -> None:
        """Remove what the server has not told since the last sweep."""
        for rows in self._rows.values():
            rows.sweep()

    def clear(self) -> None:
        """Remove all series."""
        for rows in self._rows.values():
            rows.clear()


__all__ = ["Labels", "Rows", "Table"]
