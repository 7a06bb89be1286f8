"""One ready-made alert."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """An alert of a pack; ``wait`` is its ``for``. Its runbook has a heading of its name."""

    alert: str
    expr: str
    wait: str
    severity: str
    summary: str
    description: str
