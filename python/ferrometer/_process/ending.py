"""The end of the process: all that waits for something then shares one deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass

#: Seconds for all of it together.
GRACE = 2.0


@dataclass(slots=True)
class _End:
    """When whoever waits at exit has to be done: a moment of ``time.monotonic()``, set by who asks first."""

    deadline: float | None = None


_end = _End()


def seconds_left() -> float:
    """How long a function of ``atexit`` may wait."""
    now = time.monotonic()
    if _end.deadline is None:
        _end.deadline = now + GRACE
    return max(0.0, _end.deadline - now)
