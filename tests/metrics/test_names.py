"""Which names may be given, and what is said about the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import prometheus_client
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from prometheus_client import validation
from prometheus_client.exposition import generate_latest as peer_text
from prometheus_client.openmetrics.exposition import generate_latest as peer_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from ferrometer import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from ferrometer.drop_in import openmetrics_exposition as openmetrics
from tests.metrics.reading import scrape

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z")
ESCAPINGS = ["underscores", "dots", "values", "allow-utf-8"]
KINDS: list[tuple[Any, dict[str, Any]]] = [
    (Counter, {}),
    (Gauge, {}),
    (Histogram, {}),
    (Summary, {}),
    (Info, {}),
    (Enum, {"states": ["on"]}),
]


@given(
    st.from_regex(NAME, fullmatch=True),
    st.lists(st.from_regex(LABEL, fullmatch=True), max_size=4, unique=True),
)
def test_every_well_formed_name_is_taken_and_read_back(name: str, labels: list[str]) -> None:
    assume("le" not in labels and "quantile" not in labels and name not in labels)
    for kind, further in KINDS:
        if kind is Enum and not LABEL.match(name):
            continue  # refused, see below
        registry = CollectorRegistry()
        metric = kind(name, "h", labels, registry=registry, **further)
        if labels:
            metric.labels(*range(len(labels)))
        assert {sample for sample, _ in scrape(registry)} <= set(registry._names_to_collectors)
        assert all(sample.startswith(metric._name) for sample, _ in scrape(registry))


@contextmanager
def legacy_names() -> Iterator[None]:
    validation.enable_legacy_validation()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        validation.disable_legacy_validation()  # type: ignore[no-untyped-call]


@given(st.text(min_size=1).filter(lambda text: not NAME.match(text)))
def test_every_other_name_is_refused_with_one_that_works(name: str) -> None:
    registry = CollectorRegistry()
    with legacy_names(), pytest.raises(ValueError, match="invalid metric name") as caught:
        Gauge(name, "h", registry=registry)
    assert repr(name) in str(caught.value)
    suggestion = re.search(r"e\.g\. '(.*)'$", str(caught.value), re.DOTALL)
    assert suggestion is not None
    Gauge(suggestion[1], "h", registry=registry)


@given(st.text(min_size=1).filter(lambda text: not LABEL.match(text)))
def test_every_other_label_name_is_refused(label: str) -> None:
    with legacy_names(), pytest.raises(ValueError, match=r"(Invalid|Reserved) label metric name") as caught:
        Gauge("g", "h", ["fine", label], registry=None)
    assert label in str(caught.value) or repr(label) in str(caught.value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT, TEXT.filter(lambda text: not text.startswith("__")), st.sampled_from(ESCAPINGS))
def test_any_other_name_is_printed_as_prometheus_client_prints_it(
    name: str, label: str, escaping: str
) -> None:
    registry, theirs = CollectorRegistry(), prometheus_client.CollectorRegistry()
    Gauge(name, "h", ["plain", label], registry=registry).labels("a", "b").inc(2)
    prometheus_client.Gauge(name, "h", ["plain", label], registry=theirs).labels("a", "b").inc(2)
    assert generate_latest(registry, escaping) == peer_text(theirs, escaping)
    # Of ordinary names it escapes colons there, and puts "U__" before them in samples, not in headings.
    ordinary = NAME.match(name) and LABEL.match(label) and escaping != "dots"
    how = "allow-utf-8" if ordinary else escaping
    openmetrics_text = peer_openmetrics(theirs, how)  # type: ignore[no-untyped-call]
    assert openmetrics.generate_latest(registry, escaping) == openmetrics_text


def test_odd_names_of_every_kind_are_read_back() -> None:
    registry = CollectorRegistry()
    Counter("my.counter", "h", registry=registry).inc(3)
    Histogram("my.seconds", "h", registry=registry, buckets=[1, 2]).observe(1.5)
    Info("my.build", "h", registry=registry).info({"commit.id": "c0ffee"})
    Enum("my.state", "h", registry=registry, states=["on", "off"]).state("off")
    Info("plain", "h", registry=registry).info({"odd.label": "x"})
    read = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry, "allow-utf-8").decode())
        for sample in family.samples
    }
    assert read["my.counter_total",] == 3
    assert read["my.seconds_bucket", ("le", "2.0")] == 1
    assert read["my.build_info", ("commit.id", "c0ffee")] == 1
    assert read["my.state", ("my.state", "off")] == 1
    assert read["plain_info", ("odd.label", "x")] == 1


def test_a_lone_surrogate_is_no_name() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        Gauge("\ud800", "h", registry=None)
    with pytest.raises(ValueError, match="surrogate"):
        Gauge("g", "h", ["\ud800"], registry=None)


@pytest.mark.parametrize(
    ("parts", "full"),
    [
        ({"name": "x"}, "x"),
        ({"name": "x", "namespace": "ns"}, "ns_x"),
        ({"name": "x", "namespace": "ns", "subsystem": "sub"}, "ns_sub_x"),
        ({"name": "x", "unit": "seconds"}, "x_seconds"),
        ({"name": "x_seconds", "unit": "seconds"}, "x_seconds"),
        ({"name": "x", "namespace": None, "unit": None}, "x"),
    ],
)
def test_the_parts_of_a_name(registry: CollectorRegistry, parts: dict[str, Any], full: str) -> None:
    gauge = Gauge(documentation="h", registry=registry, **parts)
    assert gauge._name == full
    assert registry._names_to_collectors == {full: gauge}


def test_a_counters_name_has_total_once(registry: CollectorRegistry) -> None:
    assert Counter("a_total", "h", registry=registry)._name == "a"
    assert Counter("a", "h", registry=registry) is registry._names_to_collectors["a_total"]
    assert Counter("b", "h", unit="bytes", registry=registry)._name == "b_bytes"
    # As prometheus_client: the unit follows what is left of the name.
    assert Counter("c_total", "h", unit="bytes", registry=registry)._name == "c_bytes"
    assert "c_bytes_total" in registry._names_to_collectors


@pytest.mark.parametrize("kind", [Info, Enum])
def test_no_unit_where_there_is_none(kind: Any) -> None:
    with pytest.raises(ValueError, match="cannot have a unit: x_seconds"):
        kind("x", "h", unit="seconds", registry=None)


@pytest.mark.parametrize("wrong", [5, b"x", ["x"]])
def test_a_name_is_a_str(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"a metric name is a str.*" + re.escape(repr(wrong))):
        Gauge(wrong, "h", registry=None)
    with pytest.raises(TypeError, match=r"a metric name is a str.*" + re.escape(repr(wrong))):
        Gauge("x", "h", namespace=wrong, registry=None)


def test_an_empty_name() -> None:
    with pytest.raises(ValueError, match="should not be empty"):
        Gauge("", "h", registry=None)


def test_reserved_label_names() -> None:
    for kind, label in [(Histogram, "le"), (Summary, "quantile")]:
        with pytest.raises(ValueError, match=f"Reserved label metric name: {label}"):
            kind("x", "h", [label], registry=None)
        # Elsewhere they are like any other.
        Counter("x", "h", [label], registry=None).labels("1").inc()
    with pytest.raises(ValueError, match="Overlapping labels for Enum metric: x"):
        Enum("x", "h", ["x"], states=["a"], registry=None)
    for name in ("__x",):  # a scraper would refuse such a label, and the whole scrape with it
        with pytest.raises(ValueError, match=rf"an Enum has its states in a label of its own name: .*{name}"):
            Enum(name, "h", states=["a"], registry=None)
    with pytest.raises(ValueError, match="Overlapping labels for Enum metric: ns_x"):
        Enum("x", "h", ["ns_x"], namespace="ns", states=["a"], registry=None)
    with pytest.raises(ValueError, match="Reserved label metric name: __name__"):
        Counter("x", "h", ["__name__"], registry=None)


def test_label_names_given_wrongly() -> None:
    with pytest.raises(ValueError, match=r"labelnames is the string 'method'; give a list: \['method'\]"):
        Counter("x", "h", "method", registry=None)
    with pytest.raises(ValueError, match=r"Duplicated label name in \('a', 'b', 'a'\)"):
        Counter("x", "h", ["a", "b", "a"], registry=None)
    with pytest.raises(ValueError, match="5 is a int, not a str"):
        Counter("x", "h", [5], registry=None)  # type: ignore[list-item]
    assert Counter("x", "h", (name for name in "ab"), registry=None)._labelnames == ("a", "b")
    assert Enum("x", "h", (n for n in "ab"), states=["s"], registry=None)._labelnames == ("a", "b")  # type: ignore[arg-type]
