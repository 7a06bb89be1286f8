"""OpenTelemetry's metrics API: what its SDK and Prometheus exporter show of the same calls."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, cast

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider as SdkProvider
from prometheus_client.parser import text_string_to_metric_families

import ferrometer
from ferrometer.otel import MeterProvider

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(text: str) -> Samples:
    """What a text says, without empty labels, which are none, and without the times of creation."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # Bounds are numbers: 1 and 1.0 are the same one.
            given = {
                name: str(float(value)) if name == "le" else value for name, value in sample.labels.items()
            }
            labels = tuple(sorted((name, value) for name, value in given.items() if value))
            if not sample.name.endswith("_created") and not sample.name.startswith("ferrometer_"):
                assert (sample.name, labels) not in found
                found[sample.name, labels] = sample.value
    return found


def by_sdk(script: Callable[[metrics.MeterProvider], None]) -> Samples:
    registry = prometheus_client.CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, registry=registry)
    provider = SdkProvider([reader])
    script(provider)
    text = prometheus_client.generate_latest(registry).decode()
    provider.shutdown()
    return samples_of(text)


def by_ours(script: Callable[[metrics.MeterProvider], None]) -> Samples:
    registry = ferrometer.CollectorRegistry()
    script(MeterProvider(registry))
    text = samples_of(ferrometer.generate_latest(registry).decode())
    assert text == samples_of(ferrometer.generate_latest(registry).decode())
    collected = {
        (
            sample.name,
            tuple(sorted((k, str(float(v)) if k == "le" else v) for k, v in sample.labels.items())),
        ): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created") and not sample.name.startswith("ferrometer_")
    }
    assert collected == text
    return text


def every_instrument(provider: metrics.MeterProvider) -> None:
    meter = provider.get_meter("lib.http", "1.2", "https://schemas.example/1", {"team": "a"})
    counter = meter.create_counter("http.requests", "{request}", "Requests.")
    counter.add(1)
    counter.add(2, {"http.method": "GET", "http.status": 200, "cached": True})
    counter.add(0.5, attributes={"cached": True, "http.status": 200, "http.method": "GET"})
    counter.add(amount=3, attributes={"parts": ["a", "b"], "share": 0.5})
    counter.add(1, None, None)
    counter.add(1, {})
    active = meter.create_up_down_counter("http.active", unit="1")
    active.add(3, {"a": "x"})
    active.add(-5, {"a": "x"})
    duration = meter.create_histogram("http.duration", "s", explicit_bucket_boundaries_advisory=[0.1, 1, 10])
    size = meter.create_histogram("http.size", "By")
    for value in (0, 0.1, 0.5, 10, 11, 7):
        duration.record(value, {"le.gal": 'x\\\n"y', "zz": "1"})
        size.record(value)
    gauge = meter.create_gauge("temperature", "Cel")
    gauge.set(20.5, {"room": "a"})
    gauge.set(-3, {"room": "a"})


def two_meters(provider: metrics.MeterProvider) -> None:
    for name in ("one", "two"):
        provider.get_meter(name).create_counter("Calls.Total").add(1, {"x": name})
        provider.get_meter(name, "2").create_counter("calls_total").add(1)


def observed(provider: metrics.MeterProvider) -> None:
    meter = provider.get_meter("lib")
    turns = itertools.count(1)

    def totals(options: CallbackOptions) -> Iterable[Observation]:
        assert options.timeout_millis > 0
        return [Observation(7, {"cpu": "0"}), Observation(8.5, {"cpu": "1"})]

    def more() -> Generator[Iterable[Observation], CallbackOptions, None]:
        yield []
        while True:
            yield [Observation(5)]

    def breaks(options: CallbackOptions) -> Iterable[Observation]:
        raise OSError(str(next(turns)))

    meter.create_observable_counter("cpu.time", [totals, more(), breaks], "s", "Seconds.")
    meter.create_observable_up_down_counter(
        "items", [lambda options: [Observation(-4), Observation(math.inf, {"a": 1})]]
    )
    meter.create_observable_gauge(
        "free", [lambda options: [Observation(2), Observation(3, {"a": 1})]], "By/s"
    )
    meter.create_observable_gauge("nothing")


