"""Signals to a server and its children, which servers like PostgreSQL put into groups of their own."""

from __future__ import annotations

import os
import pwd
import signal
from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """The process and all its descendants, parents first."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with suppress(OSError):
        return [pid, *(one for child in children.read_text().split() for one in family(int(child)))]
    return [pid]


def freeze(pid: int) -> None:
    """Stop them all where they are: their sockets stay open, and nothing answers."""
    for one in family(pid):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let them go on."""
    for one in family(pid):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGCONT)


def unprivileged() -> int | None:
    """A user for servers that refuse to be run by root; None where we are none ourselves."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def give(folder: Path, user: int | None) -> None:
    """Make the folder, and what is in it, that user's."""
    if user is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, user, follow_symlinks=False)
