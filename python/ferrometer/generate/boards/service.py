"""The service seen from outside: its API, and the two boards of those who run one."""

from __future__ import annotations

from ferrometer.generate.board import (
    ALL,
    ERRORS,
    HITS,
    POOL,
    TIMES,
    WINDOW,
    Board,
    Panel,
    Row,
    one,
    percentiles,
    quantile,
    rate,
    share,
)


def boards(ns: str) -> tuple[Board, ...]:
    """The API's performance, the service, and its eight panels."""
    return (_api(ns), _service(ns), _panels(ns))


def _api(ns: str) -> Board:
    attempts, failures = f"{ns}_authentication_attempts_total", f"{ns}_authentication_failures_total"
    succeeded = f"{rate(attempts)} - ({rate(failures)} or 0 * {rate(attempts)})"
    return Board(
        "api-performance",
        "API performance",
        "How much each endpoint does, how fast, and what fails.",
        (
            Row(
                "Throughput",
                (
                    one("Requests by endpoint", "reqps", rate(ALL, "endpoint"), "{{endpoint}}"),
                    one("In flight", "none", "sum(http_requests_in_flight)", "requests"),
                ),
            ),
            Row(
                "Response time",
                (
                    Panel(
                        "Percentiles",
                        "s",
                        percentiles(TIMES, 0.5, 0.95, 0.99),
                        warn=0.5,
                        bad=2,
                        alert="APIHighLatency",
                    ),
                    one(
                        "p95 by endpoint",
                        "s",
                        quantile(0.95, TIMES, "endpoint"),
                        "{{endpoint}}",
                        warn=0.5,
                        bad=2,
                    ),
                    Panel(
                        "p99 by the bins and by the buckets",
                        "s",
                        (
                            (f"histogram_quantile(0.99, sum(rate({TIMES}[{WINDOW}])))", "by the native bins"),
                            (quantile(0.99, TIMES), "by the classic buckets"),
                        ),
                        "The bins are 0.5 % wide, the buckets what they are: the same requests, told exactly"
                        " and roughly.",
                        source="native",
                    ),
                    one(
                        "How long requests took",
                        "s",
                        f"sum by (le) (increase({TIMES}_bucket[{WINDOW}]))",
                        "{{le}}",
                        kind="heatmap",
                    ),
                    one(
                        "First byte of streams, p95",
                        "s",
                        quantile(0.95, "http_response_first_byte_seconds", "endpoint"),
                        "{{endpoint}}",
                    ),
                ),
            ),
            Row(
                "Errors",
                (
                    one(
                        "Answers by status",
                        "reqps",
                        rate('http_requests_total{status=~"[45].."}', "status"),
                        "{{status}}",
                    ),
                    one(
                        "Error rate by endpoint",
                        "percentunit",
                        share('http_requests_total{status=~"5.."}', ALL, "endpoint"),
                        "{{endpoint}}",
                        warn=0.01,
                        bad=0.05,
                        alert="APIHighErrorRate",
                    ),
                    Panel(
                        "Authentication",
                        "ops",
                        ((succeeded, "succeeded"), (rate(failures, "reason"), "failed: {{reason}}")),
                    ),
                ),
            ),
        ),
        ("api",),
    )


_RATE = one("Request rate", "reqps", rate(ALL), "requests")
_ERROR_RATE = one(
    "Error rate",
    "percentunit",
    ERRORS,
    "answered with 5xx",
    warn=0.01,
    bad=0.05,
    alert="APIHighErrorRate",
)
_POOLS = Panel(
    "Database pools",
    "percentunit",
    ((POOL, "{{pool}}"),),
    "Connections in use, of those that there may be.",
    warn=0.7,
    bad=0.9,
    alert="DatabasePoolExhausted",
    most=1,
)


