"""Celery's jobs: ``install()`` in the module of the application, for producers and workers alike.

A killed child is told by the parent (WorkerLostError), a time limit by the parent, twice. ``task_postrun``
alone is no end: it also follows a time limit that the parent told before.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

try:
    from billiard.exceptions import Terminated, WorkerLostError
    from celery import signals, states
except ImportError as error:
    raise ImportError('Celery is not installed: pip install "ferrometer[celery]"') from error

from ferrometer.jobs.broker import Broker

#: The header with the time from which a task waits, in seconds since 1970.
HEADER = "ferrometer_submitted_at"

_broker = Broker("celery")


def install() -> None:
    """Connects Celery's signals, once: every task of every application in this process is counted."""
    for signal, receiver in _receivers():
        signal.connect(receiver, weak=False, dispatch_uid=receiver)


def uninstall() -> None:
    """Disconnects them."""
    for signal, receiver in _receivers():
        signal.disconnect(receiver, dispatch_uid=receiver)


def _receivers() -> list[tuple[Any, Any]]:
    return [
        (signals.before_task_publish, _before_publish),
        (signals.after_task_publish, _after_publish),
        (signals.task_prerun, _prerun),
        (signals.task_success, _success),
        (signals.task_retry, _retry),
        (signals.task_failure, _failure),
        (signals.task_internal_error, _failure),
        (signals.task_revoked, _revoked),
        (signals.task_postrun, _postrun),
    ]


def _before_publish(sender: str, headers: dict[str, Any] | None = None, **more: Any) -> None:
    # The first protocol has no headers: its tasks are counted when they start.
    if not headers or "id" not in headers:
        return
    now = time.time()
    eta = headers.get("eta")
    headers[HEADER] = max(now, datetime.fromisoformat(eta).timestamp()) if eta else now
    queue = more.get("routing_key")
    _broker.submitting(sender, headers["id"], headers, queue=queue if isinstance(queue, str) else None)


def _after_publish(sender: str, headers: dict[str, Any] | None = None, **more: Any) -> None:
    if headers and "id" in headers:
        _broker.submitted(sender, headers["id"], count=not headers.get("retries"))


def _prerun(sender: Any, task_id: str, task: Any, **more: Any) -> None:
    known = vars(task.request)
    submitted_at = known.get(HEADER)
    delivery = known.get("delivery_info") or {}
    _broker.start(
        task.name,
        task_id,
        wait=time.time() - submitted_at if isinstance(submitted_at, int | float) else None,
        carrier=known,
        queue=delivery.get("routing_key"),
    )


def _success(sender: Any, **more: Any) -> None:
    _broker.end(sender.name, sender.request.id, "completed")


def _retry(sender: Any, request: Any, reason: Any = None, **more: Any) -> None:
    _broker.end(sender.name, request.id, "retried", getattr(reason, "exc", None))


def _failure(sender: Any, task_id: str, exception: BaseException | None = None, **more: Any) -> None:
    # Its process is dead; whoever notices first says the same.
    status = "lost" if isinstance(exception, WorkerLostError | Terminated) else "failed"
    _broker.end(sender.name, task_id, status, exception)


def _revoked(sender: Any, request: Any, terminated: bool, **more: Any) -> None:
    if terminated:
        _broker.end(sender.name, request.id, "cancelled")


def _postrun(sender: Any, task_id: str, state: str | None = None, retval: Any = None, **more: Any) -> None:
    if not _broker.runs(sender.name, task_id):
        return
    if state == states.IGNORED:
        status = "cancelled"
    elif state == states.REJECTED:
        status = "retried" if getattr(retval, "requeue", False) else "failed"
    elif state == states.RETRY:
        status = "retried"
    else:
        status = "completed" if state == states.SUCCESS else "failed"
    _broker.end(sender.name, task_id, status)
