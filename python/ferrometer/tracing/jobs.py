"""Spans of jobs: a producer's where one is put into a queue, a consumer's where it runs, in one trace."""

from __future__ import annotations

from contextlib import suppress

from ferrometer import _core
from ferrometer.jobs.listeners import JobListener, JobRecord
from ferrometer.tracing.propagation import extract

_SPAN, _TOKEN = "ferrometer.span", "ferrometer.span_token"


class JobSpans(JobListener):
    """Makes them, by OpenTelemetry's conventions for messaging."""

    def submitting(self, job: JobRecord) -> None:
        """Begins the producer's span; its ids travel with the message."""
        if not job.system or not _core.has_traces():
            return
        span = _core.start_span(f"send {job.type}", "producer", attributes=_attributes(job, "send"))
        job.state[_SPAN] = span
        told = _core.trace_headers()
        if span.traceparent is not None:
            told["traceparent"] = span.traceparent
            if span.tracestate:
                told["tracestate"] = span.tracestate
        job.carrier.update(told)

    def submitted(self, job: JobRecord, error: BaseException | None) -> None:
        """Ends it."""
        span: _core.Span | None = job.state.pop(_SPAN, None)
        if span is not None:
            if error is not None:
                span.record_failure(error)
            span.end()

    def started(self, job: JobRecord) -> None:
        """Begins the consumer's span, the present one of the job: a child of the producer's, linked to it."""
        if not _core.has_traces():
            return
        carried = {name: str(value) for name, value in job.carrier.items()}
        producer = extract(carried)
        is_queued = bool(job.system)
        attributes = _attributes(job, "process")
        if job.wait is not None:
            attributes["messaging.ferrometer.wait_seconds"] = job.wait
        span = _core.start_span(
            f"process {job.type}" if is_queued else job.type,
            "consumer" if is_queued else "internal",
            parent=producer,
            attributes=attributes,
            links=[(producer, None)] if producer is not None else None,
        )
        job.state[_SPAN] = span
        if span.trace_id is not None:
            job.state[_TOKEN] = _core.span_var.set(span)

    def ended(self, job: JobRecord, status: str, error: BaseException | None) -> None:
        """Ends it. A job that is to be retried failed, too."""
        span: _core.Span | None = job.state.pop(_SPAN, None)
        token = job.state.pop(_TOKEN, None)
        if span is None:
            return
        span.set_attribute("messaging.ferrometer.status", status)
        if error is not None:
            span.record_failure(error)
        elif status in ("failed", "cancelled"):
            span.set_attribute("error.type", status)
            span.set_status("error")
        span.end()
        if token is not None:
            with suppress(ValueError):  # it ends in another context than it began in
                _core.span_var.reset(token)


def _attributes(job: JobRecord, operation: str) -> dict[str, object]:
    if not job.system:
        return {"job.id": job.id} if job.id else {}
    told: dict[str, object] = {
        "messaging.system": job.system,
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
        "code.function.name": job.type,
    }
    return {name: value for name, value in told.items() if value is not None}
