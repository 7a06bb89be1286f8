"""Who started this worker process: the server's own word for it, where the server is known.

Each server leaves its configuration where its workers can see it: in the target of the process that
multiprocessing started, or on the stack of a process that was forked. Command lines and the environment
are not asked: they do not know of ``uvicorn.run(workers=4)``, and subprocesses inherit them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple


class Supervisor(NamedTuple):
    """The process that several workers of one application have in common."""

    server: str
    """Such as ``"uvicorn"``."""
    pid: int
    application: str = ""
    """What tells applications of one supervisor apart, where it can have several."""


def supervisor() -> Supervisor | None:
    """The supervisor of this process if it is one of several workers, or the one that will fork them."""
    return _of_multiprocessing() or _of_gunicorn()


def parent() -> int | None:
    """The process that started this one by ``multiprocessing``."""
    process = sys.modules.get("multiprocessing.process")
    started = None if process is None else process.parent_process()
    return None if started is None else started.pid


def _of_multiprocessing() -> Supervisor | None:
    pid = parent()
    if pid is None:
        return None
    current = sys.modules["multiprocessing.process"].current_process()
    # While a spawned process imports the main module, it has not been told its target yet.
    target, kwargs = getattr(current, "_target", None), getattr(current, "_kwargs", None) or {}
    server, _, _ = getattr(target, "__module__", "").partition(".")
    config = kwargs.get("config")
    if server == "granian":
        return Supervisor(server, pid)
    if server == "uvicorn" and _workers(config) > 1 and not getattr(config, "should_reload", False):
        return Supervisor(server, pid, _words(config, "app"))
    if server == "hypercorn" and _workers(config) > 1:
        return Supervisor(server, pid, _words(config, "application_path"))
    return None


def _of_gunicorn() -> Supervisor | None:
    """The arbiter is on the stack: it imports a preloaded application, and forks its workers from there."""
    if "gunicorn.arbiter" not in sys.modules:
        return None
    for frame in _stack():
        if frame.f_globals.get("__name__") == "gunicorn.arbiter":
            arbiter = frame.f_locals.get("self")
            # While it is being made, it has no pid yet: then it is this process.
            return Supervisor("gunicorn", getattr(arbiter, "pid", None) or os.getpid())
    return None


def _stack() -> Iterator[FrameType]:
    """The frames of the main thread, the innermost first: servers run their workers there."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _workers(config: object) -> int:
    workers = getattr(config, "workers", None)
    return workers if isinstance(workers, int) else 0


def _words(config: Any, name: str) -> str:
    value = getattr(config, name, "")
    return value if isinstance(value, str) else ""
