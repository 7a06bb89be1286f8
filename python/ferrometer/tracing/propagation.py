"""The context of a trace between services: W3C ``traceparent``, ``tracestate`` and ``baggage``."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Self

from ferrometer import _core
from ferrometer._core import Span


def headers() -> dict[str, str]:
    """The headers for a service that the running code calls; none outside of a trace."""
    return _core.trace_headers()


def inject(carrier: MutableMapping[str, str]) -> None:
    """Put these headers into a mapping: a request's, or that of a job's message."""
    carrier.update(_core.trace_headers())


def extract(carrier: Mapping[str, str]) -> Span | None:
    """The caller's span, by the headers that came from it; None when they tell of none.

    ``with within(extract(message.headers)):`` goes on with its trace.
    """
    found = {name.lower(): value for name, value in carrier.items()}
    return _core.parse_traceparent(found.get("traceparent", ""), found.get("tracestate", ""))


class within:  # noqa: N801  # used like a function
    """Makes a span the present one: ``with within(span):``. It neither begins nor ends; None does nothing."""

    def __init__(self, span: Span | None) -> None:
        self._span = span
        self._tokens: list[Token[Span | None]] = []

    def __enter__(self) -> Span | None:
        if self._span is not None and self._span.trace_id is not None:
            self._tokens.append(_core.span_var.set(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tokens:
            # Left in another context than it was entered in, as a generator may be.
            with suppress(ValueError):
                _core.span_var.reset(self._tokens.pop())


def baggage() -> Mapping[str, str]:
    """What travels with the request: names and values. Whoever calls may have written anything there."""
    return dict(_core.baggage_var.get() or {})


class Baggage:
    """Adds names and values to what travels with calls made within: ``with Baggage(tenant="t"):``.

    None takes a name out.
    """

    def __init__(self, **members: str | None) -> None:
        self._members = members
        self._tokens: list[Token[Mapping[str, str] | None]] = []

    def __enter__(self) -> Self:
        merged = {**(_core.baggage_var.get() or {}), **self._members}
        kept = {name: str(value) for name, value in merged.items() if value is not None}
        self._tokens.append(_core.baggage_var.set(kept))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ValueError):
            _core.baggage_var.reset(self._tokens.pop())
