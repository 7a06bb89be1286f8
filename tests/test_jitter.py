"""Waits that differ, and whose randomness is nobody else's."""

from __future__ import annotations

import os
import random

import pytest

from ferrometer._process.jitter import jittered


def test_a_wait_lies_between_its_bounds_and_leaves_a_seeded_random_alone() -> None:
    random.seed(17)
    before = random.getstate()
    waits = [jittered(2.0, 0.5, 1.5) for _ in range(1000)]
    assert random.getstate() == before
    assert all(1.0 <= wait <= 3.0 for wait in waits)
    assert max(waits) - min(waits) > 1.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_children_of_a_fork_draw_other_waits() -> None:
    drawn = []
    for _ in range(2):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, repr(jittered(1.0, 0.0, 1.0)).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as told:
            drawn.append(told.read())
        os.waitpid(child, 0)
    assert "" not in drawn
    assert drawn[0] != drawn[1]
