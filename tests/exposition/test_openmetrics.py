"""OpenMetrics: byte for byte what prometheus_client writes, and its strict parser reads it."""

from __future__ import annotations

import re
from typing import Any

import prometheus_client
import prometheus_client.openmetrics.exposition as peer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser
from prometheus_client.parser import text_string_to_metric_families as read_text

from ferrometer import CollectorRegistry, Counter, Histogram, generate_latest
from ferrometer.exposition import generate_openmetrics
from tests.metrics.twin import Pair, Twins, masked

# Of prometheus_client, which leaves its types to be guessed.
read: Any = parser.text_string_to_metric_families
write: Any = peer.generate_latest

# No colons: prometheus_client 0.26 makes underscores of them in the samples, but not in their TYPE line.
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
LABEL_NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,4}", fullmatch=True).filter(
    lambda name: name not in ("le", "quantile")
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.floats(allow_nan=False)
# What an exemplar's labels look like; together they may have 128 characters.
EXEMPLARS = st.one_of(st.none(), st.dictionaries(LABEL_NAMES, TEXTS, max_size=2, min_size=1))
DEFINITIONS = st.lists(
    st.tuples(
        st.sampled_from(["Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"]),
        NAMES,
        TEXTS,
        st.sampled_from(["", "seconds", "bytes"]),
        st.lists(LABEL_NAMES, max_size=2, unique=True),
    ),
    max_size=4,
)
#: When an event was remembered: the one thing about an exemplar that two clocks see differently.
_REMEMBERED = re.compile(r"( # \{.*\} \S+) \S+$", re.MULTILINE)


def same(text: bytes) -> str:
    return _REMEMBERED.sub(r"\1 <when>", masked(text))


def record(data: st.DataObject, kind: str, pair: Pair, labels: tuple[str, ...]) -> None:
    match kind:
        case "Counter":
            pair.do("inc", data.draw(st.integers(0, 2**40)) / 16, exemplar=data.draw(EXEMPLARS), on=labels)
        case "Gauge":
            pair.do("set", data.draw(VALUES), on=labels)
        case "Histogram":
            pair.do("observe", data.draw(VALUES), exemplar=data.draw(EXEMPLARS), on=labels)
        case "Summary":
            pair.do("observe", data.draw(VALUES), on=labels)
        case "Info":
            pair.do("info", {"version": data.draw(TEXTS)}, on=labels)
        case _:
            pair.do("state", data.draw(st.sampled_from(["up", "down"])), on=labels)


def make(twins: Twins, kind: str, name: str, help_: str, unit: str, labels: list[str]) -> Pair | None:
    further: dict[str, Any] = {"states": ["up", "down"]} if kind == "Enum" else {}
    if kind not in ("Info", "Enum"):
        further["unit"] = unit
    if kind == "Histogram":
        further["buckets"] = (0.005, 0.5, 2.5, 1e6)
    try:
        return twins.define(kind, name, help_, labels, **further)
    except ValueError:  # a name that is taken, or reserved: tests/metrics compares the refusals
        return None


@settings(max_examples=60, deadline=None)
@given(DEFINITIONS, st.data())
def test_the_text_is_the_peers_byte_for_byte(definitions: list[Any], data: st.DataObject) -> None:
    twins = Twins()
    for kind, name, help_, unit, labels in definitions:
        pair = make(twins, kind, name, help_, unit, labels)
        if pair is None:
            twins = Twins()
            continue
        for _ in range(data.draw(st.integers(0, 3))):
            record(data, kind, pair, tuple(data.draw(TEXTS) for _ in labels))
    ours, theirs = generate_openmetrics(twins.ours), write(twins.theirs)
    assert same(ours) == same(theirs)
    assert values(read, ours) == values(read, theirs)
    classic = generate_latest(twins.ours)
    theirs = prometheus_client.generate_latest(twins.theirs)
    assert values(read_text, classic) == values(read_text, theirs)


def values(read: Any, text: bytes) -> list[Any]:
    """The samples that a parser of prometheus_client finds, or what it cannot read of its own library."""
    try:
        families = list(read(text.decode()))
    except ValueError as error:
        return [_REMEMBERED.sub(r"\1", re.sub(r"_created\S* \S+", "", str(error)))]
    return [
        (s.name, s.labels, repr(s.value), s.exemplar and (s.exemplar.labels, s.exemplar.value))
        for family in families
        for s in family.samples
        if not s.name.endswith("_created")
    ]


