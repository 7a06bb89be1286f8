"""Dramatiq's jobs: ``install(broker)``, for producers and workers alike.

When a worker process is killed, Dramatiq says nothing; the table of running jobs knows.
"""

from __future__ import annotations

import time
from typing import Any

try:
    import dramatiq
    from dramatiq.middleware import Middleware
except ImportError as error:
    raise ImportError('Dramatiq is not installed: pip install "ferrometer[dramatiq]"') from error

from ferrometer.jobs.broker import Broker

#: The option with the time from which a message waits, in seconds since 1970.
OPTION = "ferrometer_submitted_at"

_jobs = Broker("dramatiq")


class JobsMiddleware(Middleware):  # type: ignore[misc]  # Dramatiq may be absent
    """Counts messages. It stands before all others: what they make of a failure is known when it is asked."""

    def __init__(self) -> None:
        self._first: set[str] = set()
        self._again: set[str] = set()

    def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        """A message is about to be put into a queue; a delayed one goes there again when it is due."""
        job_type, job_id = message.actor_name, message.message_id
        is_first = OPTION not in message.options
        if is_first or _jobs.runs(job_type, job_id):
            message.options[OPTION] = time.time() + (delay or 0) / 1000
        if is_first:
            self._first.add(job_id)
            _jobs.submitting(job_type, job_id, message.options, queue=message.queue_name)

    def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        """It is there. A retry has the id of the message that is still being processed."""
        job_type, job_id = message.actor_name, message.message_id
        if job_id in self._first:
            self._first.discard(job_id)
            _jobs.submitted(job_type, job_id)
        elif _jobs.runs(job_type, job_id):
            self._again.add(job_id)

    def before_process_message(self, broker: Any, message: Any) -> None:
        """It starts."""
        at = message.options.get(OPTION)
        wait = time.time() - at if isinstance(at, int | float) else None
        _jobs.start(
            message.actor_name,
            message.message_id,
            wait=wait,
            carrier=message.options,
            queue=message.queue_name,
        )

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """It has ended; a retry has been put into the queue before."""
        status = "completed" if exception is None else "failed"
        if message.message_id in self._again:
            self._again.discard(message.message_id)
            status = "retried"
        _jobs.end(message.actor_name, message.message_id, status, exception)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        """Another middleware has decided against it."""
        _jobs.end(message.actor_name, message.message_id, "cancelled")


def install(broker: Any = None) -> JobsMiddleware:
    """Counts the messages of a broker, of the global one without an argument; once."""
    target: Any = dramatiq.get_broker() if broker is None else broker
    for known in target.middleware:
        if isinstance(known, JobsMiddleware):
            return known
    made = JobsMiddleware()
    if target.middleware:
        target.add_middleware(made, before=type(target.middleware[0]))
    else:
        target.add_middleware(made)
    return made
