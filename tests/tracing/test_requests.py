"""The span of a request: what its caller said, what describes it, and how it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

import ferrometer
from ferrometer import CollectorRegistry, logs, tracing
from tests.tracing.received import Received, Spans

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int, request: Request) -> dict[str, Any]:
        request.state.user_id = "user_abc123"
        with ferrometer.span("work", item=item):
            logs.get_logger("app").info("at work")
        return {"headers": tracing.headers(), "baggage": dict(tracing.baggage())}

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418)

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("password=hunter2")

    @app.get("/unavailable")
    async def unavailable() -> None:
        raise HTTPException(503)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for _ in range(3):
                await asyncio.sleep(0.01)
                yield "x"

        return StreamingResponse(chunks())

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> None:
        async def late() -> None:
            await asyncio.sleep(0.2)
            with ferrometer.span("late"):
                pass

        tasks.add_task(late)

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(60)

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        with ferrometer.span("message"):
            await websocket.send_text("hello")
        await websocket.close()

    return app


def traced(spans: Spans, *, metrics: dict[str, Any] | None = None, **options: Any) -> FastAPI:
    app = application()
    feature = ferrometer.Traces(service="svc", endpoint=spans.receiver.url, delay=0, **options)
    ferrometer.instrument(
        app, feature, registry=CollectorRegistry(), default_collectors=False, **metrics or {}
    )
    return app


async def get(app: Any, path: str, headers: Any = None) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test:8000") as client:
        return await client.get(path, headers=headers)


def ask(spans: Spans, path: str, headers: Any = None, **options: Any) -> tuple[httpx.Response, Received]:
    """The answer, and the request's span."""
    response = asyncio.run(get(traced(spans, **options), path, headers))
    (span,) = [span for span in spans.all() if span.kind == "server"]
    return response, span


def test_a_request_by_the_stable_conventions(spans: Spans) -> None:
    response, span = ask(
        spans,
        "/items/7?token=abcdefghijklmnop1234&page=2",
        {
            "User-Agent": "test/1",
            "X-Request-ID": "req-1",
            "traceparent": PARENT,
            "tracestate": "v=1",
            "baggage": "a=b%20c",
        },
    )
    assert (span.name, span.status) == ("GET /items/{item}", "unset")
    assert (span.trace_id, span.parent_id) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert (span.tracestate, span.flags & 0x301) == ("v=1", 0x301)
    assert "abcdefghijklmnop1234" not in str(span)
    query = span.attributes.pop("url.query")
    assert query.startswith("token=")
    assert query.endswith("&page=2")
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/items/{item}",
        "http.response.status_code": 200,
        "url.path": "/items/7",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "test",
        "server.port": 8000,
        "client.address": "127.0.0.1",
        "user_agent.original": "test/1",
        "request_id": "req-1",
        "user.id": "user_abc123",
    }
    work = spans.named("work")
    assert (work.parent_id, work.tracestate) == (span.span_id, "v=1")
    told = response.json()
    assert told["headers"] == {
        "traceparent": f"00-{span.trace_id}-{span.span_id}-01",
        "tracestate": "v=1",
        "baggage": "a=b%20c",
    }
    assert told["baggage"] == {"a": "b c"}
    assert span.start_ns <= work.start_ns <= work.end_ns <= span.end_ns
    # Nothing of it stays behind.
    assert (tracing.current_span(), tracing.baggage()) == (None, {})


def test_the_old_names_where_they_are_chosen(spans: Spans) -> None:
    _, span = ask(spans, "/items/7", conventions="seed")
    assert {
        "http.method": "GET",
        "http.status_code": 200,
        "user.id": "user_abc123",
    }.items() <= span.attributes.items()
    assert "http.request.method" not in span.attributes


