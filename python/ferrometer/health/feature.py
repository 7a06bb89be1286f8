"""Health checks run by themselves: the section ``[health]``."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.background.collector import FunctionCollector
from ferrometer.health.checks import HealthChecks
from ferrometer.health.shared import SharedResults

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime

#: Seconds that a round of checks may take; each check has a deadline of its own.
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """How often the checks run by themselves."""

    interval: float = option(30.0, "Seconds between two rounds of checks, in one worker for all.")


class Health(Feature):
    """Runs the checks in the background, in one worker, and tells all what they found."""

    section = "health"
    Settings = HealthSettings

    def __init__(self, checks: HealthChecks | None = None, *, interval: float | None = None) -> None:
        super().__init__(interval=interval)
        self.checks: HealthChecks = HealthChecks() if checks is None else checks
        self._run: Callable[[], object] = self._run_apart

    def open(self, runtime: Runtime) -> None:
        """The results become gauges of the application's registry."""
        chosen: HealthSettings = runtime.settings(self)
        space = runtime.namespace or ""
        _OPENED[space] = number = _OPENED.get(space, 0) + 1
        self.checks.share(SharedResults(runtime.registry, runtime.namespace))
        collector = FunctionCollector(
            "health",
            lambda: self._run(),
            interval=chosen.interval,
            timeout=TIMEOUT,
            scope="machine",
            stale="keep",
        )
        # One worker runs an application's checks; those of another application in the process are others.
        collector.lease = "-".join(filter(None, ("health", space, str(number) if number > 1 else "")))
        runtime.collect(collector)

    def start(self) -> None:
        """Checks run on the application's event loop, where their pools live, if it has one here."""
        self._run = _on_this_loop(self.checks.run) or self._run_apart

    def close(self, deadline: float) -> None:
        """The event loop is about to end."""
        self._run = self._run_apart

    def _run_apart(self) -> None:
        """Without an event loop of the application's: on one of its own."""
        if self.checks.names():
            anyio.run(self.checks.run)


def _on_this_loop(run: Callable[[], Any]) -> Callable[[], object] | None:
    """A function for another thread that runs a coroutine function on the event loop that runs here."""
    try:
        found = weakref.ref(asyncio.get_running_loop())  # an application that is forgotten takes it along
    except RuntimeError:
        return _on_this_trio(run)

    def call() -> None:
        loop = found()
        if loop is None:
            return
        ended = threading.Event()
        failed: list[BaseException] = []

        def over(task: asyncio.Task[Any]) -> None:
            if not task.cancelled() and (error := task.exception()):
                failed.append(error)
            ended.set()

        def begin() -> None:
            tasks.append(loop.create_task(run()))
            tasks[0].add_done_callback(over)

        tasks: list[asyncio.Task[Any]] = []
        with suppress(RuntimeError):  # the event loop is closed, and the application over
            loop.call_soon_threadsafe(begin)
        deadline = time.monotonic() + TIMEOUT
        while not ended.wait(0.2) and not loop.is_closed():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the checks took more than {TIMEOUT:g} s")
        for task in tasks if loop.is_closed() else ():
            _give_up(task)
        if failed:
            raise failed[0]

    return call


def _give_up(task: asyncio.Task[Any]) -> None:
    """Ends a task whose loop was closed before its first step; asyncio would warn of it as of a fault."""
    code = task.get_coro()
    if inspect.iscoroutine(code) and inspect.getcoroutinestate(code) == inspect.CORO_CREATED:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio does for its own
        code.close()


def _on_this_trio(run: Callable[[], Any]) -> Callable[[], object] | None:
    try:
        import trio

        token = trio.lowlevel.current_trio_token()
    except (ImportError, RuntimeError):
        return None
    return lambda: trio.from_thread.run(run, trio_token=token)


#: How many applications of each namespace this process has: workers that run the same program agree on it.
_OPENED: dict[str, int] = {}

FEATURE = Health
