"""Spans of what is watched: calls of models, requests of HTTP clients; by the hooks of their metrics."""

from __future__ import annotations

import sys
from typing import Any

from ferrometer import _core
from ferrometer.instruments.call_end import CallEnd

#: What our own header is remembered by in a request, since a redirect takes the headers along.
_OURS = "ferrometer_traceparent"


def record_call(end: CallEnd) -> None:
    """A client span of a call of a model that has ended, by OpenTelemetry's conventions for GenAI."""
    if end.provider == "anthropic" and _sdk_makes_spans():
        return
    attributes = {
        "gen_ai.operation.name": end.operation,
        "gen_ai.provider.name": end.provider,
        "gen_ai.request.model": end.model,
        "gen_ai.usage.input_tokens": end.input_tokens,
        "gen_ai.usage.output_tokens": end.output_tokens,
        "gen_ai.response.time_to_first_chunk": end.first_token_seconds,
        "http.response.status_code": end.http_status,
    }
    error = None if end.status == "success" else end.error_type or end.status
    _core.client_span(f"{end.operation} {end.model}", end.seconds, attributes, error)


def _sdk_makes_spans() -> bool:
    """Whether Anthropic's SDK makes spans itself: from release 2 on, where a tracer provider is set."""
    sdk, api = sys.modules.get("anthropic"), sys.modules.get("opentelemetry.trace")
    version = str(getattr(sdk, "__version__", "0")).partition(".")[0]
    is_set = getattr(api, "_TRACER_PROVIDER", None) is not None
    return is_set and version.isdigit() and int(version) >= 2


class RequestSpan:
    """The span of one request, whose ids go along in its headers."""

    __slots__ = ("_span",)

    def __init__(self, request: Any) -> None:
        self._span: _core.Span | None = None
        if not _core.has_traces():
            return
        headers = request.headers
        if (known := headers.get("traceparent")) and request.extensions.get(_OURS) != known:
            return  # somebody else's instrumentation makes its span
        url = request.url
        origin = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"  # without user and password
        self._span = span = _core.start_span(
            request.method,
            "client",
            attributes={
                "http.request.method": request.method,
                "server.address": url.host,
                "server.port": url.port or {"https": 443, "http": 80}.get(url.scheme),
                "url.full": origin + url.raw_path.decode("ascii", "replace"),
            },
        )
        told = _core.trace_headers()
        if span.traceparent is not None:
            told["traceparent"] = span.traceparent
            if span.tracestate:
                told["tracestate"] = span.tracestate
            request.extensions[_OURS] = span.traceparent
        for name, value in told.items():
            headers[name] = value

    def answered(self, status: int) -> None:
        """The head of the answer has come."""
        if self._span is not None:
            self._span.set_attribute("http.response.status_code", status)
            if status >= 400:
                self._span.set_attribute("error.type", str(status))
                self._span.set_status("error")
            self._span.end()

    def failed(self, error: BaseException) -> None:
        """There was none."""
        if self._span is not None:
            self._span.set_attribute("error.type", type(error).__qualname__)
            self._span.set_status("error", str(error))
            self._span.end()
