"""taskiq's jobs: ``install(broker)``, or ``broker.with_middlewares(JobsMiddleware())``.

When a worker process is killed, taskiq says nothing, and a message of a list is gone; the table of running
jobs knows.
"""

from __future__ import annotations

import time
from typing import Any

try:
    from taskiq import TaskiqMiddleware
except ImportError as error:
    raise ImportError('taskiq is not installed: pip install "ferrometer[taskiq]"') from error

from ferrometer.jobs.broker import Broker

#: The label with the time of submission, in seconds since 1970: taskiq itself keeps none.
LABEL = "ferrometer_submitted_at"

_jobs = Broker("taskiq")


class JobsMiddleware(TaskiqMiddleware):  # type: ignore[misc]  # taskiq may be absent
    """Counts tasks."""

    def __init__(self) -> None:
        super().__init__()
        self._again: set[str] = set()

    def pre_send(self, message: Any) -> Any:
        """A task is about to be put into a queue."""
        message.labels[LABEL] = time.time()
        _jobs.submitting(message.task_name, message.task_id, message.labels, queue=_queue(message))
        return message

    def post_send(self, message: Any) -> None:
        """It is there. A retry has the id of the task that is still running."""
        is_again = int(message.labels.get("_retries") or 0) > 0
        if is_again and _jobs.runs(message.task_name, message.task_id):
            self._again.add(message.task_id)
        _jobs.submitted(message.task_name, message.task_id, count=not is_again)

    def pre_execute(self, message: Any) -> Any:
        """It starts."""
        try:
            wait = time.time() - float(message.labels[LABEL])
        except (KeyError, TypeError, ValueError):
            wait = None
        _jobs.start(
            message.task_name, message.task_id, wait=wait, carrier=message.labels, queue=_queue(message)
        )
        return message

    def post_execute(self, message: Any, result: Any) -> None:
        """It has ended; a retry has been put into the queue before."""
        status = "failed" if result.is_err else "completed"
        if message.task_id in self._again:
            self._again.discard(message.task_id)
            status = "retried"
        _jobs.end(message.task_name, message.task_id, status, result.error)


def _queue(message: Any) -> str | None:
    name = message.labels.get("queue_name")
    return name if isinstance(name, str) else None


def install(broker: Any) -> Any:
    """Counts the tasks of a broker, once; gives it back."""
    if not any(isinstance(known, JobsMiddleware) for known in broker.middlewares):
        broker.add_middlewares(JobsMiddleware())
    return broker
