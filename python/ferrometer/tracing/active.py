"""The trace that the code is running in: ours, else OpenTelemetry's."""

from __future__ import annotations

import sys

from ferrometer import _core


def active_trace_id() -> str | None:
    """The id of the active and recorded span's trace, 32 hexadecimal digits; else None.

    Of OpenTelemetry nothing is imported: where the application has not, there is no span.
    """
    # Not on every platform.
    find = getattr(_core, "current_span", None)
    if find is not None and (span := find()) is not None:
        return span.trace_id if span.is_sampled else None
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    # A trace that is not recorded cannot be looked up.
    return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None
