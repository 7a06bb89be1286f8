"""Every `le` is exact: the oracle is a loop over the raw values."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from ferrometer import CollectorRegistry, Histogram
from tests.metrics.reading import scrape

GATEWAY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
BYTES = tuple(4.0**n for n in range(1, 16))
NANOSECOND = 1e-9


def cumulative(registry: CollectorRegistry, name: str = "h") -> dict[float, float]:
    """Counts by bound, as scraped."""
    return {
        float(dict(labels)["le"]): count
        for (sample, labels), count in scrape(registry).items()
        if sample == f"{name}_bucket"
    }


def filled(buckets: Sequence[float], values: Iterable[float]) -> tuple[CollectorRegistry, Histogram]:
    registry = CollectorRegistry()
    histogram = Histogram("h", "h", registry=registry, buckets=buckets)
    for value in values:
        histogram.observe(value)
    return registry, histogram


def check(buckets: Sequence[float], values: Sequence[float]) -> None:
    registry, histogram = filled(buckets, values)
    expected = {bound: sum(v <= bound for v in values) for bound in [*map(float, buckets), math.inf]}
    assert cumulative(registry) == expected
    total = 0.0
    for value in values:
        total += value
    assert histogram._statistics() == (
        len(values),
        total,
        min(values, default=math.inf),
        max(values, default=-math.inf),
    )


def around(bound: float) -> list[float]:
    return [
        bound,
        math.nextafter(bound, -math.inf),
        math.nextafter(bound, math.inf),
        bound - NANOSECOND,
        bound + NANOSECOND,
    ]


def test_a_bound_belongs_to_its_bucket_and_its_neighbours_do_not() -> None:
    for buckets in (Histogram.DEFAULT_BUCKETS[:-1], GATEWAY, BYTES, (-1.0, -0.0, 1e-12, 1e-9, 3e9)):
        check(buckets, [value for bound in buckets for value in around(bound)])


def test_bounds_on_the_grid_of_the_narrow_bins() -> None:
    """Powers of two, and of 2**(1/128), are where the bins end: the worst place to be off by one."""
    bounds = sorted({2.0**e for e in range(-12, 13)} | {2 ** (k / 128) for k in range(1, 128, 3)})
    check(bounds, [value for bound in bounds for value in around(bound)])


def test_many_bounds_within_one_bin() -> None:
    bounds = [1 + n * 1e-5 for n in range(200)]
    check(bounds, [value for bound in bounds for value in around(bound)])


def test_clock_ticks() -> None:
    """Durations as perf_counter gives them: whole nanoseconds as doubles."""
    random.seed(7)
    ticks = [random.randrange(1, 10**10) * NANOSECOND for _ in range(20_000)]
    check(GATEWAY, ticks + [bound for bound in GATEWAY for _ in range(3)])


BOUND = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(1e-9, 1e4),
    st.sampled_from([0.0, 1e-3, 0.005, 1.0, 2.0, 1e6, 5e-324, 2.2250738585072014e-308]),
)


@given(
    st.lists(BOUND, min_size=1, max_size=12, unique=True), st.lists(st.floats(allow_nan=False), max_size=30)
)
@example([5e-324], [0.0, 5e-324, 1e-323, -5e-324])
@example([-0.0], [0.0, -0.0])
@example([1.7976931348623157e308], [1.7976931348623157e308, math.inf])
def test_any_bounds_and_any_values(bounds: list[float], values: list[float]) -> None:
    bounds = sorted(set(bounds))
    near = [value for bound in bounds for value in around(bound)]
    registry, histogram = filled(bounds, values + near)
    everything = values + near
    assert cumulative(registry) == {b: sum(v <= b for v in everything) for b in [*bounds, math.inf]}
    assert histogram._statistics()[0] == len(everything)
    assert histogram._statistics()[2:] == (min(everything), max(everything))


def test_five_thousand_buckets() -> None:
    bounds = [1.001**n for n in range(5000)]
    values = [1.0005 * 1.001**n for n in range(0, 5000, 7)]
    registry, _ = filled(bounds, values)
    read = cumulative(registry)
    assert [read[bound] for bound in bounds[::97]] == [sum(v <= b for v in values) for b in bounds[::97]]


def test_equal_bounds_share_a_layout_and_nothing_else() -> None:
    registry = CollectorRegistry()
    one = Histogram("one", "h", registry=registry, buckets=[1, 2])
    two = Histogram("two", "h", registry=registry, buckets=(1.0, 2.0, math.inf))
    one.observe(1.5)
    assert cumulative(registry, "one") == {1: 0, 2: 1, math.inf: 1}
    assert cumulative(registry, "two") == {1: 0, 2: 0, math.inf: 0}
    assert two._upper_bounds == [1, 2, math.inf]


def test_counts_beyond_16_bits() -> None:
    """Bins widen when a count asks for it; nothing may be lost at the seams."""
    registry, histogram = filled([0.5, 1.5], [])
    observe = histogram.observe
    for _ in range(70_000):
        observe(1.0)
    observe(0.25)
    assert cumulative(registry) == {0.5: 1, 1.5: 70_001, math.inf: 70_001}
    assert math.isclose(histogram.quantile(0.5), 1.0, rel_tol=0.0028)
    assert histogram.quantile(0) == 0.25
