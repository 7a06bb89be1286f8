"""The trace that the code is running in, as OpenTelemetry knows it."""

from __future__ import annotations

import sys


def active_trace_id() -> str | None:
    """The id of the active and recorded OpenTelemetry span's trace, 32 hexadecimal digits; else None.

    Nothing is imported: where the application has not, there is no span.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    # A trace that is not recorded cannot be looked up.
    return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None
