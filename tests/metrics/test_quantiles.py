"""Quantiles against the sorted raw values: within 0.28 % of the nearest rank."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrometer import CollectorRegistry, Histogram, Summary
from tests.metrics.reading import scrape

#: What is promised. The bins are 2**(1/128) wide; their harmonic middle is off by at most 0.2711 %.
PROMISE = 0.0028
SHARES = (0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1)


def nearest_rank(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def worst_error(values: Sequence[float], metric: Histogram | Summary) -> float:
    worst = 0.0
    for share in SHARES:
        exact = nearest_rank(values, share)
        error = abs(metric.quantile(share) - exact)
        worst = max(worst, error / exact if exact else error)
    return worst


def distributions() -> dict[str, list[float]]:
    chance = random.Random(20240229)
    return {
        "uniform": [chance.uniform(1e-4, 10) for _ in range(30_000)],
        "lognormal": [chance.lognormvariate(-4, 1.5) for _ in range(30_000)],
        "pareto": [chance.paretovariate(1.1) for _ in range(30_000)],
        "exponential": [chance.expovariate(500) for _ in range(30_000)],
        "bimodal": [chance.gauss(*chance.choice([(0.002, 1e-4), (1.5, 0.1)])) for _ in range(30_000)],
        "nanoseconds": [chance.randrange(1, 3000) * 1e-9 for _ in range(30_000)],
        "bytes": [float(chance.randrange(0, 2**34)) for _ in range(30_000)],
        "one value": [0.0123] * 1000,
        "two values": [1e-9] * 500 + [3600.0] * 500,
        "a week": [chance.uniform(1, 604_800) for _ in range(1000)],
        "money": [round(chance.expovariate(0.1), 2) for _ in range(5000)],
    }


@pytest.mark.parametrize("name", distributions())
def test_quantiles_are_within_the_promise(name: str) -> None:
    values = distributions()[name]
    # Buckets that are no help: the quantile does not come from them.
    histogram = Histogram("h", "h", registry=None, buckets=[1e9])
    summary = Summary("s", "h", registry=None)
    for value in values:
        histogram.observe(value)
        summary.observe(value)
    assert worst_error(values, histogram) < PROMISE
    assert worst_error(values, summary) < PROMISE


@given(
    st.lists(st.floats(min_value=2.3e-308, allow_infinity=False), min_size=1, max_size=200), st.floats(0, 1)
)
def test_any_positive_values_at_any_share(values: list[float], share: float) -> None:
    histogram = Histogram("h", "h", registry=None)
    for value in values:
        histogram.observe(value)
    exact = nearest_rank(values, share)
    assert abs(histogram.quantile(share) - exact) <= PROMISE * exact
    assert histogram.quantile(0) == min(values)
    assert histogram.quantile(1) == max(values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=100))
def test_quantiles_never_leave_the_values_nor_cross(values: list[float]) -> None:
    histogram = Histogram("h", "h", registry=None)
    for value in values:
        histogram.observe(value)
    quantiles = [histogram.quantile(share / 20) for share in range(21)]
    assert quantiles == sorted(quantiles)
    assert min(values) == quantiles[0]
    assert max(values) == quantiles[-1]
    for share, quantile in enumerate(quantiles):
        exact = nearest_rank(values, share / 20)
        if exact < 0:
            # One bin for all that is negative: documented as the smallest.
            assert quantile in (min(values), max(values))


def test_as_good_as_hdr_histogram() -> None:
    """Three significant digits there, 0.28 % here; both against the raw values."""
    hdrh = pytest.importorskip("hdrh.histogram", reason="pip install hdrhistogram")
    for values in distributions().values():
        nanoseconds = [max(round(value * 1e9), 1) for value in values]
        if max(nanoseconds) > 3_600_000_000_000:
            continue
        theirs = hdrh.HdrHistogram(1, 3_600_000_000_000, 3)
        ours = Histogram("h", "h", registry=None)
        for value in nanoseconds:
            theirs.record_value(value)
            ours.observe(value * 1e-9)
        for share in (0.5, 0.9, 0.95, 0.99, 0.999):
            exact = nearest_rank(nanoseconds, share)
            hdr = theirs.get_value_at_percentile(share * 100)
            assert abs(hdr - exact) <= exact * 0.001 + 1
            assert abs(ours.quantile(share) * 1e9 - hdr) <= exact * (PROMISE + 0.001) + 1


def test_zero_and_subnormals_are_zero() -> None:
    histogram = Histogram("h", "h", registry=None)
    for value in (0.0, 5e-324, 1e-310, -0.0, 1.0):
        histogram.observe(value)
    assert histogram.quantile(0.5) == 0
    assert histogram.quantile(1) == 1


def test_nothing_recorded_has_no_quantile() -> None:
    histogram = Histogram("h", "h", registry=None)
    assert math.isnan(histogram.quantile(0.5))
    histogram.observe(math.nan)
    assert math.isnan(histogram.quantile(0.5))


@pytest.mark.parametrize("share", [-0.1, 1.1, 50, 99, math.nan, math.inf])
def test_a_share_outside_the_unit_interval(share: float) -> None:
    for metric in (Histogram("h", "h", registry=None), Summary("s", "h", registry=None)):
        with pytest.raises(ValueError, match=r"a quantile is in \[0, 1\], not .*: p99 is 0\.99"):
            metric.quantile(share)


def test_a_family_with_labels_has_none() -> None:
    with pytest.raises(ValueError, match="histogram metric is missing label values"):
        Histogram("h", "h", ["l"], registry=None).quantile(0.5)


def test_a_summary_exposes_the_quantiles_asked_for(registry: CollectorRegistry) -> None:
    summary = Summary("s", "h", ["route"], registry=registry, quantiles=(0.5, 0.99, 1))
    values = [n / 1000 for n in range(1, 1001)]
    for value in values:
        summary.labels("/").observe(value)
    read = {labels: value for (name, labels), value in scrape(registry).items() if name == "s"}
    assert set(read) == {(("quantile", q), ("route", "/")) for q in ("0.5", "0.99", "1.0")}
    for labels, quantile in read.items():
        exact = nearest_rank(values, float(dict(labels)["quantile"]))
        assert abs(quantile - exact) <= PROMISE * exact
    Summary("empty", "h", registry=registry, quantiles=[0.5])
    assert math.isnan(scrape(registry)["empty", (("quantile", "0.5"),)])
    assert registry.get_sample_value("s_count", {"route": "/"}) == 1000
