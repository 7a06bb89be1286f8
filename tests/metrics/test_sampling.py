"""sample=0.01: counts are exact from the first sample on, buckets never go back, quantiles are estimates.

The bounds are argued for chances of a false alarm below one in a billion; the seed is the system's. A sample
stands for itself and the events until the next one, `g` of them. Events are chosen independently, so `g` is
geometric with the mean 1/rate and E[g^2] < 2/rate^2: the share of values below a point has a variance of at
most v = 2 p (1 - p) / n after n samples. With Bernstein's inequality,
P(error > e) <= 2 exp(-e^2 / (2 v + 2 b e / 3)), where b is the largest weight: none of n gaps is longer than
(log n + SURE) / rate, but for a chance of one in a billion.
"""

from __future__ import annotations

import math
import random

import pytest

from ferrometer import CollectorRegistry, Histogram
from tests.metrics.reading import scrape, value

EVENTS = 2_000_000
#: -log of half the chance of a false alarm.
SURE = math.log(2e9)


def bernstein(p: float, events: int, rate: float) -> float:
    v = 2 * p * (1 - p) / (events * rate)
    b = (math.log(events * rate) + SURE) / rate / events
    # The positive root of e^2 = SURE (2 v + 2 b e / 3).
    linear = SURE * 2 * b / 3
    return linear / 2 + math.sqrt(linear**2 / 4 + SURE * 2 * v)


def test_quantiles_and_mean_of_a_hundredth() -> None:
    histogram = Histogram("h", "h", registry=None, sample=0.01)
    chance = random.Random(11).random
    observe = histogram.observe
    for _ in range(EVENTS):
        observe(chance())  # uniform: the quantile at p is p
    for p in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99):
        slack = bernstein(p, EVENTS, 0.01) + 0.0028 * p
        assert slack < 0.05
        assert abs(histogram.quantile(p) - p) < slack
    count, total, least, most = histogram._statistics()
    assert abs(total / EVENTS - 0.5) < 6.5 * math.sqrt(2 / 12 / (EVENTS * 0.01))
    assert 0 <= least < most <= 1
    assert count == EVENTS


@pytest.mark.parametrize("rate", [0.9, 0.5, 0.3, 0.1, 0.01, 0.003])
def test_counts_are_exact_and_buckets_monotone(rate: float) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "h", registry=registry, sample=rate, buckets=[0.2, 0.4, 0.8])
    chance = random.Random(5)
    previous: list[float] = [0, 0, 0, 0]
    seen = 0
    for _ in range(150):
        for _ in range(chance.randrange(40)):
            histogram.observe(chance.random())
            seen += 1
        now = scrape(registry)
        counts = [now["h_bucket", (("le", le),)] for le in ("0.2", "0.4", "0.8", "+Inf")]
        assert counts == sorted(counts)
        assert all(new >= old for new, old in zip(counts, previous, strict=True))
        # With the first sample all are counted. It comes within 21 / rate events, but for one in a billion.
        assert (
            now["h_count", ()] == counts[-1] in ((seen,) if previous[-1] or seen > 21 / rate else (0, seen))
        )
        previous = counts
    assert previous[-1] == seen


def test_every_child_counts_its_own(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "h", ["l"], registry=registry, sample=0.1)
    for number in range(3000):
        histogram.labels(str(number % 3)).observe(number % 3 + 1)
    for label in "012":  # each has a sample, but for 0.9 ** 1000
        assert value(registry, "h_count", l=label) == 1000
        # All events of a child are alike, so the sum is exact, too.
        assert value(registry, "h_sum", l=label) == 1000 * (int(label) + 1)


def test_before_the_first_sample_nothing_is_known(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "h", registry=registry, sample=1e-9)
    for _ in range(100):
        histogram.observe(1)
    count = value(registry, "h_count")
    assert count in (0, 100)
    assert math.isnan(histogram.quantile(0.5)) == (count == 0)


@pytest.mark.parametrize("period", [100, 50, 10, 99, 101])
def test_periodic_events_are_shown_as_often_as_they_come(period: int) -> None:
    """A slow event at each 100th was shown 1.45 times too often, or half as often, depending on its phase.

    The share `f` of slow events has a variance of at most 2 f (1 - f) / n after n samples (argued in
    rust/core/src/sampling.rs), and one gap at either end.
    """
    histogram = Histogram("h", "h", registry=None, sample=0.01, buckets=[1])
    observe = histogram.observe
    events = 20_000 * period
    for _ in range(events // period):
        observe(2.0)
        for _ in range(period - 1):
            observe(0.5)
    told = {labels["le"]: count for _, labels, count, *_ in histogram._rows() if "le" in labels}
    slow, f, n = told["+Inf"] - told["1.0"], 1 / period, events * 0.01
    bound = 6.5 * events * math.sqrt(2 * f * (1 - f) / n) + 3000
    assert abs(slow - 20_000) < bound


def test_a_rate_of_one_is_no_sampling(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "h", registry=registry, sample=1)
    for number in range(1, 101):
        histogram.observe(number)
    assert value(registry, "h_sum") == 5050
    assert (histogram.quantile(0), histogram.quantile(1)) == (1, 100)


@pytest.mark.parametrize("rate", [0, -1, 2, 1.0000001, math.nan, math.inf, -0.0])
def test_rates_outside_the_unit_interval_are_refused(rate: float) -> None:
    registry = CollectorRegistry()
    with pytest.raises(
        ValueError, match=r"sample must be in \(0, 1\], not .*: 1 times every event, 0\.01 one in a"
    ):
        Histogram("h", "h", registry=registry, sample=rate)
    # The name is free: nothing was registered.
    Histogram("h", "h", ["l"], registry=registry)


def test_a_rate_is_a_number() -> None:
    with pytest.raises(TypeError, match="sample"):
        Histogram("h", "h", registry=None, sample="0.1")  # type: ignore[arg-type]
