"""The protocol's own tools: what is refused, totals from elsewhere, what dropping does to each type."""

from __future__ import annotations

import math
import random

import pytest

from ferrometer import CollectorRegistry, Counter, Enum, Gauge, Info, generate_latest
from ferrometer.background.collector import drop, to_nan
from ferrometer.collectors import CollectorScheduler, set_total
from ferrometer.testing import samples, value
from tests.collectors.support import Counting


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "name must be a printable string"),
        ({"name": 3}, "name must be a printable string"),
        ({"interval": 0}, "interval must be a finite number of seconds above 0"),
        ({"interval": math.inf}, "interval must be a finite"),
        ({"timeout": "5"}, "timeout must be a number of seconds"),
        ({"scope": "cluster"}, "scope must be one of process, machine"),
        ({"stale": "yes"}, "stale must be one of drop, keep, nan"),
        ({"collect": None}, r"has no collect\(\)"),
    ],
)
def test_a_wrong_collector_is_refused_in_words(
    registry: CollectorRegistry, change: dict[str, object], words: str
) -> None:
    collector = Counting(registry)
    vars(collector).update(change)
    with pytest.raises((TypeError, ValueError), match=words):
        CollectorScheduler([collector], registry=registry)


def test_a_class_is_no_collector(registry: CollectorRegistry) -> None:
    with pytest.raises(TypeError, match=r"not the class Counting: write Counting\(\)"):
        CollectorScheduler([Counting], registry=registry)  # type: ignore[list-item]


def test_a_total_that_is_counted_elsewhere(registry: CollectorRegistry) -> None:
    counter = Counter("bytes_seen", "Bytes", registry=registry)
    for total in (0, 10, 10, 2.5e15 + 0.3, 2.5e15 + 0.3, 7, 9):
        set_total(counter, total)
        assert value(registry, "bytes_seen_total") == pytest.approx(total, rel=1e-12)


def test_a_total_of_fractions_never_looks_like_a_restart(registry: CollectorRegistry) -> None:
    """A sum of differences may be off in the last bit; a reset for that would be a restart to Prometheus."""

    class NeverReset(Counter):
        def reset(self) -> None:
            raise AssertionError("reset")

    counter = NeverReset("seconds_used", "Seconds", registry=registry)
    chance, total, off = random.Random(3), 1e-9, 0
    while total < 1e12:
        set_total(counter, total)
        set_total(counter, total)
        assert counter._get() == pytest.approx(total, rel=1e-12)
        off += counter._get() > total
        total *= chance.uniform(1, 4)
    assert off, "this was to be about rounding"


def test_what_drop_and_nan_do_to_each_type(registry: CollectorRegistry) -> None:
    counter = Counter("a_events", "h", registry=registry)
    enum = Enum("b_state", "h", ["of"], registry=registry, states=["up", "down"])
    info = Info("c", "h", ["of"], registry=registry)
    gauge = Gauge("d_things", "h", ["of"], registry=registry)

    def fill() -> None:
        enum.labels("x").state("down")
        info.labels("x").info({"version": "1"})
        gauge.labels("x").set(4)

    counter.inc(3)
    fill()
    to_nan([counter, enum, info, gauge])
    assert value(registry, "a_events_total") == 3
    assert math.isnan(value(registry, "d_things", of="x"))
    fill()
    drop([counter, enum, info, gauge])
    names = {name for name, _ in samples(registry)}
    assert names == {"a_events_total", "a_events_created"}
    assert b"# TYPE d_things gauge" in generate_latest(registry)
