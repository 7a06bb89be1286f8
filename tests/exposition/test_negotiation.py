"""Which format a scraper gets, and that every one of them is filtered, compressed and answered alike."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily

import ferrometer
from ferrometer import CollectorRegistry
from ferrometer.endpoints import observability_app
from ferrometer.exposition import CONTENT_TYPE_OPENMETRICS as OPEN
from ferrometer.exposition import CONTENT_TYPE_PLAIN_0_0_4 as TEXT
from ferrometer.exposition import CONTENT_TYPE_PROTOBUF as PROTOBUF
from ferrometer.exposition import choose_encoder, generate_latest, generate_openmetrics, generate_protobuf
from tests.endpoints.client import calling
from tests.exposition.metric_families import decoded

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


_PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
#: What the servers really send, by version and features.
PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_42_NATIVE = (
    f"{_PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_NATIVE = (
    f"{_PROTOBUF};escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
OLD_PROMETHEUS = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

#: Who names the version is told how names are escaped, as prometheus_client tells.
ESCAPED = f"{OPEN}; escaping=underscores"

TABLE = [
    (None, TEXT),
    ("", TEXT),
    (PROMETHEUS_2_42, ESCAPED),
    (PROMETHEUS_2_42_NATIVE, PROTOBUF),
    (PROMETHEUS_3, f"{OPEN}; escaping=allow-utf-8"),
    (PROMETHEUS_3_NATIVE, PROTOBUF),
    (OLD_PROMETHEUS, PROTOBUF),
    (BROWSER, TEXT),
    ("*/*", TEXT),
    ("text/*", TEXT),
    ("text/plain", TEXT),
    ("application/openmetrics-text", OPEN),
    (" APPLICATION/OpenMetrics-Text ; Version=1.0.0 ", ESCAPED),
    # The quality decides, and among equals the order.
    ("text/plain;q=0.4,application/openmetrics-text;q=0.5", OPEN),
    ("text/plain;q=0.5,application/openmetrics-text;q=0.4", TEXT),
    ("application/openmetrics-text;q=0.5,text/plain;q=0.5", OPEN),
    ("text/plain;q=0.5,application/openmetrics-text;q=0.5", TEXT),
    ("text/plain; q=0.001, application/openmetrics-text; q=0", TEXT),
    (f"{_PROTOBUF};q=0,application/openmetrics-text;q=0.1", OPEN),
    # What we do not speak is passed over, and text is the answer to all who ask for nothing else.
    ("application/json", TEXT),
    ("application/openmetrics-text;version=2.0.0", TEXT),
    ("application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.1", ESCAPED),
    ("application/vnd.google.protobuf", TEXT),
    (_PROTOBUF.replace("delimited", "text"), TEXT),
    (_PROTOBUF.replace("delimited", "compact-text") + ",application/openmetrics-text;q=0.1", OPEN),
    (_PROTOBUF.replace("MetricFamily", "Other"), TEXT),
    # Nonsense.
    (",,;;,=,", TEXT),
    ("application/openmetrics-text;q=", TEXT),
    ("application/openmetrics-text;q=high", TEXT),
    ("application/openmetrics-text;q=nan", TEXT),
    ("application/openmetrics-text;q=inf", TEXT),
    ("application/openmetrics-text;q=-1", TEXT),
    ("application/openmetrics-text;q=7,text/plain;q=0.1", TEXT),
    ("application/openmetrics-text;q", OPEN),
    ("application/openmetrics-text" + ";x=y" * 5000, OPEN),
    ("\x00\xff", TEXT),
]


@pytest.mark.parametrize(("accept", "media_type"), TABLE)
def test_the_scraper_chooses(accept: str | None, media_type: str) -> None:
    encode, chosen = choose_encoder(accept)
    assert chosen == media_type
    registry = CollectorRegistry()
    ferrometer.Gauge("g", "h", registry=registry)
    encoders: dict[str, Any] = {
        TEXT: generate_latest,
        OPEN: generate_openmetrics,
        PROTOBUF: generate_protobuf,  # which has no histogram here
    }
    assert encode(registry) == encoders[media_type.split("; escaping=")[0]](registry)


ACCEPTS = {TEXT: "text/plain", OPEN: "application/openmetrics-text", PROTOBUF: _PROTOBUF}


class Foreign:
    """A collector written for prometheus_client."""

    def describe(self) -> list[Any]:
        return [GaugeMetricFamily("foreign", "One"), GaugeMetricFamily("other", "Two")]

    def collect(self) -> list[Any]:
        return [GaugeMetricFamily("foreign", "One", value=1), GaugeMetricFamily("other", "Two", value=2)]


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry(target_info={"version": "1"})
    ferrometer.Counter("tokens", "Tokens", registry=registry).inc(3)
    ferrometer.Histogram("latency", "Latency", registry=registry).observe(0.2)
    registry.register(Foreign())
    return registry


async def get(registry: CollectorRegistry, method: str = "GET", query: str = "", **headers: str) -> Any:
    async with calling(observability_app(registry=registry)) as client:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, f"/metrics{query}", headers=sent)


def families(media_type: str, body: bytes) -> set[str]:
    """The names of the families in an answer, without what its type adds to them, nor the server's own."""
    if media_type == PROTOBUF:
        names = set(decoded(body))
    else:
        lines = body.decode().splitlines()
        names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    names = {name.removesuffix("_total").removesuffix("_info") for name in names}
    return {name for name in names if name in ("tokens", "latency", "foreign", "other", "target")}


