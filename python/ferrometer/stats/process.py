"""What the process itself weighs: live tasks, heap, collections.

The contract's words are Go's; these are the Python readings behind them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import MethodType

_MB = 1024 * 1024


def live_tasks(loop: asyncio.AbstractEventLoop | None) -> int:
    """Tasks of that event loop that have not ended ("goroutines"); 0 without a loop.

    It may be asked from any thread.
    """
    if loop is None or loop.is_closed():
        return 0
    try:
        return len(asyncio.all_tasks(loop))
    except RuntimeError:  # the set kept changing under a thousand tries: the next reading will do
        return 0


def heap_mb() -> float:
    """Memory allocated by Python and native code, in MB of 2**20 bytes ("heap alloc").

    Linux: resident anonymous memory, which holds Python's arenas and malloc's, and neither mapped
    files nor shared segments; one read of ``/proc/self/statm``, some microseconds. Walking the
    allocators would cost milliseconds and take their locks. macOS: the peak of resident memory.
    Elsewhere 0.0.
    """
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb", buffering=0) as statm:
            _size, resident, shared, *_ = statm.read(256).split()
        return (int(resident) - int(shared)) * _PAGE / _MB
    elif sys.platform == "darwin":  # noqa: RET505 - mypy reads the branches of `if sys.platform` only so
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MB
    else:
        return 0.0


_PAGE = os.sysconf("SC_PAGE_SIZE") if sys.platform == "linux" else 4096


def gc_runs() -> int:
    """Collections since the process started, over all generations."""
    return sum(generation["collections"] for generation in gc.get_stats())


class Every:
    """Calls a bound method every ``seconds`` from a daemon thread.

    The thread holds its object weakly and ends with it, or at ``stop()``. It is started once per
    process: a forked child, to which no thread comes along, may start its own.
    """

    def __init__(self, seconds: float, method: Callable[[], None]) -> None:
        if not isinstance(method, MethodType):
            raise TypeError(f"method must be a bound method, not {type(method).__name__}")
        self._seconds = seconds
        self._method = weakref.WeakMethod(method)
        self._stopped = threading.Event()
        self._pid = 0
        weakref.finalize(method.__self__, self._stopped.set)

    def start(self) -> None:
        """Start the thread, unless it runs already in this process."""
        if self._pid == os.getpid() and not self._stopped.is_set():
            return
        self._pid = os.getpid()
        self._stopped.clear()
        threading.Thread(target=self._run, name="ferrometer-system", daemon=True).start()

    def stop(self) -> None:
        """End the thread; ``start`` may follow."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            method = self._method()
            if method is None:
                return
            with suppress(Exception):  # a reading that fails once must not end all later ones
                method()
            del method
