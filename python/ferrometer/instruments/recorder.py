"""How the end of an inference is recorded: under the native names, and under others from the same call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferrometer.instruments.call_end import kind_of
from ferrometer.instruments.family import Families, families_of
from ferrometer.instruments.made import Made
from ferrometer.metrics.types import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from ferrometer.instruments.call import inference
    from ferrometer.metrics.registry import CollectorRegistry


class Recorder:
    """Records the calls of one registry and role under all of its conventions."""

    inference_in_flight: Made[Gauge] = Made[Gauge]()
    ferrometer_inference_refused_total: Made[Counter] = Made[Counter]()
    inference_requests_total: Made[Counter] = Made[Counter]()
    inference_duration_seconds: Made[Histogram] = Made[Histogram]()
    inference_attempts_total: Made[Counter] = Made[Counter]()
    inference_tokens_total: Made[Counter] = Made[Counter]()
    ferrometer_inference_usage_missing_total: Made[Counter] = Made[Counter]()
    inference_time_to_first_token_seconds: Made[Histogram] = Made[Histogram]()
    inference_time_between_tokens_seconds: Made[Histogram] = Made[Histogram]()
    inference_finish_reasons_total: Made[Counter] = Made[Counter]()
    inference_errors_total: Made[Counter] = Made[Counter]()
    inference_cached_tokens_total: Made[Counter] = Made[Counter]()
    inference_cache_written_tokens_total: Made[Counter] = Made[Counter]()
    inference_reasoning_tokens_total: Made[Counter] = Made[Counter]()
    inference_batch_size: Made[Histogram] = Made[Histogram]()

    namespace: str | None = None

    def __init__(self, families: Families, role: str) -> None:
        self._families = families
        self.others = families.listeners
        self.native: bool = "native" in families.conventions

    def refuse(self, what: str) -> None:
        """Counts what made no sense."""
        self.ferrometer_inference_refused_total.labels(what).inc()

    def record(self, call: inference) -> None:
        """A call has ended: the native names."""
        model, status = call.model, call.status
        self.inference_requests_total.labels(model, status).inc()
        self.inference_duration_seconds.labels(model).observe(call.seconds)
        if call.attempts == 1:
            self.inference_attempts_total.labels(model).inc()
        else:
            self.inference_attempts_total.labels(model).inc(call.attempts)
        tokens = self.inference_tokens_total
        if (count := call.input_tokens) is not None:
            tokens.labels(model, "prompt").inc(count)
        if (output := call.output_tokens) is not None:
            tokens.labels(model, "completion").inc(output)
        elif count is None and status == "success":
            self.ferrometer_inference_usage_missing_total.labels(model).inc()
        if call._first is not None:
            first = call._first - call.started
            self.inference_time_to_first_token_seconds.labels(model).observe(first)
            count = output or call.chunks
            if count > 1 and status == "success":
                between = (call.seconds - first) / (count - 1)
                self.inference_time_between_tokens_seconds.labels(model).observe(between)
        if call.finish_reason:
            self.inference_finish_reasons_total.labels(model, call.finish_reason).inc()
        if status == "error" and call.error is not None:
            self.inference_errors_total.labels(model, kind_of(call.error)).inc()
        if call.cached_tokens:
            self.inference_cached_tokens_total.labels(model).inc(call.cached_tokens)
        if call.cache_written_tokens:
            self.inference_cache_written_tokens_total.labels(model).inc(call.cache_written_tokens)
        if call.reasoning_tokens:
            self.inference_reasoning_tokens_total.labels(model).inc(call.reasoning_tokens)
        if call.batch_size is not None:
            self.inference_batch_size.labels(model).observe(call.batch_size)


def recorder_of(registry: CollectorRegistry, role: str) -> Recorder:
    """The recorder of a registry and role; raises ValueError for an unknown role."""
    recorders = families_of(registry).recorders
    found: Recorder | None = recorders.get(role)
    if found is None:
        if role not in ("client", "server"):
            raise ValueError(f"role must be 'client' or 'server', not {role!r}")
        found = recorders[role] = Recorder(families_of(registry), role)
    return found
