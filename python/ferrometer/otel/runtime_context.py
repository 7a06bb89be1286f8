"""One present span: what OpenTelemetry's context says and what the native code knows are the same."""

from __future__ import annotations

from contextvars import Token
from typing import Any, NamedTuple

from opentelemetry import context as context_api
from opentelemetry.context.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace.propagation import _SPAN_KEY

from ferrometer import _core
from ferrometer.otel.span import face_of, native_of


class _Tokens(NamedTuple):
    context: Token[Context]
    span: Token[_core.Span | None]


class RuntimeContext(ContextVarsRuntimeContext):
    """OpenTelemetry's context, whose span is the native one."""

    def attach(self, context: Context) -> Any:
        """Makes a context the present one, and its span the present span."""
        native = native_of(context.get(_SPAN_KEY))
        return _Tokens(super().attach(context), _core.span_var.set(native))

    def get_current(self) -> Context:
        """The present context with the present span in it, whoever made that."""
        context = super().get_current()
        native = _core.span_var.get()
        known = context.get(_SPAN_KEY)
        if native is None:
            if known is None or native_of(known) is None:
                return context
            return Context({key: value for key, value in context.items() if key != _SPAN_KEY})
        face = face_of(native)
        return context if face is known else Context({**context, _SPAN_KEY: face})

    def detach(self, token: Any) -> None:
        """Undoes an :meth:`attach`; raises ValueError in another context than that of the attach."""
        _core.span_var.reset(token.span)
        super().detach(token.context)


def install() -> None:
    """Puts it in the place of OpenTelemetry's own; what is attached there already stays."""
    if isinstance(context_api._RUNTIME_CONTEXT, RuntimeContext):
        return
    present = context_api.get_current()
    ours = RuntimeContext()
    ours.attach(present)
    context_api._RUNTIME_CONTEXT = ours
