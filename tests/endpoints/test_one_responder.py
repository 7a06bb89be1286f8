"""The application's endpoints and the port of its own: one responder, so one answer to one request."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import ferrometer
from ferrometer import CollectorRegistry, MetricsServer, observability_app, serve_metrics
from tests.exposition.test_negotiation import ACCEPTS

TOKEN = "t0ken"
KNOWN = {"authorization": f"Bearer {TOKEN}"}

Answer = tuple[int, dict[str, str], bytes]

#: Method, target, headers.
REQUESTS: list[tuple[str, str, dict[str, str]]] = [
    *(("GET", "/metrics", {**KNOWN, "accept": accept}) for accept in ACCEPTS.values()),
    *(
        ("GET", "/metrics?name[]=depth&name%5B%5D=tokens_total", {**KNOWN, "accept": a})
        for a in ACCEPTS.values()
    ),
    ("GET", "/metrics", KNOWN),
    ("GET", "/metrics/", KNOWN),
    ("HEAD", "/metrics", KNOWN),
    ("GET", "/metrics", {**KNOWN, "accept-encoding": "br, gzip;q=0.5"}),
    ("GET", "/metrics", {**KNOWN, "accept-encoding": "gzip; q=0.000"}),
    ("GET", "/metrics", {**KNOWN, "accept": "text/plain;version=1.0.0;escaping=values"}),
    ("GET", "/metrics?name[]=nothing", KNOWN),
    ("GET", "/live", {}),
    ("GET", "/metrics", {}),
    ("GET", "/metrics", {"authorization": "Bearer wrong"}),
    ("GET", "/metrics", {"authorization": "Basic dDpv"}),
    ("HEAD", "/polling", {}),
    ("POST", "/metrics", KNOWN),
    ("DELETE", "/stats", {}),
    ("POST", "/live", {}),
]


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    tokens = ferrometer.Counter("tokens", "Tokens", ["model"], registry=registry)
    tokens.labels('a "quoted" \\ back\nslash ü').inc(3)
    ferrometer.Gauge("depth", "Depth", registry=registry).set(-1.5)
    ferrometer.Histogram("latency", "Latency", registry=registry).observe(0.2, {"trace_id": "t"})
    ferrometer.Enum("state", "State", states=["up", "down"], registry=registry).state("down")
    return registry


def of_the_port(server: MetricsServer, method: str, target: str, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, target, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    told = {name.lower(): value for name, value in answer.getheaders() if name.lower() != "date"}
    connection.close()
    return answer.status, told, body


def of_the_application(client: TestClient, method: str, target: str, headers: dict[str, str]) -> Answer:
    request = client.build_request(method, target)
    for name in ("accept", "accept-encoding", "user-agent", "connection"):
        request.headers.pop(name, None)
    request.headers.update(headers)
    answer = client.send(request, stream=True)
    body = b"".join(answer.iter_raw())
    return answer.status_code, dict(answer.headers), body


@pytest.fixture
def server(registry: CollectorRegistry) -> Iterator[MetricsServer]:
    with serve_metrics(0, registry=registry, auth=TOKEN) as server:
        yield server


@pytest.mark.parametrize(("method", "target", "headers"), REQUESTS)
def test_one_answer(
    registry: CollectorRegistry, server: MetricsServer, method: str, target: str, headers: dict[str, str]
) -> None:
    client = TestClient(observability_app(registry=registry, auth=TOKEN))
    here = of_the_application(client, method, target, headers)
    there = of_the_port(server, method, target, headers)
    assert here == there
    if headers is KNOWN and method == "GET" and target != "/live":
        assert here[0] == 200


def test_the_same_numbers(registry: CollectorRegistry) -> None:
    stats = ferrometer.ServiceStats("gateway", registry)
    stats.gpu.request(failed=True, cost_usd=0.25)
    stats.database.connections(active=3, idle=1)
    stats.cache.hit(3)
    client = TestClient(observability_app(registry=registry, stats=stats))
    here = client.get("/stats")
    with serve_metrics(0, registry=registry, stats=stats) as server:
        status, headers, body = of_the_port(server, "GET", "/stats", {})
    there = json.loads(body)
    assert (here.status_code, here.headers["content-type"]) == (status, headers["content-type"])
    told = here.json()
    for changing in ("uptime_seconds", "system"):
        assert type(told.pop(changing)) is type(there.pop(changing))
    assert told == there
    assert told["gpu"] == {
        "active_instances": 0,
        "total_cost_usd": 0.25,
        "requests_total": 1,
        "requests_failed": 1,
    }
    assert list(told) == ["requests", "gpu", "database", "cache"]


@pytest.mark.parametrize("path", ["/polling", "/monitor"])
def test_one_answer_but_for_the_time_and_the_checks(
    registry: CollectorRegistry, server: MetricsServer, path: str
) -> None:
    client = TestClient(observability_app(registry=registry, auth=TOKEN))
    here = client.get(path, headers=KNOWN)
    status, headers, _ = of_the_port(server, "GET", path, KNOWN)
    assert (here.status_code, here.headers["content-type"]) == (status, headers["content-type"])
    told = TestClient(observability_app(registry=registry)).get(path).json()
    assert told["metrics"] == here.json()["metrics"]
    assert told["status"] == here.json()["status"]


@pytest.mark.parametrize("allow", [["127.0.0.0/8"], ["10.0.0.0/8"], ["::ffff:127.0.0.0/104"]])
@pytest.mark.parametrize("path", ["/metrics", "/stats", "/live"])
def test_one_rule_for_addresses(registry: CollectorRegistry, allow: list[str], path: str) -> None:
    client = TestClient(observability_app(registry=registry, allow=allow), client=("127.0.0.1", 50000))
    with serve_metrics(0, registry=registry, allow=allow) as server:
        there = of_the_port(server, "GET", path, {})
    here = of_the_application(client, "GET", path, {})
    assert here[0] == there[0]
    assert path == "/stats" or here == there  # only an application reads its own process for /stats
    assert here[0] == (200 if path == "/live" or allow != ["10.0.0.0/8"] else 403)
