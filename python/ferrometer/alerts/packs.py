"""Ready-made rules for the metrics of this library: ``Alerts(packs=["service"])``.

Thresholds, durations and severities are those that teams with such services wrote down. What a service does
not have, such as a cache or a GPU, makes no alert.
"""

from __future__ import annotations

from collections.abc import Mapping

from ferrometer.alerts.rule import Group, Rule


def _rule(
    alert: str, expr: str, *, wait: str, severity: str, summary: str, description: str
) -> tuple[str, str, str, str, str, str]:
    return alert, expr, wait, severity, summary, description


_FAILED = 'http_requests_total{status=~"5.."}'
_SERVICE = (
    _rule(
        "APIHighErrorRate",
        f"sum(rate({_FAILED}[5m])) / sum(rate(http_requests_total[5m])) > 0.05",
        wait="2m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the requests fail",
        description="More than 5 % of all requests have been answered with 5xx for 2 minutes.",
    ),
    _rule(
        "APIHighLatency",
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 2",
        wait="5m",
        severity="warning",
        summary="5 % of the requests take longer than {{ $value | humanizeDuration }}",
        description="The 95th percentile of all requests has been above 2 seconds for 5 minutes.",
    ),
    _rule(
        "HighMemoryUsage",
        "max(cgroup_memory_used_ratio) > 0.9",
        wait="5m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the memory is used",
        description="At its limit the kernel kills a worker.",
    ),
    _rule(
        "HighCPUUsage",
        "max(cgroup_cpu_used_ratio) > 0.9",
        wait="10m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the processor time is used",
        description="Requests wait for a processor; the event loops' lag says how long.",
    ),
    _rule(
        "LowDiskSpace",
        "min by (mountpoint) (filesystem_avail_bytes / filesystem_size_bytes) < 0.1",
        wait="0s",
        severity="critical",
        summary="{{ $labels.mountpoint }} has {{ $value | humanizePercentage }} left",
        description="Less than a tenth of the file system is available.",
    ),
    _rule(
        "DatabasePoolExhausted",
        'sum by (pool) (db_pool_connections{state="active"}) / sum by (pool) (db_pool_connections_max) > 0.9',
        wait="5m",
        severity="critical",
        summary="the pool {{ $labels.pool }} is used to {{ $value | humanizePercentage }}",
        description="Fewer than a tenth of its connections are idle: requests will wait for one.",
    ),
    _rule(
        "LowCacheHitRate",
        "sum by (cache_type) (rate(cache_hits_total[5m])) / (sum by (cache_type) (rate(cache_hits_total[5m]))"
        " + sum by (cache_type) (rate(cache_misses_total[5m]))) < 0.7",
        wait="10m",
        severity="warning",
        summary="the cache {{ $labels.cache_type }} answers {{ $value | humanizePercentage }} of the lookups",
        description="Less than 70 % of the lookups have found what they looked for, for 10 minutes.",
    ),
    _rule(
        "JobQueueBackup",
        "sum by (queue) (redis_queue_length) > 1000",
        wait="10m",
        severity="critical",
        summary="{{ $value }} jobs wait in {{ $labels.queue }}",
        description="More than 1000 jobs have waited for 10 minutes.",
    ),
    _rule(
        "GPUHighUtilization",
        "max by (gpu_id) (gpu_utilization_ratio) > 0.95",
        wait="15m",
        severity="warning",
        summary="GPU {{ $labels.gpu_id }} is busy {{ $value | humanizePercentage }} of the time",
        description="There is hardly any room for more requests.",
    ),
    _rule(
        "HealthCheckFailing",
        "min by (check) (ferrometer_health_check) == 0",
        wait="2m",
        severity="critical",
        summary="the health check {{ $labels.check }} fails",
        description="What it looks at has not been healthy for 2 minutes.",
    ),
    _rule(
        "CollectorFailing",
        "min by (collector) (ferrometer_collector_success) == 0",
        wait="5m",
        severity="warning",
        summary="the collector {{ $labels.collector }} fails",
        description="Its figures are old or missing, and alerts on them are blind.",
    ),
    _rule(
        "DeliveryDropping",
        "sum by (delivery, reason) (rate(ferrometer_delivery_dropped_items_total[5m])) > 0",
        wait="5m",
        severity="warning",
        summary="{{ $labels.delivery }} loses {{ $value | humanize }} items a second: {{ $labels.reason }}",
        description="What was to be sent elsewhere has been dropped for 5 minutes.",
    ),
)

PACKS: Mapping[str, tuple[tuple[str, str, str, str, str, str], ...]] = {"service": _SERVICE}


def pack(name: str, runbooks: str = "") -> Group:
    """The rules of a pack. ``runbooks`` is the address of docs/runbooks where one's own readers find it.

    Raises ValueError for a name that none has.
    """
    if name not in PACKS:
        raise ValueError(f"[alerts] packs: there is no pack {name!r}; there are {', '.join(sorted(PACKS))}")
    base = runbooks.rstrip("/")
    rules = []
    for alert, expr, wait, severity, summary, description in PACKS[name]:
        annotations = {"summary": summary, "description": description}
        if base:
            annotations["runbook_url"] = f"{base}/{name}.html#{alert.lower()}"
        rules.append(
            Rule(alert=alert, expr=expr, wait=wait, labels={"severity": severity}, annotations=annotations)
        )
    return Group(name=name, rules=tuple(rules), file=f"pack {name}")
