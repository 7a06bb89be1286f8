"""OpenTelemetry's API over the native engine: instrumentations written for it work as they are.

``ferrometer.otel.install()``, once, before or after traces are set up; needs the extra ``ferrometer[otel]``.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

try:
    import opentelemetry._logs as _logs
    import opentelemetry._logs._internal as _logs_state
    import opentelemetry.metrics as _metrics
    import opentelemetry.metrics._internal as _metrics_state
    import opentelemetry.trace as _trace
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        'OpenTelemetry\'s API is not installed: pip install "ferrometer[otel]"', name=_error.name
    ) from None

from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.otel import runtime_context
from ferrometer.otel.logger import Logger, LoggerProvider
from ferrometer.otel.meter import Meter, MeterProvider
from ferrometer.otel.tracer import Tracer, TracerProvider

_T = TypeVar("_T")

__all__ = [
    "Logger",
    "LoggerProvider",
    "Meter",
    "MeterProvider",
    "Providers",
    "Tracer",
    "TracerProvider",
    "install",
]


class Providers(NamedTuple):
    """What OpenTelemetry's API has from us."""

    traces: TracerProvider
    metrics: MeterProvider
    logs: LoggerProvider


def install(*, registry: CollectorRegistry = REGISTRY) -> Providers:
    """Sets OpenTelemetry's three providers, and makes its present span and ours the same one.

    A second call does nothing.

    :param registry: where the instruments' metrics are.

    Raises RuntimeError when another provider, such as the SDK's, has been set already.
    """
    traces = _ours("tracer", TracerProvider, _trace._TRACER_PROVIDER)
    metrics = _ours("meter", MeterProvider, _metrics_state._METER_PROVIDER)
    logs = _ours("logger", LoggerProvider, _logs_state._LOGGER_PROVIDER)
    if traces is None:
        traces = TracerProvider()
        _trace.set_tracer_provider(traces)
        runtime_context.install()
    if metrics is None:
        metrics = MeterProvider(registry)
        _metrics.set_meter_provider(metrics)
    if logs is None:
        logs = LoggerProvider()
        _logs.set_logger_provider(logs)
    return Providers(traces, metrics, logs)


def _ours(word: str, kind: type[_T], known: object) -> _T | None:
    """What was set by an earlier call; None before. Raises RuntimeError when it is another's."""
    if known is None or isinstance(known, kind):
        return known
    other = type(known)
    raise RuntimeError(
        f"OpenTelemetry has a {word} provider already: {other.__module__}.{other.__qualname__}."
        " Leave its set-up out, or call ferrometer.otel.install() first"
    )
