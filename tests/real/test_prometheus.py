"""GP8, GP12: a real Prometheus scrapes a real server, and its answers are the numbers that were recorded."""

from __future__ import annotations

import math
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.real.prometheus import Prometheus, check_metrics, prometheus
from tests.real.uvicorn import uvicorn

APP = """
from fastapi import FastAPI, HTTPException
import ferrometer

app = FastAPI()
tokens = ferrometer.Counter("tokens", "Tokens written", ["model"])
sizes = ferrometer.Histogram("prompt_tokens", "Length of prompts", buckets=(10, 100, 1000))
odd = ferrometer.Gauge("odd", "A value with an odd label", ["text"])
odd.labels('a "quoted" \\\\ back\\nslash ü').set(-1.5)

@app.get("/models/{name}")
async def model(name: str):
    tokens.labels(name).inc(2.5)
    return name

@app.post("/prompts/{length}")
async def prompt(length: int):
    sizes.observe(length)

@app.get("/broken")
async def broken():
    raise RuntimeError("broken")

@app.get("/busy")
async def busy():
    raise HTTPException(503)

ferrometer.instrument(app, namespace="gpuproxy")
"""
# What is asked of the application, and the statuses it answers with.
REQUESTS = [
    *[("GET", "/models/llama", 200)] * 7,
    *[("GET", "/models/mistral", 200)] * 2,
    *[("POST", f"/prompts/{length}", 200) for length in (1, 10, 11, 100, 5000)],
    *[("GET", "/broken", 500)] * 3,
    *[("GET", "/busy", 503)] * 2,
    *[("GET", f"/nowhere/{number}", 404) for number in range(4)],
]


def _ask(method: str, url: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application after all of `REQUESTS`."""
    with uvicorn(APP, tmp_path_factory.mktemp("app"), "--log-level", "info") as base:
        for method, path, status in REQUESTS:
            assert _ask(method, base + path) == status, path
        yield base


@pytest.fixture(scope="module")
def live(served: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped it."""
    with prometheus(served.removeprefix("http://"), tmp_path_factory.mktemp("prometheus")) as server:
        server.wait_for(lambda s: not math.isnan(s.value("sum(http_requests_total)")), what="scraping")
        yield server


def test_requests_by_route_and_status(live: Prometheus) -> None:
    found = live.query("sum by (method, endpoint, status) (http_requests_total)")
    counts = {(d["method"], d["endpoint"], d["status"]): v for k, v in found.items() if (d := dict(k))}
    unmatched = [key for key in counts if key[2] == "404"]
    assert len(unmatched) == 1, "one label value for all that matches no route"
    assert "nowhere" not in unmatched[0][1]
    assert counts.pop(unmatched[0]) == 4
    assert counts == {
        ("GET", "/models/{name}", "200"): 9,
        ("POST", "/prompts/{length}", "200"): 5,
        ("GET", "/broken", "500"): 3,
        ("GET", "/busy", "503"): 2,
    }


def test_own_metrics_arrive_exactly(live: Prometheus) -> None:
    assert live.query("tokens_total") == {(("model", "llama"),): 17.5, (("model", "mistral"),): 5.0}
    assert live.query("odd") == {(("text", 'a "quoted" \\ back\nslash ü'),): -1.5}


def test_buckets_include_their_bound(live: Prometheus) -> None:
    buckets = {dict(key)["le"]: value for key, value in live.query("prompt_tokens_bucket").items()}
    assert {float(le): value for le, value in buckets.items()} == {10: 2, 100: 4, 1000: 4, math.inf: 5}
    assert live.value("prompt_tokens_count") == 5
    assert live.value("prompt_tokens_sum") == 5122


def test_durations_add_up(live: Prometheus) -> None:
    assert live.value("sum(http_request_duration_seconds_count)") == len(REQUESTS)
    assert live.value('sum(http_request_duration_seconds_bucket{le="+Inf"})') == len(REQUESTS)
    seconds = live.value("sum(http_request_duration_seconds_sum)")
    assert 0 < seconds < 10
    assert live.value("sum(gpuproxy_request_duration_milliseconds_sum)") == pytest.approx(seconds * 1000)


def test_namespace_views_say_the_same(live: Prometheus) -> None:
    """GP2, from the same cells."""
    assert live.value("gpuproxy_requests_total") == len(REQUESTS)
    assert live.value("gpuproxy_requests_failed") == 5
    assert live.value("gpuproxy_requests_in_flight") == 0
    assert live.value("gpuproxy_request_success_rate") == pytest.approx(100 * (1 - 5 / len(REQUESTS)))
    assert live.value("gpuproxy_request_duration_milliseconds_count") == len(REQUESTS)
    quantiles = live.query("gpuproxy_request_duration_milliseconds")
    values = [value for _, value in sorted((float(dict(key)["quantile"]), v) for key, v in quantiles.items())]
    assert len(values) == 3
    assert 0 < values[0] <= values[1] <= values[2] < 10_000
    assert live.value("gpuproxy_uptime_seconds") > 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        # Prometheus asks for OpenMetrics, where a counter's family is called without `_total`.
        ("http_requests", "counter"),
        ("http_request_duration_seconds", "histogram"),
        ("http_requests_in_flight", "gauge"),
        ("gpuproxy_request_duration_milliseconds", "summary"),
        ("tokens", "counter"),
    ],
)
def test_help_and_type_arrive(live: Prometheus, name: str, kind: str) -> None:
    assert live.metadata(name)["type"] == kind
    assert live.metadata(name)["help"]


def test_what_happens_next_is_scraped_too(live: Prometheus, served: str) -> None:
    """Last in this file: it adds to what the tests above have counted."""
    assert _ask("GET", f"{served}/models/llama") == 200
    live.wait_for(lambda s: s.value('tokens_total{model="llama"}') == 20.0, what="up to date", seconds=10)


# GP2, GP4 and GP6 lay down names that promtool's style guide would have otherwise: these and no others.
LAID_DOWN = {
    'gpuproxy_request_duration_milliseconds use base unit "seconds" instead of "milliseconds"',
    'gpuproxy_db_query_duration_milliseconds use base unit "seconds" instead of "milliseconds"',
    'gpuproxy_db_query_duration_milliseconds_created use base unit "seconds" instead of "milliseconds"',
    "gpuproxy_memory_heap_alloc_mb metric names should not contain abbreviated units",
}


def test_promtool_has_no_complaint(served: str) -> None:
    with urllib.request.urlopen(f"{served}/metrics", timeout=10) as answer:
        exposition = answer.read()
    assert b"# HELP http_requests_total" in exposition
    assert set(check_metrics(exposition)) == LAID_DOWN


def test_promtool_would_complain() -> None:
    """The tool's other answer, so that silence above means something."""
    assert check_metrics(b"# TYPE bad_total gauge\nbad_total 1\n") != []
