"""Structured logs: one redacted JSON line per event, bounded, counted, shipped without the GIL.

``setup("gateway")`` and ``get_logger(__name__)`` are the whole of it outside of an ASGI application;
``ferrometer.instrument(app, ferrometer.Logs(service="gateway"))`` within one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ferrometer._core import Logger
from ferrometer.logs.context import (
    JobLoggingContext,
    LoggingContext,
    RequestLoggingContext,
    bind_context,
    clear_context,
    context_fields,
    propagate,
    set_trace_context,
)
from ferrometer.logs.handler import Handler
from ferrometer.logs.levels import get_level, set_level
from ferrometer.logs.pipeline import flush, setup, shutdown
from ferrometer.logs.sinks import File, Loki, Otlp, Sink, Stderr, Stdout, Syslog
from ferrometer.logs.structured import StructuredLogger, get_structured_logger

__all__ = [
    "File",
    "Handler",
    "JobLoggingContext",
    "Logger",
    "LoggingContext",
    "Loki",
    "Otlp",
    "RequestLoggingContext",
    "Sink",
    "Stderr",
    "Stdout",
    "StructuredLogger",
    "Syslog",
    "bind_context",
    "clear_context",
    "context_fields",
    "flush",
    "get_level",
    "get_logger",
    "get_structured_logger",
    "propagate",
    "set_level",
    "set_trace_context",
    "setup",
    "setup_structured_logging",
    "shutdown",
]


def get_logger(name: str = "", **fields: object) -> Logger:
    """The logger of that name: ``log.info("served", model="llama", tokens=17)``; fields are in all its lines.

    A logger that was got before ``setup`` follows it.
    """
    logger = Logger(name)
    return logger.bind(**fields) if fields else logger


def setup_structured_logging(
    service: str,
    level: str | int | None = None,
    *,
    to: str | os.PathLike[str] | Sink | Sequence[str | os.PathLike[str] | Sink] = "stdout",
) -> None:
    """``setup`` in the format ``platform``: what AI platforms' own ``structured_logger`` module does."""
    setup(service, level=level, format="platform", to=to)
