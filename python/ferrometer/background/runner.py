"""One collector under the scheduler's care: its runs, its rhythm, its state, its self-metrics."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from ferrometer._core import shared_directory
from ferrometer._process.jitter import jittered
from ferrometer._process.local_only import OwnSeries
from ferrometer._process.run import Outcome, Run, is_async, launch
from ferrometer.background.collector import (
    CollectError,
    Collector,
    UnavailableError,
    attribute,
    check,
    clear,
    machine_wide,
    mark_stale,
    metrics_of,
    restart_counters,
)
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge
from ferrometer.sharing.lease import Lease

_log = logging.getLogger("ferrometer.collectors")

State: TypeAlias = Literal["starting", "ok", "failing", "unavailable", "standby", "stopped"]

LEASE_SECONDS = 2.0
"""How often a worker on standby asks for the lease: after the holder's death, the longest gap."""

JITTER = 0.05
"""Share of the interval by which a start comes earlier or later: workers started together drift apart."""

TICK = 1.0
"""Seconds: collectors of long intervals start on common ticks; an idle process wakes once for all of them."""

UNHURRIED = 5.0
"""Seconds: an interval from which on a start may move by half a tick, which the jitter allows."""

SLOWEST = 60.0
"""Seconds: back-off goes no further than this, unless the interval itself does."""


