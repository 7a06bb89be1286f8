"""What all lines of a request or a job have in common, and how it gets into threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import Token, copy_context
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from ferrometer import _core

_P = ParamSpec("_P")
_R = TypeVar("_R")


class LoggingContext:
    """Fields of every line that is logged within it: ``with LoggingContext(tenant="t"):``.

    A field replaces that of the same name around it; None takes one out. Values are taken as they are at
    the beginning.
    """

    def __init__(self, **fields: object) -> None:
        self._fields = fields
        self._tokens: list[Token[_core.LogContext | None]] = []

    def __enter__(self) -> Self:
        self._tokens.append(_enter(self._fields))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Left in another context than it was entered in, as the generator of a dependency may be.
        with suppress(ValueError):
            _core.log_context_var.reset(self._tokens.pop())

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def _enter(fields: dict[str, object]) -> Token[_core.LogContext | None]:
    return _core.log_context_var.set(_core.LogContext(_core.log_context_var.get(), fields))


class RequestLoggingContext(LoggingContext):
    """The lines of one request: ``with RequestLoggingContext("req-12345", "user-67890"):``."""

    def __init__(self, request_id: str, user_id: str | None = None, **fields: object) -> None:
        super().__init__(request_id=request_id, **_given(user_id=user_id), **fields)


class JobLoggingContext(LoggingContext):
    """The lines of one job: ``with JobLoggingContext("job-abc", "user-123", "boltz2"):``."""

    def __init__(
        self, job_id: str, user_id: str | None = None, job_type: str | None = None, **fields: object
    ) -> None:
        super().__init__(job_id=job_id, **_given(user_id=user_id, job_type=job_type), **fields)


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def bind_context(**fields: object) -> None:
    """Add fields to all further lines of the running request, task or thread."""
    _enter(fields)


def clear_context() -> None:
    """Forget all fields of the running request, task or thread."""
    _core.log_context_var.set(None)


def context_fields() -> dict[str, Any]:
    """The fields that every line has here."""
    context = _core.log_context_var.get()
    return {} if context is None else context.as_dict()


def set_trace_context(trace_id: str | None = None, span_id: str | None = None) -> None:
    """Add a trace, 32 and 16 hexadecimal digits, to all further lines here; None takes it out."""
    _enter({"trace_id": trace_id, "span_id": span_id})


def propagate(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that runs with the context of this moment, wherever it is called.

    For threads and ``run_in_executor``, which have none: ``executor.submit(propagate(work), job)``.
    """
    context = copy_context()

    @wraps(function)
    def inside(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        # A copy: a context cannot be entered twice at the same time, and several threads may call this.
        return context.copy().run(function, *args, **kwargs)

    return inside
