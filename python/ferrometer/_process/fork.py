"""What happens around a fork: the one list of it.

Native code has a gate of its own (``rust/core/src/fork.rs``); here are the locks and threads of Python.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing the package imports this file, and typing would be half of that
    from collections.abc import Callable
    from typing import Protocol

    class Lock(Protocol):
        """A lock that a fork waits for, so that no child finds it held by a thread that it has not."""

        def acquire(self) -> object:
            """Takes it."""

        def release(self) -> object:
            """Gives it back."""


_locks: list[Lock] = []
_in_child: list[Callable[[], object]] = []
_in_parent: list[Callable[[], object]] = []


def hold_during_fork(lock: Lock) -> None:
    """Holds the lock while a process forks, and gives it back in parent and child.

    The one that was named last is taken first: modules that call others are imported after them.
    """
    _locks.append(lock)


def in_child(call: Callable[[], object]) -> None:
    """Calls it in the child of every fork, before other code runs there; in the order of registration."""
    _in_child.append(call)


def in_parent(call: Callable[[], object]) -> None:
    """Calls it in the parent after every fork."""
    _in_parent.append(call)


def _before() -> None:
    for lock in reversed(_locks):
        lock.acquire()


def _release() -> None:
    for lock in _locks:
        lock.release()


def _go_on_in_parent() -> None:
    _release()
    for call in _in_parent:
        call()


def _begin_child() -> None:
    _release()
    for call in _in_child:
        call()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_go_on_in_parent, after_in_child=_begin_child)