def what_makes_no_sense(provider: metrics.MeterProvider) -> None:
    meter = provider.get_meter("lib")
    counter, histogram = meter.create_counter("c"), meter.create_histogram("h")
    for value in (-1, math.nan, math.inf, -math.inf):
        counter.add(value, {"a": 1})
        histogram.record(value, {"a": 1}) if value != math.inf else None
    counter.add(1, {"a": 2})
    histogram.record(1, {"a": 2})


@pytest.mark.parametrize("script", [every_instrument, two_meters, observed])
def test_as_the_sdk(script: Callable[[metrics.MeterProvider], None]) -> None:
    assert by_ours(script) == by_sdk(script)


def test_what_makes_no_sense_is_counted_and_not_raised() -> None:
    told, expected = by_ours(what_makes_no_sense), by_sdk(what_makes_no_sense)
    # The series are there already, with nothing in them.
    assert {key: value for key, value in told.items() if value} == {
        key: value for key, value in expected.items() if value
    }


ATTRIBUTES = st.dictionaries(
    st.text("ab.", min_size=1, max_size=3),
    st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.floats(allow_nan=False)),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**40), ATTRIBUTES), max_size=12))
def test_any_attributes_twice(measured: list[tuple[int, dict[str, Any]]]) -> None:
    """The second time is by the cache, and in another order; a naive dict is the oracle."""
    from ferrometer.otel.names import labels_of

    registry = ferrometer.CollectorRegistry()
    counter = MeterProvider(registry).get_meter("").create_counter("c")
    totals: dict[tuple[tuple[str, str], ...], int] = {}
    for amount, attributes in [*measured, *measured]:
        counter.add(amount, dict(reversed(attributes.items())))
        key = tuple(sorted(labels_of({})(dict(reversed(attributes.items())))))
        totals[key] = totals.get(key, 0) + amount
    told = {
        tuple(sorted(sample.labels.items())): int(sample.value)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "c_total"
    }
    assert told == {key: int(float(total)) for key, total in totals.items()}


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": Odd()},
        {1: "x"},
        {"": "x"},
        {"a": None},
        {"a": "\ud800"},
        ["no", "mapping"],
        7,
        {"a": "x" * 1_000_000},
        {f"k{place}": place for place in range(100)},
        {"a": 2**100},
        {"a": float("nan")},
    ],
    ids=str,
)
def test_odd_attributes_raise_nothing(attributes: Any) -> None:
    registry = ferrometer.CollectorRegistry()
    counter = MeterProvider(registry).get_meter("m").create_counter("c")
    for _ in range(3):
        counter.add(2, attributes)
    text = samples_of(ferrometer.generate_latest(registry).decode())
    assert [value for (name, _), value in text.items() if name == "c_total"] == [6]
    assert len(ferrometer.generate_latest(registry)) < 10_000


def test_a_name_of_another_metric_records_nothing(caplog: pytest.LogCaptureFixture) -> None:
    registry = ferrometer.CollectorRegistry()
    ferrometer.Gauge("taken", "", registry=registry).set(3)
    meter = MeterProvider(registry).get_meter("m")
    meter.create_counter("taken").add(1)
    meter.create_histogram("h")
    meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1]).record(1)
    assert [cast("tuple[Any, ...]", record.args)[0] for record in caplog.records] == ["taken", "h"]
    with pytest.raises(ValueError, match="instrument's name"):
        meter.create_counter("1 is no name")
    with pytest.raises(ValueError, match="unit"):
        meter.create_counter("c", "é")
    meter.create_histogram("x", explicit_bucket_boundaries_advisory=[3, 1]).record(600)
    assert registry.get_sample_value("x_bucket", {"le": "750.0", "otel_scope_name": "m"}) == 1.0


