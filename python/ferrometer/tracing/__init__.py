"""Distributed traces: spans recorded natively and exported over OTLP without the GIL; context in headers.

``ferrometer.instrument(app, ferrometer.Traces(service="gateway"))`` and ``with ferrometer.span("name"):``
are the whole of it in an ASGI application; ``ferrometer.tracing.setup("worker")`` elsewhere.
"""

from __future__ import annotations

from ferrometer._core import Span, current_span, span, start_span
from ferrometer.tracing.pipeline import Limits, counts, flush, setup, shutdown
from ferrometer.tracing.propagation import Baggage, baggage, extract, headers, inject, within

__all__ = [
    "Baggage",
    "Limits",
    "Span",
    "baggage",
    "counts",
    "current_span",
    "extract",
    "flush",
    "headers",
    "inject",
    "setup",
    "shutdown",
    "span",
    "start_span",
    "within",
]
