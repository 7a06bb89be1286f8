"""Protobuf, read by the protobuf package: every type, and native histograms against the raw values."""

from __future__ import annotations

import math
from collections import Counter as Multiset
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
)

import ferrometer
from ferrometer import CollectorRegistry
from ferrometer.exposition import generate_protobuf
from tests.exposition.metric_families import decoded, labels_of, native_buckets, type_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
MOMENTS = st.one_of(
    st.floats(1e-12, 1e12),
    st.floats(1e-307, 1e305),
    st.integers(-40, 40).map(lambda exponent: 2.0**exponent),
    st.sampled_from([0.0, 5e-324, 0.005, 0.1, 1.0]),
)


def one(registry: CollectorRegistry, name: str, **options: Any) -> Any:
    """The only metric of a family."""
    [metric] = decoded(generate_protobuf(registry, **options))[name].metric
    return metric


# Native histograms ---------------------------


def bucket_of(value: float, schema: int) -> int:
    """The least i with value <= 2**(i / 2**schema), in exact arithmetic."""
    exact = Fraction(value)
    if schema >= 0:
        return _log2_up(exact ** (1 << schema))
    return -(-_log2_up(exact) >> -schema)


def _log2_up(value: Fraction) -> int:
    """The least i with value <= 2**i."""
    guess = value.numerator.bit_length() - value.denominator.bit_length() - 1
    while value > Fraction(2) ** guess:
        guess += 1
    return guess


def settled(value: float) -> bool:
    """Whether a value lies in its bucket with both its neighbours, or is a boundary that is a double."""
    if value < 3e-308 or math.frexp(value)[0] == 0.5:
        return True
    return bucket_of(math.nextafter(value, 0), 7) == bucket_of(math.nextafter(value, math.inf), 7)


@settings(max_examples=150, deadline=None)
@given(st.lists(MOMENTS.filter(settled), max_size=60), st.sampled_from([1, 4, 20, 160]))
def test_native_histograms_count_the_raw_values(values: list[float], limit: int) -> None:
    registry = CollectorRegistry()
    family = ferrometer.Histogram("h", "H", registry=registry, buckets=(0.005, 0.1, 1.0))
    for value in values:
        family.observe(value)
    histogram = one(registry, "h", native_buckets=limit).histogram
    assert histogram.sample_count == len(values)
    assert histogram.sample_sum == pytest.approx(math.fsum(values), rel=1e-12)
    # The classic buckets, exact at every bound.
    assert {b.upper_bound: b.cumulative_count for b in histogram.bucket} == {
        bound: sum(value <= bound for value in values) for bound in (0.005, 0.1, 1.0, math.inf)
    }
    normal = [value for value in values if value > histogram.zero_threshold]
    assert histogram.zero_count == len(values) - len(normal)
    # The finest schema within the limit, and every value in the bucket of its definition.
    buckets, schema = native_buckets(histogram), histogram.schema
    assert buckets == Multiset(bucket_of(value, schema) for value in normal)
    assert len(buckets) <= limit or schema == -4
    assert schema == 7 or len({bucket_of(value, schema + 1) for value in normal}) > limit


def test_a_native_histogram_is_one_before_anything_is_recorded() -> None:
    """Prometheus takes a histogram for native only where something of it is set."""
    registry = CollectorRegistry()
    ferrometer.Histogram("h", "H", registry=registry)
    histogram = one(registry, "h").histogram
    assert (histogram.schema, histogram.zero_count, list(histogram.positive_span)) == (7, 0, [])
    assert 0 < histogram.zero_threshold < 1e-300


def test_negative_values_leave_the_classic_histogram() -> None:
    registry = CollectorRegistry()
    family = ferrometer.Histogram("h", "H", registry=registry, buckets=(-1, 1))
    for value in (-2.0, -0.5, 3.0):
        family.observe(value)
    histogram = one(registry, "h").histogram
    assert not histogram.HasField("schema")
    assert [b.cumulative_count for b in histogram.bucket] == [1, 2, 3]


