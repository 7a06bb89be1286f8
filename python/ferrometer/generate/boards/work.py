"""What the service does for its users: jobs, inference, what it costs, and who provides it."""

from __future__ import annotations

from ferrometer.generate.board import HITS, Board, Panel, Row, one, percentiles, quantile, rate, share


def boards(ns: str) -> tuple[Board, ...]:
    """Jobs, application health, inference, cost."""
    return (_jobs(ns), _health(ns), _inference(), _cost(ns))


def _jobs(ns: str) -> Board:
    submitted, completed, failed = (f"{ns}_job_{word}_total" for word in ("submitted", "completed", "failed"))
    busy = "avg(gpu_utilization_ratio) > 0"
    return Board(
        "job-processing",
        "Job processing",
        "Jobs from their submission to their end.",
        (
            Row(
                "Pipeline",
                (
                    one("Submitted by type", "ops", rate(submitted, "job_type"), "{{job_type}}"),
                    Panel(
                        "Pipeline",
                        "ops",
                        (
                            (rate(submitted), "submitted"),
                            (rate(f"{ns}_job_started_total"), "started"),
                            (rate(completed), "completed"),
                            (rate(failed), "failed"),
                        ),
                    ),
                    one("Running", "none", f"sum by (job_type) ({ns}_job_in_flight)", "{{job_type}}"),
                    one(
                        "Stuck", "none", f"sum by (job_type) ({ns}_job_stuck)", "{{job_type}}", warn=1, bad=5
                    ),
                ),
            ),
            Row(
                "Queues",
                (
                    Panel(
                        "Queue depth",
                        "none",
                        (
                            ("sum by (queue) (redis_queue_length)", "{{queue}}"),
                            ("sum by (service) (request_queue_depth)", "{{service}}"),
                        ),
                        warn=100,
                        bad=1000,
                        alert="JobQueueBackup",
                    ),
                    one(
                        "Wait, p95", "s", quantile(0.95, f"{ns}_job_wait_seconds", "job_type"), "{{job_type}}"
                    ),
                    one(
                        "Duration, p95",
                        "s",
                        quantile(0.95, f"{ns}_job_duration_seconds", "job_type"),
                        "{{job_type}}",
                        warn=15,
                        bad=30,
                    ),
                ),
            ),
            Row(
                "Ends",
                (
                    one("Ended by status", "ops", rate("jobs_processed_total", "status"), "{{status}}"),
                    one(
                        "Jobs that fail",
                        "percentunit",
                        share('jobs_processed_total{status="failed"}', "jobs_processed_total"),
                        "of all that end",
                        warn=0.05,
                        bad=0.2,
                    ),
                    one("Failed by type", "ops", rate(failed, "job_type"), "{{job_type}}"),
                    one(
                        "Jobs a second of a busy GPU",
                        "ops",
                        f"{rate(completed)} / ({busy})",
                        "completed",
                    ),
                ),
            ),
        ),
        ("jobs",),
    )


def _health(ns: str) -> Board:
    state = f"sum by (provider, state) ({ns}_circuit_breaker_state)"
    return Board(
        "application-health",
        "Application health",
        "Providers, their breakers, and what stands behind the application.",
        (
            Row(
                "Providers",
                (
                    one("Available", "none", "provider_availability", "{{provider}}", kind="health"),
                    one(
                        "Health score",
                        "percentunit",
                        f"{ns}_provider_health_score",
                        "{{provider}}",
                        warn=0.8,
                        bad=0.5,
                        most=1,
                    ),
                    one(
                        "Error rate", "percentunit", "provider_error_rate", "{{provider}}", warn=0.1, bad=0.5
                    ),
                    one("Circuit breakers", "none", f"{state} > 0", "{{provider}} {{state}}", kind="values"),
                ),
            ),
            Row(
                "Behind it",
                (
                    one(
                        "Health checks",
                        "none",
                        "min by (check) (ferrometer_health_check)",
                        "{{check}}",
                        kind="health",
                    ),
                    one(
                        "Redis operations",
                        "ops",
                        rate("redis_operations_total", "operation, status"),
                        "{{operation}} {{status}}",
                    ),
                    one(
                        "Redis operations, p95",
                        "s",
                        quantile(0.95, "redis_operation_duration_seconds", "operation"),
                        "{{operation}}",
                    ),
                    one(
                        "Database queries, p95",
                        "s",
                        quantile(0.95, "db_query_duration_seconds", "operation"),
                        "{{operation}}",
                        warn=0.05,
                        bad=0.2,
                    ),
                    Panel(
                        "Cache hit rate",
                        "percentunit",
                        ((HITS, "{{cache_type}}"),),
                        warn=0.8,
                        bad=0.7,
                        alert="LowCacheHitRate",
                        most=1,
                    ),
                ),
            ),
        ),
        ("health",),
    )


