"""ferrometer.testing: it finds what promtool finds, and what promtool cannot see."""

from __future__ import annotations

import asyncio
import subprocess
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ferrometer import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, generate_latest, instrument
from ferrometer.collectors import CollectError, Collector
from ferrometer.testing import (
    PedanticRegistry,
    collect,
    collect_async,
    examine,
    fresh,
    lint,
    reset,
    samples,
    value,
)
from tests.real.component import PROMTOOL

GOOD = """\
# HELP http_requests_total Requests
# TYPE http_requests_total counter
http_requests_total{method="GET"} 3
http_requests_total{method="PUT"} 1
# HELP disk_used_ratio Share
# TYPE disk_used_ratio gauge
disk_used_ratio 0.5
# HELP wait_seconds Waiting
# TYPE wait_seconds histogram
wait_seconds_bucket{le="1"} 1
wait_seconds_bucket{le="+Inf"} 2
wait_seconds_sum 3
wait_seconds_count 2
"""


def family(name: str, kind: str, sample: str | None = None, text: str = "Some") -> str:
    told = f"# HELP {name} {text}\n" if text else ""
    return f"{told}# TYPE {name} {kind}\n{sample or f'{name} 1'}\n"


# Our words, and a piece of promtool's for the same fault; None: promtool cannot see it.
FAULTS: dict[str, tuple[str, str, str | None]] = {
    "no help": (family("things", "gauge", text=""), "things: no help text", "no help text"),
    "no type": ("# HELP things Some\nthings 1\n", "things: no type", None),
    "counter without _total": (family("things", "counter"), "", 'should have "_total" suffix'),
    "gauge with _total": (
        family("things_total", "gauge"),
        'things_total: only a counter\'s name ends in "_total"',
        'non-counter metrics should not have "_total" suffix',
    ),
    "milliseconds": (
        family("wait_milliseconds", "gauge"),
        'wait_milliseconds: "seconds" is the base unit, not "milliseconds"',
        'use base unit "seconds" instead of "milliseconds"',
    ),
    "minutes": (
        family("wait_minutes", "gauge"),
        'wait_minutes: "seconds" is the base unit, not "minutes"',
        'use base unit "seconds" instead of "minutes"',
    ),
    "kilobytes": (
        family("heap_kilobytes", "gauge"),
        'heap_kilobytes: "bytes" is the base unit, not "kilobytes"',
        'use base unit "bytes" instead of "kilobytes"',
    ),
    "abbreviated": (
        family("wait_ms", "gauge"),
        'wait_ms: "ms" is an abbreviated unit',
        "metric names should not contain abbreviated units",
    ),
    "type in the name": (
        family("things_gauge", "gauge"),
        'things_gauge: the type "gauge" does not belong in the name',
        "metric name should not include type 'gauge'",
    ),
    "camel case": (
        family("httpRequests", "gauge"),
        "httpRequests: names are written in snake_case",
        "metric names should be written in 'snake_case' not 'camelCase'",
    ),
    "camel case in a label": (
        family("things", "gauge", 'things{statusCode="1"} 1'),
        'things: label "statusCode": names are written in snake_case',
        "label names should be written in 'snake_case' not 'camelCase'",
    ),
    "a recording rule's name": (
        family("job:things", "gauge"),
        'job:things: a name with ":" is a recording rule\'s',
        "metric names should not contain ':'",
    ),
    "_count of a gauge": (
        family("things_count", "gauge"),
        'things_count: "_count" is for histograms and summaries',
        'non-histogram and non-summary metrics should not have "_count" suffix',
    ),
    "le of a gauge": (
        family("things", "gauge", 'things{le="1"} 1'),
        'things: the label "le" is reserved',
        'non-histogram metrics should not have "le" label',
    ),
    "percent": (family("cpu_percent", "gauge"), 'cpu_percent: "ratio" is the base unit, not "percent"', None),
    "twice": (
        family("things", "gauge", 'things{a="1"} 1\nthings{a="1"} 2'),
        "things: the series ('things', ('a', '1')) is there twice",
        None,
    ),
    "labels that differ": (
        family("things", "gauge", 'things{a="1"} 1\nthings{b="1"} 2'),
        "things: its series differ in their label names: [('a',), ('b',)]",
        None,
    ),
    "a counter that is no number": (
        family("things_total", "counter", "things_total NaN"),
        "things: a counter at nan",
        None,
    ),
    "a ratio in percent": (
        family("used_ratio", "gauge", "used_ratio 55"),
        "used_ratio: a ratio at 55 is outside of 0..1",
        None,
    ),
}


