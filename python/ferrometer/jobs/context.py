"""A job as a context or a decorator, for queues that have no hook here, and for work without a queue."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from ferrometer import _core
from ferrometer.jobs import listeners
from ferrometer.jobs.kinds import kind
from ferrometer.jobs.listeners import JobRecord, tell

P = ParamSpec("P")
R = TypeVar("R")
_context = _core.log_context_var
_LogContext = _core.LogContext
#: What ends a job from outside.
CANCELLED = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


def submitted(job_type: str, count: int = 1) -> None:
    """Counts jobs that were put into a queue. Raises ValueError for an empty type or a negative count."""
    if count < 0:
        raise ValueError(f"count must be 0 or more, not {count!r}")
    kind(job_type).native.submitted(count)


class Job:
    """One run of a job: ``with job("resize"):``, ``async with job("resize"):``; an object for each run.

    As a decorator it makes an object for each call. ``job_id`` is in every line that is logged within it; a
    job of an id whose process died is known to be lost when the id starts again. ``submitted_at``, in seconds
    since 1970, tells how long it was queued. Raises ValueError for an empty type.
    """

    __slots__ = ("_fields", "_id", "_kind", "_record", "_run", "_status", "_token", "_wait")

    def __init__(
        self, job_type: str, job_id: str | None = None, *, submitted_at: float | None = None
    ) -> None:
        self._kind = kind(job_type)
        self._id = job_id
        self._wait = None if submitted_at is None else max(0.0, time.time() - submitted_at)
        self._run: _core.JobRun | None = None
        self._record: JobRecord | None = None
        self._status = "completed"

    def __repr__(self) -> str:
        return f"job({self._kind.name!r}, {self._id!r})"

    @property
    def job_type(self) -> str:
        """Its type, as the label ``job_type`` has it."""
        return self._kind.name

    @property
    def job_id(self) -> str | None:
        """Its id, if it has one."""
        return self._id

    def end_as(self, status: str) -> None:
        """Says how it will have ended, in place of ``completed``: e.g. ``retried``, ``failed``."""
        if status not in ("completed", "failed", "retried", "cancelled"):
            raise ValueError(f"a job ends completed, failed, retried or cancelled, not {status!r}")
        self._status = status

    def __enter__(self) -> Self:
        if self._run is not None:
            raise RuntimeError("this job has begun already; make one object for each run")
        job_id, job_kind = self._id, self._kind
        self._run = job_kind.start(job_id, self._wait)
        around = _context.get()
        if job_id is not None:
            within = _LogContext(around, {"job_id": job_id, "job_type": job_kind.name})
        elif around is not None:
            within = _LogContext(around, {"job_type": job_kind.name})
        else:
            within = job_kind.context
        self._token: Token[_core.LogContext | None] = _context.set(within)
        if listeners.ALL:
            self._record = JobRecord("", job_kind.name, job_id, wait=self._wait)
            tell("started", self._record)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._run
        if run is None:
            return
        status = self._status
        if error_type is not None and status == "completed":
            status = "cancelled" if issubclass(error_type, CANCELLED) else "failed"
        run.end(status)
        if self._record is not None:
            tell("ended", self._record, status, error)
        with suppress(ValueError):  # left in another context than it was entered in
            _context.reset(self._token)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(error_type, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorates a function or a coroutine function: each call of it is a job."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: use `with job(...):` in its body")
        job_type, job_id = self._kind.name, self._id
        wrapped: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
                with Job(job_type, job_id):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
                with Job(job_type, job_id):
                    return function(*args, **kwargs)

        return wrapped  # type: ignore[no-any-return]


#: ``with job("resize", "job-17"):`` reads like what it is.
job = Job
