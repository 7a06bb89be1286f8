"""The API below an application's endpoints: what it answers, to whom, and what it refuses."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

import ferrometer

TOKEN = {"Authorization": "Bearer s3cret"}


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    registry = ferrometer.CollectorRegistry()
    app = Starlette(routes=[Route("/hello", _hello)])
    ferrometer.instrument(
        app,
        ferrometer.History(job="shop"),
        path="/obs",
        auth="s3cret",
        registry=registry,
        default_collectors=False,
        shared=False,
    )
    with TestClient(app, headers=TOKEN) as client:
        for _ in range(20):
            client.get("/hello")
        deadline = time.monotonic() + 60
        # Two looks at least, so that there are rates.
        while time.monotonic() < deadline:
            client.get("/hello")
            found = ask(client, "query", query="http_requests_total[1m]")["result"]
            if found and len(found[0]["values"]) >= 3:
                break
            time.sleep(0.2)
        yield client


def ask(client: TestClient, path: str, **parameters: Any) -> Any:
    response = client.get(f"/obs/api/v1/{path}", params=parameters)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["status"] == "success"
    return answer["data"]


def only(value: object) -> ferrometer.history.Sample:
    """The one sample of an instant vector."""
    assert isinstance(value, list)
    (sample,) = value
    assert isinstance(sample, ferrometer.history.Sample)
    return sample


def refused(client: TestClient, path: str, **parameters: Any) -> tuple[int, str, str]:
    response = client.get(f"/obs/api/v1/{path}", params=parameters)
    answer = response.json()
    assert answer["status"] == "error"
    return response.status_code, answer["errorType"], answer["error"]


def test_every_result_type(client: TestClient) -> None:
    vector = ask(client, "query", query='http_requests_total{endpoint="/hello"}')
    assert vector["resultType"] == "vector"
    (only,) = vector["result"]
    assert only["metric"] == {
        "__name__": "http_requests_total",
        "method": "GET",
        "endpoint": "/hello",
        "status": "200",
    }
    assert float(only["value"][1]) >= 20
    assert ask(client, "query", query="1+1")["result"][1] == "2"
    assert ask(client, "query", query='"text"')["resultType"] == "string"
    matrix = ask(client, "query", query="http_requests_total[1m]")
    assert matrix["resultType"] == "matrix"
    assert len(matrix["result"][0]["values"]) >= 3


def test_quantiles_by_bins_and_by_buckets(client: TestClient) -> None:
    bins = "histogram_quantile(0.99, sum(http_request_duration_seconds))"
    buckets = "histogram_quantile(0.99, sum by (le) (http_request_duration_seconds_bucket))"
    fine, coarse = (
        float(ask(client, "query", query=text)["result"][0]["value"][1]) for text in (bins, buckets)
    )
    assert 0 < fine <= coarse * 1.01
    total = ask(client, "query", query="histogram_count(http_request_duration_seconds)")["result"]
    classic = ask(client, "query", query="http_request_duration_seconds_count")["result"]
    assert abs(float(total[0]["value"][1]) - float(classic[0]["value"][1])) <= 5


def test_a_heat_map_in_coarser_bins(client: TestClient) -> None:
    raw = ask(client, "query", query="http_request_duration_seconds")["result"][0]["histogram"][1]
    merged = ask(client, "query", query="http_request_duration_seconds", histogram_schema=0)
    merged = merged["result"][0]["histogram"][1]
    assert len(merged["buckets"]) <= len(raw["buckets"])
    assert {float(bucket[2]) / float(bucket[1]) for bucket in merged["buckets"]} == {2.0}
    assert sum(float(bucket[3]) for bucket in merged["buckets"]) == float(merged["count"])
    assert refused(client, "query", query="x", histogram_schema="fine")[:2] == (400, "bad_data")


def test_a_range(client: TestClient) -> None:
    now = time.time()
    found = ask(client, "query_range", query="sum(http_requests_total)", start=now - 60, end=now, step="1s")
    values = [float(value) for _, value in found["result"][0]["values"]]
    assert values == sorted(values)
    assert values[-1] >= 20


def test_forms(client: TestClient) -> None:
    response = client.post("/obs/api/v1/query", data={"query": "1+1", "time": "1795844303.4555726"})
    assert response.json()["data"]["result"] == [1795844303.456, "2"]
    assert client.put("/obs/api/v1/query").status_code == 405
    assert client.post("/obs/api/v1/metadata").status_code == 405
    assert client.post("/obs/api/v1/query", content=b"x" * (2 << 20)).status_code == 413
    assert client.get("/obs/api/v1/nothing").status_code == 404


def test_what_there_is(client: TestClient) -> None:
    assert "endpoint" in ask(client, "labels")
    assert ask(client, "label/endpoint/values") == ["/hello"]  # the endpoints are not measured
    names = ask(client, "label/__name__/values")
    assert {"http_requests_total", "http_request_duration_seconds_bucket"} <= set(names)
    assert names == sorted(names)
    (series,) = ask(client, "series", **{"match[]": 'http_requests_total{status="200"}'})
    assert series["endpoint"] == "/hello"
    assert len(ask(client, "series")) > 15  # no match[]: all, as prometheus_api_client asks
    assert ask(client, "series", **{"match[]": "http_requests_total", "end": 1000}) == []
    told = ask(client, "metadata", metric="http_requests_total")["http_requests_total"][0]
    assert told["type"] == "counter"
    assert told["help"]
    (target,) = ask(client, "targets")["activeTargets"]
    assert (target["labels"], target["health"]) == ({"job": "shop"}, "up")
    assert ask(client, "status/buildinfo")["version"].startswith("3.")
    assert client.get("/obs/").status_code == 200


def test_names_are_those_of_the_scrape(client: TestClient) -> None:
    """Whatever native family `/metrics` shows is there under the same names and labels, but when it began."""
    text = client.get("/obs/metrics").text
    shown = {
        line.rpartition(" ")[0]
        for line in text.splitlines()
        if line.startswith("http_") and "_created" not in line
    }
    known = set()
    for series in ask(client, "series"):
        name = series.pop("__name__")
        pairs = ",".join(f'{key}="{value}"' for key, value in sorted(series.items()))
        known.add(f"{name}{{{pairs}}}" if pairs else name)
    assert shown <= known, shown - known


@pytest.mark.parametrize(
    ("path", "parameters", "kind", "words"),
    [
        ("query", {"query": "x +"}, "bad_data", "parse error"),
        ("query", {}, "bad_data", "parse error"),
        ("query", {"query": "x", "time": "yesterday"}, "bad_data", 'invalid parameter "time"'),
        ("query", {"query": "x", "time": "NaN"}, "bad_data", 'invalid parameter "time"'),
        ("query", {"query": "x", "timeout": "soon"}, "bad_data", 'invalid parameter "timeout"'),
        ("query", {"query": "x", "limit": "-1"}, "bad_data", "limit must be non-negative"),
        ("query", {"query": "(" * 100_000}, "bad_data", "parse error"),
        ("query", {"query": "x" * 1_000_000}, "bad_data", "bytes, at most"),
        ("query", {"query": "x" + "+x" * 100_000}, "bad_data", "parse error"),
        ("query", {"query": 'x{a=~"(y{1000}){1000}"}'}, "bad_data", "parse error"),
        (
            "query_range",
            {"query": "x", "start": 0, "end": 1e9, "step": 1},
            "bad_data",
            "exceeded maximum resolution",
        ),
        ("query_range", {"query": "x", "start": 0, "end": 10, "step": 0}, "bad_data", "zero or negative"),
        (
            "query_range",
            {"query": "x", "start": 10, "end": 0, "step": 1},
            "bad_data",
            "must not be before start",
        ),
        ("query_range", {"query": "x", "end": 0, "step": 1}, "bad_data", 'invalid parameter "start"'),
        ("query_range", {"query": "x", "start": 0, "end": 10}, "bad_data", 'invalid parameter "step"'),
        ("series", {"start": "NaN"}, "bad_data", 'invalid parameter "start"'),
        ("labels", {"end": "-Inf"}, "bad_data", 'invalid parameter "end"'),
        ("labels", {"match[]": 'x{a=~"(y{1000}){1000}"}'}, "bad_data", 'invalid parameter "match[]"'),
        ("series", {"match[]": "{}"}, "bad_data", 'invalid parameter "match[]"'),
        ("label/%ff/values", {}, "bad_data", "invalid label name"),
    ],
)
def test_what_is_refused(
    client: TestClient, path: str, parameters: dict[str, Any], kind: str, words: str
) -> None:
    response = client.post(f"/obs/api/v1/{path}", data=parameters) if path == "query" else None
    if response is None:
        response = client.get(f"/obs/api/v1/{path}", params=parameters)
    answer = response.json()
    assert response.status_code == 400
    assert answer["errorType"] == kind
    assert words in answer["error"], answer["error"][:200]


@pytest.mark.parametrize("path", ["query", "series", "labels", "label/endpoint/values"])
def test_what_has_no_time_left(client: TestClient, path: str) -> None:
    parameters = {"query": "http_requests_total"} if path == "query" else {}
    code, kind, words = refused(client, path, timeout="0", **parameters)
    assert (code, kind) == (503, "timeout")
    assert "query timed out in" in words


def test_times_before_1970_and_far_ahead(client: TestClient) -> None:
    for moment in (-1e9, 0, 1e12):
        assert ask(client, "query", query="http_requests_total", time=moment)["result"] == []


def test_who_may_ask(client: TestClient) -> None:
    anonymous = {"Authorization": ""}
    for path in ("/obs/api/v1/query?query=1", "/obs/"):
        assert client.get(path, headers=anonymous).status_code == 401


def test_gzip(client: TestClient) -> None:
    with client.stream("GET", "/obs/api/v1/series", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["content-encoding"] == "gzip"
        packed = b"".join(response.iter_raw())
    assert json.loads(gzip.decompress(packed))["status"] == "success"


def test_from_python(client: TestClient) -> None:
    sample = only(ferrometer.query('http_requests_total{endpoint="/hello"}'))
    assert sample.labels["status"] == "200"
    assert isinstance(sample.value, float)
    assert sample.value >= 20
    assert ferrometer.query("vector(2) * scalar(vector(3))") != []
    assert ferrometer.query("6 * 7") == 42.0
    (series,) = ferrometer.query("sum(http_requests_total)", start=time.time() - 30)
    assert len(series.points) >= 2
    histogram = only(ferrometer.query("http_request_duration_seconds"))
    assert isinstance(histogram.value, ferrometer.history.NativeHistogram)
    assert histogram.value.count >= 20
    with pytest.raises(ferrometer.history.QueryError, match="parse error") as refusal:
        ferrometer.query("1 +")
    assert refusal.value.kind == "bad_data"


def test_self_metrics(client: TestClient) -> None:
    text = client.get("/obs/metrics").text
    assert 'ferrometer_history_bytes{step="1s"}' in text
    assert "ferrometer_history_write_errors_total 0" in text


def test_what_grafana_asks(client: TestClient) -> None:
    """The requests of its Prometheus data source: forms, times with a fraction, limits."""
    now = time.time()
    span = {"start": f"{now - 3600:.3f}", "end": f"{now:.3f}"}

    def post(path: str, **form: str) -> Any:
        response = client.post(f"/obs/api/v1/{path}", data=form)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("application/json")
        answer = response.json()
        assert answer["status"] == "success"
        return answer["data"]

    # "Save & test" of a data source.
    assert post("query", query="1+1", time=f"{now:.3f}")["result"][1] == "2"
    assert ask(client, "status/buildinfo")["version"]
    # The query builder: names, labels of a metric, values of a label, what a metric is.
    assert "http_requests_total" in ask(client, "label/__name__/values", **span, limit="40000")
    match = {"match[]": 'http_requests_total{endpoint="/hello"}', **span}
    assert "endpoint" in post("labels", **match)
    assert ask(client, "label/endpoint/values", **match) == ["/hello"]
    assert ask(client, "metadata", limit="40000")["http_requests_total"][0]["type"] == "counter"
    assert len(post("series", **match, limit="40000")) >= 1
    # A panel, and a panel of a heat map.
    step = {"step": "15", **span}
    (row,) = post("query_range", query='sum(rate(http_requests_total{endpoint="/hello"}[1m0s]))', **step)[
        "result"
    ]
    assert row["metric"] == {}
    assert all(float(value) >= 0 for _, value in row["values"])
    buckets = post("query_range", query="sum by (le) (http_request_duration_seconds_bucket)", **step)[
        "result"
    ]
    assert {"+Inf"} < {bucket["metric"]["le"] for bucket in buckets}
    # A variable, and an annotation that finds nothing.
    assert post("query", query="count by (endpoint) (http_requests_total)", time=f"{now:.3f}")["result"]
    assert post("query_range", query="ALERTS{alertname='none'}", **step)["result"] == []


def test_labels_of_a_megabyte_and_steps_without_end(client: TestClient) -> None:
    long = "x" * (1 << 20)
    response = client.post("/obs/api/v1/query", data={"query": f'up{{job="{long}"}}'})
    assert response.status_code in (400, 413, 422)
    response = client.post("/obs/api/v1/series", data={"match[]": f'up{{job="{long}"}}'})
    assert response.status_code in (400, 413, 422)
    code, kind, words = refused(client, "query_range", query="1", start="0", end="1000000000", step="1")
    assert (code, kind) == (400, "bad_data")
    assert "exceeded maximum resolution of 11,000 points" in words
    code, kind, words = refused(client, "query", query="count_over_time(vector(1)[30y:1s])")
    assert code in (400, 422), words
