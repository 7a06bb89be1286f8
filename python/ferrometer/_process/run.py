"""One run of a callable, apart from whoever waits for it.

The run has a deadline, and nobody waits beyond it. Code that cannot be stopped (a blocked thread, a
coroutine that swallows its cancellation) goes on alone; ``over`` says when it has truly ended, so
that a second run never starts beside it. Works under asyncio and trio, and waiters may live on
another event loop than the run.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the callable returned, or what it raised."""

    value: object = None
    error: BaseException | None = None


class Aborted(Exception):
    """The run was cancelled from outside."""


class Run:
    """The state of one run; times are ``time.monotonic`` seconds."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.outcome: Outcome | None = None
        self._started = time.monotonic()
        self._ended: float | None = None
        self._lock = threading.Lock()
        self._holders = 1  # the task, and the thread while there is one
        self._wakers: list[Callable[[], None]] = []
        self.task: object = None  # asyncio keeps only weak references to tasks

    @property
    def over(self) -> bool:
        """Whether nothing of this run is left, neither task nor thread."""
        return self._holders == 0

    @property
    def aborted(self) -> bool:
        """Whether the event loop ended under it, which says nothing about the component."""
        return self.outcome is not None and isinstance(self.outcome.error, Aborted)

    @property
    def overdue(self) -> bool:
        return time.monotonic() >= self._started + self.timeout

    def age(self) -> float:
        """Seconds since the outcome was known."""
        return 0.0 if self._ended is None else time.monotonic() - self._ended

    def duration_ms(self) -> int:
        """Whole milliseconds the run took, or has taken so far."""
        until = time.monotonic() if self._ended is None or not self.over else self._ended
        return round((until - self._started) * 1000)

    def hold(self) -> None:
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1

    def settle(self, outcome: Outcome) -> None:
        """Publish the outcome; the first one counts."""
        with self._lock:
            if self.outcome is not None:
                return
            if self.overdue and outcome.error is None:  # right, but too late to count
                outcome = Outcome(error=TimeoutError(f"answered after more than {self.timeout:g} s"))
            self.outcome, self._ended = outcome, time.monotonic()
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    async def wait(self) -> None:
        """Return at the outcome or at the deadline, whichever comes first."""
        event = anyio.Event()
        with self._lock:
            if self.outcome is not None:
                return
            self._wakers.append(_waker(event))
        with anyio.move_on_after(self._started + self.timeout - time.monotonic()):
            await event.wait()


def launch(call: Callable[[], object], run: Run, *, name: str) -> None:
    """Start ``call`` for ``run``: a coroutine function on this event loop, else in a daemon thread.

    A daemon thread, since one that hangs must not keep the process from ending.
    """
    if _on_asyncio():
        run.task = asyncio.get_running_loop().create_task(_execute(call, run, name), name=name)
    else:
        import trio

        trio.lowlevel.spawn_system_task(_execute, call, run, name, name=name)


async def _execute(call: Callable[[], object], run: Run, name: str) -> None:
    outcome = Outcome(error=Aborted())  # what stays when the event loop goes away
    try:
        answered = await _within(run.timeout, call, run, name)
        outcome = answered or Outcome(error=TimeoutError(f"no answer within {run.timeout:g} s"))
    finally:
        run.settle(outcome)
        run.release()


async def _within(seconds: float, call: Callable[[], object], run: Run, name: str) -> Outcome | None:
    # Not anyio's scope: it cancels again and again, which spins on code that swallows the cancellation.
    if _on_asyncio():
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await _answer(call, run, name)
        return None
    import trio

    with trio.move_on_after(seconds):
        return await _answer(call, run, name)
    return None


async def _answer(call: Callable[[], object], run: Run, name: str) -> Outcome:
    try:
        if is_async(call):
            outcome = Outcome(call())
        else:
            outcome = await _in_thread(call, run, name)
    except Exception as error:
        return Outcome(error=error)
    # A plain function may hand back an awaitable too, as redis.asyncio's `ping` does.
    return await outcome_of(outcome.value) if inspect.isawaitable(outcome.value) else outcome


async def outcome_of(awaitable: Awaitable[object]) -> Outcome:
    """Awaits the user's code: what it returns, or whatever it raises by itself, be it a SystemExit.

    What ends the task that runs it is raised on: its cancellation, its end as a generator, Ctrl-C.
    """
    try:
        return await _steps(_coroutine(awaitable))
    except BaseException as error:  # a SystemExit, for one, must not take the event loop with it
        if _is_ending(error):
            raise
        return Outcome(error=error)


async def _coroutine(awaitable: Awaitable[object]) -> object:
    return await awaitable


@types.coroutine
def _steps(code: Coroutine[Any, Any, object]) -> Generator[Any, Any, Outcome]:
    """Drives it step by step: so a GeneratorExit of its own is known from one that closes the task."""
    step: Callable[[Any], Any] = code.send
    argument: Any = None
    while True:
        try:
            waited = step(argument)
        except StopIteration as end:
            return Outcome(end.value)
        except GeneratorExit as error:
            return Outcome(error=error)
        try:
            step, argument = code.send, (yield waited)
        except GeneratorExit:
            code.close()
            raise
        except BaseException as error:
            step, argument = code.throw, error


def _is_ending(error: BaseException) -> bool:
    if isinstance(error, Exception):
        return False
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return True
    if not isinstance(error, anyio.get_cancelled_exc_class()):
        return False
    task = asyncio.current_task() if _on_asyncio() else None
    return task is None or task.cancelling() > 0


async def _in_thread(call: Callable[[], object], run: Run, name: str) -> Outcome:
    done = anyio.Event()
    wake = _waker(done)
    outcome = Outcome()

    def work() -> None:
        nonlocal outcome
        try:
            outcome = Outcome(call())
        except BaseException as error:
            outcome = Outcome(error=error)
        finally:
            run.release()
            wake()

    context = contextvars.copy_context()
    run.hold()
    try:
        threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()
    except RuntimeError:  # no more threads to be had
        run.release()
        raise
    await done.wait()
    return outcome


def is_async(call: object) -> bool:
    """Whether calling it gives a coroutine: a coroutine function, or an object with an async call."""
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _waker(event: anyio.Event) -> Callable[[], None]:
    """A function that sets the event from any thread, and does nothing once its event loop is gone."""
    if _on_asyncio():
        schedule: Callable[[Callable[[], None]], object] = asyncio.get_running_loop().call_soon_threadsafe
        gone: type[Exception] = RuntimeError
    else:
        import trio

        schedule, gone = trio.lowlevel.current_trio_token().run_sync_soon, trio.RunFinishedError

    def wake() -> None:
        with suppress(gone):
            schedule(event.set)

    return wake