def _inference() -> Board:
    failed = share('inference_requests_total{status="error"}', "inference_requests_total", "model")
    tokens = rate("inference_tokens_total", "model, type")
    return Board(
        "inference",
        "Inference",
        "Models: how much, how fast, how many tokens; and the tools and memory around them.",
        (
            Row(
                "Requests",
                (
                    one(
                        "Requests",
                        "reqps",
                        rate("inference_requests_total", "model, status"),
                        "{{model}} {{status}}",
                    ),
                    one("Requests that fail", "percentunit", failed, "{{model}}", warn=0.01, bad=0.05),
                    one(
                        "Duration, p95",
                        "s",
                        quantile(0.95, "inference_duration_seconds", "model"),
                        "{{model}}",
                        warn=1,
                        bad=2,
                    ),
                    one(
                        "First token, p95",
                        "s",
                        quantile(0.95, "inference_time_to_first_token_seconds", "model"),
                        "{{model}}",
                    ),
                    one("In flight", "none", "sum by (model) (inference_in_flight)", "{{model}}"),
                    one(
                        "Batch size",
                        "none",
                        f"{rate('inference_batch_size_sum', 'model')}"
                        f" / ({rate('inference_batch_size_count', 'model')} > 0)",
                        "{{model}}",
                    ),
                    one("Tokens", "ops", tokens, "{{model}} {{type}}"),
                ),
            ),
            Row(
                "Around the models",
                (
                    one(
                        "Router decisions",
                        "ops",
                        rate("router_decisions_total", "model, reason"),
                        "{{model}} {{reason}}",
                    ),
                    one(
                        "MCP operations",
                        "ops",
                        rate("mcp_requests_total", "server, status"),
                        "{{server}} {{status}}",
                    ),
                    one(
                        "MCP operations, p95",
                        "s",
                        quantile(0.95, "mcp_operation_duration_seconds", "server"),
                        "{{server}}",
                        bad=2,
                    ),
                    one(
                        "Memory operations",
                        "ops",
                        rate("memory_operations_total", "operation, status"),
                        "{{operation}} {{status}}",
                    ),
                    one("Drift", "none", "drift_score", "{{model}}", warn=0.15, bad=0.25),
                    one(
                        "Queue depth",
                        "none",
                        "sum by (service) (request_queue_depth)",
                        "{{service}}",
                        bad=100,
                    ),
                    Panel("Queue wait", "s", percentiles("request_queue_wait_seconds", 0.5, 0.95)),
                ),
            ),
            Row(
                "GPUs",
                (
                    one(
                        "Utilisation",
                        "percentunit",
                        "gpu_utilization_ratio",
                        "GPU {{gpu_id}}",
                        warn=0.9,
                        bad=0.95,
                        alert="GPUHighUtilization",
                        most=1,
                    ),
                    one(
                        "Memory",
                        "percentunit",
                        "gpu_memory_used_bytes / gpu_memory_total_bytes",
                        "GPU {{gpu_id}}",
                        warn=0.8,
                        bad=0.9,
                        most=1,
                    ),
                    one(
                        "Temperature", "celsius", "gpu_temperature_celsius", "GPU {{gpu_id}}", warn=80, bad=85
                    ),
                ),
            ),
        ),
        ("inference", "gpu"),
    )


def _cost(ns: str) -> Board:
    hour = "sum by ({by}) (increase({ns}_cost_by_{by}[1h]))"
    return Board(
        "cost",
        "Cost",
        "What models, providers and tenants cost, and how far budgets reach.",
        (
            Row(
                "Cost",
                (
                    one("In all", "currencyUSD", f"sum({ns}_cost_by_provider)", kind="values"),
                    *(
                        one(f"By {by}, in an hour", "currencyUSD", hour.format(by=by, ns=ns), f"{{{{{by}}}}}")
                        for by in ("provider", "model", "tenant")
                    ),
                    one(
                        "For a million tokens",
                        "currencyUSD",
                        f"1e6 * sum(increase({ns}_cost_by_provider[1h]))"
                        " / (sum(increase(inference_tokens_total[1h])) > 0)",
                        "USD",
                    ),
                    one("GPUs, in an hour", "currencyUSD", f"sum(increase({ns}_gpu_cost_total[1h]))", "USD"),
                ),
            ),
            Row(
                "Budgets",
                (
                    one(
                        "Used, by tenant",
                        "percentunit",
                        f"{ns}_cost_budget_utilization",
                        "{{tenant}}",
                        warn=0.8,
                        bad=1,
                    ),
                    one(
                        "Memory used, by session",
                        "percentunit",
                        "memory_budget_utilization",
                        "{{session_id}}",
                        warn=0.8,
                        bad=1,
                    ),
                ),
            ),
        ),
        ("cost",),
    )
