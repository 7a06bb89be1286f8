"""Waits that differ from process to process, so that workers which start together do not stay in step."""

from __future__ import annotations

import random

#: The system's: an application may have seeded `random`, and children of a fork must not draw the same.
_RANDOM = random.SystemRandom()


def jittered(seconds: float, least: float, most: float) -> float:
    """So many seconds, times a factor between these two."""
    return seconds * _RANDOM.uniform(least, most)
