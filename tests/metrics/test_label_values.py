"""Whatever a label value is, a scraper reads it back."""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferrometer import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from ferrometer import Enum as StateSet
from tests.metrics.reading import scrape, value


def as_scraped(label: object) -> str:
    """A label value's text; what UTF-8 cannot say is a question mark."""
    return str(label).encode("utf-8", "replace").decode()


class Colour(Enum):
    RED = "red"


class Shout(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


@given(st.lists(st.text(), min_size=1, max_size=8))
@example(["", "\x00", "\\", '"', "\n", "\r\n", "\\n", '\\"', "a,b=c}", "{", "é", "\U0001f600", "\x85\u2028"])
@example(["\ud800", "?", "a\udfff", "\ud83d\ude00"])
def test_any_text_reads_back(values: list[str]) -> None:
    registry = CollectorRegistry()
    counter = Counter("c", "h", ["a", "b"], registry=registry)
    expected: dict[str, float] = {}
    for text in values:
        counter.labels(text, "x").inc()
        counter.labels(b="x", a=text).inc()
        expected[as_scraped(text)] = expected.get(as_scraped(text), 0) + 2
    read = {
        dict(labels)["a"]: count for (name, labels), count in scrape(registry).items() if name == "c_total"
    }
    assert read == expected
    assert {child[0] for child in counter._metrics} == set(expected)


@pytest.mark.parametrize(
    "label",
    [
        1,
        -1.5,
        True,
        None,
        b"x\xff",
        Fraction(1, 3),
        Colour.RED,
        PurePosixPath("/a"),
        ("t", 1),
        float("nan"),
        Shout("a"),
    ],
)
def test_what_is_no_text_becomes_its_str(registry: CollectorRegistry, label: object) -> None:
    gauge = Gauge("g", "h", ["l"], registry=registry)
    gauge.labels(label).set(1)
    gauge.labels(l=label).inc()
    assert value(registry, "g", l=str(label)) == 2
    assert gauge.labels(label) is gauge.labels(str(label))
    gauge.remove(label)
    assert gauge._metrics == {}


def test_a_megabyte_reads_back(registry: CollectorRegistry) -> None:
    text = 'é"\\\n' * 250_000
    Counter("c", "h", ["l"], registry=registry).labels(text).inc()
    assert value(registry, "c_total", l=text) == 1


def test_a_text_is_not_mistaken_for_two(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["a", "b"], registry=registry)
    for pair in [('x",b="y', ""), ("x", '",b="y'), ("", "x"), ("x", ""), ("x\\", "y"), ("x", "\\y")]:
        counter.labels(*pair).inc()
    assert sorted(counter._metrics) == sorted(
        [('x",b="y', ""), ("x", '",b="y'), ("", "x"), ("x", ""), ("x\\", "y"), ("x", "\\y")]
    )
    assert sum(count for (name, _), count in scrape(registry).items() if name == "c_total") == 6


def test_an_object_whose_text_changes_is_asked_each_time(registry: CollectorRegistry) -> None:
    class Moving:
        def __init__(self) -> None:
            self.text = "one"

        def __str__(self) -> str:
            return self.text

    counter = Counter("c", "h", ["l"], registry=registry)
    moving = Moving()
    counter.labels(moving).inc()
    moving.text = "two"
    counter.labels(moving).inc(2)
    assert {key: child._value.get() for key, child in counter._metrics.items()} == {("one",): 1, ("two",): 2}


def test_an_object_without_text_raises_its_own_error(registry: CollectorRegistry) -> None:
    class Mute:
        def __str__(self) -> str:
            raise LookupError("no text")

    class Wrong:
        def __str__(self) -> Any:
            return 5

    counter = Counter("c", "h", ["l"], registry=registry)
    for _ in range(2):
        with pytest.raises(LookupError, match="no text"):
            counter.labels(Mute())
        with pytest.raises(TypeError):
            counter.labels(Wrong())
    assert counter._metrics == {}


def test_a_text_that_changes_the_family_meanwhile(registry: CollectorRegistry) -> None:
    """`__str__` may do anything, even to the very family."""
    counter = Counter("c", "h", ["a", "b"], registry=registry)

    class Meddler:
        def __str__(self) -> str:
            counter.clear()
            for other in range(50):
                counter.labels(str(other), "x").inc()
            return "m"

    for _ in range(20):
        counter.labels("before", Meddler()).inc()
    assert value(registry, "c_total", a="before", b="m") == 1
    assert value(registry, "c_total", a="49", b="x") == 1


@given(st.text(), st.text())
@example("\ud800", "\ud800")
def test_texts_elsewhere_read_back(documentation: str, text: str) -> None:
    """Help, info values and states are escaped as labels are."""
    registry = CollectorRegistry()
    Summary("s", documentation, registry=registry)
    Info("i", documentation, registry=registry).info({"k": text})
    StateSet("e", documentation, states=["up", text + "x"], registry=registry).state(text + "x")
    Histogram("h", documentation, registry=registry)
    read = scrape(registry)
    assert read["i_info", (("k", as_scraped(text)),)] == 1
    assert read["e", (("e", as_scraped(text + "x")),)] == 1
    assert read["s_count", ()] == read["h_count", ()] == 0
