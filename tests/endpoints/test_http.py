"""What stands around every answer: methods, access, CORS, headers, failures."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Message, Scope

from ferrometer import CollectorRegistry, Gauge
from ferrometer.endpoints import endpoint_paths, observability_app, observability_routes
from ferrometer.stats import ServiceStats
from tests.endpoints.client import calling

pytestmark = pytest.mark.anyio

PATHS = ("/metrics", "/metrics/", "/stats", "/polling", "/health", "/monitor", "/live", "/ready")
GUARDED = PATHS[:6]
PROBES = PATHS[6:]
TOKEN = "a-long-random-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"prom:s3cret").decode()}
DASHBOARD = "https://dashboard.example:3000"


def app(**options: Any) -> Starlette:
    registry = CollectorRegistry()
    Gauge("one", "A family, so that an exposition is not empty", registry=registry)
    return observability_app(registry=registry, **options)


def test_these_are_the_paths() -> None:
    assert endpoint_paths() == PATHS
    assert endpoint_paths("/observability") == tuple("/observability" + path for path in PATHS)
    assert tuple(route.path for route in observability_routes(registry=CollectorRegistry())) == PATHS


@pytest.mark.parametrize("path", PATHS)
async def test_get_and_head(path: str) -> None:
    async with calling(app()) as client:
        got = await client.get(path, follow_redirects=False)
        head = await client.head(path)
    assert got.status_code == head.status_code == 200
    assert got.content
    assert head.content == b""
    assert int(head.headers["content-length"]) > 0
    for answer in (got, head):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        expected = "text/plain; version=0.0.4; charset=utf-8" if "metrics" in path else "application/json"
        assert answer.headers["content-type"] == expected


@pytest.mark.parametrize("path", PATHS)
async def test_head_sends_no_body_even_to_a_server_that_would_pass_it_on(path: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "HEAD", "path": path, "query_string": b"", "headers": []}
    await app()(scope, receive, send)
    assert sent[0]["status"] == 200
    assert b"".join(message.get("body", b"") for message in sent[1:]) == b""


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
async def test_any_other_method(path: str, method: str) -> None:
    async with calling(app()) as client:
        answer = await client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b""


async def test_an_unknown_path() -> None:
    async with calling(app()) as client:
        assert (await client.get("/secrets")).status_code == 404


AUTHS: dict[str, Any] = {
    "token": TOKEN,
    "tokens": ["other", TOKEN],
    "basic": ("prom", "s3cret"),
    "callable": lambda request: request.headers.get("authorization") == BEARER["Authorization"],
}


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("auth", AUTHS)
async def test_who_is_not_authenticated_learns_nothing(path: str, auth: str) -> None:
    wrong: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic d3Jvbmc6d3Jvbmc="},
        {"Authorization": TOKEN},
    ]
    async with calling(app(auth=AUTHS[auth])) as client:
        for headers in wrong:
            for method in ("GET", "HEAD"):
                answer = await client.request(method, path, headers=headers)
                assert answer.status_code == 401
                assert answer.content == b""
                assert answer.headers["content-length"] == "0"
                assert answer.headers["www-authenticate"].split()[0] in ("Bearer", "Basic")
                assert answer.headers["cache-control"] == "no-store"
        right = BASIC if auth == "basic" else BEARER
        assert (await client.get(path, headers=right)).status_code == 200


@pytest.mark.parametrize("path", PROBES)
async def test_probes_answer_everybody_with_one_word(path: str) -> None:
    async with calling(app(auth=TOKEN, allow="10.0.0.0/8")) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert list(answer.json()) == ["status"]


@pytest.mark.parametrize("path", GUARDED)
async def test_a_foreign_address_learns_nothing_whatever_it_knows(path: str) -> None:
    guarded = app(auth=TOKEN, allow=["10.0.0.0/8"], cors_origins="*")
    async with calling(guarded, address=("192.0.2.1", 50000)) as client:
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            answer = await client.request(method, path, headers=BEARER)
            assert answer.status_code == 403
            assert answer.content == b""
            assert not {"www-authenticate", "allow"} & set(answer.headers)
    async with calling(guarded, address=("10.1.2.3", 50000)) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=BEARER)).status_code == 200


PREFLIGHT = {"Origin": DASHBOARD, "Access-Control-Request-Method": "GET"}


@pytest.mark.parametrize("path", PATHS)
async def test_a_listed_origin_may_read(path: str) -> None:
    async with calling(app(auth=TOKEN, cors_origins=["https://other.example", DASHBOARD])) as client:
        preflight = await client.options(path, headers=PREFLIGHT)
        assert preflight.status_code == 204  # without credentials: browsers send none with it
        assert preflight.headers["access-control-allow-origin"] == DASHBOARD
        assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        assert preflight.headers["vary"] == "Origin"
        answer = await client.get(path, headers={"Origin": DASHBOARD} | BEARER)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == DASHBOARD
        accepted = "Accept, Accept-Encoding, " if path.startswith("/metrics") else ""
        assert answer.headers["vary"] == accepted + "Origin"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://dashboard.example", DASHBOARD + ".evil.example", ""]
)
async def test_any_other_origin_may_not(origin: str) -> None:
    async with calling(app(cors_origins=[DASHBOARD])) as client:
        preflight = await client.options("/stats", headers=PREFLIGHT | {"Origin": origin})
        answer = await client.get("/stats", headers={"Origin": origin})
    assert preflight.status_code == 204
    for response in (preflight, answer):
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["vary"] == "Origin"


async def test_any_origin() -> None:
    async with calling(app(cors_origins="*")) as client:
        answer = await client.get("/stats", headers={"Origin": "https://anybody.example"})
        preflight = await client.options("/stats", headers=PREFLIGHT)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-origin"] == "*"


async def test_a_dashboard_sees_why_it_was_refused() -> None:
    async with calling(app(auth=TOKEN, cors_origins=[DASHBOARD])) as client:
        answer = await client.get("/stats", headers={"Origin": DASHBOARD})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == DASHBOARD


async def test_options_that_is_no_preflight_is_a_wrong_method() -> None:
    async with calling(app(cors_origins=[DASHBOARD])) as client:
        for headers in ({}, {"Origin": DASHBOARD}, {"Access-Control-Request-Method": "GET"}):
            answer = await client.options("/stats", headers=headers)
            assert answer.status_code == 405
            assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_without_origins_there_are_no_cors_headers() -> None:
    async with calling(app()) as client:
        answer = await client.get("/stats", headers={"Origin": DASHBOARD})
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]


async def test_a_failure_shows_no_detail_even_in_debug(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def snapshot(self) -> dict[str, float]:
            raise RuntimeError("hunter2")

    broken = app(stats=ServiceStats("ns", CollectorRegistry(), requests=Broken()))
    broken.debug = True
    async with calling(broken) as client:
        answer = await client.get("/stats")
    assert answer.status_code == 500
    assert answer.content == b""
    assert "hunter2" in caplog.text  # the operator's log says what it was


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"cors_origins": ["dashboard.example"]}, ValueError, "'dashboard.example' is no origin"),
        ({"cors_origins": ["https://dashboard.example/"]}, ValueError, "is no origin"),
        ({"cors_origins": ["https://user@dashboard.example"]}, ValueError, "is no origin"),
        ({"cors_origins": [""]}, ValueError, "'' is no origin"),
        ({"cors_origins": [None]}, TypeError, "must be a str, not NoneType"),
        ({"auth": ""}, ValueError, "empty"),
        ({"allow": "localhost"}, ValueError, "'localhost'"),
    ],
)
def test_a_wrong_option_fails_at_construction(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        app(**options)
    assert words in str(caught.value)


@pytest.mark.parametrize("path", ["metrics", "/", "/a/", "/a b", "/{x}", "/a?b", "/a#b"])
def test_a_wrong_path_fails_at_construction(path: str) -> None:
    with pytest.raises(ValueError, match="write '/observability'"):
        observability_routes(registry=CollectorRegistry(), path=path)


def test_a_path_that_is_no_text_fails() -> None:
    with pytest.raises(TypeError, match="path must be a str"):
        endpoint_paths(None)  # type: ignore[arg-type]
