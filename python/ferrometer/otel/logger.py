"""OpenTelemetry's loggers: their records are lines of ours, redacted, sampled and shipped as all others."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry import _logs, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.util.types import AnyValue, Attributes

from ferrometer import _core
from ferrometer.otel.span import elsewhere, native_of

#: The words that are in a line's level already.
_LEVELS = frozenset(
    ("TRACE", "DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL", "NOTSET"),
)


class LoggerProvider(_logs.LoggerProvider):
    """Makes loggers. What is logged, how it looks and where it goes, ``ferrometer.Logs`` says."""

    def get_logger(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Logger:
        """A logger for a library."""
        return Logger(name, version, schema_url, attributes)


class Logger(_logs.Logger):
    """Logs for a library."""

    def enabled(
        self,
        severity_number: SeverityNumber | None = None,
        context: Context | None = None,
        event_name: str | None = None,
    ) -> bool:
        """Whether such a record would become a line."""
        return _level(severity_number) >= _core.log_level()

    def emit(
        self,
        record: LogRecord | None = None,
        *,
        timestamp: int | None = None,
        observed_timestamp: int | None = None,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        severity_text: str | None = None,
        body: AnyValue | None = None,
        attributes: Attributes = None,
        event_name: str | None = None,
        exception: BaseException | None = None,
    ) -> None:
        """Logs a record, or what it would be made of. Nothing of it raises."""
        if not self.enabled(severity_number if record is None else record.severity_number):
            return
        if record is None:
            record = LogRecord(
                timestamp=timestamp,
                observed_timestamp=observed_timestamp,
                context=context,
                severity_number=severity_number,
                severity_text=severity_text,
                body=body,
                attributes=attributes,
                event_name=event_name,
                exception=exception,
            )
        # Records of older releases of the API have no events and no exceptions.
        event = getattr(record, "event_name", None)
        message, fields = _told(record.body, event)
        if record.severity_text and record.severity_text.upper() not in _LEVELS:
            fields["severity_text"] = record.severity_text
        if event:
            fields["event.name"] = event
        try:
            fields |= {str(key): value for key, value in (record.attributes or {}).items()}
        except Exception:  # what calls itself attributes may be anything
            fields["attributes"] = record.attributes
        _core.log_event(
            _level(record.severity_number),
            self._name or "",
            message,
            fields,
            getattr(record, "exception", None),
            record.timestamp or record.observed_timestamp,
            _span_of(record),
        )


def _level(severity: SeverityNumber | None) -> int:
    """Our level, 0 to 4; a record that says none is of level info."""
    value = severity.value if isinstance(severity, SeverityNumber) else 0
    return min(4, (value - 5) // 4) if value >= 5 else 0 if value else 1


def _told(body: Any, event: str | None) -> tuple[object, dict[str, Any]]:
    """The message of a line, and the body as a field where it is no text."""
    if body is None or isinstance(body, str):
        return body if body is not None else event or "", {}
    if event:
        return event, {"body": body}
    try:
        return json.dumps(body, default=str, ensure_ascii=False), {}
    except (TypeError, ValueError, RecursionError):
        return "", {"body": body}


def _span_of(record: LogRecord) -> _core.Span | None:
    """Where the record says that it happened; None where it says nothing: then it is where the code is."""
    trace_id, span_id = record.trace_id or 0, record.span_id or 0
    if not trace_id or not span_id:
        return None
    present = trace.get_current_span()
    here = present.get_span_context()
    if (here.trace_id, here.span_id) == (trace_id, span_id):
        return native_of(present)
    return elsewhere(SpanContext(trace_id, span_id, True, TraceFlags(record.trace_flags or 0)))
