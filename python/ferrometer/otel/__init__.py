"""OpenTelemetry's API over the native engine: instrumentations written for it work as they are.

``ferrometer.otel.install()``, once, before or after traces are set up; needs the extra ``ferrometer[otel]``.
"""

from __future__ import annotations

try:
    import opentelemetry.trace as _api
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        'OpenTelemetry\'s API is not installed: pip install "ferrometer[otel]"', name=_error.name
    ) from None

from ferrometer.otel import runtime_context
from ferrometer.otel.tracer import Tracer, TracerProvider

__all__ = ["Tracer", "TracerProvider", "install"]


def install() -> TracerProvider:
    """Sets OpenTelemetry's tracer provider, and makes its present span and ours the same one.

    A second call does nothing.

    Raises RuntimeError when another tracer provider, such as the SDK's, has been set already.
    """
    known = _api.get_tracer_provider() if _api._TRACER_PROVIDER is not None else None
    if isinstance(known, TracerProvider):
        return known
    if known is not None:
        kind = type(known)
        raise RuntimeError(
            f"OpenTelemetry has a tracer provider already: {kind.__module__}.{kind.__qualname__}."
            " Leave its set-up out, or call ferrometer.otel.install() first"
        )
    provider = TracerProvider()
    _api.set_tracer_provider(provider)
    runtime_context.install()
    return provider
