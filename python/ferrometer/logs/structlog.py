"""structlog over our lines: a last processor, and a configuration (``pip install "ferrometer[logs]"``)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, NoReturn

from ferrometer import _core
from ferrometer.logs import levels

try:
    import structlog
except ImportError as error:  # pragma: no cover  # told by its message
    raise ImportError('structlog is missing: pip install "ferrometer[logs]"') from error


def processor(logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
    """The last processor of a chain: what came so far becomes one line, and nothing goes on to the logger."""
    fields = dict(event)
    message = fields.pop("event", "")
    name = fields.pop("logger", None) or getattr(logger, "name", "") or ""
    # structlog's own processors may have put these in; they are in the line anyway.
    fields.pop("timestamp", None)
    level = str(fields.pop("level", method))
    told = fields.pop("exc_info", None)
    _core.log_event(_level(level), str(name), message, fields, _exception(told))
    raise structlog.DropEvent


def _level(word: str) -> int:
    try:
        return min(levels.number(word), 4)
    except ValueError:
        return 1


def _exception(told: Any) -> BaseException | None:
    import sys

    if isinstance(told, BaseException):
        return told
    if isinstance(told, tuple):
        return told[1] if len(told) == 3 and isinstance(told[1], BaseException) else None
    return sys.exception() if told else None


def render(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The last processor where the logger underneath is ours: hands it the event and its fields."""
    fields = dict(event)
    return (fields.pop("event", ""),), fields


def configure(*, level: str | int | None = None) -> None:
    """Configure structlog: its context variables, our level, our lines.

    :param level: below it structlog's own methods do nothing; without it all goes to our level check.
    """
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, render],
        wrapper_class=structlog.make_filtering_bound_logger(
            0 if level is None else levels._OF_LOGGING[levels.number(level)]
        ),
        logger_factory=lambda *args: _core.Logger(str(args[0]) if args else ""),
        cache_logger_on_first_use=True,
    )
