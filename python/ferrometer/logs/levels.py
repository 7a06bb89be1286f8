"""Levels: the names and numbers that mean one, and the least one that is logged."""

from __future__ import annotations

import logging

from ferrometer import _core

#: The names of the levels, from the least; "off" logs nothing.
NAMES = ("debug", "info", "warn", "error", "fatal", "off")
_WORDS = {
    **{name: number for number, name in enumerate(NAMES)},
    "trace": 0,
    "notice": 1,
    "warning": 2,
    "exception": 3,
    "critical": 4,
}
_OF_LOGGING = (
    logging.DEBUG,
    logging.INFO,
    logging.WARNING,
    logging.ERROR,
    logging.CRITICAL,
    logging.CRITICAL + 1,
)


def number(level: str | int) -> int:
    """0 (debug) to 5 (off), of a name in any case or of a number of ``logging``, rounded down.

    Raises ValueError for what is no level.
    """
    if isinstance(level, str) and level.strip().lower() in _WORDS:
        return _WORDS[level.strip().lower()]
    if isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return next((place for place in (4, 3, 2, 1) if level >= _OF_LOGGING[place]), 0)
    raise ValueError(
        f"level must be one of {', '.join(_WORDS)}, or a number of the logging module, not {level!r}"
    )


def get_level() -> str:
    """The least level that is logged: debug, info, warn, error, fatal or off."""
    return NAMES[min(_core.log_level(), 5)]


def set_level(level: str | int) -> None:
    """Log from this level on: in this process at once, and in all that share a directory with it.

    Loggers of ``logging`` follow, in other processes within a second. Raises ValueError for what is no
    level.
    """
    _core.set_log_level(number(level))
    follow()


def follow() -> None:
    """Let the root of ``logging`` have our level, where our handler hangs on it."""
    from ferrometer.logs.handler import Handler

    root = logging.getLogger()
    if any(isinstance(handler, Handler) for handler in root.handlers):
        wanted = _OF_LOGGING[min(_core.log_level(), 5)]
        if root.level != wanted:
            root.setLevel(wanted)
