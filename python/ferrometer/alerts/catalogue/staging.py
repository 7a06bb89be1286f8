"""The pack ``staging``: an API with workers behind a queue, and the goals it has for them."""

from __future__ import annotations

from ferrometer.alerts.catalogue.ready_made import ReadyMade

_LATENCY = "histogram_quantile(0.95, sum by (le) (rate({}_bucket[5m])))"
_ERRORS = 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'
_JOBS = 'sum(rate(jobs_processed_total{status=~"completed|failed"}[15m]))'

RULES = (
    ReadyMade(
        "HighErrorRate",
        f"{_ERRORS} > 0.05",
        wait="5m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the requests fail",
        description="More than 5 % of all requests have been answered with 5xx for 5 minutes. The goal: 1 %.",
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
        "DBPoolExhausted",
        'sum by (pool) (db_pool_connections{state="idle"}) / sum by (pool) (db_pool_connections_max) < 0.1'
        ' and on (pool) sum by (pool) (db_pool_connections{state="active"})'
        " / sum by (pool) (db_pool_connections_max) > 0.5",
        wait="5m",
        severity="critical",
        summary="the pool {{ $labels.pool }} has {{ $value | humanizePercentage }} idle connections",
        description="Less than a tenth of its connections has been idle for 5 minutes, and most are in use.",
    ),
    ReadyMade(
        "SlowAPIResponses",
        f"{_LATENCY.format('http_request_duration_seconds')} > 2",
        wait="10m",
        severity="warning",
        summary="5 % of the requests take longer than {{ $value | humanizeDuration }}",
        description="The 95th percentile of all requests has been above 2 seconds for 10 minutes.",
    ),
    ReadyMade(
        "HighMemoryUsage",
        "max(cgroup_memory_used_ratio) > 0.9",
        wait="10m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the memory is used",
        description="At its limit the kernel kills a worker.",
    ),
    ReadyMade(
        "APILatencyAboveGoal",
        f"{_LATENCY.format('http_request_duration_seconds')} > 1",
        wait="10m",
        severity="warning",
        summary="5 % of the requests take longer than {{ $value | humanizeDuration }}",
        description="The goal is 500 ms; it has been above 1 second for 10 minutes.",
    ),
    ReadyMade(
        "SlowJobs",
        f"{_LATENCY.format('job_processing_duration_seconds')} > 30",
        wait="10m",
        severity="warning",
        summary="5 % of the jobs take longer than {{ $value | humanizeDuration }}",
        description="The goal is 15 seconds; it has been above 30 for 10 minutes.",
    ),
    ReadyMade(
        "LowJobSuccessRate",
        f'sum(rate(jobs_processed_total{{status="completed"}}[15m])) / {_JOBS} < 0.95',
        wait="10m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the jobs succeed",
        description="The goal is 98 %; it has been below 95 % for 10 minutes.",
    ),
    ReadyMade(
        "SlowDatabaseQueries",
        f"{_LATENCY.format('db_query_duration_seconds')} > 0.2",
        wait="10m",
        severity="warning",
        summary="5 % of the queries take longer than {{ $value | humanizeDuration }}",
        description="The goal is 50 ms; it has been above 200 ms for 10 minutes.",
    ),
)
