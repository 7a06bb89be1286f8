"""The standard library's ``logging``: a handler, and the takeover of what servers log through it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

from ferrometer import _core

#: Loggers of servers that have handlers of their own, by which their lines would leave a second time.
SERVERS = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "gunicorn",
    "gunicorn.error",
    "gunicorn.access",
    "hypercorn.error",
    "hypercorn.access",
    "py.warnings",
)
#: Those that write a line for each request, as our middleware does.
ACCESS = ("uvicorn.access", "gunicorn.access", "hypercorn.access")


class Handler(logging.Handler):
    """Turns each record into one of our lines; what was passed as ``extra`` becomes fields.

    Nothing else has to be formatted, so it takes no lock. In ``dictConfig``:
    ``{"class": "ferrometer.logs.Handler", "level": "INFO"}``.
    """

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)

    def handle(self, record: logging.LogRecord) -> bool:
        """Logs a record, unless a filter of this handler is against it."""
        if self.filters:
            # From Python 3.12 on a filter may return another record.
            passed: object = self.filter(record)
            if not passed:
                return False
            record = passed if isinstance(passed, logging.LogRecord) else record
        _core.log_record(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Logs a record."""
        _core.log_record(record)


class _Taken:
    """What was done, to be undone."""

    handlers: dict[str, list[logging.Handler]]

    def __init__(self) -> None:
        self.handlers = {}


_taken = _Taken()


class _Watch(logging.Filter):
    """Sits on a server's logger: what the server sets up later, as hypercorn does, is taken, too."""

    def __init__(self) -> None:
        super().__init__()
        self.access = False

    def filter(self, record: logging.LogRecord) -> bool:
        """False for the lines of requests, which our middleware writes."""
        if self.access and record.name in ACCESS:
            return False
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            _take(logger)
            logger = logger.parent if logger.propagate else None
        return True


_watch = _Watch()


def take_over(level: int, *, access: bool) -> None:
    """Hang our handler on the root and let servers' loggers reach it; a second call mends what came since.

    :param level: of the root, as ``logging`` counts.
    :param access: whether our middleware writes the lines of requests, so that the servers' are not wanted.
    """
    root = logging.getLogger()
    if not any(isinstance(handler, Handler) for handler in root.handlers):
        root.addHandler(Handler())
    _watch.access = access
    _take(root)
    for name in SERVERS:
        logger = logging.getLogger(name)
        _take(logger)
        logger.addFilter(_watch)
    logging.captureWarnings(True)
    _core.log_directly(True, Handler)
    if root.level != level:
        root.setLevel(level)


def _take(logger: logging.Logger) -> None:
    """Takes the handlers off by which the logger's lines would leave a second time, or past ours."""
    for handler in [handler for handler in logger.handlers if _is_stream(handler)]:
        _remember(logger.name, handler)
        logger.removeHandler(handler)
    if logger.name in SERVERS and not logger.handlers:
        logger.propagate = True


def _remember(name: str, handler: logging.Handler) -> None:
    _taken.handlers.setdefault(name, []).append(handler)


def _is_stream(handler: logging.Handler) -> bool:
    """Whether a handler writes to a standard stream."""
    return isinstance(handler, logging.StreamHandler) and any(
        handler.stream is stream for stream in _standard_streams()
    )


def _standard_streams() -> Iterator[object]:
    yield from (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)


def give_back() -> None:
    """Undo :func:`take_over`: our handler leaves, the others come back."""
    root = logging.getLogger()
    for ours in [handler for handler in root.handlers if isinstance(handler, Handler)]:
        root.removeHandler(ours)
    for name in SERVERS:
        logging.getLogger(name).removeFilter(_watch)
    for name, handlers in _taken.handlers.items():
        for handler in handlers:
            logging.getLogger(name).addHandler(handler)
    _taken.handlers.clear()
    logging.captureWarnings(False)
    _core.log_directly(False, Handler)
