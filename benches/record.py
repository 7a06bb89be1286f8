"""Recording one event: `counter.inc()`, `family.labels(a, b, c).inc()`, `histogram.observe(x)`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from string import Template
from typing import Any

from benches.floor import noop
from benches.loop import UNROLL, Stream, blank, generate, pack
from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from ferrometer.bench import answers
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave

EMPTY = "empty loop"
SINGLE_NOOP = "no-op inc()"
ROUNDS = 240
# A sample: long against the clock, short against the slices in which a busy machine runs other programs, so
# that most samples are whole and the median is one of those.
SECONDS = 0.0004
STEP = 10 * UNROLL
LABELS = ("method", "path", "status")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
DRIVERS = {OURS: "ferrometer", "prometheus_client": "prometheus_client"}


# counter.inc() --------------------------------------------------------------------------------------------


def inc_subjects() -> list[Subject]:
    """`counter.inc()`: the floor, ours, the peers, and the floor twice as a control."""
    floor = {"counter": noop()}
    subjects = [
        _plain(EMPTY, "pass", {}),
        _plain(FLOOR, "counter.inc()", floor),
        _plain(CONTROL, "counter.inc(); counter.inc()", floor),
    ]
    for name, module in DRIVERS.items():
        if library := peer(module):
            registry = library.CollectorRegistry()
            counter = library.Counter("events_total", "Events.", registry=registry)
            read = partial(_read, library, registry, "events_total")
            subjects.append(_plain(name, "counter.inc()", {"counter": counter}, answers.equals(read, name)))
    if peer("pytheus"):
        counter = _pytheus("Counter", "events")
        subjects.append(
            _plain(
                "pytheus",
                "counter.inc()",
                {"counter": counter},
                answers.equals(partial(_value, counter), "pytheus"),
            )
        )
    if meter := _otel():
        counter, reader = meter[0].create_counter("events"), meter[1]
        check = answers.equals(partial(_otel_sum, reader, "value"), "opentelemetry")
        subjects.append(_plain("opentelemetry", "counter.add(1)", {"counter": counter}, check))
    return subjects


# family.labels(a, b, c).inc() -----------------------------------------------------------------------------


def labels_subjects(children: int, *, fresh: bool = False, literal: bool = False) -> list[Subject]:
    """`family.labels(a, b, c).inc()` over so many children, in random order.

    `literal` names the label values in the code itself. `fresh` decodes every string just before the call,
    as a server does with what comes from a socket, so that neither identity nor a cached hash helps; the
    decoding is part of the empty loop, which is subtracted.
    """
    source = _Literals() if literal else _Rotation(children, fresh=fresh)
    call = "family.labels($a, $b, $c).inc()"
    pytheus = "family.labels({'method': $a, 'path': $b, 'status': $c}).inc()"
    otel = "family.add(1, {'method': $a, 'path': $b, 'status': $c})"
    floor = {"family": noop()}
    subjects = [
        source.subject(EMPTY, source.idle, {}),
        source.subject(SINGLE_NOOP, f"{source.idle}; family.inc()", floor),
        source.subject(FLOOR, call, floor),
        source.subject(CONTROL, f"{call}; {call}", floor),
    ]
    for name, module in DRIVERS.items():
        if library := peer(module):
            registry = library.CollectorRegistry()
            family = library.Counter("requests_total", "Requests.", LABELS, registry=registry)
            check = _children(partial(_scrape, library, registry), name, children)
            subjects.append(source.subject(name, call, {"family": family}, check))
    if peer("pytheus"):
        family = _pytheus("Counter", "requests", LABELS)
        check = answers.equals(partial(_family_value, family), "pytheus")
        subjects.append(source.subject("pytheus", pytheus, {"family": family}, check))
    if meter := _otel():
        family, reader = meter[0].create_counter("requests"), meter[1]
        check = answers.equals(partial(_otel_sum, reader, "value"), "opentelemetry")
        subjects.append(source.subject("opentelemetry", otel, {"family": family}, check))
    return subjects


class _Literals:
    """One child, its label values written in the code."""

    idle = "pass"

    def subject(
        self,
        name: str,
        statement: str,
        names: dict[str, Any],
        check: Callable[[int], None] = lambda done: None,
    ) -> Subject:
        code = Template(statement).substitute(a="'GET'", b="'/v1/chat/completions'", c="'200'")
        return _plain(name, code, names, check)


class _Rotation:
    """Children in random order, each as often as the others."""

    def __init__(self, children: int, *, fresh: bool) -> None:
        values = [("GET", f"/v1/models/{i}/infer", "200") for i in range(children)]
        random.Random(11).shuffle(values)
        values *= UNROLL if children % UNROLL else 1
        self.made = len(values)
        self.fresh = fresh
        self.idle = "$a; $b; $c" if fresh else "pass"
        self.rows = pack([tuple(v.encode() for v in value) if fresh else value for value in values])

    def subject(
        self,
        name: str,
        statement: str,
        names: dict[str, Any],
        check: Callable[[int], None] = lambda done: None,
    ) -> Subject:
        if self.fresh:
            statement = Template(statement).substitute({name: f"${name}.decode()" for name in "abc"})
        inner = generate(statement, names, rotate=("a", "b", "c"))
        inner(self.rows)  # every child once, so that no timed call makes one
        stream = Stream(self.rows)
        return Subject(name, lambda n: inner(stream.take(n)), lambda n: check(n + self.made), step=STEP)


# histogram.observe(x) -------------------------------------------------------------------------------------


def latencies(count: int = 8000, *, median: float = 0.02, sigma: float = 0.8) -> list[float]:
    """Log-normal request durations in seconds: p50 20 ms, p99 about 130 ms, as a busy service has them."""
    chance = random.Random(5)
    return [median * chance.lognormvariate(0.0, sigma) for _ in range(count)]


def observe_subjects() -> list[Subject]:
    """`histogram.observe(x)` with the default buckets and realistic values."""
    values = latencies()
    rows = pack([(value,) for value in values])
    floor = {"histogram": noop()}
    call = "histogram.observe($x)"

    def subject(
        name: str,
        statement: str,
        names: dict[str, Any],
        check: Callable[[int], None] = lambda done: None,
    ) -> Subject:
        inner, stream = generate(statement, names, rotate=("x",)), Stream(rows)
        return Subject(name, lambda n: inner(stream.take(n)), check, step=STEP)

    subjects = [
        subject(EMPTY, "pass", {}),
        subject(FLOOR, call, floor),
        subject(CONTROL, f"{call}; {call}", floor),
    ]
    for name, module in DRIVERS.items():
        if library := peer(module):
            registry = library.CollectorRegistry()
            histogram = library.Histogram("latency_seconds", "Latency.", registry=registry, buckets=BUCKETS)
            check = _buckets(partial(_scrape, library, registry), values, name)
            subjects.append(subject(name, call, {"histogram": histogram}, check))
    if peer("pytheus"):
        histogram = _pytheus("Histogram", "latency_seconds", buckets=BUCKETS)
        count = answers.equals(histogram._count.get, "pytheus")
        subjects.append(subject("pytheus", call, {"histogram": histogram}, count))
    if meter := _otel():
        histogram, reader = meter[0].create_histogram("latency"), meter[1]
        count = answers.equals(partial(_otel_sum, reader, "count"), "opentelemetry")
        subjects.append(subject("opentelemetry", "histogram.record($x)", {"histogram": histogram}, count))
    return subjects


def _buckets(scrape: Callable[[], bytes], values: Sequence[float], name: str) -> Callable[[int], None]:
    """Every `le`, the count and the sum are what the values themselves say."""

    def check(done: int) -> None:
        passes, rest = divmod(done, len(values))
        samples = answers.exposed(scrape())
        for bound in BUCKETS:
            below = [value <= bound for value in values]
            at_most = passes * sum(below) + sum(below[:rest])
            said = samples["latency_seconds_bucket", (("le", str(bound)),)]
            assert said == at_most, f"{name}: le={bound} says {said}, the values say {at_most}"
        assert samples["latency_seconds_count", ()] == done
        true_sum = passes * sum(values) + sum(values[:rest])
        assert abs(samples["latency_seconds_sum", ()] - true_sum) <= 1e-9 * true_sum

    return check


# Helpers --------------------------------------------------------------------------------------------------


def _plain(
    name: str, statement: str, names: dict[str, Any], check: Callable[[int], None] = lambda done: None
) -> Subject:
    inner = generate(statement, names)
    return Subject(name, lambda operations: inner(blank(operations)), check, step=STEP)


def _scrape(library: Any, registry: Any) -> bytes:
    text: bytes = library.generate_latest(registry)
    return text


def _read(library: Any, registry: Any, name: str) -> float:
    return answers.total(_scrape(library, registry), name)


def _children(scrape: Callable[[], bytes], name: str, children: int) -> Callable[[int], None]:
    """The children took turns, and together they counted everything."""

    def check(done: int) -> None:
        counts = [v for (sample, _), v in answers.exposed(scrape()).items() if sample == "requests_total"]
        assert len(counts) == children, f"{name}: {len(counts)} children instead of {children}"
        assert sum(counts) == done, f"{name}: {done} events, but it says {sum(counts)}"
        assert max(counts) - min(counts) <= 1, f"{name}: uneven counts, {min(counts)} to {max(counts)}"

    return check


def _pytheus(kind: str, name: str, labels: Sequence[str] = (), **more: Any) -> Any:
    metrics = peer("pytheus.metrics")
    kind_of_metric = getattr(metrics, kind)
    return kind_of_metric(name, "A benchmark's.", required_labels=list(labels) or None, registry=None, **more)


def _value(metric: Any) -> float:
    return float(metric._metric_value_backend.get())


def _family_value(family: Any) -> float:
    return sum(_value(child) for child in family._collector._labeled_metrics.values())


def _otel_sum(reader: Any, attribute: str) -> float:
    return float(sum(getattr(point, attribute) for point in answers.otel_points(reader)))


def _otel() -> tuple[Any, Any] | None:
    """An OpenTelemetry meter and the in-memory reader behind it."""
    metrics, export = peer("opentelemetry.sdk.metrics"), peer("opentelemetry.sdk.metrics.export")
    if metrics is None or export is None:
        return None
    reader = export.InMemoryMetricReader()
    return metrics.MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("benches"), reader


# Rows -----------------------------------------------------------------------------------------------------


def _row(
    key: str, title: str, subjects: Callable[[], list[Subject]], aims: Sequence[Aim] = (), note: str = ""
) -> Row:
    def measure(effort: Effort) -> Samples:
        return interleave(
            subjects,
            rounds=effort.rounds(ROUNDS),
            seconds=effort.seconds(SECONDS),
            title=title,
            builds=effort.rounds(6, 1),
        )

    return Row(key, title, "ns", measure, tuple(aims), baseline=EMPTY, faster_than_control=FLOOR, note=note)


ROWS = (
    _row(
        "inc",
        "counter.inc()",
        inc_subjects,
        [Aim(OURS, FLOOR, at_most=1.3), Aim("prometheus_client", OURS, at_least=20)],
    ),
    _row(
        "labels",
        "labels(a, b, c).inc()",
        partial(labels_subjects, 1, literal=True),
        [Aim(OURS, SINGLE_NOOP, at_most=4), Aim("prometheus_client", OURS, at_least=25)],
        note="floor: a no-op labels() and a no-op inc(); the aim is against a single no-op call",
    ),
    _row("labels_100", "  100 children in turn", partial(labels_subjects, 100)),
    _row("labels_5000", "  5 000 children in turn", partial(labels_subjects, 5000)),
    _row("labels_fresh", "  1 child, strings just decoded", partial(labels_subjects, 1, fresh=True)),
    _row("labels_5000_fresh", "  5 000 children, just decoded", partial(labels_subjects, 5000, fresh=True)),
    _row(
        "observe",
        "histogram.observe(x)",
        observe_subjects,
        [Aim(OURS, FLOOR, at_most=1.6), Aim("prometheus_client", OURS, at_least=30)],
        note="log-normal values, p50 20 ms, p99 130 ms; 14 buckets",
    ),
)
