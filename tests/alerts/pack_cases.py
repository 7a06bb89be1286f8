"""For each ready-made rule: its labels, series for which it has fired at a time, and others."""

from __future__ import annotations

from typing import NamedTuple

Series = dict[str, str]

OK, BAD = 'http_requests_total{endpoint="/a",status="200"}', 'http_requests_total{endpoint="/a",status="500"}'


class Case(NamedTuple):
    """``also``: other rules that fire for the same reason."""

    labels: dict[str, str]
    fires: Series
    silent: Series
    also: str = ""
    interval: str = "1m"
    at: str = "40m"


def latency(family: str, fast: str, slow: str, slow_of_100: int, labels: str = "") -> Series:
    """Durations, most of them within ``fast``, some within ``slow``."""
    comma = "," if labels else ""
    return {
        f'{family}_bucket{{{labels}{comma}le="{fast}"}}': f"0+{100 - slow_of_100}x60",
        f'{family}_bucket{{{labels}{comma}le="{slow}"}}': "0+100x60",
        f'{family}_bucket{{{labels}{comma}le="+Inf"}}': "0+100x60",
    }


def slow(family: str, fast: str = "1", bound: str = "5", also: str = "") -> Case:
    return Case({}, latency(family, fast, bound, 10), latency(family, fast, bound, 1), also)


def errors(ok: str, bad: str, share: int) -> Case:
    """More than ``share`` of a thousand, and less."""
    return Case(
        {},
        {ok: f"0+{1000 - 2 * share}x60", bad: f"0+{2 * share}x60"},
        {ok: f"0+{1000 - share // 2}x60", bad: f"0+{share // 2}x60"},
    )


def above(series: str, labels: dict[str, str], high: str, low: str, also: str = "") -> Case:
    return Case(labels, {series: high}, {series: low}, also)


def pool(fires: tuple[int, int], silent: tuple[int, int]) -> Case:
    def state(active: int, idle: int) -> Series:
        return {
            'db_pool_connections{pool="main",state="active"}': f"{active}x60",
            'db_pool_connections{pool="main",state="idle"}': f"{idle}x60",
            'db_pool_connections_max{pool="main"}': "20x60",
        }

    return Case({"pool": "main"}, state(*fires), state(*silent))


def cache() -> Case:
    hits, misses = "cache_hits_total", "cache_misses_total"
    return Case(
        {"cache_type": "models"},
        {f'{hits}{{cache_type="models"}}': "0+6x60", f'{misses}{{cache_type="models"}}': "0+4x60"},
        {
            f'{hits}{{cache_type="models"}}': "0+9x60",
            f'{misses}{{cache_type="models"}}': "0+1x60",
            # Nobody asks this one.
            f'{hits}{{cache_type="idle"}}': "0x60",
            f'{misses}{{cache_type="idle"}}': "0x60",
        },
    )


def budget(used: int) -> Series:
    return {
        'memory_budget_used_bytes{session_id="s"}': f"{used}x60",
        'memory_budget_total_bytes{session_id="s"}': "100x60",
        'memory_budget_used_bytes{session_id="free"}': "1000x60",
        'memory_budget_total_bytes{session_id="free"}': "0x60",
    }


def redis(used: int) -> Series:
    return {
        'redis_memory_used_bytes{server="a"}': f"{used}x60",
        'redis_memory_max_bytes{server="a"}': "100x60",
        # No limit: never full.
        'redis_memory_used_bytes{server="b"}': "1000x60",
        'redis_memory_max_bytes{server="b"}': "0x60",
    }


_DROPS = {
    "delivery": ("ferrometer_delivery_dropped_items_total", {"delivery": "loki", "reason": "refused"}),
    "log": ("log_dropped_total", {"sink": "loki", "reason": "full"}),
    "spans": ("spans_dropped_total", {"sink": "otlp", "reason": "full"}),
    "rules": ("ferrometer_rule_evaluation_failures_total", {"group": "g"}),
}


def drops(what: str) -> Case:
    family, labels = _DROPS[what]
    series = family + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
    return above(series, labels, "0+5x60", "7x60")


def queue(wait: str = "1001x60") -> Case:
    return above('redis_queue_length{queue="jobs",server="a"}', {"queue": "jobs"}, wait, "900x60")


_MEMORY = Case(
    {},
    {'cgroup_memory_used_ratio{pid="1"}': "0.95x60", 'cgroup_memory_used_ratio{pid="2"}': "0.1x60"},
    {"cgroup_memory_used_ratio": "0.5x60"},
)
_HTTP = "http_request_duration_seconds"
_JOBS = 'jobs_processed_total{status="completed"}', 'jobs_processed_total{status="failed"}'


