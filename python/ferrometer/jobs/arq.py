"""arq's jobs: ``install()`` in the module of ``WorkerSettings`` and in producers.

arq tells its hooks ``on_job_start`` and ``on_job_end`` no outcome, and a timeout is a cancellation inside the
job; so the coroutine says when it starts and how it ended, and ``finish_job`` whether that was its last run.
"""

from __future__ import annotations

import functools
import time
from typing import Any
from weakref import WeakKeyDictionary

try:
    from arq.connections import ArqRedis
    from arq.worker import Worker
except ImportError as error:
    raise ImportError('arq is not installed: pip install "ferrometer[arq]"') from error

from ferrometer.jobs.broker import Broker
from ferrometer.jobs.replaced import Replaced

_broker = Broker("arq")
_methods = Replaced()
#: Per worker and job id: the job's type, how its coroutine ended, and with what.
_Ended = dict[str, tuple[str, str, BaseException | None]]
_ENDED: WeakKeyDictionary[Any, _Ended] = WeakKeyDictionary()


def install() -> None:
    """Lets arq's workers and pools in this process say what they do; once, before a worker is made."""
    if not _methods:
        _methods.replace(Worker, "__init__", _init)
        _methods.replace(Worker, "finish_job", _finish)
        _methods.replace(ArqRedis, "enqueue_job", _enqueue)


def uninstall() -> None:
    """Takes that back; workers that were made meanwhile go on."""
    _methods.take_back()


async def _enqueue(original: Any, pool: Any, function: str, *args: Any, **kwargs: Any) -> Any:
    job = await original(pool, function, *args, **kwargs)
    if job is not None:  # an id that is queued already is not queued again
        _broker.submitted(function, job.job_id)
    return job


def _init(original: Any, worker: Any, *args: Any, **kwargs: Any) -> None:
    original(worker, *args, **kwargs)
    _ENDED[worker] = {}
    for name, function in worker.functions.items():
        function.coroutine = _watched(worker, name, function.coroutine)


def _watched(worker: Any, job_type: str, coroutine: Any) -> Any:
    @functools.wraps(coroutine)
    async def watched(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> Any:
        job_id = ctx["job_id"]
        # The moment from which it may run, in milliseconds; a retry moves it.
        wait = time.time() - ctx["score"] / 1000 if "score" in ctx else None
        _broker.start(job_type, job_id, wait=wait, queue=worker.queue_name)
        status, error = "completed", None
        try:
            return await coroutine(ctx, *args, **kwargs)
        except BaseException as raised:
            error = raised
            status = "cancelled" if job_id in worker.aborting_tasks else "failed"
            raise
        finally:
            _ENDED[worker][job_id] = (job_type, status, error)

    return watched


async def _finish(original: Any, worker: Any, job_id: str, finish: bool, *args: Any, **kwargs: Any) -> Any:
    ended = _ENDED.get(worker, {}).pop(job_id, None)
    if ended is not None:
        job_type, status, error = ended
        _broker.end(job_type, job_id, status if finish else "retried", error)
    return await original(worker, job_id, finish, *args, **kwargs)
