"""The pack ``gateway``: a gateway to GPUs, with a tight latency and paid instances."""

from __future__ import annotations

from ferrometer.alerts.catalogue.ready_made import ReadyMade

_HITS, _MISSES = (
    "sum by (cache_type) (rate(cache_hits_total[5m]))",
    "sum by (cache_type) (rate(cache_misses_total[5m]))",
)

RULES = (
    ReadyMade(
        "HighErrorRate",
        'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.05',
        wait="5m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the requests fail",
        description="More than 5 % of all requests have been answered with 5xx for 5 minutes.",
    ),
    ReadyMade(
        "DatabasePoolExhaustion",
        'sum by (pool) (db_pool_connections{state="active"}) / sum by (pool) (db_pool_connections_max) > 0.9',
        wait="5m",
        severity="critical",
        summary="the pool {{ $labels.pool }} is used to {{ $value | humanizePercentage }}",
        description="More than 90 % of its connections are in use: requests will wait for one.",
    ),
    ReadyMade(
        "HighRequestLatency",
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 0.5",
        wait="5m",
        severity="warning",
        summary="5 % of the requests take longer than {{ $value | humanizeDuration }}",
        description="The 95th percentile of all requests has been above 500 ms for 5 minutes.",
    ),
    ReadyMade(
        "LowCacheHitRate",
        f"{_HITS} / ({_HITS} + {_MISSES}) < 0.7",
        wait="10m",
        severity="warning",
        summary="the cache {{ $labels.cache_type }} answers {{ $value | humanizePercentage }} of the lookups",
        description="Less than 70 % of the lookups have found what they looked for, for 10 minutes.",
    ),
    ReadyMade(
        "GPUProvisioningFailures",
        # A figure that the service reports: it may fall when the service starts anew.
        'sum(delta({__name__=~".+_gpu_requests_failed"}[5m])) > 0',
        wait="0s",
        severity="critical",
        summary="{{ $value | humanize }} requests for GPUs have failed in 5 minutes",
        description="Instances could not be had; requests that need one wait or fail.",
    ),
)
