"""A span of four attributes, and the span of a request: ours and OpenTelemetry's, in one run.

``python -m benches.traces``; nanoseconds of the calling thread, the least of interleaved rounds.
OpenTelemetry's spans go to a batch processor whose exporter throws them away, ours into the ring and to no
receiver: neither pays for a network. Peers that are not installed are left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ferrometer import CollectorRegistry, MetricsMiddleware, _core, span, tracing

ROUNDS, CALLS = 40, 300
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/items/7",
    "raw_path": b"/items/7",
    "query_string": b"",
    "root_path": "",
    "server": ("127.0.0.1", 8000),
    "client": ("127.0.0.1", 40000),
}
HEADERS = [(b"host", b"localhost:8000"), (b"user-agent", b"bench/1"), (b"accept", b"*/*")]
CALLER = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0")


def nothing(name: str, **attributes: object) -> None:
    """What a call with these arguments costs in Python."""


def floor() -> None:
    nothing("s3.presign", bucket="images", key="a/b/c", size=1234, cached=True)


def ours() -> None:
    with span("s3.presign", bucket="images", key="a/b/c", size=1234, cached=True):
        pass


def started() -> None:
    span("s3.presign", bucket="images", key="a/b/c", size=1234, cached=True).start().end()


def opentelemetry(ratio: float) -> Callable[[], None]:
    tracer = _peer(ratio).get_tracer("bench")

    def call() -> None:
        with tracer.start_as_current_span("s3.presign") as made:
            made.set_attribute("bucket", "images")
            made.set_attribute("key", "a/b/c")
            made.set_attribute("size", 1234)
            made.set_attribute("cached", True)

    return call


def through_the_api() -> Callable[[], None]:
    from opentelemetry import trace

    from ferrometer import otel

    otel.install()
    tracer = trace.get_tracer("bench")

    def call() -> None:
        with tracer.start_as_current_span("s3.presign") as made:
            made.set_attribute("bucket", "images")
            made.set_attribute("key", "a/b/c")
            made.set_attribute("size", 1234)
            made.set_attribute("cached", True)

    return call


def _peer(ratio: float) -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    class Discarding(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(ratio))
    provider.add_span_processor(BatchSpanProcessor(Discarding()))
    return provider


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


async def receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    pass


def request(app: Any, caller: bytes | None) -> Callable[[], None]:
    headers = HEADERS if caller is None else [*HEADERS, (CALLER[0], CALLER[1] + caller)]

    def call() -> None:
        with suppress(StopIteration):
            app({**SCOPE, "headers": headers}, receive, send).__await__().send(None)

    return call


def with_coroutine(app: Any) -> Any:
    """A coroutine function for what is called as an object."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return call


def measured(calls: dict[str, Callable[[], None]], before: Callable[[str], None]) -> dict[str, float]:
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            before(name)
            begun = time.thread_time_ns()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], (time.thread_time_ns() - begun) / CALLS)
    return best


def switch(name: str) -> None:
    """Traces are on for all but those that say so."""
    if "alone" in name or "off" in name:
        _core.stop_traces()
    else:
        limits = (128, 8192, 128, 128, 128, 128)
        _core.configure_traces("parentbased_traceidratio", 1.0, limits, b"key", "stable")
    time.sleep(0.001)


def main() -> None:
    tracing.setup("bench", export=False, queue_bytes=64 << 20)
    calls: dict[str, Callable[[], None]] = {
        "floor": floor,
        "ours, off": ours,
        "ours": ours,
        "ours, not made current": started,
    }
    app = MetricsMiddleware(application, registry=CollectorRegistry())
    requests = {
        "request bare": request(with_coroutine(application), None),
        "request, metrics alone": request(with_coroutine(app), None),
        "request, recorded": request(with_coroutine(app), b"1"),
        "request, sampled out": request(with_coroutine(app), b"0"),
    }
    try:
        calls["ours, through its API"] = through_the_api()
        calls["OpenTelemetry"] = opentelemetry(1.0)
        calls["OpenTelemetry, sampled out"] = opentelemetry(0.0)
    except ImportError as error:
        print(error)
    try:
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

        peer: Any = OpenTelemetryMiddleware(
            with_coroutine(application), tracer_provider=_peer(1.0), exclude_spans=["send", "receive"]
        )
        requests["OpenTelemetry, recorded"] = request(with_coroutine(peer), b"1")
        requests["OpenTelemetry, sampled out"] = request(with_coroutine(peer), b"0")
    except ImportError as error:
        print(error)
    for group, one in ((calls, "ours"), (requests, "request, metrics alone")):
        best = measured(group, switch)
        for name, nanoseconds in best.items():
            times, more = nanoseconds / best[one], nanoseconds - best[one]
            print(f"{name:<28} {nanoseconds:9.0f} ns   x {times:6.2f}   {more:+9.0f}")
    counts = tracing.counts()
    ours()
    print({"spans": counts and sum(counts["spans"].values()), "dropped": counts and counts["dropped"]})


if __name__ == "__main__":
    main()
