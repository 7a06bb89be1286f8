"""The pack ``platform``: models, MCP servers, memory, drift, budgets, GPUs and what is below them."""

from __future__ import annotations

from ferrometer.alerts.catalogue.ready_made import ReadyMade


def _latency(alert: str, family: str, select: str, what: str) -> ReadyMade:
    return ReadyMade(
        alert,
        f"histogram_quantile(0.95, sum by (le) (rate({family}_bucket{select}[5m]))) > 2",
        wait="5m",
        severity="warning",
        summary=f"5 % of {what} take longer than {{{{ $value | humanizeDuration }}}}",
        description=f"The 95th percentile of {what} has been above 2 seconds for 5 minutes.",
    )


def _errors(alert: str, family: str, select: str, what: str) -> ReadyMade:
    return ReadyMade(
        alert,
        f"sum(rate({family}{{{select}}}[5m])) / sum(rate({family}[5m])) > 0.01",
        wait="5m",
        severity="critical",
        summary=f"{{{{ $value | humanizePercentage }}}} of {what} fail",
        description=f"More than 1 % of {what} have failed for 5 minutes.",
    )


def _gpu(alert: str, expr: str, threshold: str, summary: str) -> ReadyMade:
    return ReadyMade(
        alert,
        f"max by (gpu_id) ({expr}) > {threshold}",
        wait="5m",
        severity="warning",
        summary=f"GPU {{{{ $labels.gpu_id }}}} {summary}",
        description="It has been so for 5 minutes.",
    )


# A session without a budget has none that is exceeded.
_USED = "max by (session_id) (memory_budget_used_bytes)"
_BUDGET = "(max by (session_id) (memory_budget_total_bytes) > 0)"

RULES = (
    _latency("HighGatewayLatency", "http_request_duration_seconds", "", "the requests"),
    _latency("HighMCPJungleLatency", "mcp_operation_duration_seconds", "", "the operations of MCP"),
    _latency("HighMaxServeLatency", "inference_duration_seconds", "", "the calls of models"),
    _latency("HighMemoryEngineLatency", "memory_operation_duration_seconds", "", "the memory's operations"),
    _errors("HighErrorRate", "http_requests_total", 'status=~"5.."', "the requests"),
    _errors("HighMaxServeErrorRate", "inference_requests_total", 'status="error"', "the calls of models"),
    _errors("HighMCPErrorRate", "mcp_requests_total", 'status="error"', "the operations of MCP"),
    _gpu(
        "HighGPUUtilization",
        "gpu_utilization_ratio",
        "0.9",
        "is busy {{ $value | humanizePercentage }} of the time",
    ),
    _gpu(
        "HighGPUMemory",
        "gpu_memory_used_bytes / gpu_memory_total_bytes",
        "0.9",
        "uses {{ $value | humanizePercentage }} of its memory",
    ),
    _gpu("HighGPUTemperature", "gpu_temperature_celsius", "85", "has {{ $value }} °C"),
    ReadyMade(
        "DriftDetected",
        "max by (model) (drift_score) > 0.15",
        wait="1m",
        severity="warning",
        summary="{{ $labels.model }} drifts: {{ $value | humanize }}",
        description="The score has been above 0.15 for a minute.",
    ),
    ReadyMade(
        "HighDriftScore",
        "max by (model) (drift_score) > 0.25",
        wait="1m",
        severity="critical",
        summary="{{ $labels.model }} drifts far: {{ $value | humanize }}",
        description="The score has been above 0.25 for a minute.",
    ),
    ReadyMade(
        "BudgetExceeded",
        f"{_USED} > {_BUDGET}",
        wait="1m",
        severity="critical",
        summary="the session {{ $labels.session_id }} uses {{ $value | humanize1024 }}B of memory",
        description="That is more than its budget, for a minute.",
    ),
    ReadyMade(
        "BudgetWarning",
        f"{_USED} / {_BUDGET} > 0.8",
        wait="5m",
        severity="warning",
        summary="{{ $labels.session_id }} uses {{ $value | humanizePercentage }} of its memory budget",
        description="More than 80 % have been used for 5 minutes.",
    ),
    ReadyMade(
        "ServiceDown",
        "up == 0",
        wait="2m",
        severity="critical",
        summary="{{ $labels.job }} at {{ $labels.instance }} cannot be scraped",
        description="No answer to Prometheus for 2 minutes. Prometheus only: who is down cannot tell.",
    ),
    ReadyMade(
        "HighRequestQueueDepth",
        "sum by (service) (request_queue_depth) > 100",
        wait="5m",
        severity="warning",
        summary="{{ $value }} requests wait in {{ $labels.service }}",
        description="More than 100 requests have waited for 5 minutes.",
    ),
    ReadyMade(
        "PostgreSQLPoolExhausted",
        "sum by (server) (postgres_connections) > 90",
        wait="5m",
        severity="critical",
        summary="{{ $labels.server }} has {{ $value }} connections",
        description="More than 90 connections have been open for 5 minutes; the default limit is 100.",
    ),
    ReadyMade(
        "RedisMemoryHigh",
        # Redis tells 0 where it has no limit: then it is not full.
        "max by (server) (redis_memory_used_bytes) / (max by (server) (redis_memory_max_bytes) > 0) > 0.9",
        wait="5m",
        severity="warning",
        summary="{{ $labels.server }} uses {{ $value | humanizePercentage }} of its memory",
        description="At its limit Redis evicts keys, or refuses to write.",
    ),
)
