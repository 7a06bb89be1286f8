"""The span that is open in OpenTelemetry's own SDK. Asked only where the application has imported that."""

from __future__ import annotations

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span


def active_span() -> tuple[str, str] | None:
    """Trace and span as digits; None outside of a span."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return format_trace_id(context.trace_id), format_span_id(context.span_id)
