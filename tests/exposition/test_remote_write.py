"""Remote write: what is sent, decoded by the protobuf package, and what happens when it is not taken."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import cramjam
import pytest
from prometheus_client.core import GaugeMetricFamily

from ferrometer import CollectorRegistry, Counter, Gauge, Histogram
from ferrometer.export.remote_write import RemoteWrite
from tests.exposition.metric_families import message_class

WriteRequest = message_class(
    "prometheus",
    {
        "Label": "1 string name, 2 string value",
        "Sample": "1 double value, 2 int64 timestamp",
        "Exemplar": "1 Label* labels, 2 double value, 3 int64 timestamp",
        "BucketSpan": "1 sint32 offset, 2 uint32 length",
        "Histogram": (
            "1 uint64 count_int, 3 double sum, 4 sint32 schema, 5 double zero_threshold,"
            " 6 uint64 zero_count_int, 11 BucketSpan* positive_spans, 12 sint64* positive_deltas,"
            " 15 int64 timestamp"
        ),
        "TimeSeries": "1 Label* labels, 2 Sample* samples, 3 Exemplar* exemplars, 4 Histogram* histograms",
        "WriteRequest": "1 TimeSeries* timeseries",
    },
    "WriteRequest",
)


class Receiver:
    """A receiver in this process that answers as it is told, the last status for ever."""

    def __init__(self) -> None:
        self.statuses: list[int] = [204]
        self.retry_after = ""
        self.requests: list[tuple[float, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((time.monotonic(), headers, body))
                status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
                if status == 0:  # hang up without a word
                    self.close_connection = True
                    return
                self.send_response(status)
                if receiver.retry_after:
                    self.send_header("Retry-After", receiver.retry_after)
                if status == 302:
                    self.send_header("Location", receiver.url)
                self.end_headers()

            do_GET = do_POST  # noqa: N815  # what the server calls it

            def log_message(self, *_: object) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/write"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def series(self) -> Iterator[tuple[dict[str, str], Any]]:
        """Labels and contents of every series that arrived."""
        for _, _, body in self.requests:
            message = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
            for series in message.timeseries:
                labels = [(label.name, label.value) for label in series.labels]
                assert labels == sorted(labels), "receivers want them in order"
                yield dict(labels), series

    def samples(self) -> dict[tuple[tuple[str, str], ...], tuple[float, int]]:
        """Value and time of each series that arrived, the latest of it."""
        found = {}
        for labels, series in self.series():
            [sample] = series.samples
            found[tuple(labels.items())] = (sample.value, sample.timestamp)
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("tokens", "Tokens", ["model"], registry=registry).labels('say "hi"\n').inc(3)
    return registry


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count(registry: CollectorRegistry, what: str, **labels: str) -> float:
    """The sum over the receivers of a counter of its own."""
    return sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"ferrometer_remote_write_{what}" and labels.items() <= sample.labels.items()
    )


def test_every_sample_arrives_with_its_labels_and_time(
    receiver: Receiver, registry: CollectorRegistry
) -> None:
    Histogram("latency", "Latency", registry=registry, buckets=(1, 2)).observe(1.5)
    Gauge("odd", "Odd", ["job", "empty"], registry=registry).labels("own", "").set(math.inf)
    timed = GaugeMetricFamily("timed", "Long ago", labels=[])
    timed.add_metric([], -2.5, timestamp=1_600_000_000)
    registry.register(type("Foreign", (), {"collect": lambda self: [timed], "describe": lambda self: []})())
    began = time.time() * 1000
    sender = RemoteWrite(receiver.url, registry=registry, labels={"job": "tests", "a": "b"}, interval=60)
    with sender:
        wait_until(lambda: bool(receiver.requests))
    found = receiver.samples()

    def at(name: str, **labels: str) -> tuple[float, int]:
        return found[tuple(sorted({"__name__": name, "a": "b", "job": "tests", **labels}.items()))]

    assert at("tokens_total", model='say "hi"\n')[0] == 3
    assert began - 1 <= at("tokens_total", model='say "hi"\n')[1] <= time.time() * 1000
    assert [at("latency_bucket", le=le)[0] for le in ("1.0", "2.0", "+Inf")] == [0, 1, 1]
    assert at("latency_sum")[0] == 1.5
    assert at("odd", job="own")[0] == math.inf
    assert at("timed") == (-2.5, 1_600_000_000_000)
    headers = receiver.requests[0][1]
    assert headers["content-encoding"] == "snappy"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["x-prometheus-remote-write-version"] == "0.1.0"


@pytest.mark.parametrize("status", [500, 503, 429, 0])
def test_what_is_not_taken_now_is_sent_again(
    receiver: Receiver, registry: CollectorRegistry, status: int
) -> None:
    receiver.statuses = [status, status, status, 204]
    sender = RemoteWrite(receiver.url, registry=registry, interval=60).start()
    wait_until(lambda: len(receiver.requests) == 4)
    wait_until(lambda: count(registry, "samples_total") > 0)
    bodies = {body for _, _, body in receiver.requests}
    assert len(bodies) == 1
    # Ever more patiently: 50 to 100 ms, then twice that, and again.
    times = [moment for moment, _, _ in receiver.requests]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap >= least for gap, least in zip(gaps, (0.05, 0.1, 0.2), strict=True))
    assert count(registry, "retries_total") == 3
    assert count(registry, "dropped_samples_total") == 0
    sender.stop()


def test_retry_after_is_heeded(receiver: Receiver, registry: CollectorRegistry) -> None:
    receiver.statuses, receiver.retry_after = [429, 204], "1"
    with RemoteWrite(receiver.url, registry=registry, interval=60):
        wait_until(lambda: len(receiver.requests) == 2)
    (first, _, _), (second, _, _) = receiver.requests[:2]
    assert second - first >= 1


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_what_is_refused_is_dropped_and_counted(
    receiver: Receiver, registry: CollectorRegistry, status: int
) -> None:
    receiver.statuses = [status]
    sender = RemoteWrite(receiver.url, registry=registry, interval=60).start()
    wait_until(lambda: count(registry, "dropped_samples_total", reason="refused") > 0)
    assert len(receiver.requests) == 1
    assert count(registry, "samples_total") == count(registry, "retries_total") == 0
    receiver.statuses = [204]
    sender.stop()


def test_the_queue_is_bounded_and_the_oldest_goes(receiver: Receiver, registry: CollectorRegistry) -> None:
    numbers = Gauge("number", "Which push", registry=registry)
    sender = RemoteWrite(receiver.url, registry=registry, queue=3)
    for number in range(10):
        numbers.set(number)
        sender.push()
    assert count(registry, "queue_requests") == 3
    dropped = count(registry, "dropped_samples_total", reason="queue_full")
    assert dropped >= 7 * 3
    sender.stop()  # never started: what waits is given up, and said so
    assert count(registry, "dropped_samples_total", reason="stopped") > 0
    assert count(registry, "queue_requests") == 0


def test_many_samples_are_several_requests(receiver: Receiver) -> None:
    registry = CollectorRegistry()
    family = Gauge("g", "G", ["i"], registry=registry)
    for i in range(250):
        family.labels(i).set(i)
    with RemoteWrite(receiver.url, registry=registry, interval=60, batch=100):
        wait_until(lambda: len(receiver.requests) >= 3)
    found = {dict(key).get("i"): value for key, (value, _) in receiver.samples().items()}
    assert all(found[str(i)] == i for i in range(250))


def test_the_end_is_in_time_and_sends_the_last_numbers(
    receiver: Receiver, registry: CollectorRegistry
) -> None:
    late = Counter("late", "Counted at the end", registry=registry)
    with RemoteWrite(receiver.url, registry=registry, interval=3600):
        wait_until(lambda: bool(receiver.requests))
        late.inc(7)
    assert receiver.samples()[(("__name__", "late_total"),)][0] == 7
    receiver.statuses = [503]
    sender = RemoteWrite(receiver.url, registry=registry, interval=3600).start()
    began = time.monotonic()
    sender.stop(timeout=0.5)
    assert time.monotonic() - began < 5
    wait_until(lambda: count(registry, "dropped_samples_total", reason="stopped") > 0)


def test_it_can_be_started_again(receiver: Receiver, registry: CollectorRegistry) -> None:
    sender = RemoteWrite(receiver.url, registry=registry, interval=60)
    for _ in range(2):
        before = len(receiver.requests)
        assert sender.start() is sender.start()
        wait_until(lambda before=before: len(receiver.requests) > before)  # type: ignore[misc]
        sender.stop()


@pytest.mark.parametrize(
    ("auth", "header"), [("secret", "Bearer secret"), (("me", "secret"), "Basic bWU6c2VjcmV0")]
)
def test_credentials_and_headers(
    receiver: Receiver, registry: CollectorRegistry, auth: Any, header: str
) -> None:
    with RemoteWrite(receiver.url, registry=registry, auth=auth, headers={"X-Scope-OrgID": "7"}):
        wait_until(lambda: bool(receiver.requests))
    assert receiver.requests[0][1]["authorization"] == header
    assert receiver.requests[0][1]["x-scope-orgid"] == "7"


def test_a_password_in_the_url_is_told_to_nobody(registry: CollectorRegistry) -> None:
    sender = RemoteWrite("http://me:secret@127.0.0.1:9/write", registry=registry)
    sender.push()
    sender.stop()
    from ferrometer import generate_latest

    assert b"secret" not in generate_latest(registry)


@pytest.mark.parametrize(
    ("url", "options", "complaint"),
    [
        ("prometheus:9090", {}, "url must be one like"),
        ("ftp://prometheus/write", {}, "url must be one like"),
        ("http://", {}, "url must be one like"),
        ("http://a", {"interval": 0}, "interval must be positive, not 0"),
        ("http://a", {"timeout": float("nan")}, "timeout must be positive, not nan"),
        ("http://a", {"queue": 0}, "queue must be positive"),
        ("http://a", {"batch": -1}, "batch must be positive"),
    ],
)
def test_what_cannot_work_is_refused(url: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RemoteWrite(url, registry=CollectorRegistry(), **options)


def test_exemplars_and_native_histograms_arrive_when_asked_for(
    receiver: Receiver, registry: CollectorRegistry
) -> None:
    began = time.time() * 1000
    Counter("jobs", "Jobs", ["queue"], registry=registry).labels("a").inc(exemplar={"trace_id": "c"})
    latency = Histogram("latency", "Latency", ["path"], registry=registry, buckets=(1, 2.5))
    latency.labels("/").observe(1.5, exemplar={"trace_id": "x", "span_id": "y"})
    for value in (0, 1.5, 3, 700):
        latency.labels("/").observe(value, exemplar={"trace_id": "z"} if value > 100 else None)
    sender = RemoteWrite(
        receiver.url,
        registry=registry,
        labels={"job": "j"},
        interval=60,
        batch=2,
        exemplars=True,
        native_histograms=True,
    )
    with sender:
        wait_until(lambda: count(registry, "samples_total") > 10)
    sizes = [
        len(WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(b))).timeseries)
        for *_, b in receiver.requests
    ]
    assert max(sizes) == 2
    exemplars = {
        (labels["__name__"], labels.get("le")): {label.name: label.value for label in exemplar.labels}
        | {"": exemplar.value}
        for labels, series in receiver.series()
        for exemplar in series.exemplars
        if began - 1 <= exemplar.timestamp <= time.time() * 1000 and labels["job"] == "j"
    }
    assert exemplars == {
        ("jobs_total", None): {"trace_id": "c", "": 1},
        ("latency_bucket", "2.5"): {"trace_id": "x", "span_id": "y", "": 1.5},
        ("latency_bucket", "+Inf"): {"trace_id": "z", "": 700},
    }
    native = next(
        series.histograms[0] for labels, series in receiver.series() if labels["__name__"] == "latency"
    )
    assert (native.count_int, native.sum, native.schema, native.zero_count_int) == (5, 706, 7, 1)
    assert began - 1 <= native.timestamp <= time.time() * 1000
    counts, bounds, index, value = [], [], 0, 0
    deltas = iter(native.positive_deltas)
    for span in native.positive_spans:
        index += span.offset
        for _ in range(span.length):
            value += next(deltas)
            counts.append(value)
            bounds.append(2 ** (index / 128))
            index += 1
    assert counts == [2, 1, 1]
    assert all(0.99 * bound <= known <= bound for bound, known in zip(bounds, (1.5, 3, 700), strict=True))


def test_neither_is_sent_unasked(receiver: Receiver, registry: CollectorRegistry) -> None:
    Histogram("latency", "Latency", registry=registry).observe(1.5, exemplar={"trace_id": "x"})
    with RemoteWrite(receiver.url, registry=registry, interval=60):
        wait_until(lambda: bool(receiver.requests))
    assert all(len(series.samples) == 1 for _, series in receiver.series())
    assert not any(series.exemplars or series.histograms for _, series in receiver.series())


@pytest.mark.parametrize("wanted", ["exemplars", "native_histograms"])
def test_each_may_be_sent_alone(receiver: Receiver, registry: CollectorRegistry, wanted: str) -> None:
    Histogram("latency", "Latency", registry=registry).observe(1.5, exemplar={"trace_id": "x"})
    sender = RemoteWrite(
        receiver.url,
        registry=registry,
        interval=60,
        exemplars=wanted == "exemplars",
        native_histograms=wanted == "native_histograms",
    )
    with sender:
        wait_until(lambda: len(receiver.requests) > 1)
    found = [series for _, series in receiver.series() if not series.samples]
    assert {(bool(series.exemplars), bool(series.histograms)) for series in found} == {
        (wanted == "exemplars", wanted == "native_histograms")
    }
