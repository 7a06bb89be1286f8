"""Rules over the history: alerts and recorded series, by the files that Prometheus reads."""

from __future__ import annotations

from ferrometer.alerts.feature import Alerts, AlertsSettings
from ferrometer.alerts.rule import Group, Rule, to_yaml

__all__ = ["Alerts", "AlertsSettings", "Group", "Rule", "to_yaml"]
