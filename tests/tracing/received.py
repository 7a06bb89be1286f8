"""Spans as a receiver sees them, read by OpenTelemetry's own protobuf classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from ferrometer import tracing
from tests.real.log_receivers import Post, Receiver


@dataclass
class Event:
    name: str
    attributes: dict[str, Any]
    dropped: int
    time_ns: int


@dataclass
class Link:
    trace_id: str
    span_id: str
    attributes: dict[str, Any]
    tracestate: str
    dropped: int


@dataclass
class Received:
    """One span."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    tracestate: str
    flags: int
    start_ns: int
    end_ns: int
    status: str
    message: str
    attributes: dict[str, Any]
    dropped: tuple[int, int, int]
    events: list[Event]
    links: list[Link]
    scope: tuple[str, str]
    resource: dict[str, Any] = field(repr=False)


def value(of: AnyValue) -> Any:
    kind = of.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value(item) for item in of.array_value.values]
    if kind == "kvlist_value":
        return pairs(of.kvlist_value.values)
    return getattr(of, kind)


def pairs(of: Iterable[Any]) -> dict[str, Any]:
    read = [(pair.key, value(pair.value)) for pair in of]
    assert len(dict(read)) == len(read), f"a key twice: {read}"
    return dict(read)


def spans(posts: Iterable[Post]) -> Iterator[Received]:
    for post in posts:
        assert (post.path, post.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        for resource in ExportTraceServiceRequest.FromString(post.body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    yield Received(
                        span.name,
                        {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}[span.kind],
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.trace_state,
                        span.flags,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        ("unset", "ok", "error")[span.status.code],
                        span.status.message,
                        pairs(span.attributes),
                        (
                            span.dropped_attributes_count,
                            span.dropped_events_count,
                            span.dropped_links_count,
                        ),
                        [
                            Event(
                                event.name,
                                pairs(event.attributes),
                                event.dropped_attributes_count,
                                event.time_unix_nano,
                            )
                            for event in span.events
                        ],
                        [
                            Link(
                                link.trace_id.hex(),
                                link.span_id.hex(),
                                pairs(link.attributes),
                                link.trace_state,
                                link.dropped_attributes_count,
                            )
                            for link in span.links
                        ],
                        (scope.scope.name, scope.scope.version),
                        pairs(resource.resource.attributes),
                    )


class Spans:
    """What this process records, exported to a receiver of the test."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def setup(self, service: str = "svc", **options: Any) -> None:
        """Sets up again, with other options."""
        tracing.setup(service, endpoint=self.receiver.url, delay=0, **options)

    def all(self) -> list[Received]:
        """All spans that have ended since the test began, in the order of their ends."""
        assert tracing.flush(60)
        return list(spans(self.receiver.posts))

    def one(self) -> Received:
        (span,) = self.all()
        return span

    def named(self, name: str) -> Received:
        (span,) = [span for span in self.all() if span.name == name]
        return span
