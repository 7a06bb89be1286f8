"""Who else wants to know of jobs: called when one is submitted, starts and ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

_log = logging.getLogger("ferrometer")


@dataclass(slots=True)
class JobRecord:
    """What is known of one job; ``state`` is the listeners' own, for as long as the job runs."""

    #: The task queue: ``celery``, ``rq``, ``arq``, ``dramatiq``, ``taskiq``; ``""`` for ``job()``.
    system: str
    #: The label ``job_type``: the task's name.
    type: str
    id: str | None = None
    #: The queue's name, where it is known.
    queue: str | None = None
    #: What travels with the message: written at ``submitted``, read at ``started``. Values are strings.
    carrier: MutableMapping[str, Any] = field(default_factory=dict)
    #: Seconds from its submission to its start, where that is known.
    wait: float | None = None
    state: dict[str, Any] = field(default_factory=dict)


class JobListener:
    """A base class: overwrite what is of interest.

    The calls come in the thread and context of whoever submits or runs the job, so that context variables
    that ``started`` sets are seen by the job. What a listener raises is logged.
    """

    def submitting(self, job: JobRecord) -> None:
        """The job is about to be put into its queue; ``carrier`` may still be written."""

    def submitted(self, job: JobRecord, error: BaseException | None) -> None:
        """It has been put there, or that failed. Only after ``submitting``, with the same record."""

    def started(self, job: JobRecord) -> None:
        """It starts in this process."""

    def ended(self, job: JobRecord, status: str, error: BaseException | None) -> None:
        """It has ended: completed, failed, retried or cancelled. With the record that ``started`` had.

        Not called for a job whose process dies.
        """


#: Those who listen in this process.
ALL: tuple[JobListener, ...] = ()


def listen(listener: JobListener) -> Callable[[], None]:
    """Tells a listener of every job in this process, until the function that is returned is called."""
    global ALL
    ALL = (*ALL, listener)

    def forget() -> None:
        global ALL
        ALL = tuple(other for other in ALL if other is not listener)

    return forget


def tell(what: str, *arguments: Any) -> None:
    """Calls a method of every listener."""
    for listener in ALL:
        try:
            getattr(listener, what)(*arguments)
        except Exception:
            _log.exception("a listener of jobs failed")
