"""The comparison of `accelerate()` asserts that both sides give the same answers; so it is run, not timed."""

from __future__ import annotations

import pytest

accelerate = pytest.importorskip("benches.accelerate", reason="pip install -r benches/requirements.txt")


@pytest.mark.parametrize(("name", "make", "times"), accelerate.SUBJECTS)
def test_both_sides_say_the_same(name: str, make: object, times: int) -> None:
    before, after = accelerate.measure(make, max(1, times // 100), rounds=2)
    assert before > 0, name
    assert after > 0, name
