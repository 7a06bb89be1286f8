"""What may be counted, set and observed; how numbers are written; what is refused, and how."""

from __future__ import annotations

import math
import struct
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import prometheus_client
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferrometer import CollectorRegistry, Counter, Gauge, Histogram, Summary
from tests.metrics.reading import value

SUBNORMAL = 5e-324
HUGE = sys.float_info.max


class Floaty:
    def __float__(self) -> float:
        return 2.5


class Indexy:
    def __index__(self) -> int:
        return 3


class Unwilling:
    def __float__(self) -> float:
        raise LookupError("no number today")


def bits(number: float) -> bytes:
    """Tells -0.0 from 0.0, and takes all NaN for one."""
    return b"nan" if math.isnan(number) else struct.pack("<d", number)


@given(st.floats())
@example(-0.0)
@example(1e6)
@example(123456789.0)
@example(1e10)
@example(1e16)
@example(SUBNORMAL)
@example(HUGE)
def test_every_double_reads_back_from_a_gauge(number: float) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", "h", registry=registry)
    gauge.set(number)
    assert bits(gauge._value.get()) == bits(number)
    read = value(registry, "g")
    assert read is not None
    assert bits(read) == bits(number)


NUMBERS = [0, 1, -0.0, 2.5, True, False, SUBNORMAL, HUGE, 2**53 + 1, 10**300, Decimal("0.25"), Fraction(1, 4)]


@pytest.mark.parametrize("number", [*NUMBERS, Floaty(), Indexy()], ids=repr)
def test_what_has_a_float_counts(registry: CollectorRegistry, number: Any) -> None:
    expected = 3.0 if isinstance(number, Indexy) else float(number)
    counter = Counter("c", "h", registry=registry)
    counter.inc(number)
    gauge = Gauge("g", "h", registry=registry)
    gauge.inc(number)
    gauge.dec(amount=number)
    assert gauge._value.get() == 0
    gauge.set(number)
    histogram = Histogram("h", "h", registry=registry)
    histogram.observe(number)
    summary = Summary("s", "h", registry=registry)
    summary.observe(amount=number)
    assert (
        counter._value.get() == gauge._value.get() == histogram._sum.get() == summary._sum.get() == expected
    )
    assert value(registry, "h_count") == value(registry, "s_count") == 1


@pytest.mark.parametrize("number", [-1, -0.5, -SUBNORMAL, Decimal(-1), -(10**30), -math.inf])
def test_a_counter_refuses_negative_amounts(registry: CollectorRegistry, number: Any) -> None:
    counter = Counter("c", "h", registry=registry)
    with pytest.raises(ValueError, match="Counters can only be incremented by non-negative amounts"):
        counter.inc(number)
    assert counter._value.get() == 0


@pytest.mark.parametrize("number", [math.nan, math.inf, Decimal("NaN"), Decimal("Infinity")])
def test_a_counter_refuses_what_would_spoil_its_total(registry: CollectorRegistry, number: Any) -> None:
    counter = Counter("c", "h", registry=registry)
    counter.inc(2)
    with pytest.raises(ValueError, match="finite amounts, not"):
        counter.inc(number)
    assert counter._value.get() == 2


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1, -HUGE])
def test_a_gauge_takes_any_double(registry: CollectorRegistry, number: float) -> None:
    gauge = Gauge("g", "h", registry=registry)
    gauge.set(number)
    assert bits(gauge._value.get()) == bits(float(number))
    gauge.set(1)
    gauge.inc(number)
    assert bits(gauge._value.get()) == bits(1 + number)


@pytest.mark.parametrize("wrong", [None, "1", b"1", [], {}, object(), 1j])
def test_what_is_no_number_is_a_type_error(registry: CollectorRegistry, wrong: Any) -> None:
    counter, gauge = Counter("c", "h", registry=registry), Gauge("g", "h", registry=registry)
    histogram, summary = Histogram("h", "h", registry=registry), Summary("s", "h", registry=registry)
    for call in (counter.inc, gauge.inc, gauge.dec, histogram.observe, summary.observe):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            call(wrong)
    if not isinstance(wrong, str):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            gauge.set(wrong)
    assert [value(registry, name) for name in ("c_total", "g", "h_count", "s_count")] == [0, 0, 0, 0]


def test_a_gauge_is_set_to_what_float_makes_of_a_text(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "h", registry=registry)
    theirs = prometheus_client.Gauge("g", "h", registry=None)
    for text in ["1.5", " -2e3\n", "inf", "1_000"]:
        gauge.set(text)  # type: ignore[arg-type]
        theirs.set(text)  # type: ignore[arg-type]
        assert gauge._value.get() == theirs._value.get()
    for text in ["", "abc", "1,5"]:
        with pytest.raises(ValueError, match="could not convert string to float"):
            gauge.set(text)  # type: ignore[arg-type]
    assert gauge._value.get() == 1000


def test_a_number_too_large_for_a_double(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "h", registry=registry)
    for call in (
        Counter("c", "h", registry=registry).inc,
        gauge.inc,
        gauge.set,
        Histogram("h", "h", registry=registry).observe,
    ):
        with pytest.raises(OverflowError, match="too large to convert to float"):
            call(10**400)


def test_an_error_of_the_number_itself_comes_through(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "h", registry=registry)
    for call in (
        Counter("c", "h", registry=registry).inc,
        gauge.dec,
        gauge.set,
        Histogram("h", "h", registry=registry).observe,
    ):
        with pytest.raises(LookupError, match="no number today"):
            call(Unwilling())  # type: ignore[arg-type]


