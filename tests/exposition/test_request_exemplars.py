"""Exemplars of request durations: the trace id of OpenTelemetry's span, or of the request's `traceparent`."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import ferrometer
from ferrometer import CollectorRegistry, HttpMetrics, MetricsMiddleware
from ferrometer.exposition import generate_openmetrics
from tests.endpoints.client import calling
from tests.exposition.metric_families import decoded, labels_of

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
TRACER = TracerProvider().get_tracer("tests")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Served:
    """An application that answers within a span of its own where `traced`."""

    def __init__(self, exemplars: Any = True, tracer: Any = None, **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.tracer = tracer
        self.trace_ids: list[str] = []
        app = Starlette(routes=[Route("/hello", self.hello), Route("/broken", self.broken)])
        self.app = MetricsMiddleware(app, registry=self.registry, exemplars=exemplars, **options)

    async def __call__(self, *arguments: Any) -> None:
        await self.app(*arguments)

    async def hello(self, request: Any) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if self.tracer is None:
                await PlainTextResponse("hello")(scope, receive, send)
                return
            with self.tracer.start_as_current_span("hello") as span:
                self.trace_ids.append(f"{span.get_span_context().trace_id:032x}")
                await PlainTextResponse("hello")(scope, receive, send)

        return answer

    async def broken(self, request: Any) -> Any:
        raise RuntimeError("broken")

    async def get(self, path: str = "/hello", **headers: str) -> None:
        async with calling(self) as client:
            await client.get(path, headers=headers)

    def exemplars(self) -> list[tuple[str, str]]:
        """Endpoint and trace id of each."""
        families = decoded(ferrometer.exposition.generate_protobuf(self.registry))
        return [
            (labels_of(metric)["endpoint"], labels_of(bucket.exemplar)["trace_id"])
            for metric in families["http_request_duration_seconds"].metric
            for bucket in metric.histogram.bucket
            if bucket.HasField("exemplar")
        ]


async def test_the_trace_of_the_caller() -> None:
    served = Served()
    await served.get(traceparent=PARENT)
    assert served.exemplars() == [("/hello", TRACE)]
    text = generate_openmetrics(served.registry).decode()
    [line] = [line for line in text.splitlines() if " # {" in line]
    _, exemplar = line.split(" # ")
    labels, value, moment = exemplar.split()
    assert labels == f'{{trace_id="{TRACE}"}}'
    assert 0 < float(value) < 5
    assert float(moment) > 1_600_000_000


async def test_the_applications_own_span_says_it_better() -> None:
    served = Served(tracer=TRACER)
    await served.get(traceparent=PARENT)
    assert served.trace_ids != [TRACE]
    assert served.exemplars() == [("/hello", served.trace_ids[0])]


async def test_a_span_around_all() -> None:
    served = Served()
    with TRACER.start_as_current_span("server") as span:
        await served.get()
    assert served.exemplars() == [("/hello", f"{span.get_span_context().trace_id:032x}")]


async def test_a_trace_that_is_not_recorded_is_no_exemplar() -> None:
    served = Served(tracer=TracerProvider(sampler=ALWAYS_OFF).get_tracer("tests"))
    await served.get()
    await served.get(traceparent=PARENT[:-1] + "0")
    assert served.exemplars() == []


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (PARENT, True),
        (f" {PARENT} ", True),
        ("01" + PARENT[2:] + "-more", True),
        (PARENT[:-2] + "ff", True),
        ("ff" + PARENT[2:], False),
        (PARENT + "-more", False),
        (PARENT.upper(), False),
        (PARENT.replace(TRACE, "0" * 32), False),
        (PARENT.replace(TRACE, TRACE[1:]), False),
        (PARENT.replace("b7ad6b7169203331", "0" * 16), False),
        (PARENT.replace(TRACE, 'x"\\' + TRACE[3:]), False),
        ("", False),
        ("---", False),
        ("00-é", False),
    ],
)
async def test_what_counts_as_a_traceparent(header: str, taken: bool) -> None:
    served = Served()

    async def quiet(message: Any) -> None:
        """Nobody listens."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"traceparent", header.encode())]
    scope = {"type": "http", "method": "GET", "path": "/hello", "headers": headers, "query_string": b""}
    await served.app(scope, receive, quiet)
    assert served.exemplars() == ([("/hello", TRACE)] if taken else [])