@pytest.mark.parametrize("limit", [0, -1])
def test_no_buckets_at_all_are_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="native_buckets must be at least 1"):
        generate_protobuf(CollectorRegistry(), native_buckets=limit)


# Every other type ---------------------------


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, st.floats(allow_nan=False), st.integers(0, 2**60))
def test_what_was_recorded_is_read(text: str, help_: str, value: float, count: int) -> None:
    registry = CollectorRegistry()
    labels = {"zone": text, "Upper": "x"}
    ferrometer.Counter("c", help_, ["zone", "Upper"], registry=registry).labels(**labels).inc(count)
    ferrometer.Gauge("g", help_, ["zone", "Upper"], registry=registry, unit="bytes").labels(**labels).set(
        value
    )
    ferrometer.Info("i", help_, registry=registry).info({"version": text})
    states = ferrometer.Enum("e", help_, ["zone"], states=["up", "down"], registry=registry)
    states.labels(text).state("down")
    families = decoded(generate_protobuf(registry))
    assert {name: (type_of(f), f.help) for name, f in families.items()} == {
        "c_total": ("COUNTER", help_),
        "g_bytes": ("GAUGE", help_),
        "i_info": ("GAUGE", help_),
        "e": ("GAUGE", help_),
    }
    assert families["g_bytes"].unit == "bytes"
    [counter], [gauge], [info], both = (f.metric for f in families.values())
    assert labels_of(counter) == labels_of(gauge) == labels
    assert counter.counter.value == float(count)  # the format has nothing else
    assert gauge.gauge.value == value
    assert (labels_of(info), info.gauge.value) == ({"version": text}, 1)
    assert [(labels_of(state), state.gauge.value) for state in both] == [
        ({"zone": text, "e": "up"}, 0),
        ({"zone": text, "e": "down"}, 1),
    ]


def test_summaries_and_creation_times() -> None:
    registry = CollectorRegistry()
    summary = ferrometer.Summary("s", "S", registry=registry, quantiles=(0.5, 1.0))
    ferrometer.Counter("c", "C", registry=registry)
    for value in (1.0, 2.0, 4.0):
        summary.observe(value)
    read = one(registry, "s").summary
    assert (read.sample_count, read.sample_sum) == (3, 7)
    assert [(q.quantile, q.value) for q in read.quantile] == [(0.5, pytest.approx(2, rel=0.003)), (1.0, 4)]
    for message, name in ((read, "s_created"), (one(registry, "c_total").counter, "c_created")):
        created = message.created_timestamp
        assert created.seconds + created.nanos / 1e9 == pytest.approx(
            registry.get_sample_value(name), abs=1e-6
        )


def test_exemplars_stand_at_their_buckets() -> None:
    registry = CollectorRegistry()
    latency = ferrometer.Histogram("h", "H", registry=registry, buckets=(1, 2))
    ferrometer.Counter("c", "C", registry=registry).inc(2, exemplar={"trace_id": "cafe", "b": "ü"})
    latency.observe(1.5, exemplar={"trace_id": "beef"})
    exemplar = one(registry, "c_total").counter.exemplar
    assert (labels_of(exemplar), exemplar.value) == ({"trace_id": "cafe", "b": "ü"}, 2)
    first, second, last = one(registry, "h").histogram.bucket
    assert not first.HasField("exemplar")
    assert not last.HasField("exemplar")
    assert (labels_of(second.exemplar), second.exemplar.value) == ({"trace_id": "beef"}, 1.5)
    assert second.exemplar.timestamp.seconds > 1_600_000_000


def test_messages_of_every_length_are_framed() -> None:
    """The length in front takes one byte more at 128, 16 384 and 2 097 152."""
    for length in (*range(100, 130), *range(16_340, 16_400), 2_097_200):
        registry = CollectorRegistry()
        ferrometer.Gauge("g", "G", ["text"], registry=registry).labels("x" * length).set(1)
        assert labels_of(one(registry, "g")) == {"text": "x" * length}