def disk(before: str, after: str) -> Case:
    size = 'filesystem_size_bytes{mountpoint="/d"}'
    avail = 'filesystem_avail_bytes{mountpoint="/d"}'
    return Case(
        {"resource": "disk", "name": "/d"},
        {size: "1000x200", avail: before},
        {size: "1000x200", avail: after},
        interval="5m",
        at="10h",
    )


def unusual(family: str, labels: str = "") -> Case:
    """A rate that triples on the fifth day at a time when it never did."""
    day = 288
    usual = {f"{family}{labels}": f"0+600x{5 * day}"}
    return Case(
        {},
        {f"{family}{labels}": f"0+600x{4 * day} {4 * day * 600}+3000x{day}"},
        usual,
        interval="5m",
        at="98h",
    )


def slower() -> Case:
    """Latencies that grow on the fifth day."""
    bucket, day = "http_request_duration_seconds_bucket", 288
    rest = {f'{bucket}{{le="{le}"}}': f"0+100x{5 * day}" for le in ("1", "+Inf")}
    fast = f'{bucket}{{le="0.1"}}'
    return Case(
        {},
        rest | {fast: f"0+100x{4 * day} {400 * day}+50x{day}"},
        rest | {fast: f"0+100x{5 * day}"},
        interval="5m",
        at="98h",
    )