async def test_failed_requests_have_exemplars_too() -> None:
    served = Served()
    with pytest.raises(RuntimeError, match="broken"):
        await served.get("/broken", traceparent=PARENT)
    assert served.exemplars() == [("/broken", TRACE)]


async def test_off_unless_asked_for() -> None:
    for off in (None, False):
        served = Served(exemplars=off)
        await served.get(traceparent=PARENT)
        assert served.exemplars() == []


async def test_a_function_may_tell_the_trace() -> None:
    answers: list[Callable[[], Any]] = [
        lambda: 'say "hi"\n',
        lambda: None,
        lambda: 1 / 0,
        lambda: 5,
        lambda: "x" * 121,
    ]
    served = Served(exemplars=lambda: answers[0]())
    await served.get()
    assert served.exemplars() == [("/hello", 'say "hi"\n')]
    while len(answers) > 1:
        answers.pop(0)
        await served.get()
    faults = served.registry.get_sample_value("ferrometer_middleware_errors_total", {"reason": "exemplar"})
    assert faults == 3
    assert (
        served.registry.get_sample_value(
            "http_requests_total", {"method": "GET", "endpoint": "/hello", "status": "200"}
        )
        == 5
    )


@pytest.mark.parametrize("wrong", [1, "yes", object()])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="exemplars must be True, False, or a function"):
        HttpMetrics(CollectorRegistry(), exemplars=wrong)


def test_it_belongs_to_the_metrics() -> None:
    with pytest.raises(ValueError, match="exemplars belongs to HttpMetrics"):
        MetricsMiddleware(Starlette(), HttpMetrics(CollectorRegistry()), exemplars=True)


async def test_requests_at_once_keep_their_traces_apart_and_are_bounded() -> None:
    served = Served(buckets=(1e-9, 60.0), tracer=TRACER)
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(served.get)
    assert len(set(served.trace_ids)) == 50
    [(_, kept)] = served.exemplars()
    assert kept in served.trace_ids


async def test_sampled_requests_only() -> None:
    served = Served(sample=0.5)
    for _ in range(200):
        await served.get(traceparent=PARENT)
    assert set(served.exemplars()) == {("/hello", TRACE)}


def test_the_function_is_let_go_with_the_metrics() -> None:
    import weakref

    class Asked:
        metrics: Any = None

        def __call__(self) -> str | None:
            return None

    asked = Asked()
    asked.metrics = HttpMetrics(CollectorRegistry(), exemplars=asked)
    gone = weakref.ref(asked)
    del asked
    gc.collect()
    assert gone() is None


async def test_instrument_passes_it_on() -> None:
    registry = CollectorRegistry()
    app = Starlette(routes=[Route("/hello", lambda request: PlainTextResponse("hello"))])
    ferrometer.instrument(app, registry=registry, exemplars=True, default_collectors=False)
    async with calling(app) as client:
        await client.get("/hello", headers={"traceparent": PARENT})
    assert f'trace_id="{TRACE}"' in generate_openmetrics(registry).decode()


def test_nothing_is_imported_for_it() -> None:
    assert trace.get_current_span() is not None  # the library is here, and its absence simulated
    import sys
    from unittest.mock import patch

    from ferrometer.tracing.active import active_trace_id

    with patch.dict(sys.modules):
        del sys.modules["opentelemetry.trace"]
        assert active_trace_id() is None


@pytest.mark.parametrize(("argument", "expected"), [(None, True), (False, False)])
async def test_the_environment_asks_for_exemplars(
    argument: bool | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every other setting, an argument wins."""
    monkeypatch.setenv("FERROMETER_EXEMPLARS", "true")
    registry = CollectorRegistry()
    app = Starlette(routes=[Route("/hello", lambda request: PlainTextResponse("hello"))])
    ferrometer.instrument(app, registry=registry, exemplars=argument, default_collectors=False)
    async with calling(app) as client:
        await client.get("/hello", headers={"traceparent": PARENT})
    assert (TRACE.encode() in generate_openmetrics(registry)) is expected