# Families of collectors that were written for prometheus_client ---------------------------


class Foreign:
    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def foreign(*families: Metric) -> dict[str, Any]:
    registry = CollectorRegistry()
    registry.register(Foreign(*families))
    return decoded(generate_protobuf(registry))


def _labelled(make: Callable[..., Any], name: str, *args: Any) -> Any:
    family = make(name, "help", labels=["zone"])
    family.add_metric(["a"], *args)
    family.add_metric(['b"\n'], *args)
    return family


def test_foreign_families_of_every_type() -> None:
    buckets: list[tuple[str, int]] = [("0.5", 1), ("+Inf", 3)]
    families = foreign(
        _labelled(CounterMetricFamily, "c", 5),
        _labelled(GaugeMetricFamily, "g", -2.5),
        _labelled(UnknownMetricFamily, "u", 7),
        _labelled(InfoMetricFamily, "i", {"version": "1"}),
        _labelled(StateSetMetricFamily, "e", {"up": True, "down": False}),
        _labelled(SummaryMetricFamily, "s", 4, 9.5),
        _labelled(HistogramMetricFamily, "h", buckets, 2.5),
        _labelled(GaugeHistogramMetricFamily, "gh", buckets, 2.5),
    )
    assert {name: type_of(family) for name, family in families.items()} == {
        "c_total": "COUNTER",
        "g": "GAUGE",
        "u": "UNTYPED",
        "i_info": "GAUGE",
        "e": "GAUGE",
        "s": "SUMMARY",
        "h": "HISTOGRAM",
        "gh": "GAUGE_HISTOGRAM",
    }
    readers: dict[str, Callable[[Any], Any]] = {
        "c_total": lambda m: m.counter.value == 5,
        "g": lambda m: m.gauge.value == -2.5,
        "u": lambda m: m.untyped.value == 7,
        "s": lambda m: (m.summary.sample_count, m.summary.sample_sum) == (4, 9.5),
        "h": lambda m: (
            (m.histogram.sample_count, m.histogram.sample_sum) == (3, 2.5)
            and [(b.upper_bound, b.cumulative_count) for b in m.histogram.bucket] == [(0.5, 1), (math.inf, 3)]
        ),
        "gh": lambda m: (
            (m.histogram.sample_count, m.histogram.sample_sum) == (3, 2.5)
            and [(b.upper_bound, b.cumulative_count) for b in m.histogram.bucket] == [(0.5, 1), (math.inf, 3)]
        ),
    }
    for name, read in readers.items():
        assert [labels_of(metric)["zone"] for metric in families[name].metric] == ["a", 'b"\n'], name
        assert all(read(metric) for metric in families[name].metric), families[name]
    assert labels_of(families["i_info"].metric[0]) == {"zone": "a", "version": "1"}
    assert {m.gauge.value for m in families["e"].metric if labels_of(m)["e"] == "up"} == {1}


def test_a_foreign_samples_timestamp_is_kept() -> None:
    family = GaugeMetricFamily("g", "help", labels=["zone"])
    family.add_metric(["a"], 1.0, timestamp=1_700_000_000.25)
    family.add_metric(["b"], 2.0)
    first, second = foreign(family)["g"].metric
    assert first.timestamp_ms == 1_700_000_000_250
    assert not second.HasField("timestamp_ms")


def test_a_family_that_cannot_be_told_costs_itself_only() -> None:
    broken = Metric("broken", "help", "gauge")
    broken.add_sample("broken", {"zone": 5}, 1.0)  # type: ignore[dict-item]  # as careless collectors do
    registry = CollectorRegistry()
    registry.register(Foreign(broken, GaugeMetricFamily("fine", "help", value=1)))
    families = decoded(generate_protobuf(registry))
    assert families["fine"].metric[0].gauge.value == 1
