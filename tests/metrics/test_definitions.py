"""Bad definitions: refused where the mistake is made, with the value and what to do about it."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from ferrometer import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from tests.metrics.reading import scrape

NAN = math.nan
INF = math.inf

BUCKETS: list[tuple[Any, str]] = [
    ([], r"Must have at least two buckets, not \[inf\]: give an upper bound below \+Inf"),
    ([INF], r"Must have at least two buckets, not \[inf\]"),
    ([2, 1], r"Buckets not in sorted order: 2\.0 is followed by 1\.0; bounds must ascend, each once"),
    ([1, 1], r"Buckets not in sorted order: 1\.0 is followed by 1\.0"),
    ([0.0, -0.0], r"Buckets not in sorted order: 0\.0 is followed by -0\.0"),
    ([1, INF, 2], r"Buckets not in sorted order: inf is followed by 2\.0"),
    ([INF, INF], r"Buckets not in sorted order: inf is followed by inf"),
    ([1, NAN, 2], r"bucket bounds 1\.0, nan: no value is below NaN; remove it"),
    ([NAN], r"bucket bounds nan, inf: no value is below NaN"),
    (["abc", 1], r"bucket bound 'abc' is no number; give upper bounds: \[0\.1, 1, 10\]"),
    ("0.1", r"buckets is the string '0\.1'; give a list of upper bounds"),
    ("123", r"buckets is the string '123'"),
    (range(70_000), r"70001 buckets are too many: at most 65000; quantile\(\) needs none of them"),
]


@pytest.mark.parametrize(("buckets", "text"), BUCKETS, ids=lambda value: str(value)[:30])
def test_buckets_that_are_none(buckets: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Histogram("h", "h", registry=None, buckets=buckets)


@pytest.mark.parametrize("buckets", [None, 5, [None], [[1]]])
def test_buckets_that_are_no_list_of_numbers(buckets: Any) -> None:
    with pytest.raises(TypeError):
        Histogram("h", "h", registry=None, buckets=buckets)


@pytest.mark.parametrize(
    ("buckets", "bounds"),
    [
        ([1], [1, INF]),
        ([-INF, 0], [-INF, 0, INF]),
        (("0.5", "1e3", "+Inf"), [0.5, 1000, INF]),
        ((Decimal("0.1"), Fraction(1, 2), True), [0.1, 0.5, 1, INF]),
        ((bound / 2 for bound in range(3)), [0, 0.5, 1, INF]),
        ({1: "a", 2: "b"}, [1, 2, INF]),
    ],
)
def test_buckets_of_other_kinds(registry: CollectorRegistry, buckets: Any, bounds: list[float]) -> None:
    histogram = Histogram("h", "h", ["l"], registry=registry, buckets=buckets)
    assert histogram._upper_bounds == histogram.labels("x")._upper_bounds == bounds
    histogram.labels("x").observe(0.5)
    assert len([name for name, _ in scrape(registry) if name == "h_bucket"]) == len(bounds)


@pytest.mark.parametrize(
    ("quantiles", "text"),
    [
        ([0.5, 99], r"quantiles are in \[0, 1\], not 99\.0: p99 is 0\.99"),
        ([-0.1], r"quantiles are in \[0, 1\], not -0\.1"),
        ([NAN], r"quantiles are in \[0, 1\], not nan"),
        (
            [0.5, 0.9, 0.5],
            r"quantile 0\.5 is given twice in \(0\.5, 0\.9, 0\.5\); each makes a series of its own",
        ),
        (
            ["p99"],
            r"quantiles are numbers in \[0, 1\]: could not convert string to float: 'p99'; p99 is 0\.99",
        ),
    ],
)
def test_quantiles_that_are_none(quantiles: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Summary("s", "h", registry=None, quantiles=quantiles)


@pytest.mark.parametrize(
    ("states", "text"),
    [
        (None, "No states provided for Enum metric: e; give a list of names, the first one holds"),
        ([], "No states provided for Enum metric: e"),
        ("up", r"states is the string 'up'; give a list: \['up'\]"),
        (["up", 5], "state 5 of e is a int; give '5'"),
        (["up", None], "state None of e is a NoneType; give 'None'"),
        (["up", "down", "up"], "state 'up' of e is given twice; each makes a series of its own"),
    ],
)
def test_states_that_are_none(states: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Enum("e", "h", registry=None, states=states)


def test_states_of_other_kinds(registry: CollectorRegistry) -> None:
    enum = Enum("e", "h", registry=registry, states=(state for state in ("a", "b")))  # type: ignore[arg-type]
    enum.state("b")
    assert scrape(registry) == {("e", (("e", "a"),)): 0, ("e", (("e", "b"),)): 1}
    for wrong in ("c", "", None, 0, "A"):
        with pytest.raises(
            ValueError, match=re.escape(f"{wrong!r} is not a state of stateset:e; one of a, b")
        ):
            enum.state(wrong)  # type: ignore[arg-type]
    assert scrape(registry)["e", (("e", "b"),)] == 1


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"__a": "x"}, "Reserved label metric name: __a"),
        ({"": "x"}, "Invalid label metric name: ''"),
        ({5: "x"}, "Invalid label metric name: 5 is a int, not a str"),
        ({"route": "x"}, r"Overlapping labels for Info metric, metric: \('route',\) child: {'route': 'x'}"),
        ({"a": None}, "Label value cannot be None"),
    ],
)
def test_labels_of_an_info(registry: CollectorRegistry, labels: Any, text: str) -> None:
    info = Info("i", "h", ["route"], registry=registry)
    info.labels("/").info({"before": "1"})
    with pytest.raises(ValueError, match=text):
        info.labels("/").info(labels)
    assert scrape(registry) == {("i_info", (("before", "1"), ("route", "/"))): 1}
    info.labels("/").info({"number": 5, "a": True})  # type: ignore[dict-item]
    assert scrape(registry) == {("i_info", (("a", "True"), ("number", "5"), ("route", "/"))): 1}
    info.labels("/").info({})
    assert scrape(registry) == {("i_info", (("route", "/"),)): 1}


def test_info_and_state_need_label_values() -> None:
    with pytest.raises(ValueError, match="info metric is missing label values"):
        Info("i", "h", ["l"], registry=None).info({"a": "b"})
    with pytest.raises(ValueError, match="stateset metric is missing label values"):
        Enum("e", "h", ["l"], registry=None, states=["a"]).state("a")


@pytest.mark.parametrize(
    ("documentation", "line"),
    [
        ("", "# HELP g "),
        ('two\nlines \\ and a "quote"', '# HELP g two\\nlines \\\\ and a "quote"'),
        ("lone \ud800 surrogate", "# HELP g lone ? surrogate"),
        (5, "# HELP g 5"),
        (None, "# HELP g None"),
        ("# TYPE g counter", "# HELP g # TYPE g counter"),
    ],
)
def test_documentation_never_poisons(registry: CollectorRegistry, documentation: Any, line: str) -> None:
    Gauge("g", documentation, registry=registry)
    assert line in generate_latest(registry).decode().split("\n")
    assert scrape(registry) == {("g", ()): 0}


def test_definitions_that_miss_something() -> None:
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("c",), {}),
        ((), {}),
        (("c", "h"), {"colour": "red"}),
        (("c", "h", [], "", "", "", None, None, 5), {}),
    ]
    for args, kwargs in wrong:
        with pytest.raises(TypeError, match=r"Counter\.__init__\(\)"):
            Counter(*args, **kwargs)


def test_unusual_registries() -> None:
    for nothing in (None, 0, False, ""):
        counter = Counter("c", "h", registry=nothing)
        counter.inc()
        assert counter._value.get() == 1
    with pytest.raises(AttributeError, match="register"):
        Counter("c", "h", registry=object())


def test_a_child_is_no_family(registry: CollectorRegistry) -> None:
    """What is for the whole family is refused on a child, so that nobody clears more than was meant."""
    family = Counter("c", "h", ["l"], registry=registry)
    child = family.labels("x")
    child.inc()
    for call in (child.clear, lambda: child.remove("x"), lambda: child.remove_by_labels({"l": "x"})):
        with pytest.raises(
            ValueError, match=r"counter:c is the child with \('x',\); call this on the whole family"
        ):
            call()
    with pytest.raises(ValueError, match=r'counter:c already has labels set \(l="x"\); can not chain calls'):
        child.labels("y")
    assert scrape(registry)["c_total", (("l", "x"),)] == 1
