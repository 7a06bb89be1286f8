"""Objectives: error budgets, recorded under Sloth's names, and alerts when they burn too fast."""

from __future__ import annotations

from ferrometer.slo.feature import Objectives, SloSettings
from ferrometer.slo.objective import Objective

__all__ = ["Objective", "Objectives", "SloSettings"]
