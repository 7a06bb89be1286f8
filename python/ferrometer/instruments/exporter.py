"""``get_metrics_exporter(service)``: the families of a service, recorded by methods with plain arguments.

Every method checks its numbers before it records anything, so a refused call changes nothing. The families
are attributes, too: ``metrics.inference_requests_total.labels("llama", "success").inc()`` is the same cell.
"""

from __future__ import annotations

import math
import threading
from functools import cached_property
from typing import NoReturn

from ferrometer._process import fork
from ferrometer.instruments import tables
from ferrometer.instruments.expiry import Expiry
from ferrometer.instruments.family import Families, checked_namespace, families_of
from ferrometer.instruments.made import Made
from ferrometer.instruments.status_text import STATUS_TEXT
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Histogram

_INF = math.inf
_MOST = 1 << 53
"""More than any count; whole numbers are compared with a whole number faster than with infinity."""
DRIFT_STATES = ("ok", "warning", "critical")
"""What a drift check may find."""


def _refuse(what: str, value: object, right: str = "finite and not negative") -> NoReturn:
    raise ValueError(f"{what} must be {right}, not {value!r}")


class MetricsExporter:
    """Records what a service's own code knows; get one from ``get_metrics_exporter``.

    Durations are in seconds, finite and not negative; ValueError names the argument otherwise. Label values
    beyond a family's ``max_series`` share its overflow series. All methods may be called from any thread and
    in any worker.
    """

    http_requests_total: Made[Counter] = Made[Counter]()
    http_request_duration_seconds: Made[Histogram] = Made[Histogram]()
    inference_requests_total: Made[Counter] = Made[Counter]()
    inference_duration_seconds: Made[Histogram] = Made[Histogram]()
    inference_tokens_total: Made[Counter] = Made[Counter]()
    inference_batch_size: Made[Histogram] = Made[Histogram]()
    mcp_requests_total: Made[Counter] = Made[Counter]()
    mcp_operation_duration_seconds: Made[Histogram] = Made[Histogram]()
    memory_operations_total: Made[Counter] = Made[Counter]()
    memory_operation_duration_seconds: Made[Histogram] = Made[Histogram]()
    memory_items_total: Made[Gauge] = Made[Gauge]()
    memory_search_results: Made[Histogram] = Made[Histogram]()
    memory_budget_total_bytes: Made[Gauge] = Made[Gauge]()
    memory_budget_used_bytes: Made[Gauge] = Made[Gauge]()
    memory_budget_utilization: Made[Gauge] = Made[Gauge]()
    drift_score: Made[Gauge] = Made[Gauge]()
    drift_checks_total: Made[Counter] = Made[Counter]()
    drift_detection_duration_seconds: Made[Histogram] = Made[Histogram]()
    router_decisions_total: Made[Counter] = Made[Counter]()
    router_decision_duration_seconds: Made[Histogram] = Made[Histogram]()
    request_queue_depth: Made[Gauge] = Made[Gauge]()
    request_queue_wait_seconds: Made[Histogram] = Made[Histogram]()
    cache_hits_total: Made[Counter] = Made[Counter]()
    cache_misses_total: Made[Counter] = Made[Counter]()
    authentication_attempts_total: Made[Counter] = Made[Counter]()
    authentication_failures_total: Made[Counter] = Made[Counter]()
    jwt_validation_failures_total: Made[Counter] = Made[Counter]()
    webhooks_delivered_total: Made[Counter] = Made[Counter]()
    webhooks_failed_total: Made[Counter] = Made[Counter]()
    webhook_retries_total: Made[Counter] = Made[Counter]()
    webhook_duration_seconds: Made[Histogram] = Made[Histogram]()
    s3_operations_total: Made[Counter] = Made[Counter]()
    s3_operation_duration_seconds: Made[Histogram] = Made[Histogram]()
    s3_presign_operations_total: Made[Counter] = Made[Counter]()
    redis_enqueue_operations_total: Made[Counter] = Made[Counter]()
    replicate_api_calls_total: Made[Counter] = Made[Counter]()
    image_processing_errors_total: Made[Counter] = Made[Counter]()
    gpu_utilization_percent: Made[Gauge] = Made[Gauge]()
    storage_used_bytes: Made[Gauge] = Made[Gauge]()
    ferrometer_instruments_ignored_total: Made[Counter] = Made[Counter]()
    memory_items_updated_timestamp_seconds: Made[Gauge] = Made[Gauge]()
    memory_budget_updated_timestamp_seconds: Made[Gauge] = Made[Gauge]()

    def __init__(
        self, service: str, families: Families, namespace: str | None = None, ttl: float | None = None
    ) -> None:
        self.service = service
        self.namespace = namespace
        self.ttl = ttl
        self._families = families

    def __repr__(self) -> str:
        return f"MetricsExporter({self.service!r})"

    @cached_property
    def _records_http(self) -> bool:
        return not self._families.has_middleware()

    @cached_property
    def _sessions(self) -> Expiry | None:
        gauges = (
            self.memory_budget_total_bytes,
            self.memory_budget_used_bytes,
            self.memory_budget_utilization,
        )
        return Expiry(self.memory_budget_updated_timestamp_seconds, gauges, self.ttl) if self.ttl else None

    @cached_property
    def _users(self) -> Expiry | None:
        gauges = (self.memory_items_total,)
        return Expiry(self.memory_items_updated_timestamp_seconds, gauges, self.ttl) if self.ttl else None

    def sweep(self) -> None:
        """Removes the series of sessions and users whose ``ttl`` is over; nothing without one."""
        for expiry in (self.__dict__.get("_sessions"), self.__dict__.get("_users")):
            if expiry is not None:
                expiry.sweep()

    # Requests and inference.

    def record_http_request(self, method: str, endpoint: str, status: int | str, duration: float) -> None:
        """Counts a served request.

        Where the middleware measures the requests of this registry, it alone counts them: this call does
        nothing then but count itself in ``ferrometer_instruments_ignored_total``. That is decided at the
        first call.
        """
        if not 0.0 <= duration < _INF:
            _refuse("duration", duration)
        if self._records_http:
            text = STATUS_TEXT.get(status, status)
            self.http_requests_total.labels(method, endpoint, text).inc()
            self.http_request_duration_seconds.labels(method, endpoint).observe(duration)
        else:
            self.ferrometer_instruments_ignored_total.labels("http_requests_total", "middleware").inc()

    def record_inference(
        self,
        model: str,
        status: str,
        duration: float,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        *,
        batch_size: int | None = None,
    ) -> None:
        """Counts an inference request that ended, with all of its tokens, cached and reasoning ones included.

        ``None`` tokens are unknown and not recorded.
        """
        if not 0.0 <= duration < _INF:
            _refuse("duration", duration)
        if prompt_tokens is not None and not 0 <= prompt_tokens < _MOST:
            _refuse("prompt_tokens", prompt_tokens)
        if completion_tokens is not None and not 0 <= completion_tokens < _MOST:
            _refuse("completion_tokens", completion_tokens)
        if batch_size is not None:
            if not 1 <= batch_size < _MOST:
                _refuse("batch_size", batch_size, "a whole number of at least 1")
            self.inference_batch_size.labels(model).observe(batch_size)
        self.inference_requests_total.labels(model, status).inc()
        self.inference_duration_seconds.labels(model).observe(duration)
        if prompt_tokens is not None:
            self.inference_tokens_total.labels(model, "prompt").inc(prompt_tokens)
        if completion_tokens is not None:
            self.inference_tokens_total.labels(model, "completion").inc(completion_tokens)

    # MCP, memory, drift, router.

    def record_mcp_operation(self, server: str, operation: str, status: str, duration: float) -> None:
        """Counts an operation of an MCP server; ``operation`` is the tool's name."""
        if not 0.0 <= duration < _INF:
            _refuse("duration", duration)
        self.mcp_requests_total.labels(server, operation, status).inc()
        self.mcp_operation_duration_seconds.labels(server, operation).observe(duration)

    def record_memory_operation(
        self, operation: str, status: str, duration: float, *, results: int | None = None
    ) -> None:
        """Counts an operation of the memory engine; ``results``: how many a search found."""
        if not 0.0 <= duration < _INF:
            _refuse("duration", duration)
        if results is not None:
            if not 0 <= results < _MOST:
                _refuse("results", results)
            self.memory_search_results.observe(results)
        self.memory_operations_total.labels(operation, status).inc()
        self.memory_operation_duration_seconds.labels(operation).observe(duration)

    def update_memory_items(self, user_id: str, items: int) -> None:
        """Sets how many items the memory engine holds for a user."""
        if not 0 <= items < _MOST:
            _refuse("items", items)
        self.memory_items_total.labels(user_id).set(items)
        if self._users is not None:
            self._users.touch(user_id)

    def remove_user(self, user_id: str) -> None:
        """Removes a user's series, in all workers."""
        (self._users or self.memory_items_total).remove(user_id)

    def update_budget(self, session_id: str, total_bytes: float, used_bytes: float) -> None:
        """Sets a session's memory budget in bytes; the utilization may exceed 1."""
        if not 0 < total_bytes < _INF:
            _refuse("total_bytes", total_bytes, "finite and above 0")
        if not 0 <= used_bytes < _INF:
            _refuse("used_bytes", used_bytes)
        self.memory_budget_total_bytes.labels(session_id).set(total_bytes)
        self.memory_budget_used_bytes.labels(session_id).set(used_bytes)
        self.memory_budget_utilization.labels(session_id).set(used_bytes / total_bytes)
        if self._sessions is not None:
            self._sessions.touch(session_id)

    def remove_session(self, session_id: str) -> None:
        """Removes the series of a session that ended, in all workers."""
        if self._sessions is not None:
            self._sessions.remove(session_id)
            return
        for family in tables.BUDGET:
            getattr(self, family.name).remove(session_id)

    def update_drift_score(self, model: str, score: float, status: str, duration: float) -> None:
        """Sets a model's drift score; the check took ``duration`` and found ok, warning or critical."""
        if not -_INF < score < _INF:
            _refuse("score", score, "finite")
        if status not in DRIFT_STATES:
            _refuse("status", status, f"one of {', '.join(DRIFT_STATES)}")
        if not 0.0 <= duration < _INF:
            _refuse("duration", duration)
        self.drift_score.labels(model).set(score)
        self.drift_checks_total.labels(model, status).inc()
        self.drift_detection_duration_seconds.observe(duration)

    def record_router_decision(self, model: str, reason: str, duration: float) -> None:
        """Counts a request that the router gave to a model, and why."""
        if not 0.0 <= duration < _INF:
            _refuse("duration", duration)
        self.router_decisions_total.labels(model, reason).inc()
        self.router_decision_duration_seconds.observe(duration)

    # Queue and cache.

    def update_queue_depth(self, depth: int) -> None:
        """Sets how many requests wait in this process; all workers' add up."""
        if not 0 <= depth < _MOST:
            _refuse("depth", depth)
        self.request_queue_depth.labels(self.service).set(depth)

    def record_queue_wait(self, seconds: float) -> None:
        """Records how long a request waited."""
        if not 0.0 <= seconds < _INF:
            _refuse("seconds", seconds)
        self.request_queue_wait_seconds.labels(self.service).observe(seconds)

    def record_cache_hit(self, cache_type: str) -> None:
        """Counts a lookup that found what it looked for."""
        self.cache_hits_total.labels(cache_type).inc()

    def record_cache_miss(self, cache_type: str) -> None:
        """Counts a lookup that did not."""
        self.cache_misses_total.labels(cache_type).inc()

    # Authentication and webhooks.

    def record_authentication(self, method: str, failure: str | None = None) -> None:
        """Counts an attempt to sign in by a method, e.g. password; ``failure`` is why it was refused."""
        self.authentication_attempts_total.labels(method).inc()
        if failure is not None:
            self.authentication_failures_total.labels(method, failure).inc()

    def record_jwt_failure(self, reason: str) -> None:
        """Counts a JSON web token that was refused: expired, invalid, missing, other."""
        self.jwt_validation_failures_total.labels(reason).inc()

    def record_webhook(self, duration: float, *, retries: int = 0, failure: str | None = None) -> None:
        """Counts a webhook that was delivered, or given up because of ``failure``, after all its attempts."""
        if not 0.0 <= duration < _INF:
            _refuse("duration", duration)
        if not 0 <= retries < _MOST:
            _refuse("retries", retries)
        if failure is None:
            self.webhooks_delivered_total.inc()
        else:
            self.webhooks_failed_total.labels(failure).inc()
        self.webhook_retries_total.inc(retries)
        self.webhook_duration_seconds.observe(duration)

    # Workers and storage.

    def record_s3_operation(
        self, operation: str, status: str = "success", duration: float | None = None
    ) -> None:
        """Counts an operation of object storage, e.g. upload; ``duration`` is recorded when it is known."""
        if duration is not None:
            if not 0.0 <= duration < _INF:
                _refuse("duration", duration)
            self.s3_operation_duration_seconds.labels(operation).observe(duration)
        self.s3_operations_total.labels(operation, status).inc()

    def record_s3_presign(self, status: str = "success") -> None:
        """Counts an address of object storage that was signed."""
        self.s3_presign_operations_total.labels(status).inc()

    def record_redis_enqueue(self, status: str = "success") -> None:
        """Counts a job that was put into a queue."""
        self.redis_enqueue_operations_total.labels(status).inc()

    def record_replicate_call(self, status: str = "success") -> None:
        """Counts a call of Replicate's API."""
        self.replicate_api_calls_total.labels(status).inc()

    def record_image_error(self, type: str) -> None:  # noqa: A002  # the label's name
        """Counts an image that could not be processed."""
        self.image_processing_errors_total.labels(type).inc()

    def update_gpu_utilization(self, gpu_id: str, percent: float) -> None:
        """Sets the share of time that a GPU was busy, in percent."""
        if not 0 <= percent <= 100:
            _refuse("percent", percent, "between 0 and 100")
        self.gpu_utilization_percent.labels(gpu_id).set(percent)

    def update_storage(self, store: str, used_bytes: float) -> None:
        """Sets how many bytes the service's data takes in a store."""
        if not 0 <= used_bytes < _INF:
            _refuse("used_bytes", used_bytes)
        self.storage_used_bytes.labels(store).set(used_bytes)


