"""OpenTelemetry's tracing API: what its own SDK does with the same calls, ours does, too."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import ferrometer
from ferrometer import otel, tracing
from tests.tracing.received import Spans

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = SpanContext(0x1234, 0x5678, True, TraceFlags(1), TraceState([("v", "1")]))


def attributes_and_events(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("a", attributes={"x": 1, "y": [1, 2]}, kind=SpanKind.CLIENT) as span:
        span.set_attribute("x", "two")
        span.set_attributes({"z": True, "f": 0.5})
        span.add_event("e", {"k": "v"}, timestamp=5)
        span.update_name("b")


def nested_and_siblings(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("root") as root:
        assert trace.get_current_span() is root
        with tracer.start_as_current_span("first"), tracer.start_as_current_span("within"):
            pass
        loose = tracer.start_span("loose")
        assert trace.get_current_span() is root
        with trace.use_span(loose, end_on_exit=True):
            assert trace.get_current_span() is loose
            tracer.start_span("below").end()
    assert not trace.get_current_span().get_span_context().is_valid


def statuses(tracer: trace.Tracer) -> None:
    with tracer.start_as_current_span("ok") as span:
        span.set_status(StatusCode.OK)
        span.set_status(StatusCode.ERROR, "too late")
    with tracer.start_as_current_span("error") as span:
        span.set_status(Status(StatusCode.ERROR, "went wrong"))
        span.set_status(StatusCode.UNSET)


def exceptions(tracer: trace.Tracer) -> None:
    for options in ({}, {"record_exception": False}, {"set_status_on_exception": False}):
        with pytest.raises(KeyError), tracer.start_as_current_span("fails", **options):  # type: ignore[arg-type]
            raise KeyError("k")
    with pytest.raises(KeyError), tracer.start_span("alone"):
        raise KeyError("k")
    with tracer.start_as_current_span("caught") as span:
        span.record_exception(ValueError("v"), {"more": 1})


def links_and_parents(tracer: trace.Tracer) -> None:
    carrier = {"traceparent": PARENT, "tracestate": "v=1"}
    context = TraceContextTextMapPropagator().extract(carrier)
    with tracer.start_as_current_span(
        "child", context=context, links=[Link(OTHER, {"why": "batch"})]
    ) as span:
        span.add_link(OTHER)
        out: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(out)
        assert out["traceparent"].split("-")[1:3] == [PARENT[3:35], f"{span.get_span_context().span_id:016x}"]
        assert out["tracestate"] == "v=1"
        tracer.start_span("root", context=context_api.Context()).end()
    token = context_api.attach(context)
    tracer.start_span("attached").end()
    context_api.detach(token)


def times_and_two_ends(tracer: trace.Tracer) -> None:
    span = tracer.start_span("timed", start_time=1000)
    span.end(2000)
    span.end(3000)
    span.set_attribute("late", 1)
    assert not span.is_recording()


def decorated(tracer: trace.Tracer) -> None:
    @tracer.start_as_current_span("plain")
    def plain() -> int:
        return 1

    @tracer.start_as_current_span("async")
    async def coroutine() -> int:
        await asyncio.sleep(0)
        return 2

    assert [plain(), plain(), asyncio.run(coroutine())] == [1, 1, 2]


def shape(name: str, parent: str, told: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "parent": parent, **told}


def by_sdk(script: Callable[[trace.Tracer], None]) -> list[dict[str, Any]]:
    exporter = InMemorySpanExporter()
    provider = SdkProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    script(provider.get_tracer("lib", "1.0"))
    found = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in found if span.context}
    return [
        shape(
            span.name,
            names.get(span.parent.span_id, f"{span.parent.span_id:016x}") if span.parent else "",
            {
                "kind": span.kind.name.lower(),
                "status": span.status.status_code.name.lower(),
                "message": span.status.description or "",
                "attributes": {
                    key: list(v) if isinstance(v, tuple) else v for key, v in (span.attributes or {}).items()
                },
                "events": [
                    (event.name, {k: v for k, v in (event.attributes or {}).items() if k not in VARIES})
                    for event in span.events
                ],
                "links": [
                    (f"{link.context.span_id:016x}", dict(link.attributes or {})) for link in span.links
                ],
                "scope": (span.instrumentation_scope.name, span.instrumentation_scope.version)
                if span.instrumentation_scope
                else None,
            },
        )
        for span in found
    ]


#: The text of a stack has other frames in it; `escaped` is no attribute any more.
VARIES = {"exception.stacktrace", "exception.escaped"}


def by_ours(spans: Spans, script: Callable[[trace.Tracer], None]) -> list[dict[str, Any]]:
    script(trace.get_tracer("lib", "1.0"))
    found = spans.all()
    names = {span.span_id: span.name for span in found}
    return [
        shape(
            span.name,
            names.get(span.parent_id, span.parent_id),
            {
                "kind": span.kind,
                "status": span.status,
                "message": span.message,
                "attributes": span.attributes,
                "events": [
                    (event.name, {k: v for k, v in event.attributes.items() if k not in VARIES})
                    for event in span.events
                ],
                "links": [(link.span_id, link.attributes) for link in span.links],
                "scope": span.scope,
            },
        )
        for span in found
    ]


@pytest.mark.parametrize(
    "script",
    [
        attributes_and_events,
        nested_and_siblings,
        statuses,
        exceptions,
        links_and_parents,
        times_and_two_ends,
        decorated,
    ],
)
def test_the_same_calls_make_the_same_spans(spans: Spans, script: Callable[[trace.Tracer], None]) -> None:
    assert by_ours(spans, script) == by_sdk(script)


def test_spans_of_both_kinds_are_each_others_parents(spans: Spans) -> None:
    tracer = trace.get_tracer("lib")
    with ferrometer.span("ours") as ours:
        seen = trace.get_current_span()
        assert f"{seen.get_span_context().span_id:016x}" == ours.span_id
        assert trace.get_current_span() is seen
        seen.set_attribute("through the API", 1)
        with tracer.start_as_current_span("theirs") as theirs:
            assert tracing.current_span() is not None
            with ferrometer.span("ours again"):
                pass
            assert trace.get_current_span() is theirs
        assert trace.get_current_span() is seen
    again, theirs_told, ours_told = (spans.named(name) for name in ("ours again", "theirs", "ours"))
    assert (again.parent_id, theirs_told.parent_id) == (theirs_told.span_id, ours_told.span_id)
    assert ours_told.attributes == {"through the API": 1}
    assert (theirs_told.scope, ours_told.scope[0]) == (("lib", ""), "ferrometer")


def test_tasks_take_the_span_along(spans: Spans) -> None:
    tracer = trace.get_tracer("lib")

    async def child() -> None:
        await asyncio.sleep(0)
        with tracer.start_as_current_span("child"):
            await asyncio.sleep(0)

    async def main() -> None:
        with tracer.start_as_current_span("parent"):
            await asyncio.gather(child(), child())

    asyncio.run(main())
    *children, parent = spans.all()
    assert [span.parent_id for span in children] == [parent.span_id] * 2


def test_what_is_not_sampled_is_not_recorded_and_passed_on(spans: Spans) -> None:
    spans.setup(sampler="always_off")
    with trace.get_tracer("lib").start_as_current_span("x") as span:
        assert not span.is_recording()
        assert span.get_span_context().is_valid
        assert not span.get_span_context().trace_flags.sampled
    assert spans.all() == []


def test_without_traces_the_api_does_nothing() -> None:
    otel.install()
    tracing.shutdown()
    with trace.get_tracer("lib").start_as_current_span("x") as span:
        assert not span.is_recording()
        assert not span.get_span_context().is_valid


def test_another_provider_is_not_replaced() -> None:
    code = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
from ferrometer import otel
try: otel.install()
except RuntimeError as error: print(error)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "has a tracer provider already: opentelemetry.sdk.trace.TracerProvider" in out
