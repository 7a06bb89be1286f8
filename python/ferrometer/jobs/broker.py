"""What the hooks of all task queues have in common.

A hook says that a job was submitted, started or has ended. What its id means, whose the job is, and whether
that was said before, is decided by the table that all workers share.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from contextvars import Token
from typing import Any, ParamSpec

from ferrometer import _core
from ferrometer._process import fork
from ferrometer.jobs import listeners
from ferrometer.jobs.kinds import kind
from ferrometer.jobs.listeners import JobRecord, tell

_log = logging.getLogger("ferrometer")
_context = _core.log_context_var
_P = ParamSpec("_P")


def _harmless(method: Callable[_P, None]) -> Callable[_P, None]:
    """What goes wrong in a hook is logged, and nobody's job."""

    @functools.wraps(method)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception:
            _log.exception("a hook of a task queue failed")

    return guarded


class _Run:
    """A job that this process runs."""

    __slots__ = ("native", "record", "token")

    def __init__(self, native: _core.JobRun, token: Token[_core.LogContext | None]) -> None:
        self.native = native
        self.token = token
        self.record: JobRecord | None = None


class Broker:
    """The jobs of one task queue, in this process."""

    def __init__(self, system: str) -> None:
        self.system = system
        self._runs: dict[tuple[str, str], list[_Run]] = {}
        self._submitting: dict[str, JobRecord] = {}
        fork.in_child(self._after_fork)

    @_harmless
    def submitting(
        self, job_type: str, job_id: str, carrier: MutableMapping[str, Any], *, queue: str | None = None
    ) -> None:
        """A job is about to be put into its queue; listeners may write into ``carrier``."""
        if listeners.ALL:
            record = JobRecord(self.system, job_type, job_id, queue, carrier)
            if len(self._submitting) > 1024:  # those that never got into their queue
                self._submitting.clear()
            self._submitting[job_id] = record
            tell("submitting", record)

    @_harmless
    def submitted(
        self, job_type: str, job_id: str, *, error: BaseException | None = None, count: bool = True
    ) -> None:
        """It was put there, or that failed. Without ``count`` it is another run of a job that was counted."""
        if count and error is None:
            kind(job_type).native.submitted()
        record = self._submitting.pop(job_id, None) if self._submitting else None
        if record is not None:
            tell("submitted", record, error)

    @_harmless
    def start(
        self,
        job_type: str,
        job_id: str,
        *,
        wait: float | None = None,
        carrier: MutableMapping[str, Any] | None = None,
        queue: str | None = None,
    ) -> None:
        """A job starts in this process. ``wait`` is how long it was queued, in seconds."""
        if wait is not None and wait < 0.0:  # another machine's clock
            wait = 0.0
        native = kind(job_type).start(job_id, wait)
        fields = {"job_id": job_id, "job_type": job_type}
        run = _Run(native, _context.set(_core.LogContext(_context.get(), fields)))
        self._runs.setdefault((job_type, job_id), []).append(run)
        if listeners.ALL:
            run.record = JobRecord(
                self.system, job_type, job_id, queue, {} if carrier is None else carrier, wait
            )
            tell("started", run.record)

    def runs(self, job_type: str, job_id: str) -> bool:
        """Whether this process runs the job."""
        return (job_type, job_id) in self._runs

    @_harmless
    def end(self, job_type: str, job_id: str, status: str, error: BaseException | None = None) -> None:
        """A job has ended, in this process or another; a repeat of what was said before does not count."""
        runs = self._runs.get((job_type, job_id))
        if runs is None:
            kind(job_type).native.end(job_id, status)
            return
        run = runs.pop()
        if not runs:
            del self._runs[job_type, job_id]
        run.native.end(status)
        if run.record is not None:
            tell("ended", run.record, status, error)
        with suppress(ValueError):  # ended in another context than it was started in
            _context.reset(run.token)

    def _after_fork(self) -> None:
        # They are the parent's.
        self._runs = {}
        self._submitting = {}
