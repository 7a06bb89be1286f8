"""The pack ``ferrometer``: what watches, watched."""

from __future__ import annotations

from ferrometer.alerts.catalogue.ready_made import ReadyMade

RULES = (
    ReadyMade(
        "CollectorFailing",
        "min by (collector) (ferrometer_collector_success) == 0",
        wait="5m",
        severity="warning",
        summary="the collector {{ $labels.collector }} fails",
        description="Its figures are old or missing, and alerts on them are blind.",
    ),
    ReadyMade(
        "DeliveryDropping",
        "sum by (delivery, reason) (rate(ferrometer_delivery_dropped_items_total[5m])) > 0",
        wait="5m",
        severity="warning",
        summary="{{ $labels.delivery }} loses {{ $value | humanize }} items a second: {{ $labels.reason }}",
        description="What was to be sent elsewhere has been dropped for 5 minutes.",
    ),
    ReadyMade(
        "LogLinesDropped",
        "sum by (sink, reason) (rate(log_dropped_total[5m])) > 0",
        wait="5m",
        severity="warning",
        summary="{{ $value | humanize }} log lines a second miss {{ $labels.sink }}: {{ $labels.reason }}",
        description="Log lines have been dropped for 5 minutes.",
    ),
    ReadyMade(
        "SpansDropped",
        "sum by (sink, reason) (rate(spans_dropped_total[5m])) > 0",
        wait="5m",
        severity="warning",
        summary="{{ $value | humanize }} spans a second miss {{ $labels.sink }}: {{ $labels.reason }}",
        description="Spans have been dropped for 5 minutes.",
    ),
    ReadyMade(
        "RulesFailing",
        "sum by (group) (rate(ferrometer_rule_evaluation_failures_total[5m])) > 0",
        wait="5m",
        severity="warning",
        summary="rules of the group {{ $labels.group }} have no result",
        description="Alerts of this group stay as they were, and new ones do not come.",
    ),
)
