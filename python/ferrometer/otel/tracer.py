"""OpenTelemetry's tracers: their spans are native ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind
from opentelemetry.util.types import Attributes

from ferrometer import _core
from ferrometer.otel.span import Span, elsewhere, native_of, remember

_KINDS = {kind: kind.name.lower() for kind in SpanKind}


class TracerProvider(trace.TracerProvider):
    """Makes tracers. Which spans are recorded, and where they go, ``ferrometer.Traces`` says."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """A tracer for a library; its name and version are the scope of its spans."""
        return Tracer(instrumenting_module_name, instrumenting_library_version or "")


class Tracer(trace.Tracer):
    """Makes spans for a library."""

    def __init__(self, name: str, version: str) -> None:
        self._scope = (name, version)

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Begins a span: a child of the context's, or of the present one."""
        parent = None if context is None else native_of(trace.get_current_span(context))
        there = ((elsewhere(link.context), link.attributes) for link in links or ())
        native = _core.start_span(
            name,
            _KINDS[kind],
            parent=parent,
            is_root=context is not None and parent is None,
            attributes=attributes,
            start_ns=start_time,
            links=[(other, attributes) for other, attributes in there if other is not None],
            scope=self._scope,
        )
        made = Span(native, record_exception, set_status_on_exception)
        remember(native, made)
        return made

    # The API declares a generator with a decorator; this is what that makes, without the generator.
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> _Current:
        """Begins a span within a ``with``, or around each call of a function, as the present one."""

        def start() -> Span:
            return self.start_span(
                *(name, context, kind, attributes, links, start_time, record_exception),
                set_status_on_exception,
            )

        return _Current(start, end_on_exit)


class _Current:
    """A span that is the present one in a ``with``."""

    def __init__(self, start: Callable[[], Span], end_on_exit: bool) -> None:
        self._start, self._ends = start, end_on_exit
        self._open: list[tuple[Span, Token[_core.Span | None] | None]] = []

    def __enter__(self) -> Span:
        span = self._start()
        is_there = span.native.trace_id is not None
        self._open.append((span, _core.span_var.set(span.native) if is_there else None))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        span, token = self._open.pop()
        if token is not None:
            # Left in another context than it was entered in, as a generator may be.
            with suppress(ValueError):
                _core.span_var.reset(token)
        if isinstance(error, Exception):
            span.fail(error)
        if self._ends:
            span.end()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def again() -> _Current:
            return _Current(self._start, self._ends)

        if inspect.iscoroutinefunction(function):

            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with again():
                    return await function(*args, **kwargs)

            return functools.wraps(function)(call_async)

        def call(*args: Any, **kwargs: Any) -> Any:
            with again():
                return function(*args, **kwargs)

        return functools.wraps(function)(call)
