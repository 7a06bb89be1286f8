"""The pack ``capacity``: trends, what is usual at this time of day, and when something is full."""

from __future__ import annotations

from ferrometer.alerts.catalogue.ready_made import ReadyMade
from ferrometer.alerts.rule import Rule
from ferrometer.metrics.base import MAX_SERIES

#: Days of the past whose hour is compared.
_DAYS = 7


def _used(resource: str, name: str, expr: str) -> Rule:
    """The share of a resource that is used; ``name`` is the label that tells one from another."""
    named = f'label_replace({expr}, "name", "$1", "{name}", "(.*)")' if name else expr
    return Rule(record="capacity:used:ratio", expr=f"max by (name) ({named})", labels={"resource": resource})


def _usual(aggregate: str) -> str:
    """Of the same hour of the last days: each day counts once, and one that is not there does not."""
    days = (
        f'label_replace(avg_over_time(baseline:now[1h] offset {24 * day - 1}h30m), "day", "{day}", "", "")'
        for day in range(1, _DAYS + 1)
    )
    return f"{aggregate} without (day) ({' or '.join(days)})"


RECORDS = (
    _used("disk", "mountpoint", "1 - filesystem_avail_bytes / (filesystem_size_bytes > 0)"),
    _used("memory", "", "cgroup_memory_used_ratio"),
    _used(
        "pool",
        "pool",
        'sum by (pool) (db_pool_connections{state="active"}) / (sum by (pool) (db_pool_connections_max) > 0)',
    ),
    _used(
        "series",
        "",
        # Buckets do not count: they are one series with what they belong to.
        'label_replace(topk(5, count by (__name__) ({__name__=~".+",le=""})),'
        ' "name", "$1", "__name__", "(.*)")'
        f" / {MAX_SERIES}",
    ),
    _used("budget", "tenant", "cost_budget_used_usd / (cost_budget_total_usd > 0)"),
    Rule(record="capacity:trend:ratio_per_day", expr="deriv(capacity:used:ratio[6h]) * 86400"),
    Rule(
        record="capacity:full:days",
        expr="clamp_min(1 - capacity:used:ratio, 0) / (deriv(capacity:used:ratio[6h]) * 86400 > 0.001)",
    ),
    Rule(
        record="baseline:now",
        expr="sum(rate(http_requests_total[15m]))",
        labels={"signal": "requests"},
    ),
    Rule(
        record="baseline:now",
        expr='(sum(rate(http_requests_total{status=~"5.."}[15m])) or 0 * sum(rate(http_requests_total[15m])))'
        " / (sum(rate(http_requests_total[15m])) > 0)",
        labels={"signal": "errors"},
    ),
    Rule(
        record="baseline:now",
        expr="histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[15m]))) >= 0",
        labels={"signal": "latency"},
    ),
    Rule(record="baseline:mean", expr=_usual("avg")),
    Rule(record="baseline:deviation", expr=_usual("stddev")),
    Rule(record="baseline:days", expr=_usual("count")),
)

RULES = (
    ReadyMade(
        "FullSoon",
        "predict_linear(capacity:used:ratio[6h], 3 * 86400) > 1 and capacity:used:ratio > 0.5",
        wait="1h",
        severity="warning",
        summary="{{ $labels.resource }} {{ $labels.name }} will be full within 3 days",
        description="By the trend of the last 6 hours. The page's view of trends says when.",
    ),
    ReadyMade(
        "Full",
        "capacity:used:ratio > 0.95",
        wait="15m",
        severity="critical",
        summary="{{ $labels.resource }} {{ $labels.name }} is used to {{ $value | humanizePercentage }}",
        description="More than 95 % have been used for 15 minutes.",
    ),
    ReadyMade(
        "UnusualTraffic",
        # Four deviations, and not less than half of what is usual; three days must be known.
        'abs(baseline:now{signal="requests"} - baseline:mean) > 4 * baseline:deviation'
        " and abs(baseline:now - baseline:mean) > 0.5 * baseline:mean and baseline:days >= 3",
        wait="15m",
        severity="warning",
        summary="{{ $value | humanize }} requests a second more or less than usual at this time of day",
        description="The rate has been far from that of the same hour of the last days for 15 minutes.",
    ),
    ReadyMade(
        "UnusualLatency",
        'baseline:now{signal="latency"} > baseline:mean + 4 * baseline:deviation'
        " and baseline:now > 1.5 * baseline:mean and baseline:days >= 3",
        wait="15m",
        severity="warning",
        summary="5 % of the requests take longer than {{ $value | humanizeDuration }}, which is unusual",
        description="The 95th percentile is far above that of the same hour of the last days.",
    ),
)
