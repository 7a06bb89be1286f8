"""What `labels()` remembers: nearly all that is used again, never too much, and nothing that is gone."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from ferrometer import CollectorRegistry, Counter, Gauge
from tests.metrics.fresh import python
from tests.metrics.reading import value

MODEST = 16_384 + 3


class Own(Counter):
    """Makes its own children."""


def remembered(children: int, labels: int = 1, max_series: int = 100_000, rounds: int = 3) -> int:
    """How many of so many children are found without their text, when all were used in turn."""
    names = [f"l{number}" for number in range(labels)]
    family = Gauge("g", "h", ["path", *names], registry=None, max_series=max_series)
    shared = ["".join(["a shared", f" value {number}"]) for number in range(labels)]
    paths = [f"/v1/models/{number}/infer" for number in range(children)]
    before = sys.getrefcount(shared[0])
    for _ in range(rounds):
        for path in paths:
            family.labels(path, *shared).set(1)
    return sys.getrefcount(shared[0]) - before


@pytest.mark.parametrize("labels", [1, 2, 3, 4])
@pytest.mark.parametrize("children", [1, 7, 100, 1000, 5000])
def test_nearly_all_children_are_remembered(children: int, labels: int) -> None:
    assert remembered(children, labels) >= children * 0.97


def test_a_large_family_is_remembered_once_it_is_used_again() -> None:
    assert remembered(60_000, rounds=1) <= MODEST, "what comes once takes the places that there are"
    assert remembered(60_000, rounds=8) >= 60_000 * 0.97


def test_the_cache_is_bounded() -> None:
    assert remembered(60_000, max_series=10, rounds=8) <= 64 + 3, (
        "it grows with the family, not with the calls"
    )


@pytest.mark.parametrize("children", [20, 5000])
def test_strings_that_are_made_anew_push_nothing_out(children: int) -> None:
    family = Counter("c", "h", ["path"], registry=None)
    paths = [f"/v1/models/{number}/infer" for number in range(children)]
    for _ in range(3):
        for path in paths:
            family.labels(path).inc()
    before = [sys.getrefcount(path) for path in paths]
    for _ in range(200_000 // children):
        for number in range(children):
            fresh = f"/v1/models/{number}/infer"
            family.labels(fresh).inc()
    kept = sum(sys.getrefcount(path) >= count for path, count in zip(paths, before, strict=True))
    assert kept >= children * 0.97
    assert value_of(family, paths[0]) == 3 + 200_000 // children


def value_of(family: Counter, path: str) -> float:
    """What the child counts."""
    return family.labels(path)._value.get()


@pytest.mark.parametrize("kinds", [(Counter, Own), (Own, Counter), (Own, Own)])
@pytest.mark.parametrize("cleared", [False, True])
def test_a_removal_through_another_object(
    registry: CollectorRegistry, kinds: tuple[type[Counter], type[Counter]], cleared: bool
) -> None:
    """Two objects of one definition share its series, and so what became of them."""
    one, two = (kind("c", "h", ["l"], registry=registry) for kind in kinds)
    assert one is not two
    label = "".join(["a", "b"])
    stale = one.labels(label)
    stale.inc(5)
    assert one.labels(l=label) is stale
    assert value(registry, "c_total", l="ab") == 5
    if cleared:
        two.clear()
    else:
        two.remove("ab")
    assert value(registry, "c_total", l="ab") is None
    fresh = one.labels(l=label)
    assert fresh is not stale
    assert one.labels(label) is fresh
    fresh.inc(2)
    two.labels(label).inc()
    stale.inc(100)
    assert value(registry, "c_total", l="ab") == 3
    two.labels("other").inc()
    two.remove("other")
    assert one.labels(label) is fresh, "the others stay what they are"
    assert one.labels(l=label) is fresh


def test_room_made_through_another_object(registry: CollectorRegistry) -> None:
    """What shared the overflow series has one of its own as soon as there is room and it is used again."""
    one = Counter("c", "h", ["l"], registry=registry, max_series=2)
    two: Counter = Own("c", "h", ["l"], registry=registry, max_series=2)
    late = "".join(["la", "te"])
    for label in ("a", "b", late, late):
        one.labels(label).inc()
    assert value(registry, "c_total", l="__overflow__") == 2
    two.remove("a")
    two.remove("b")
    one.labels(late).inc()
    assert value(registry, "c_total", l="late") == 1


def test_a_child_removed_while_it_is_made() -> None:
    """`time.time`, which says when counting began, and finalisers run in the middle of `labels()`."""
    python(
        """
        import time

        label = "".join(["a", "b"])
        family = Counter("c", "h", ["l"], registry=registry)
        real, meddling = time.time, False

        def meddle():
            if meddling:
                family.remove(label)
            return real()

        time.time = meddle
        for _ in range(100):
            meddling = True
            family.labels(label).inc()  # the series is gone before it is returned
            meddling = False
            family.labels(label).inc()
            assert registry.get_sample_value("c_total", {"l": "ab"}) == 1
            family.remove(label)
        """,
        dev=True,
    )


def test_keyword_names_that_come_back(registry: CollectorRegistry) -> None:
    """A keyword may be a string of its own making, whose comparison uses the same family."""
    family = Counter("c", "h", ["a", "b"], registry=registry)
    values = [f"value {number}" for number in range(500)]

    class Name(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            for text in values:
                family.labels(text, text).inc()
            family.clear()
            gc.collect()
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names: dict[str, Any] = {Name("b"): values[0], Name("a"): values[1]}
    for _ in range(5):
        family.labels(**names).inc()
    assert value(registry, "c_total", a=values[1], b=values[0]) == 1
    assert len(family._metrics) == 1


CONSTANTS = (200, 10**30, -1, True, 1, 1.0, 0.1, float("nan"), None, "200", "naïve", "\ud800")


def test_constants_of_any_class_are_remembered_by_their_text(registry: CollectorRegistry) -> None:
    family = Counter("requests", "", ["status", "x"], registry=registry)
    for _ in range(3):
        for constant in CONSTANTS:
            text = str(constant).encode(errors="replace").decode()
            child = family.labels(constant, "x")
            assert child is family.labels(text, f"{'x'}")
            assert child is family.labels(status=constant, x="x")
    assert len(next(iter(family.collect())).samples) == 2 * len({str(constant) for constant in CONSTANTS})


def test_the_text_of_other_objects_is_asked_each_time(registry: CollectorRegistry) -> None:
    class Status(int):
        def __str__(self) -> str:
            return f"{int(self)} at {next(times)}"

    times = iter(range(9))
    family = Counter("requests", "", ["status"], registry=registry)
    status = Status(200)
    assert family.labels(status) is not family.labels(status)
    assert family.labels("200 at 1") is family.labels("200 at 1")


def test_fresh_strings_and_kept_ones_lead_to_the_same_child(registry: CollectorRegistry) -> None:
    family = Counter("requests", "", [f"l{n}" for n in range(9)], registry=registry)
    wide = ["kept"] * 8
    assert family.labels(*wide, "".join(["fr", "esh"])) is family.labels(*wide, "fresh")
    family = Counter("others", "", ["a", "b"], registry=registry)
    for n in range(100):
        assert family.labels("kept", f"{n}\udc80") is family.labels("kept", f"{n}?")
        assert family.labels("kept", f"/{n}") is family.labels(a="kept", b="/" + str(n))