@pytest.mark.parametrize("media_type", ACCEPTS)
async def test_every_format_is_served(registry: CollectorRegistry, media_type: str) -> None:
    answer = await get(registry, accept=ACCEPTS[media_type])
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert families(media_type, answer.content) == {"tokens", "latency", "foreign", "other", "target"}


@pytest.mark.parametrize("media_type", ACCEPTS)
async def test_names_filter_every_format(registry: CollectorRegistry, media_type: str) -> None:
    for names, expected in [
        (["tokens_total"], {"tokens"}),
        (["latency_count", "foreign"], {"latency", "foreign"}),
        (["target_info"], {"target"}),
        (["nothing"], set()),
    ]:
        query = "?" + "&".join(f"name[]={name}" for name in names)
        answer = await get(registry, query=query, accept=ACCEPTS[media_type])
        assert answer.headers["content-type"] == media_type
        assert families(media_type, answer.content) == expected, names


async def test_protobuf_keeps_native_histograms_whole_when_filtered(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERROMETER_ENDPOINTS_NATIVE_HISTOGRAMS", "true")
    answer = await get(registry, query="?name[]=latency_sum", accept=_PROTOBUF)
    [metric] = decoded(answer.content)["latency"].metric
    assert (metric.histogram.sample_count, metric.histogram.schema) == (1, 7)


@pytest.mark.parametrize("media_type", ACCEPTS)
async def test_gzip_when_asked(registry: CollectorRegistry, media_type: str) -> None:
    accept = ACCEPTS[media_type]
    for coding, zipped in [
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("", False),
    ]:
        async with calling(observability_app(registry=registry)) as client:
            request = client.build_request(
                "GET", "/metrics", headers={"accept": accept, "accept-encoding": coding}
            )
            answer = await client.send(request, stream=True)
            body = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers.get("content-encoding") == ("gzip" if zipped else None), coding
        plain = gzip.decompress(body) if zipped else body
        assert families(media_type, plain) == {"tokens", "latency", "foreign", "other", "target"}


@pytest.mark.parametrize("media_type", ACCEPTS)
async def test_head_says_what_get_would(registry: CollectorRegistry, media_type: str) -> None:
    accept = ACCEPTS[media_type]
    whole = await get(registry, query="?name[]=tokens_total", accept=accept)
    head = await get(registry, "HEAD", query="?name[]=tokens_total", accept=accept)
    assert head.content == b""
    for name in ("content-type", "content-length", "vary"):
        assert head.headers[name] == whole.headers[name]


async def test_a_foreign_registry_is_told_in_every_format() -> None:
    """As when prometheus_client's registry is served by our encoders."""
    import prometheus_client

    theirs = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("tokens", "Tokens", registry=theirs).inc(3)
    prometheus_client.Histogram("latency", "Latency", registry=theirs, buckets=(1, 2)).observe(1.5)
    for media_type, accept in ACCEPTS.items():
        encode, _ = choose_encoder(accept)
        assert families(media_type, encode(theirs)) == {"tokens", "latency"}
    [metric] = decoded(choose_encoder(_PROTOBUF)[0](theirs))["latency"].metric
    assert [b.cumulative_count for b in metric.histogram.bucket] == [0, 1, 1]


@pytest.mark.parametrize("native", [False, True])
def test_native_histograms_only_where_asked_for(native: bool) -> None:
    registry = CollectorRegistry()
    ferrometer.Histogram("h", "h", registry=registry).observe(0.2)
    encode, _ = choose_encoder(_PROTOBUF, native_histograms=native)
    [metric] = decoded(encode(registry))["h"].metric
    assert metric.histogram.HasField("schema") == native
    assert len(metric.histogram.bucket) == 15
