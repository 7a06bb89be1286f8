"""Types of jobs: one native object for each name."""

from __future__ import annotations

import logging

from ferrometer import _core

_log = logging.getLogger("ferrometer")

#: How a job ends.
STATUSES = ("completed", "failed", "retried", "cancelled", "lost")
#: Seconds after which a running job counts as stuck, unless the settings say otherwise.
STUCK_SECONDS = _core.STUCK_SECONDS

#: So many types are remembered by name.
_MOST = 1024


class Kind:
    """One type of job."""

    __slots__ = ("context", "name", "native", "start")

    def __init__(self, name: str) -> None:
        self.native = _core.JobType(name)
        self.name = name
        #: A job of it starts: ``start(id, wait)``.
        self.start = self.native.start
        #: What a line that is logged within a job without an id has, where nothing else is around it.
        self.context = _core.LogContext(None, {"job_type": name})


_KINDS: dict[str, Kind] = {}


def kind(name: str) -> Kind:
    """The type of that name. Raises ValueError for an empty one, TypeError for what is no string."""
    found = _KINDS.get(name)
    if found is None:
        found = Kind(name)
        tell_troubles()
        if len(_KINDS) < _MOST:
            found = _KINDS.setdefault(name, found)
    return found


def tell_troubles() -> None:
    """Logs why this worker's jobs are its own, if they are; once."""
    for trouble in _core.state_troubles():
        _log.warning("%s", trouble)
