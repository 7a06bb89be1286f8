"""The families that only the application can record, one table per domain.

Names, labels and types are contracts. A gauge's mode says what several workers' values mean together: the
latest for what is computed once per application, the sum of the living for what each process has.
"""

from __future__ import annotations

from collections.abc import Mapping

from ferrometer.instruments import bounds
from ferrometer.instruments.family import Family, each

_OUTCOMES = ("success", "error")


def _unit(name: str) -> str:
    return next((unit for unit in ("seconds", "bytes", "percent") if name.endswith(f"_{unit}")), "")


def _counter(
    name: str, labels: tuple[str, ...], words: str, known: tuple[tuple[str, ...], ...] = (), ns: bool = False
) -> Family:
    return Family("counter", name, labels, words, known=known, namespaced=ns)


def _gauge(
    name: str, labels: tuple[str, ...], words: str, mode: str = "mostrecent", ns: bool = False
) -> Family:
    return Family("gauge", name, labels, words, _unit(name), mode=mode, namespaced=ns)


def _histogram(
    name: str, labels: tuple[str, ...], words: str, buckets: tuple[float, ...], ns: bool = False
) -> Family:
    return Family("histogram", name, labels, words, _unit(name), buckets, namespaced=ns)


HTTP = (
    # As the middleware declares them: where it records, the methods here do not.
    _counter(
        "http_requests_total",
        ("method", "endpoint", "status"),
        "HTTP requests served, by the status the client was sent.",
    ),
    _histogram(
        "http_request_duration_seconds",
        ("method", "endpoint"),
        "Time from the request's start to the end of its response.",
        bounds.HTTP,
    ),
)

#: Hosts may be whatever a customer's webhook says.
_HOSTS = 1_000
HTTP_CLIENT = (
    Family(
        "counter",
        "http_client_requests_total",
        ("method", "host", "status"),
        "Requests to other services; status is the answer's, or connection, timeout, cancelled or other",
        max_series=_HOSTS,
    ),
    Family(
        "histogram",
        "http_client_request_duration_seconds",
        ("method", "host"),
        "Time of a request to another service, until the head of its answer",
        "seconds",
        bounds.OPERATION,
        max_series=_HOSTS,
    ),
)

INFERENCE = (
    _counter("inference_requests_total", ("model", "status"), "Inference requests that ended"),
    _histogram("inference_duration_seconds", ("model",), "Time of an inference request", bounds.INFERENCE),
    _counter("inference_tokens_total", ("model", "type"), "Tokens; type is prompt or completion"),
    _histogram("inference_batch_size", ("model",), "Requests in a batch", bounds.BATCH),
    _gauge("inference_in_flight", ("model",), "Inference requests that are being answered", "livesum"),
    _counter("inference_errors_total", ("model", "type"), "Inference requests that failed, by kind of error"),
    _counter(
        "inference_attempts_total", ("model",), "Attempts of inference requests, the first ones included"
    ),
    _counter(
        "inference_finish_reasons_total", ("model", "reason"), "Answers, by the reason why the model stopped"
    ),
    # Parts of inference_tokens_total; as further types of it, sum() would count them twice.
    _counter(
        "inference_cached_tokens_total", ("model",), "Prompt tokens that the provider read from its cache"
    ),
    _counter(
        "inference_cache_written_tokens_total",
        ("model",),
        "Prompt tokens that the provider put into its cache",
    ),
    _counter(
        "inference_reasoning_tokens_total", ("model",), "Completion tokens that the model reasoned with"
    ),
    _histogram(
        "inference_time_to_first_token_seconds",
        ("model",),
        "Time from the call to the first token of a streamed answer",
        bounds.FIRST_TOKEN,
    ),
    _histogram(
        "inference_time_between_tokens_seconds",
        ("model",),
        "Mean time between two tokens of a streamed answer; one value for each answer",
        bounds.BETWEEN_TOKENS,
    ),
    _counter(
        "ferrometer_inference_usage_missing_total",
        ("model",),
        "Inference requests that succeeded and whose tokens nobody told",
    ),
    _counter(
        "ferrometer_inference_refused_total",
        ("what",),
        "What a provider or an observer said about inference and what made no sense",
    ),
)

MCP = (
    _counter("mcp_requests_total", ("server", "operation", "status"), "MCP operations that ended"),
    _histogram(
        "mcp_operation_duration_seconds",
        ("server", "operation"),
        "Time of an MCP operation",
        bounds.OPERATION,
    ),
)

MEMORY = (
    _counter("memory_operations_total", ("operation", "status"), "Operations of the memory engine"),
    _histogram(
        "memory_operation_duration_seconds",
        ("operation",),
        "Time of an operation of the memory engine",
        bounds.OPERATION,
    ),
    _gauge("memory_items_total", ("user_id",), "Items that the memory engine holds for a user"),
    _histogram("memory_search_results", (), "Results of a search in the memory engine", bounds.RESULTS),
)

BUDGET = (
    _gauge("memory_budget_total_bytes", ("session_id",), "Bytes of memory that a session may use"),
    _gauge("memory_budget_used_bytes", ("session_id",), "Bytes of memory that a session uses"),
    _gauge(
        "memory_budget_utilization", ("session_id",), "Used bytes over total bytes; above 1 is over budget"
    ),
)

_UPDATED = "When the series of this subject were last updated, in seconds since 1970; with `ttl` only"
EXPIRY = (
    _gauge("memory_items_updated_timestamp_seconds", ("user_id",), _UPDATED),
    _gauge("memory_budget_updated_timestamp_seconds", ("session_id",), _UPDATED),
)