_LOCK = threading.Lock()
fork.hold_during_fork(_LOCK)


def get_metrics_exporter(
    service: str,
    *,
    namespace: str | None = None,
    ttl: float | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> MetricsExporter:
    """The exporter of a service; the same arguments give the same object, in each process.

    ``namespace`` stands before the names that have one in docs/instruments.md; without it, the one that
    ``instrument(app, namespace=...)`` was given. ``ttl``: seconds without an update after which the series of
    a session or user go, in all workers.

    Raises ValueError for a bad namespace or ttl, and for a ttl other than before.
    """
    if not isinstance(service, str) or not service:
        _refuse("service", service, "a string and not empty")
    if ttl is not None and not 0 < ttl < _INF:
        _refuse("ttl", ttl, "finite and above 0")
    namespace = checked_namespace(namespace)
    families = families_of(registry)
    with _LOCK:
        key = (service, namespace)
        found = families.exporters.get(key)
        if found is None:
            found = families.exporters[key] = MetricsExporter(service, families, namespace, ttl)
    if ttl is not None and found.ttl != ttl:
        _refuse("ttl", ttl, f"{found.ttl}, as it was when this exporter was made,")
    return found


def sweep(registry: CollectorRegistry = REGISTRY) -> None:
    """Removes the series of sessions and users whose ``ttl`` is over."""
    for exporter in list(families_of(registry).exporters.values()):
        exporter.sweep()
