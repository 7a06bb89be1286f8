"""A native span with the face of OpenTelemetry's API."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.trace import SpanContext, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util.types import AnyValue, Attributes

from ferrometer import _core

_STATUSES = {StatusCode.UNSET: "unset", StatusCode.OK: "ok", StatusCode.ERROR: "error"}


class Span(trace.Span):
    """What OpenTelemetry's instrumentations see of a span, whoever made it."""

    def __init__(
        self, native: _core.Span, record_exception: bool = True, set_status_on_exception: bool = True
    ) -> None:
        self.native = native
        self._context: SpanContext | None = None
        self._records, self._judges = record_exception, set_status_on_exception

    def get_span_context(self) -> SpanContext:
        """Where it is."""
        if self._context is None:
            self._context = _context_of(self.native)
        return self._context

    def end(self, end_time: int | None = None) -> None:
        """Ends it, now or at nanoseconds since 1970."""
        self.native.end(end_time)

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Sets attributes."""
        for key, value in attributes.items():
            self.native.set_attribute(key, value)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Sets an attribute."""
        self.native.set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Adds an event."""
        self.native.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Adds a link."""
        if (other := elsewhere(context)) is not None:
            self.native.add_link(other, attributes)

    def update_name(self, name: str) -> None:
        """Gives it another name."""
        self.native.update_name(name)

    def is_recording(self) -> bool:
        """Whether what is told it now will be seen."""
        return self.native.is_recording

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Sets the status: ok is final, and unset sets nothing."""
        if isinstance(status, Status):
            self.native.set_status(_STATUSES[status.status_code], status.description)
        else:
            self.native.set_status(_STATUSES[status], description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Adds an event for an exception; its time is now."""
        self.native.record_exception(exception, attributes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.fail(error)
        self.native.end()

    def fail(self, error: Exception) -> None:
        """An exception left it."""
        if self._records:
            self.native.record_exception(error)
        if self._judges:
            self.native.set_status("error", f"{type(error).__name__}: {error}")

    def __repr__(self) -> str:
        return f"Span({self.native!r})"


def _context_of(native: _core.Span) -> SpanContext:
    if native.trace_id is None or native.span_id is None or native.traceparent is None:
        return trace.INVALID_SPAN_CONTEXT
    state = TraceState.from_header([native.tracestate]) if native.tracestate else TraceState()
    flags = TraceFlags(int(native.traceparent[-2:], 16))
    return SpanContext(int(native.trace_id, 16), int(native.span_id, 16), native.is_remote, flags, state)


def elsewhere(context: SpanContext) -> _core.Span | None:
    """A native span at that place; None for an invalid one."""
    return _core.span_elsewhere(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        bool(context.trace_flags.sampled),
        context.trace_state.to_header() if context.trace_state else "",
        context.is_remote,
    )


#: The faces of native spans, so that a span is always shown as the same object.
_FACES: WeakKeyDictionary[_core.Span, trace.Span] = WeakKeyDictionary()


def face_of(native: _core.Span) -> trace.Span:
    """What OpenTelemetry sees of a native span."""
    face = _FACES.get(native)
    if face is None:
        face = Span(native)
        remember(native, face)
    return face


def remember(native: _core.Span, face: trace.Span) -> None:
    """Shows a native span as this object from now on."""
    _FACES[native] = face


def native_of(span: Any) -> _core.Span | None:
    """The native span behind a span of the API; one at its place for another maker's; None for none."""
    if isinstance(span, Span):
        return span.native
    if not isinstance(span, trace.Span):
        return None
    native = elsewhere(span.get_span_context())
    if native is not None:
        remember(native, span)
    return native