def test_arguments_are_those_of_a_python_function(registry: CollectorRegistry) -> None:
    counter, gauge = Counter("c", "h", registry=registry), Gauge("g", "h", registry=registry)
    histogram = Histogram("h", "h", registry=registry)
    counter.inc(amount=2)
    counter.inc(2, exemplar={"trace_id": "x"})
    counter.inc(exemplar=None)
    gauge.set(value=3)
    histogram.observe(amount=1, exemplar={})
    wrong: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
        (counter.inc, (1, None, 3), {}, "at most 2"),
        (counter.inc, (), {"much": 1}, "unexpected keyword argument 'much'"),
        (counter.inc, (1,), {"amount": 1}, "multiple values for argument 'amount'"),
        (gauge.set, (), {}, "missing 1 required positional argument: 'value'"),
        (gauge.inc, (1, 2), {}, "at most 1"),
        (histogram.observe, (), {}, "missing 1 required positional argument: 'amount'"),
        (histogram.observe, (), {"exemplar": None}, "missing 1 required positional argument: 'amount'"),
    ]
    for call, args, kwargs, text in wrong:
        with pytest.raises(TypeError, match=text):
            call(*args, **kwargs)
    assert counter._value.get() == 5
    assert (gauge._value.get(), histogram._sum.get()) == (3, 1)


def test_a_method_knows_its_own_kind() -> None:
    counter: Any = Counter("c", "h", registry=None)
    gauge: Any = Gauge("g", "h", registry=None)
    with pytest.raises(TypeError, match="doesn't apply to a"):
        type(counter).inc(gauge)
    with pytest.raises(TypeError, match="doesn't apply to a"):
        Histogram.observe(counter, 1)
    with pytest.raises(TypeError, match="doesn't apply to a"):
        type(gauge).set(5, 1)


@given(st.lists(st.integers(0, 2**62), max_size=20))
def test_whole_counts_are_exact_beyond_doubles(amounts: list[int]) -> None:
    """Until 2**63; a double's sum would already be wrong past 2**53."""
    counter = Counter("c", "h", registry=None)
    for amount in amounts:
        counter.inc(amount)
    total = sum(amounts)
    read = counter._value.get()
    assert read == float(total) if total <= 2**63 else math.isclose(read, total, rel_tol=1e-15)


def test_a_count_past_64_bits_goes_on(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", registry=registry)
    total = 0
    for amount in (2**64 - 1, 2**63, 1, 2**64, 10**25):
        counter.inc(amount)
        counter.inc()
        total += amount + 1
        assert math.isclose(value(registry, "c_total") or 0, total, rel_tol=1e-15)
    petaflops = Counter("f", "h", registry=registry)
    for _ in range(20_000):
        petaflops.inc(1e15)
    assert value(registry, "f_total") == 2e19


@given(st.lists(st.floats(0, 1e12), max_size=50))
def test_a_sum_of_fractions_is_as_good_as_theirs(amounts: list[float]) -> None:
    counter = Counter("c", "h", registry=None)
    theirs = prometheus_client.Counter("c", "h", registry=None)
    for amount in amounts:
        counter.inc(amount)
        theirs.inc(amount)
    exact = sum(map(Fraction, amounts), Fraction(0))
    slack = Fraction(len(amounts) + 2) * Fraction(sys.float_info.epsilon) * exact
    assert abs(Fraction(counter._value.get()) - exact) <= slack
    assert abs(Fraction(theirs._value.get()) - exact) <= slack


def test_nan_is_refused_and_counted(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "h", ["l"], registry=registry)
    summary = Summary("s", "h", registry=registry)
    sampled = Histogram("few", "h", registry=registry, sample=0.5)
    histogram.labels("a").observe(1)
    for _ in range(3):
        histogram.labels("a").observe(math.nan)
        histogram.labels("b").observe(Decimal("NaN"))  # type: ignore[arg-type]
    summary.observe(math.nan)
    for _ in range(10):
        sampled.observe(math.nan)
    assert value(registry, "h_count", l="a") == 1
    assert value(registry, "h_sum", l="a") == 1
    assert (
        value(registry, "h_count", l="b") == value(registry, "s_count") == value(registry, "few_count") == 0
    )
    refused = {
        source: value(registry, "ferrometer_observations_refused_total", source=source) for source in "hs"
    }
    assert refused == {"h": 6, "s": 1}
    assert value(registry, "ferrometer_observations_refused_total", source="few") == 10
    assert registry.get_sample_value("ferrometer_observations_refused_total", {"source": "h"}) == 6


def test_infinities_and_extremes_are_observed(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "h", registry=registry, buckets=[-1, 0, 1e-320, 1, 1e308])
    extremes = [-math.inf, -HUGE, -1, -SUBNORMAL, -0.0, 0, SUBNORMAL, 1e-320, 1, HUGE, math.inf]
    for number in extremes:
        histogram.observe(number)
    bounds = histogram._upper_bounds
    for bound in bounds:
        le = {"-1.0": -1, "0.0": 0, "1e-320": 1e-320, "1.0": 1, "1e+308": 1e308, "+Inf": math.inf}
        name = next(text for text, number in le.items() if number == bound)
        assert value(registry, "h_bucket", le=name) == sum(number <= bound for number in extremes)
    assert value(registry, "h_count") == len(extremes)
    assert math.isnan(histogram._sum.get())  # -inf + inf
    assert histogram._statistics()[2:] == (-math.inf, math.inf)
    assert (histogram.quantile(0), histogram.quantile(1)) == (-math.inf, math.inf)
