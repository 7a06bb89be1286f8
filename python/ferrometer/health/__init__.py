"""Health checks: an application's own, and ready-made ones."""

from __future__ import annotations

from ferrometer.health.checks import Check, CheckResult, HealthChecks, HealthReport, Status, timestamp

__all__ = ["Check", "CheckResult", "HealthChecks", "HealthReport", "Status", "timestamp"]