def _service(ns: str) -> Board:
    summary, fast = f"{ns}_request_duration_milliseconds", f'{TIMES}_bucket{{le="0.5"}}'
    return Board(
        "service",
        "Service",
        "Requests, GPUs and what they cost, databases, caches, and whether promises are kept.",
        (
            Row(
                "Promises",
                (
                    one(
                        "Requests that succeed",
                        "percent",
                        f"{ns}_request_success_rate",
                        "since the start",
                        kind="values",
                        warn=99,
                        bad=95,
                    ),
                    one(
                        "Faster than 500 ms",
                        "percentunit",
                        f"{rate(fast)} / ({rate(f'{TIMES}_count')} > 0)",
                        "requests",
                        kind="values",
                        warn=0.95,
                        bad=0.9,
                    ),
                    one("GPU cost", "currencyUSD", f"sum({ns}_gpu_cost_total)", "in all", kind="values"),
                    one("GPUs", "none", f"sum({ns}_gpu_instances_active)", "active", kind="values"),
                ),
            ),
            Row(
                "Requests",
                (
                    one("Request rate", "reqps", f"sum(rate({ns}_requests_total[{WINDOW}]))", "requests"),
                    Panel(
                        "Latency",
                        "ms",
                        tuple(
                            (f'max({summary}{{quantile="{q}"}})', f"p{q[2:]:0<2}")
                            for q in ("0.5", "0.95", "0.99")
                        ),
                        "Since the start of the workers.",
                        warn=250,
                        bad=500,
                        alert="APIHighLatency",
                    ),
                    _ERROR_RATE,
                ),
            ),
            Row(
                "GPUs",
                (
                    one("GPU instances", "none", f"sum({ns}_gpu_instances_active)", "active"),
                    one("GPU requests", "reqps", f"sum(rate({ns}_gpu_requests_total[{WINDOW}]))", "requests"),
                    one("Cost in an hour", "currencyUSD", f"sum(increase({ns}_gpu_cost_total[1h]))", "USD"),
                ),
            ),
            Row(
                "Behind it",
                (
                    _POOLS,
                    Panel(
                        "Cache hit rate",
                        "percentunit",
                        ((HITS, "{{cache_type}}"),),
                        warn=0.8,
                        bad=0.7,
                        alert="LowCacheHitRate",
                        most=1,
                    ),
                    one("Processor", "none", rate("process_cpu_seconds_total"), "cores used"),
                    one("Heap", "decmbytes", f"sum({ns}_memory_heap_alloc_mb)", "Python's and native"),
                    one("Tasks", "none", f"sum({ns}_goroutines)", "asyncio tasks", warn=200, bad=1000),
                ),
            ),
        ),
        ("service",),
    )


def _panels(ns: str) -> Board:
    return Board(
        "eight-panels",
        "Eight panels",
        "What one looks at first.",
        (
            Row(
                "The service and its worker",
                (
                    _RATE,
                    Panel(
                        "Response time",
                        "s",
                        percentiles(TIMES, 0.5, 0.95, 0.99),
                        warn=0.5,
                        bad=2,
                        alert="APIHighLatency",
                    ),
                    one(
                        "Errors",
                        "reqps",
                        rate('http_requests_total{status=~"[45].."}', "status"),
                        "{{status}}",
                    ),
                    one(
                        "Job queue length",
                        "none",
                        "sum by (queue) (redis_queue_length)",
                        "{{queue}}",
                        warn=500,
                        bad=1000,
                        alert="JobQueueBackup",
                    ),
                    Panel(
                        "Job processing time",
                        "s",
                        percentiles("job_processing_duration_seconds", 0.5, 0.95),
                        warn=15,
                        bad=30,
                    ),
                    Panel(
                        "Database connections",
                        "none",
                        (
                            ("sum by (pool, state) (db_pool_connections)", "{{pool}} {{state}}"),
                            ("sum by (pool) (db_pool_connections_max)", "{{pool}} at most"),
                        ),
                        alert="DatabasePoolExhausted",
                    ),
                    one("Memory", "bytes", "sum(python_heap_bytes)", "heap", alert="HighMemoryUsage"),
                    one("Tasks", "none", "sum(asyncio_tasks)", "asyncio tasks", warn=200, bad=1000),
                ),
            ),
        ),
        ("service", "worker"),
    )