def promtool(text: str) -> str:
    done = subprocess.run(
        [PROMTOOL.require(), "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    return done.stdout + done.stderr


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert lint(GOOD) == []
    assert lint(GOOD.encode()) == []
    assert promtool(GOOD) == ""


@pytest.mark.parametrize(("text", "ours", "theirs"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_found(text: str, ours: str, theirs: str | None) -> None:
    if ours:
        assert lint(text) == [ours]
    if theirs is not None:
        assert theirs in promtool(text)
    name = text.split()[2]
    if ours and "no help" not in ours and theirs is not None:
        assert lint(text, allow=[name]) == []


@pytest.mark.parametrize(
    "define",
    [
        lambda registry: Gauge("wait_ms", "h", registry=registry),
        lambda registry: Gauge("things", "", registry=registry),
        lambda registry: Counter("bits_sent", "h", registry=registry),
        lambda registry: Histogram("waitSeconds", "h", registry=registry),
        lambda registry: Gauge("things_by_kind", "h", ["kind"], registry=registry),
        lambda registry: Gauge("things", "h", ["Kind"], registry=registry),
    ],
)
def test_a_pedantic_registry_refuses_at_the_definition(define: object) -> None:
    with pytest.raises(ValueError, match=r"\w+: "):
        define(PedanticRegistry())  # type: ignore[operator]


def test_a_pedantic_registry_takes_everything_that_is_right() -> None:
    registry = PedanticRegistry(allow={"gpu_utilization_percent"})
    Counter("requests", "Requests", ["method"], registry=registry).labels("GET").inc()
    Counter("requests", "Requests", ["method"], registry=registry)  # a reload
    Gauge("gpu_utilization_percent", "A contract's name", ["gpu_id"], registry=registry).labels("0").set(50)
    Histogram("wait_seconds", "Waiting", registry=registry).observe(1)
    Info("build", "Build", registry=registry).info({"version": "1"})
    Enum("pump_state", "State", registry=registry, states=["on", "off"])
    assert lint(registry) == []
    assert lint(generate_latest(registry)) != []


def test_value_shows_what_there_is() -> None:
    registry = PedanticRegistry()
    Gauge("things", "h", ["kind"], registry=registry).labels("a").set(2)
    assert value(registry, "things", kind="a") == 2
    with pytest.raises(
        AssertionError, match=r"there is no things\{'kind': 'b'\}; there is things\{'kind': 'a'\}"
    ):
        value(registry, "things", kind="b")
    with pytest.raises(AssertionError, match="there is no other; there is things"):
        value(registry, "other")


class Works(Collector):
    name = "works"
    timeout = 0.2

    def __init__(self, registry: PedanticRegistry) -> None:
        self.things = Gauge("works_things", "Things", ["kind"], registry=registry)
        self.seen = Counter("works_seen", "Seen", registry=registry)

    def collect(self) -> None:
        self.things.labels("a").set(1)
        self.seen.inc()


class Async(Works):
    async def collect(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().collect()


class KeepsItsValues(Works):
    def clear(self) -> None:
        pass


class CountsBackwards(Works):
    def collect(self) -> None:
        super().collect()
        if self.seen._get() > 1:
            self.seen.reset()


class ShowsNothing(Works):
    def __init__(self, registry: PedanticRegistry) -> None:
        pass

    def collect(self) -> None:
        pass


class OnlyOnce(Works):
    runs_done = False

    def collect(self) -> None:
        if not self.things._metrics and self.runs_done:
            return
        self.runs_done = True
        super().collect()


class Lies(Works):
    def __init__(self, registry: PedanticRegistry) -> None:
        super().__init__(registry)
        self.ratio = Gauge("works_ratio", "Ratio", registry=registry)

    def collect(self) -> None:
        super().collect()
        self.ratio.set(7)


@pytest.mark.parametrize("kind", [Works, Async])
def test_a_collector_that_does_everything_right(kind: type[Works]) -> None:
    registry = PedanticRegistry()
    collector = examine(lambda: kind(registry), registry)
    assert collector.name == "works"
    assert samples(registry)["works_things", (("kind", "a"),)] == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (KeepsItsValues, r"works: clear\(\) leaves works_things\{'kind': 'a'\} at 1"),
        (CountsBackwards, r"works_seen_total\{\}: a counter that fell from 1 to 0"),
        (ShowsNothing, "works: no sample after 2 runs"),
        (OnlyOnce, r"works: not back after clear\(\): works_things"),
        (Lies, r"works_ratio: a ratio at 7 is outside of 0\.\.1"),
    ],
)
def test_a_collector_that_does_something_wrong(kind: type[Works], words: str) -> None:
    registry = PedanticRegistry()
    with pytest.raises(AssertionError, match=words):
        examine(lambda: kind(registry), registry)


def test_a_run_raises_what_the_collector_raises() -> None:
    class Fails(Works):
        def collect(self) -> None:
            raise CollectError("refused", reason="refused")

    class Sleeps(Works):
        def collect(self) -> None:
            time.sleep(1)

    with pytest.raises(CollectError, match="refused"):
        collect(Fails(PedanticRegistry()))
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"collector 'works': no answer within 0\.2 s"):
        collect(Sleeps(PedanticRegistry()))
    assert time.monotonic() - began < 0.9


def test_a_run_on_a_running_loop() -> None:
    registry = PedanticRegistry()
    asyncio.run(collect_async(Works(registry)))
    assert value(registry, "works_seen_total") == 1


def test_reset_sets_back_what_was_counted_and_keeps_the_objects(registry: CollectorRegistry) -> None:
    counter = Counter("served", "Served", ["route"], registry=registry)
    child = counter.labels("/a")
    child.inc(5, exemplar={"trace_id": "abc"})
    gauge = Gauge("depth", "Depth", registry=registry)
    gauge.set(3)
    computed = Gauge("computed", "Computed", registry=registry)
    computed.set_function(lambda: 7)
    histogram = Histogram("wait_seconds", "Wait", registry=registry)
    histogram.observe(0.2)
    Info("build", "Build", registry=registry).info({"version": "1"})
    Enum("state", "State", states=["up", "down"], registry=registry).state("down")

    app = Starlette(routes=[Route("/a", lambda request: PlainTextResponse("a"))])
    instrument(app, registry=registry, default_collectors=False)
    with TestClient(app) as client:
        client.get("/a")
        reset(registry)
        assert value(registry, "served_total", route="/a") == value(registry, "depth") == 0
        assert value(registry, "wait_seconds_count") == value(registry, "wait_seconds_bucket", le="+Inf") == 0
        assert value(registry, "http_requests_total", endpoint="/a", method="GET", status="200") == 0
        assert value(registry, "computed") == 7
        assert value(registry, "build_info", version="1") == value(registry, "state", state="down") == 1
        child.inc()
        histogram.observe(0.2)
        client.get("/a")
        client.get("/a")
    assert value(registry, "served_total", route="/a") == value(registry, "wait_seconds_count") == 1
    assert value(registry, "http_requests_total", endpoint="/a", method="GET", status="200") == 2
    assert histogram.quantile(0.5) == pytest.approx(0.2, rel=0.005)


def test_fresh_tells_what_a_block_adds(registry: CollectorRegistry) -> None:
    counter = Counter("served", "Served", ["route"], registry=registry)
    counter.labels("/a").inc(5)
    with fresh(registry) as added:
        counter.labels("/a").inc(2)
        counter.labels("/b").inc()
    assert added == {("served_total", (("route", "/a"),)): 2, ("served_total", (("route", "/b"),)): 1}
    assert value(registry, "served_total", route="/a") == 7


def test_value_offers_near_names(registry: CollectorRegistry) -> None:
    Counter("orders_taken", "Orders", registry=registry)
    Counter("zebras", "Zebras", registry=registry)
    with pytest.raises(
        AssertionError, match=r"^there is no orders_token_total; there is orders_taken_total, "
    ):
        value(registry, "orders_token_total")