def test_both_names_by_opentelemetrys_variable(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    _, span = ask(spans, "/items/7")
    assert span.attributes["http.method"] == span.attributes["http.request.method"] == "GET"


@pytest.mark.parametrize(
    ("path", "status", "name", "code", "error"),
    [
        ("/teapot", "unset", "GET /teapot", 418, None),
        ("/nowhere", "unset", "GET", 404, None),
        ("/unavailable", "error", "GET /unavailable", 503, "503"),
        ("/broken", "error", "GET /broken", 500, "ValueError"),
        ("/stream", "unset", "GET /stream", 200, None),
    ],
)
def test_how_it_ended(spans: Spans, path: str, status: str, name: str, code: int, error: str | None) -> None:
    response, span = ask(spans, path)
    assert (span.status, span.name, span.attributes["http.response.status_code"]) == (status, name, code)
    assert response.status_code == code
    assert span.attributes.get("error.type") == error
    assert [event.attributes["exception.type"] for event in span.events] == (
        ["ValueError"] if path == "/broken" else []
    )
    assert "hunter2" not in str(span)
    if path == "/stream":
        assert span.end_ns - span.start_ns > 0.03e9


def test_it_ends_with_its_response_and_not_with_its_background_task(spans: Spans) -> None:
    _, span = ask(spans, "/background")
    late = spans.named("late")
    assert late.parent_id == span.span_id
    assert late.start_ns >= span.end_ns
    assert span.end_ns - span.start_ns < late.end_ns - span.start_ns


def test_a_request_that_is_given_up(spans: Spans) -> None:
    app = traced(spans)

    async def main() -> None:
        task = asyncio.create_task(get(app, "/slow"))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    span = spans.one()
    assert (span.name, span.status, span.attributes["error.type"]) == ("GET /slow", "unset", "cancelled")
    assert "http.response.status_code" not in span.attributes


def test_a_websocket(spans: Spans) -> None:
    with (
        TestClient(traced(spans)) as client,
        client.websocket_connect("/socket", headers={"traceparent": PARENT}) as socket,
    ):
        assert socket.receive_text() == "hello"
    message, span = spans.all()
    assert (span.name, span.attributes["url.scheme"]) == ("GET /socket", "ws")
    assert (message.parent_id, span.parent_id) == (span.span_id, "00f067aa0ba902b7")


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "rubbish", "tracestate": "v=1"},
        {"traceparent": PARENT.replace("00-4", "ff-4")},
        [("traceparent", PARENT), ("traceparent", PARENT)],
        {"tracestate": "v=1", "baggage": "%%%,=,;;;"},
        {"baggage": "x" * 20_000},
    ],
)
def test_malformed_headers_begin_a_new_trace(spans: Spans, headers: Any) -> None:
    response, span = ask(spans, "/items/1", headers)
    assert response.status_code == 200
    assert (span.parent_id, span.tracestate) == ("", "")
    assert span.trace_id not in ("", PARENT[3:35])


def test_a_request_that_is_not_recorded_goes_on_in_its_trace(spans: Spans) -> None:
    response = asyncio.run(get(traced(spans), "/items/1", {"traceparent": PARENT[:-1] + "0"}))
    version, trace, span, flags = response.json()["headers"]["traceparent"].split("-")
    assert (version, trace, flags) == ("00", PARENT[3:35], "00")
    assert span != PARENT[36:52]
    assert spans.all() == []


def test_paths_that_are_skipped_have_no_span(spans: Spans) -> None:
    app = traced(spans, metrics={"skip_paths": ["/teapot"]})
    for path in ("/teapot", "/metrics", "/health"):
        asyncio.run(get(app, path))
    assert spans.all() == []


def test_the_ids_are_in_every_log_line(spans: Spans, tmp_path: Path) -> None:
    app = application()
    features = (
        ferrometer.Traces(endpoint=spans.receiver.url, delay=0),
        ferrometer.Logs(to=tmp_path / "log", stdlib=False),
    )
    ferrometer.instrument(app, *features, registry=CollectorRegistry(), default_collectors=False)
    asyncio.run(get(app, "/items/1", {"traceparent": PARENT}))
    assert logs.flush(60)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    work, request = spans.all()
    at_work, access = [line for line in lines if line.get("span_id") in (work.span_id, request.span_id)]
    assert (at_work["trace_id"], at_work["span_id"]) == (PARENT[3:35], work.span_id)
    assert (access["trace_id"], access["span_id"]) == (PARENT[3:35], request.span_id)
    logs.shutdown()


def test_exemplars_have_the_id_of_the_requests_span(spans: Spans) -> None:
    app = traced(spans, metrics={"exemplars": True})
    asyncio.run(get(app, "/items/1"))
    asyncio.run(get(app, "/items/1"))
    found = [span for span in spans.all() if span.kind == "server"]
    text = asyncio.run(get(app, "/metrics", {"Accept": "application/openmetrics-text"})).text
    told = [
        line
        for line in text.splitlines()
        if line.startswith("http_request_duration_seconds_bucket") and "# {" in line
    ]
    assert told
    assert all(any(span.trace_id in line for span in found) for line in told)


def test_settings_of_the_environment(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", spans.receiver.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "named")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=shop,k=a%20b,service.instance.id=i1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=secret%20one")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    app = application()
    ferrometer.instrument(app, ferrometer.Traces(), registry=CollectorRegistry(), default_collectors=False)
    asyncio.run(get(app, "/items/1"))
    span = spans.named("GET /items/{item}")
    expected = {"service.name": "named", "service.namespace": "shop", "k": "a b", "service.instance.id": "i1"}
    assert expected.items() <= span.resource.items()
    assert span.attributes["url.path"] == "/ite"
    post = spans.receiver.posts[-1]
    assert post.headers["x-key"] == "secret one"
    assert "content-encoding" not in post.headers


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "sampler must be one of always_on"),
        ("OTEL_TRACES_SAMPLER_ARG", "half", "OTEL_TRACES_SAMPLER_ARG must be a number, not 'half'"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "traces.exporter must be otlp or none, not 'zipkin'"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; only http/protobuf"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector:4317",
            "a URL is one like 'http://collector:4318', not 'collector:4317",
        ),
    ],
)
def test_what_is_wrong_shows_before_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        ferrometer.instrument(
            FastAPI(), ferrometer.Traces(), registry=CollectorRegistry(), default_collectors=False
        )


def test_opentelemetry_can_be_switched_off(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    tracing.shutdown()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert asyncio.run(get(traced(spans), "/items/1")).json()["headers"] == {}
