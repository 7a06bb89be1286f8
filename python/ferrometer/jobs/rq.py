"""RQ's jobs: ``install()`` in producers, ``rq worker --worker-class ferrometer.jobs.rq.Worker`` in workers.

RQ forks a process for each job. What it counts goes into the table that all workers share, so that process
makes no file; when it is killed, the worker says so.
"""

from __future__ import annotations

import time
from typing import Any

try:
    import rq
    from rq.job import Job, JobStatus
    from rq.queue import Queue
except ImportError as error:
    raise ImportError('RQ is not installed: pip install "ferrometer[rq]"') from error

from ferrometer.jobs.broker import Broker
from ferrometer.jobs.replaced import Replaced

#: In the `meta` of a job that waits to be retried.
RETRIED = "ferrometer_retried"

_broker = Broker("rq")
_methods = Replaced()
#: Where the methods of all workers are: a base class since 2.4.
_WORKER: Any = next(base for base in reversed(rq.Worker.__mro__) if "perform_job" in vars(base))


def install() -> None:
    """Lets RQ's queues and workers in this process say what they do; once."""
    if not _methods:
        _methods.replace(Queue, "_enqueue_job", _enqueue)
        _methods.replace(Job, "retry", _retry)
        _methods.replace(Job, "_handle_retry_result", _retry)
        _methods.replace(_WORKER, "perform_job", _perform)
        _methods.replace(_WORKER, "handle_work_horse_killed", _killed)
        _methods.replace(_WORKER, "handle_job_failure", _handle_failure)


def uninstall() -> None:
    """Takes that back."""
    _methods.take_back()


def _type(job: Any) -> str:
    try:
        return job.func_name or "unknown"
    except Exception:  # a job that cannot be read
        return "unknown"


def _retry(original: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
    # Perhaps it is another process that enqueues it, later.
    job.meta[RETRIED] = True
    return original(job, *args, **kwargs)


def _enqueue(original: Any, queue: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
    job_type = _type(job)
    is_again = job.meta.pop(RETRIED, False)
    _broker.submitting(job_type, job.id, job.meta, queue=queue.name)
    try:
        done = original(queue, job, *args, **kwargs)
    except BaseException as error:
        _broker.submitted(job_type, job.id, error=error)
        raise
    _broker.submitted(job_type, job.id, count=not is_again)
    return done


def _perform(original: Any, worker: Any, job: Any, queue: Any, *args: Any, **kwargs: Any) -> Any:
    job_type, job_id = _type(job), job.id
    wait = None if job.enqueued_at is None else time.time() - _timestamp(job.enqueued_at)
    _broker.start(job_type, job_id, wait=wait, carrier=job.meta, queue=queue.name)
    status = "failed"
    try:
        done = original(worker, job, queue, *args, **kwargs)
        status = _status(job, done=bool(done))
    finally:
        _broker.end(job_type, job_id, status)
    return done


def _timestamp(moment: Any) -> float:
    from datetime import UTC

    # RQ before 2.0 has moments of UTC that do not say so.
    return float((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _status(job: Any, *, done: bool) -> str:
    """What RQ has made of a job that it has performed."""
    now = job.get_status(refresh=False)
    if now in (JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED):
        return "retried"
    if now in (JobStatus.STOPPED, JobStatus.CANCELED):
        return "cancelled"
    if now == JobStatus.FAILED or not done:
        return "failed"
    return "completed"


def _killed(original: Any, worker: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
    _broker.end(_type(job), job.id, "lost")
    return original(worker, job, *args, **kwargs)


def _handle_failure(original: Any, worker: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
    # Where this process performs the job, `_perform` tells its end.
    if not _broker.runs(_type(job), job.id):
        stopped = getattr(worker, "_stopped_job_id", None) == job.id
        _broker.end(_type(job), job.id, "cancelled" if stopped else "failed")
    return original(worker, job, *args, **kwargs)


class Worker(rq.Worker):
    """RQ's worker, with jobs that are counted: ``rq worker --worker-class ferrometer.jobs.rq.Worker``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        install()
        super().__init__(*args, **kwargs)


class SimpleWorker(rq.SimpleWorker):
    """RQ's worker that forks no process, with jobs that are counted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        install()
        super().__init__(*args, **kwargs)