def test_every_type_is_read_back() -> None:
    twins = Twins()
    requests = twins.define("Counter", "requests", "All of them", ["zone"], unit="events")
    latency = twins.define("Histogram", "latency", "How long", unit="seconds", buckets=(0.1, 1))
    requests.do("inc", 3, exemplar={"trace_id": "a" * 32}, on=('x"\\\n',))
    latency.do("observe", 0.5, exemplar={"trace_id": "b" * 32})
    families = {f.name: f for f in read(generate_openmetrics(twins.ours).decode())}
    assert {(f.type, f.unit, f.documentation) for f in families.values()} == {
        ("counter", "events", "All of them"),
        ("histogram", "seconds", "How long"),
    }
    total = families["requests_events"].samples[0]
    assert (total.labels, total.value) == ({"zone": 'x"\\\n'}, 3)
    assert total.exemplar.labels == {"trace_id": "a" * 32}
    [bucket] = [s for s in families["latency_seconds"].samples if s.exemplar]
    assert bucket.labels == {"le": "1.0"}
    assert bucket.exemplar.value == 0.5
    assert float(bucket.exemplar.timestamp) == pytest.approx(
        families["latency_seconds"].samples[-1].value, abs=5
    )


def test_an_exemplar_per_bucket_the_latest_of_each() -> None:
    twins = Twins()
    latency = Histogram("latency", "How long", registry=twins.ours, buckets=(1, 2))
    for number in range(200):
        latency.observe(number % 3 + 0.5, exemplar={"number": str(number)})
    lines = [line for line in generate_openmetrics(twins.ours).decode().splitlines() if " # {" in line]
    assert [line.split(" # ")[1].split()[0] for line in lines] == [
        f'{{number="{number}"}}' for number in (198, 199, 197)
    ]


def test_colons_of_recording_rules_stay() -> None:
    twins = Twins()
    Counter("job:requests:rate", "A rule's", registry=twins.ours).inc()
    text = generate_openmetrics(twins.ours)
    [family] = read(text.decode())
    assert {s.name for s in family.samples} == {"job:requests:rate_total", "job:requests:rate_created"}


def test_it_ends_once_whatever_is_in_it() -> None:
    twins = Twins()
    assert generate_openmetrics(twins.ours) == b"# EOF\n"
    Counter("eof", "# EOF", ["a"], registry=twins.ours).labels("# EOF\n# EOF").inc()
    twins.ours.set_target_info({"a": "# EOF\n"})
    twins.ours.register(_Foreign())
    text = generate_openmetrics(twins.ours)
    assert text.endswith(b"\n# EOF\n")
    families = {f.name: f for f in read(text.decode())}
    assert families["eof"].samples[0].labels == {"a": "# EOF\n# EOF"}
    assert families["target"].samples[0].labels == {"a": "# EOF\n"}
    assert families["foreign"].documentation == "ends in # EOF"


class _Foreign:
    """A collector written for prometheus_client."""

    def collect(self) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        yield GaugeMetricFamily("foreign", "ends in # EOF", value=1)


def test_a_removed_childs_handle_leaves_no_exemplar() -> None:
    """Neither behind, nor for the series that is made anew with the same labels."""
    registry = CollectorRegistry()
    counter = Counter("c", "h", ["l"], registry=registry)
    histogram = Histogram("h", "h", ["l"], registry=registry)
    old, old_latency = counter.labels("x"), histogram.labels("x")
    old.inc(exemplar={"trace_id": "a"})
    counter.remove("x")
    histogram.clear()
    old.inc(exemplar={"trace_id": "b"})
    old_latency.observe(1, exemplar={"trace_id": "c"})
    new = counter.labels("x")
    new.inc()
    histogram.labels("x").observe(1)
    old.inc(exemplar={"trace_id": "d"})
    assert b"trace_id" not in generate_openmetrics(registry)
    new.inc(exemplar={"trace_id": "e"})
    assert generate_openmetrics(registry).count(b"trace_id") == 1
