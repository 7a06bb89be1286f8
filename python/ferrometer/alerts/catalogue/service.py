"""The pack ``service``: what any service behind HTTP needs."""

from __future__ import annotations

from ferrometer.alerts.catalogue.ready_made import ReadyMade

_FAILED = 'http_requests_total{status=~"5.."}'
RULES = (
    ReadyMade(
        "APIHighErrorRate",
        f"sum(rate({_FAILED}[5m])) / sum(rate(http_requests_total[5m])) > 0.05",
        wait="2m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the requests fail",
        description="More than 5 % of all requests have been answered with 5xx for 2 minutes.",
    ),
    ReadyMade(
        "APIHighLatency",
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 2",
        wait="5m",
        severity="warning",
        summary="5 % of the requests take longer than {{ $value | humanizeDuration }}",
        description="The 95th percentile of all requests has been above 2 seconds for 5 minutes.",
    ),
    ReadyMade(
        "HighMemoryUsage",
        "max(cgroup_memory_used_ratio) > 0.9",
        wait="5m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the memory is used",
        description="At its limit the kernel kills a worker.",
    ),
    ReadyMade(
        "HighCPUUsage",
        "max(cgroup_cpu_used_ratio) > 0.9",
        wait="10m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the processor time is used",
        description="Requests wait for a processor; the event loops' lag says how long.",
    ),
    ReadyMade(
        "LowDiskSpace",
        "min by (mountpoint) (filesystem_avail_bytes / filesystem_size_bytes) < 0.1",
        wait="0s",
        severity="critical",
        summary="{{ $labels.mountpoint }} has {{ $value | humanizePercentage }} left",
        description="Less than a tenth of the file system is available.",
    ),
    ReadyMade(
        "DatabasePoolExhausted",
        'sum by (pool) (db_pool_connections{state="active"}) / sum by (pool) (db_pool_connections_max) > 0.9',
        wait="5m",
        severity="critical",
        summary="the pool {{ $labels.pool }} is used to {{ $value | humanizePercentage }}",
        description="Fewer than a tenth of its connections are idle: requests will wait for one.",
    ),
    ReadyMade(
        "LowCacheHitRate",
        "sum by (cache_type) (rate(cache_hits_total[5m])) / (sum by (cache_type) (rate(cache_hits_total[5m]))"
        " + sum by (cache_type) (rate(cache_misses_total[5m]))) < 0.7",
        wait="10m",
        severity="warning",
        summary="the cache {{ $labels.cache_type }} answers {{ $value | humanizePercentage }} of the lookups",
        description="Less than 70 % of the lookups have found what they looked for, for 10 minutes.",
    ),
    ReadyMade(
        "JobQueueBackup",
        "sum by (queue) (redis_queue_length) > 1000",
        wait="10m",
        severity="critical",
        summary="{{ $value }} jobs wait in {{ $labels.queue }}",
        description="More than 1000 jobs have waited for 10 minutes.",
    ),
    ReadyMade(
        "GPUHighUtilization",
        "max by (gpu_id) (gpu_utilization_ratio) > 0.95",
        wait="15m",
        severity="warning",
        summary="GPU {{ $labels.gpu_id }} is busy {{ $value | humanizePercentage }} of the time",
        description="There is hardly any room for more requests.",
    ),
    ReadyMade(
        "HealthCheckFailing",
        "min by (check) (ferrometer_health_check) == 0",
        wait="2m",
        severity="critical",
        summary="the health check {{ $labels.check }} fails",
        description="What it looks at has not been healthy for 2 minutes.",
    ),
)