class SelfMetrics:
    """What the scheduler says about its collectors."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.success: Gauge = Gauge(
            "ferrometer_collector_success",
            "Whether the latest run of the collector succeeded",
            ["collector"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.duration: Gauge = Gauge(
            "ferrometer_collector_duration_seconds",
            "How long the latest run of the collector took",
            ["collector"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.last_success: Gauge = Gauge(
            "ferrometer_collector_last_success_timestamp_seconds",
            "When the collector last succeeded, in seconds since 1970",
            ["collector"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.errors: Counter = Counter(
            "ferrometer_collector_errors",
            "Runs of the collector that failed, by reason",
            ["collector", "reason"],
            registry=registry,
        )

    def forget(self, name: str) -> None:
        """Drop the gauges of a collector that this process does not run (any more)."""
        with OwnSeries():
            for gauge in (self.success, self.duration, self.last_success):
                gauge.remove(name)


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """How one collector is. ``last_success`` is in seconds since 1970."""

    state: State
    reason: str | None = None
    last_success: float | None = None


@contextmanager
def _for_all() -> Iterator[None]:
    token = machine_wide.set(True)
    try:
        yield
    finally:
        machine_wide.reset(token)


class Watch:
    """Runs one collector again and again."""

    def __init__(self, collector: Collector, metrics: SelfMetrics, lease: Callable[[str], Lease]) -> None:
        self.collector: Collector = check(collector)
        self.name: str = collector.name
        self._interval = float(attribute(collector, "interval"))
        self._timeout = float(attribute(collector, "timeout"))
        self._metrics = metrics
        self._make_lease = lease if attribute(collector, "scope") == "machine" else None
        self._lease: Lease | None = None
        self._lease_broken = False
        self._run: Run | None = None
        self._failures = 0
        self._reasons: set[str] = set()  # those already logged since the last success
        self.status: CollectorStatus = CollectorStatus("stopped")
        self.has_own_thread: bool = False
        """Whether its loop is nobody else's."""

    def open(self) -> None:
        """Before the first run of a life of the scheduler, in the thread of whoever starts it."""
        self.status = CollectorStatus("starting")
        self._failures = 0
        self._reasons.clear()
        if self._make_lease is None or shared_directory() is None:
            self._mark_stale()  # what a parent process or an earlier life left there
        hook = getattr(self.collector, "open", None)
        if callable(hook):
            try:
                hook()
            except Exception as error:
                self._failed(error)

    async def run(self) -> None:
        """Run it until cancelled."""
        try:
            while True:
                if not self._mine():
                    await asyncio.sleep(_jittered(min(LEASE_SECONDS, self._interval)))
                    continue
                started = time.monotonic()
                delay = await self.run_once()
                # From start to start; but never at once again, however long the run was.
                rest = max(delay - (time.monotonic() - started), delay * JITTER)
                await asyncio.sleep(_to_tick(rest) if delay >= UNHURRIED else rest)
        finally:
            await self._finish()

    async def run_once(self) -> float:
        """One run, judged; returns the seconds until the next should start."""
        previous = self._run
        if previous is not None and not previous.over:
            return self._hung()
        run = self._run = Run(self._timeout)
        launch(self._collect(run), run, name=f"ferrometer-collector-{self.name}")
        await run.wait()
        outcome = run.outcome or Outcome(error=TimeoutError(f"no answer within {self._timeout:g} s"))
        self._metrics.duration.labels(self.name).set(run.duration_ms() / 1000)
        if outcome.error is None:
            self._succeeded()
            idle = getattr(self.collector, "idle_interval", None)
            return _jittered(max(self._interval, idle()) if callable(idle) else self._interval)
        self._failed(outcome.error)
        return self._backed_off()

    def _collect(self, run: Run) -> Callable[[], object]:
        """The collector's ``collect``, for this run: what it writes after its time is stale at once."""
        collect = self.collector.collect

        def too_late() -> bool:
            late = run.outcome is not None or run.overdue
            if late:
                self._mark_stale()
            return late

        async def in_loop() -> None:
            try:
                with self._scope():
                    await cast("Awaitable[None]", collect())
            finally:
                too_late()

        def in_thread() -> object:
            result: object = None
            try:
                with self._scope():
                    result = collect()
            finally:
                if too_late() and inspect.iscoroutine(result):
                    result.close()  # nobody awaits it any more
            return result

        async def here() -> None:
            in_thread()

        if is_async(collect):
            return in_loop
        is_brief = getattr(self.collector, "is_brief", None)
        return here if self.has_own_thread and callable(is_brief) and is_brief() else in_thread

    def _mine(self) -> bool:
        """Whether this process is the one to run it."""
        if self._make_lease is None or self._lease_broken:
            return True
        try:
            if self._lease is None:
                self._lease = self._make_lease(getattr(self.collector, "lease", None) or self.name)
            if self._lease.hold():
                if self.status.state in ("starting", "standby"):
                    self._mark_stale()
                return True
        except OSError as error:
            # Two workers that collect the same are better than none.
            self._lease_broken = True
            _log.warning("collector %r runs in every worker, for want of a lease: %s", self.name, error)
            return True
        if self.status.state != "standby":
            was_ours = self.status.state != "starting"
            self.status = CollectorStatus("standby")
            self._metrics.forget(self.name)
            if was_ours and shared_directory() is None:
                restart_counters(metrics_of(self.collector))  # the new holder shows the same totals
            if was_ours or shared_directory() is None:
                # Else there is nothing, and a NaN set now would be the latest value of all workers.
                with OwnSeries():
                    self._quietly(clear, self.collector)
            _log.debug("collector %r stands by: another worker runs it", self.name)
        return False

    def _succeeded(self) -> None:
        now = time.time()
        before = self.status.state
        self.status = CollectorStatus("ok", last_success=now)
        self._failures = 0
        self._reasons.clear()
        self._metrics.success.labels(self.name).set(1)
        self._metrics.last_success.labels(self.name).set(now)
        if before in ("failing", "unavailable"):
            _log.info("collector %r recovered", self.name)

    def _failed(self, error: BaseException) -> None:
        reason = reason_of(error)
        missing = isinstance(error, UnavailableError)
        self._failures += 1
        self.status = CollectorStatus(
            "unavailable" if missing else "failing", reason, self.status.last_success
        )
        self._metrics.success.labels(self.name).set(0)
        if not missing:
            self._metrics.errors.labels(self.name, reason).inc()
        self._mark_stale()
        if reason not in self._reasons:
            self._reasons.add(reason)
            level = logging.INFO if missing else logging.WARNING
            _log.log(level, "collector %r %s: %s", self.name, self.status.state, words(error))

    def _hung(self) -> float:
        """The previous run goes on beyond its time: wait, and say so."""
        self._metrics.errors.labels(self.name, "hung").inc()
        return _jittered(self._interval)

    def _backed_off(self) -> float:
        slowest = max(self._interval, min(SLOWEST, self._interval * 8))
        return _jittered(min(self._interval * 2.0 ** min(self._failures - 1, 10), slowest), 0.25)

    async def _finish(self) -> None:
        """End the run that goes on, then let the collector close what it holds."""
        run = self._run
        if run is not None and not run.over:
            task = run.task
            if isinstance(task, asyncio.Task):
                task.cancel()
            while not run.over:  # noqa: ASYNC110  # a thread ends it, on its own
                await asyncio.sleep(0.005)
        try:
            hook = getattr(self.collector, "close", None)
            result = hook() if callable(hook) else None
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            _log.warning("collector %r could not close: %s", self.name, words(error))
        self.put_down()

    def put_down(self) -> None:
        """Nobody reads it here any more: nothing is shown as if somebody did."""
        self._metrics.forget(self.name)
        if self.status.state != "standby" or shared_directory() is None:
            with OwnSeries():
                self._quietly(mark_stale, self.collector)
        self.status = CollectorStatus("stopped", last_success=self.status.last_success)
        if self._lease is not None:
            self._lease.release()

    def abandon(self) -> bool:
        """After a stop that waited long enough: release the lease. Whether a run has not ended."""
        self.put_down()
        return self._run is not None and not self._run.over

    def _scope(self) -> AbstractContextManager[object]:
        """Whom it concerns what is written and removed: this worker, or all for which this one runs it."""
        return OwnSeries() if self._make_lease is None else _for_all()

    def _mark_stale(self) -> None:
        with self._scope():
            self._quietly(mark_stale, self.collector)

    def _quietly(self, act: Callable[[Collector], None], collector: Collector) -> None:
        """Run the collector's own code where its failure must change nothing."""
        try:
            act(collector)
        except Exception as error:
            _log.debug("collector %r: %s failed: %s", self.name, act.__name__, words(error))


def reason_of(error: BaseException) -> str:
    """The error as a label value: a collector's own reason, ``timeout``, or the type's name."""
    if isinstance(error, CollectError):
        return error.reason
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__


def words(error: BaseException) -> str:
    """The error for a log line. A foreign exception's message may quote a password: type and place only."""
    if isinstance(error, CollectError):
        return str(error) or error.reason
    name = type(error).__name__
    if isinstance(error, TimeoutError) and error.__traceback__ is None:
        return f"{name}: {error}"  # made by ourselves
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return name
    return f"{name} ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"


def _jittered(seconds: float, share: float = JITTER) -> float:
    return jittered(seconds, 1 - share, 1 + share)


def _to_tick(seconds: float) -> float:
    """The same to the nearest common tick of this process; other processes have other ticks."""
    now = time.monotonic()
    phase = os.getpid() * 0.6180339887 % 1 * TICK
    due = round((now + seconds - phase) / TICK) * TICK + phase
    return max(due - now, TICK / 2)
