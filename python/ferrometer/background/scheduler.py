"""Runs collectors in the background: in a thread of its own, or on the application's event loop.

| what happens                 | what the scheduler does                                                |
|------------------------------|------------------------------------------------------------------------|
| a run succeeds               | the next one starts ``interval`` after its start, ± 5 %                |
| it raises or times out       | success 0, counted, values marked stale, back-off up to 8 intervals    |
| it hangs                     | the same; no second run beside it; the others go on                    |
| another worker has the lease | values dropped, and the lease asked for every two seconds              |
| ``stop()``                   | runs cancelled, ``close()`` called, thread joined, within ``grace``    |
| the process forks            | nothing runs in the child until it calls ``start()`` itself            |
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from ferrometer._process import fork
from ferrometer.background.collector import Collector
from ferrometer.background.runner import CollectorStatus, SelfMetrics, Watch
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.sharing.lease import Leases

_log = logging.getLogger("ferrometer.collectors")

GRACE = 2.0
"""Seconds that a stop waits for runs that have not ended and for ``close()``."""


class CollectorScheduler:
    """Starts, times, judges and stops collectors.

    ``registry`` takes the self-metrics. ``loop``: run on this event loop instead of in a thread.
    ``application``: a name shared by the workers among which a collector of scope ``"machine"`` runs
    once; by default what they have in common (see ``ferrometer.collectors.lease``). ``grace``:
    seconds that a stop may take.

    A run that cannot be stopped (a blocked system call) is left behind at ``stop()`` in its daemon
    thread: at most one thread per collector, which keeps neither the process nor a restart from going on.
    """

    def __init__(
        self,
        collectors: Iterable[Collector] = (),
        *,
        registry: CollectorRegistry = REGISTRY,
        loop: asyncio.AbstractEventLoop | None = None,
        application: str | None = None,
        grace: float = GRACE,
    ) -> None:
        self._metrics = SelfMetrics(registry)
        self._loop = loop
        self._leases = Leases(application)
        self._grace = grace
        self._watches: dict[str, Watch] = {}
        self._lock = threading.Lock()
        self._life: _Life | None = None
        _SCHEDULERS.add(self)
        for collector in collectors:
            self.add(collector)

    def __repr__(self) -> str:
        return (
            f"CollectorScheduler({', '.join(self._watches) or 'none'}{', running' if self.running else ''})"
        )

    @property
    def running(self) -> bool:
        """Whether it was started in this process, and not stopped."""
        return self._life is not None

    def add(self, collector: Collector) -> None:
        """Add a collector; to a running scheduler, it starts at once.

        Raises ValueError when there is one of that name already.
        """
        watch = Watch(collector, self._metrics, self._leases)
        with self._lock:
            if watch.name in self._watches:
                raise ValueError(
                    f"there is a collector {watch.name!r} already; give one of the two another name"
                )
            self._watches[watch.name] = watch
            life = self._life
        if life is not None:
            watch.open()
            life.spawn(watch)

    def remove(self, name: str) -> None:
        """Stop a collector and drop its values; one that is not there is no error."""
        with self._lock:
            watch = self._watches.pop(name, None)
            life = self._life
        if watch is not None and (life is None or not life.cancel(watch)):
            watch.put_down()

    def status(self) -> Mapping[str, CollectorStatus]:
        """How each collector is."""
        return {name: watch.status for name, watch in self._watches.items()}

    def start(self) -> None:
        """Start the background runs, the first ones at once; a second call does nothing."""
        with self._lock:
            if self._life is not None:
                return
            life = self._life = _Life(list(self._watches.values()), self._loop, self._grace)
            life.leave = weakref.finalize(self, life.signal)
            life.leave.atexit = False  # daemon threads end by themselves
        for watch in life.watches:
            watch.open()
        life.start()

    def stop(self, grace: float | None = None) -> None:
        """Stop within ``grace`` seconds, by default the scheduler's own; ``start()`` may follow.

        On its own event loop (``loop=``) it cannot wait: there, ``await scheduler.astop()``.
        """
        life = self._end()
        if life is not None:
            life.signal()
            life.join(self._grace * 2 if grace is None else grace)

    async def astop(self) -> None:
        """As ``stop()``, without blocking the event loop that it is awaited on."""
        life = self._end()
        if life is not None:
            life.signal()
            await life.wait()

    def _end(self) -> _Life | None:
        with self._lock:
            life, self._life = self._life, None
        if life is not None and life.leave is not None:
            life.leave.detach()
        return life

    def _forget(self) -> None:
        """In a forked child: no thread came along, and the locks are as somebody else left them."""
        self._lock = threading.Lock()
        if self._life is not None:
            _GRAVEYARD.append(self._life)
            if self._life.leave is not None:
                self._life.leave.detach()
            self._life = None
        self._watches = {
            name: Watch(w.collector, self._metrics, self._leases) for name, w in self._watches.items()
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.astop()


class _Life:
    """One start to one stop: the event loop, the thread, the tasks. It does not know the scheduler."""

    def __init__(self, watches: list[Watch], loop: asyncio.AbstractEventLoop | None, grace: float) -> None:
        self.watches = watches
        self.leave: weakref.finalize[[], CollectorScheduler] | None = None
        self._grace = grace
        self._own = loop is None
        self._loop = asyncio.new_event_loop() if loop is None else loop
        self._tasks: dict[Watch, asyncio.Task[None]] = {}
        self._main: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._ended = threading.Event()

    def start(self) -> None:
        if self._own:
            threading.Thread(target=self._thread, name="ferrometer-collectors", daemon=True).start()
        else:
            self._call(self._begin)

    def spawn(self, watch: Watch) -> None:
        """Run one more collector; from any thread."""
        self._call(self._spawn, watch)

    def cancel(self, watch: Watch) -> bool:
        """Run it no more; from any thread. False when there is no loop any more to do so."""
        return self._call(self._cancel, watch)

    def signal(self) -> None:
        """Ask for the end; from any thread."""
        self._call(self._stop.set)

    def join(self, seconds: float) -> None:
        """Wait for the end, unless this is the loop that has to reach it."""
        if _running_loop() is not self._loop and not self._ended.wait(seconds):
            _log.warning("the collectors' thread did not end within %g s; it is left behind", seconds)

    async def wait(self) -> None:
        if _running_loop() is self._loop and self._main is not None:
            await asyncio.wait([self._main], timeout=self._grace * 2)
        else:
            await asyncio.to_thread(self._ended.wait, self._grace * 2)

    def _call(self, *call: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(*call)  # type: ignore[arg-type]
        except RuntimeError:  # the loop is closed: there is nothing left to tell
            self._ended.set()
            return False
        return True

    def _thread(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        finally:
            try:
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            finally:
                self._loop.close()
                self._ended.set()

    def _begin(self) -> None:
        self._main = self._loop.create_task(self._run(), name="ferrometer-collectors")

    async def _run(self) -> None:
        for watch in self.watches:
            self._spawn(watch)
        try:
            await self._stop.wait()
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=self._grace)
            left = [watch.name for watch in self._tasks if watch.abandon()]
            if left:
                _log.warning("left behind, still running: %s", ", ".join(left))
            for task in asyncio.all_tasks(self._loop) if self._own else tasks:
                if task is not asyncio.current_task() and not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # said above
            if not self._own:
                self._ended.set()

    def _spawn(self, watch: Watch) -> None:
        if not self._stop.is_set():
            watch.has_own_thread = self._own
            self._tasks[watch] = self._loop.create_task(
                watch.run(), name=f"ferrometer-collector-{watch.name}"
            )

    def _cancel(self, watch: Watch) -> None:
        task = self._tasks.get(watch)
        if task is not None:
            task.cancel()
            task.add_done_callback(lambda _: self._tasks.pop(watch, None))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_SCHEDULERS: weakref.WeakSet[CollectorScheduler] = weakref.WeakSet()

_GRAVEYARD: list[_Life] = []
"""Event loops of a parent process. Closing one would edit the epoll set that the parent still waits on."""


def _after_fork() -> None:
    for scheduler in list(_SCHEDULERS):
        scheduler._forget()


fork.in_child(_after_fork)