DRIFT = (
    _gauge("drift_score", ("model",), "Drift of a model's inputs or outputs from their baseline"),
    _counter("drift_checks_total", ("model", "status"), "Drift checks; status is ok, warning or critical"),
    _histogram("drift_detection_duration_seconds", (), "Time of a drift check", bounds.OPERATION),
)

ROUTER = (
    _counter("router_decisions_total", ("model", "reason"), "Requests that the router gave to a model"),
    _histogram("router_decision_duration_seconds", (), "Time of a decision of the router", bounds.DECISION),
)

QUEUE = (
    # As track_queue(service=) declares them.
    _gauge("request_queue_depth", ("service",), "Items that wait in the queue", "livesum"),
    Family(
        "histogram",
        "request_queue_wait_seconds",
        ("service",),
        "How long an item waited in the queue",
        buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
    ),
)

CACHE = (
    # As track_cache() declares them.
    _counter("cache_hits_total", ("cache_type",), "Lookups that found what they looked for"),
    _counter("cache_misses_total", ("cache_type",), "Lookups that did not"),
)

AUTHENTICATION = (
    _counter("authentication_attempts_total", ("method",), "Attempts to sign in", ns=True),
    _counter(
        "authentication_failures_total",
        ("method", "reason"),
        "Attempts to sign in that were refused",
        ns=True,
    ),
    _counter(
        "jwt_validation_failures_total",
        ("reason",),
        "JSON web tokens that were refused",
        each(("expired", "invalid", "missing", "other")),
    ),
)

WEBHOOKS = (
    _counter("webhooks_delivered_total", (), "Webhooks that their receiver accepted", ns=True),
    _counter(
        "webhooks_failed_total",
        ("reason",),
        "Webhooks that were given up",
        each(("connection", "status", "timeout", "other")),
        ns=True,
    ),
    _counter("webhook_retries_total", (), "Attempts to deliver a webhook after its first one", ns=True),
    _histogram(
        "webhook_duration_seconds",
        (),
        "Time of a webhook from its first attempt to its end",
        bounds.OPERATION,
        ns=True,
    ),
)

STORAGE = (
    _counter(
        "s3_operations_total",
        ("operation", "status"),
        "Operations of object storage",
        each(("download", "upload"), _OUTCOMES),
    ),
    _histogram(
        "s3_operation_duration_seconds",
        ("operation",),
        "Time of an operation of object storage, with its retries",
        bounds.OPERATION,
    ),
    _counter(
        "s3_presign_operations_total",
        ("status",),
        "Addresses of object storage that were signed",
        each(_OUTCOMES),
    ),
)

WORKER = (
    _counter(
        "redis_enqueue_operations_total", ("status",), "Jobs put into a queue of Redis", each(_OUTCOMES)
    ),
    _counter("replicate_api_calls_total", ("status",), "Calls of Replicate's API", each(_OUTCOMES)),
    _counter(
        "image_processing_errors_total",
        ("type",),
        "Images that could not be processed",
        each(("decode", "download", "inference", "upload", "other")),
    ),
)

SYSTEM = (
    _gauge("gpu_utilization_percent", ("gpu_id",), "Share of time that a GPU was busy, in percent", ns=True),
    _gauge("storage_used_bytes", ("store",), "Bytes that the service's data takes in a store", ns=True),
)

COST = (
    _gauge("cost_by_provider", ("provider",), "What a provider's models cost, in USD", "sum", ns=True),
    _gauge("cost_by_model", ("model",), "What a model cost, in USD", "sum", ns=True),
    _gauge("cost_by_tenant", ("tenant",), "What a tenant's calls cost, in USD", "sum", ns=True),
    _counter(
        "ferrometer_cost_unknown_total",
        ("provider", "model"),
        "Calls of models that have no price; their cost is in no sum",
    ),
)

MONEY_BUDGET = (
    _gauge("cost_budget_total_usd", ("tenant",), "What a tenant may spend, in USD", ns=True),
    _gauge("cost_budget_used_usd", ("tenant",), "What a tenant has spent of its budget, in USD", ns=True),
    _gauge("cost_budget_utilization", ("tenant",), "Spent over total; above 1 is over budget", ns=True),
    _gauge(
        "cost_budget_exhausted_timestamp_seconds",
        ("tenant",),
        "When the budget ends at the rate of the latest hour, in seconds since 1970; absent when it does not",
        ns=True,
    ),
)

ITSELF = (
    _counter(
        "ferrometer_instruments_ignored_total",
        ("family", "reason"),
        "Records that were left out because another part of the process records the family",
    ),
)

DOMAINS: Mapping[str, tuple[Family, ...]] = {
    "HTTP requests": HTTP,
    "Requests to other services": HTTP_CLIENT,
    "Inference": INFERENCE,
    "MCP": MCP,
    "Memory engine": MEMORY,
    "Cost": COST,
    "Budgets of money": MONEY_BUDGET,
    "Memory budgets": BUDGET,
    "Sessions and users that end": EXPIRY,
    "Drift": DRIFT,
    "Router": ROUTER,
    "Queues": QUEUE,
    "Caches": CACHE,
    "Authentication": AUTHENTICATION,
    "Webhooks": WEBHOOKS,
    "Object storage": STORAGE,
    "Workers": WORKER,
    "System": SYSTEM,
    "The instruments themselves": ITSELF,
}

FAMILIES: Mapping[str, Family] = {family.name: family for families in DOMAINS.values() for family in families}
"""Every family, by its name without a namespace."""