def test_series_have_an_end() -> None:
    registry = ferrometer.CollectorRegistry()
    counter = MeterProvider(registry).get_meter("").create_counter("c")
    for number in range(10_050):
        counter.add(1, {"n": number})
    assert registry.get_sample_value("c_total", {"otel_metric_overflow": "true"}) == 50.0


def test_observed_series_that_are_not_told_any_more_are_gone() -> None:
    registry = ferrometer.CollectorRegistry()
    told = [Observation(1, {"a": "x"}), Observation(2, {"a": "y"})]
    meter = MeterProvider(registry).get_meter("")
    meter.create_observable_gauge("g", [lambda options: told])
    meter.create_observable_counter("c", [lambda options: told])
    assert len(samples_of(ferrometer.generate_latest(registry).decode())) == 4
    told = [Observation(5, {"a": "y"})]
    assert samples_of(ferrometer.generate_latest(registry).decode()) == {
        ("g", (("a", "y"),)): 5.0,
        ("c_total", (("a", "y"),)): 5.0,
    }
    told = [Observation(3, {"a": "y"})]  # a counter that began anew
    assert registry.get_sample_value("c_total", {"a": "y"}) == 3.0


def test_removed_series_come_back() -> None:
    registry = ferrometer.CollectorRegistry()
    counter = MeterProvider(registry).get_meter("").create_counter("c")
    for _ in range(2):
        counter.add(1, {"a": "x"})
    registry._native.reset()
    counter.add(1, {"a": "x"})
    assert registry.get_sample_value("c_total", {"a": "x"}) == 1.0


def test_is_what_the_api_says() -> None:
    meter: Meter = MeterProvider(ferrometer.CollectorRegistry()).get_meter("m")
    assert isinstance(meter.create_counter("a"), metrics.Counter)
    assert isinstance(meter.create_up_down_counter("b"), metrics.UpDownCounter)
    assert isinstance(meter.create_histogram("c"), metrics.Histogram)
    assert isinstance(meter.create_observable_gauge("d"), metrics.ObservableGauge)


WORKERS = """
import os, signal, sys
import ferrometer
from ferrometer.otel import MeterProvider

ferrometer.share(sys.argv[1])
meter = MeterProvider().get_meter("lib")
counter, active = meter.create_counter("calls"), meter.create_up_down_counter("active")
duration, free = meter.create_histogram("duration", "s"), meter.create_gauge("free")
meter.create_observable_counter("seen", [lambda options: [metrics.Observation(3)]])

def work(kind):
    for number in range(3):
        counter.add(1, {"kind": kind, "number": number})
        duration.record(number, {"only": kind} if number else None)
    active.add(2)
    free.set(5, {"a": kind})

from opentelemetry import metrics
work("parent")
for kind, end in (("killed", lambda: os.kill(os.getpid(), signal.SIGKILL)), ("exits", lambda: os._exit(0))):
    child = os.fork()
    if not child:
        work(kind)
        end()
    os.waitpid(child, 0)
for _ in range(2):
    text = ferrometer.generate_latest()
sys.stdout.buffer.write(text)
"""


def test_workers_that_share_and_die(tmp_path: Path) -> None:
    """Counters and histograms of the dead stay in the sums; what they had under way is over."""
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = {key: value for key, value in samples_of(done.stdout).items() if "python" not in key[0]}
    scope = ("otel_scope_name", "lib")
    for kind in ("parent", "killed", "exits"):
        for number in range(3):
            labels = (("kind", kind), ("number", str(number)), scope)
            assert told["calls_total", labels] == 1.0
        assert told["duration_seconds_sum", (("only", kind), scope)] == 3.0
    assert told["duration_seconds_count", (scope,)] == 3.0
    assert told["active", (scope,)] == 2.0
    assert told["free", (("a", "parent"), scope)] == 5.0
    assert told["seen_total", (scope,)] == 3.0
    assert ("free", (("a", "killed"), scope)) not in told