CASES: dict[str, dict[str, Case]] = {
    "service": {
        "APIHighErrorRate": errors(OK, BAD, 50),
        "APIHighLatency": slow(_HTTP),
        "HighMemoryUsage": _MEMORY,
        "HighCPUUsage": above(
            "cgroup_cpu_used_ratio", {}, "0.97x60", "0.97x8 0.2 0.97x8 0.2 0.97x8 0.2 0.97x8 0.2 0.97x8"
        ),
        "LowDiskSpace": Case(
            {"mountpoint": "/data"},
            {
                'filesystem_avail_bytes{mountpoint="/data"}': "5x60",
                'filesystem_size_bytes{mountpoint="/data"}': "100x60",
                'filesystem_avail_bytes{mountpoint="/"}': "50x60",
                'filesystem_size_bytes{mountpoint="/"}': "100x60",
            },
            {
                'filesystem_avail_bytes{mountpoint="/"}': "50x60",
                'filesystem_size_bytes{mountpoint="/"}': "100x60",
            },
        ),
        # A pool without a limit is never full.
        "DatabasePoolExhausted": pool((19, 1), (0, 0))._replace(
            silent={'db_pool_connections{pool="main",state="active"}': "1900x60"}
        ),
        "LowCacheHitRate": cache(),
        "JobQueueBackup": queue(),
        "GPUHighUtilization": Case(
            {"gpu_id": "1"},
            {'gpu_utilization_ratio{gpu_id="0"}': "0.5x60", 'gpu_utilization_ratio{gpu_id="1"}': "0.99x60"},
            {'gpu_utilization_ratio{gpu_id="0"}': "0.9x60"},
        ),
        "HealthCheckFailing": Case(
            {"check": "database"},
            {
                'ferrometer_health_check{check="database"}': "0x60",
                'ferrometer_health_check{check="cache"}': "1x60",
            },
            {'ferrometer_health_check{check="database"}': "1x60"},
        ),
    },
    "gateway": {
        "HighErrorRate": errors(OK, BAD, 50),
        "DatabasePoolExhaustion": pool((19, 1), (17, 3)),
        "HighRequestLatency": slow(_HTTP, "0.25", "1"),
        "LowCacheHitRate": cache(),
        "GPUProvisioningFailures": above("gpuproxy_gpu_requests_failed", {}, "0+1x60", "7x60"),
    },
    "platform": {
        "HighGatewayLatency": slow(_HTTP),
        "HighMCPJungleLatency": slow("mcp_operation_duration_seconds"),
        "HighMaxServeLatency": slow("inference_duration_seconds"),
        "HighMemoryEngineLatency": slow("memory_operation_duration_seconds"),
        "HighErrorRate": errors(OK, BAD, 10),
        "HighMaxServeErrorRate": errors(
            'inference_requests_total{status="success"}', 'inference_requests_total{status="error"}', 10
        ),
        "HighMCPErrorRate": errors(
            'mcp_requests_total{status="success"}', 'mcp_requests_total{status="error"}', 10
        ),
        "HighGPUUtilization": above(
            'gpu_utilization_ratio{gpu_id="0"}', {"gpu_id": "0"}, "0.93x60", "0.88x60"
        ),
        "HighGPUMemory": Case(
            {"gpu_id": "0"},
            {'gpu_memory_used_bytes{gpu_id="0"}': "95x60", 'gpu_memory_total_bytes{gpu_id="0"}': "100x60"},
            {'gpu_memory_used_bytes{gpu_id="0"}': "85x60", 'gpu_memory_total_bytes{gpu_id="0"}': "100x60"},
        ),
        "HighGPUTemperature": above('gpu_temperature_celsius{gpu_id="0"}', {"gpu_id": "0"}, "86x60", "85x60"),
        "DriftDetected": above('drift_score{model="m"}', {"model": "m"}, "0.2x60", "0.15x60"),
        "HighDriftScore": above(
            'drift_score{model="m"}', {"model": "m"}, "0.3x60", "0.2x60", "DriftDetected"
        ),
        "BudgetExceeded": Case({"session_id": "s"}, budget(101), budget(95), "BudgetWarning"),
        "BudgetWarning": Case({"session_id": "s"}, budget(85), budget(75)),
        "ServiceDown": above('up{job="a",instance="b"}', {"job": "a"}, "0x60", "1x60"),
        "HighRequestQueueDepth": above(
            'request_queue_depth{service="s"}', {"service": "s"}, "101x60", "100x60"
        ),
        "PostgreSQLPoolExhausted": Case(
            {"server": "db"},
            {
                'postgres_connections{server="db",state="active"}': "50x60",
                'postgres_connections{server="db",state="idle"}': "41x60",
            },
            {'postgres_connections{server="db",state="idle"}': "90x60"},
        ),
        "RedisMemoryHigh": Case({"server": "a"}, redis(95), redis(85)),
    },
    "staging": {
        "HighErrorRate": errors(OK, BAD, 50),
        "JobQueueBackup": queue(),
        # A pool that has opened few connections yet is not meant.
        "DBPoolExhausted": pool((19, 1), (2, 1)),
        "SlowAPIResponses": slow(_HTTP, "1", "5", also="APILatencyAboveGoal"),
        "HighMemoryUsage": _MEMORY,
        "APILatencyAboveGoal": slow(_HTTP, "0.75", "1.5"),
        "SlowJobs": slow("job_processing_duration_seconds", "15", "60"),
        "LowJobSuccessRate": errors(*_JOBS, 50),
        "SlowDatabaseQueries": slow("db_query_duration_seconds", "0.05", "0.5"),
    },
    "jobs": {
        "StuckJobs": Case(
            {},
            {'omtx_job_stuck{job_type="a"}': "4x60", 'omtx_job_stuck{job_type="b"}': "2x60"},
            {'omtx_job_stuck{job_type="a"}': "5x60"},
        ),
        "HighJobFailureRate": errors(*_JOBS, 200),
        "JobsLost": above('omtx_job_lost_total{job_type="a"}', {"job_type": "a"}, "0+1x60", "3x60"),
    },
    "providers": {
        "LowProviderHealthScore": above(
            'gatewayz_provider_health_score{provider="p"}', {"provider": "p"}, "0.4x60", "0.6x60"
        ),
        "ProviderUnavailable": above(
            'provider_availability{provider="p"}', {"provider": "p"}, "0x60", "1x60"
        ),
        "HighProviderErrorRate": above(
            'provider_error_rate{provider="p"}', {"provider": "p"}, "0.06x60", "0.04x60"
        ),
        "CircuitBreakerOpen": Case(
            {"provider": "p"},
            {
                'gatewayz_circuit_breaker_state{provider="p",state="open"}': "1x60",
                'gatewayz_circuit_breaker_state{provider="p",state="closed"}': "0x60",
            },
            {
                'gatewayz_circuit_breaker_state{provider="p",state="open"}': "0x60",
                'gatewayz_circuit_breaker_state{provider="p",state="closed"}': "1x60",
            },
        ),
    },
    "capacity": {
        "FullSoon": disk("600-2x200", "600x200"),
        "Full": disk("40x200", "60x200"),
        "UnusualTraffic": unusual("http_requests_total", '{status="200"}'),
        "UnusualLatency": slower(),
    },
    "ferrometer": {
        "CollectorFailing": above(
            'ferrometer_collector_success{collector="redis"}', {"collector": "redis"}, "0x60", "1x60"
        ),
        "DeliveryDropping": drops("delivery"),
        "LogLinesDropped": drops("log"),
        "SpansDropped": drops("spans"),
        "RulesFailing": drops("rules"),
    },
}
