"""Headers in and out, beside OpenTelemetry's own propagators."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.baggage import get_all
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import ferrometer
from ferrometer import _core, tracing
from tests.tracing.received import Spans

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def hexadecimal(length: int) -> st.SearchStrategy[str]:
    digits = st.text("0123456789abcdef", min_size=length, max_size=length)
    return (
        digits
        | st.just("0" * length)
        | digits.map(str.upper)
        | st.text("0123456789abcdefg", max_size=length + 1)
    )


#: Headers, most of them nearly right.
TRACEPARENTS = (
    st.builds(
        "-".join,
        st.tuples(
            st.sampled_from(["00", "01", "cc", "ff", "0", "000"]),
            hexadecimal(32),
            hexadecimal(16),
            st.sampled_from(["00", "01", "02", "03", "ff", "1", "0g", "01-", "01-more", "01 "]),
        ),
    )
    | st.text(max_size=80)
    | st.builds(
        lambda at, letter: PARENT[:at] + letter + PARENT[at + 1 :], st.integers(0, 54), st.characters()
    )
)


@given(TRACEPARENTS)
def test_traceparent_is_read_as_opentelemetry_reads_it(header: str) -> None:
    peer = trace.get_current_span(
        TraceContextTextMapPropagator().extract({"traceparent": header})
    ).get_span_context()
    ours = tracing.extract({"traceparent": header})
    if not peer.is_valid:
        assert ours is None
        return
    assert ours is not None
    assert (ours.trace_id, ours.span_id) == (f"{peer.trace_id:032x}", f"{peer.span_id:016x}")
    assert (ours.is_sampled, ours.is_remote) == (bool(peer.trace_flags.sampled), True)


# Level 2 of the specification lets keys begin with a digit; OpenTelemetry does not.
KEYS = st.text("abc019_-*/@", max_size=8).map("a".__add__) | st.text("@=A", max_size=2)
VALUES = st.text("ab =,\t~!é", max_size=6)


@given(
    st.lists(st.tuples(KEYS, VALUES), max_size=40).map(lambda pairs: ",".join(f"{k}={v}" for k, v in pairs))
)
def test_tracestate_is_passed_on_whole_or_not_at_all(header: str) -> None:
    span = tracing.extract({"traceparent": PARENT, "tracestate": header})
    assert span is not None
    context = TraceContextTextMapPropagator().extract({"traceparent": PARENT, "tracestate": header})
    peer = trace.get_current_span(context).get_span_context().trace_state
    if span.tracestate:
        assert dict(pair.split("=", 1) for pair in span.tracestate.split(",")) == dict(peer)
    with tracing.within(span):
        told = tracing.headers()
    assert told["traceparent"] == PARENT
    assert told.get("tracestate", "") == span.tracestate


@given(st.dictionaries(st.text("abcABC019.-_", min_size=1, max_size=10), st.text(max_size=20), max_size=10))
def test_baggage_arrives_at_opentelemetry_and_comes_back(members: dict[str, str]) -> None:
    members = {name: value.encode(errors="replace").decode().strip() for name, value in members.items()}
    with tracing.Baggage(**members):
        header = tracing.headers().get("baggage", "")
    assert dict(get_all(W3CBaggagePropagator().extract({"baggage": header}))) == members
    assert _core.parse_baggage(header) == members


@given(st.text(max_size=200))
def test_any_baggage_is_read_without_harm(header: str) -> None:
    assert all(name for name in _core.parse_baggage(header))


def test_headers_of_a_span(spans: Spans) -> None:
    assert tracing.headers() == {}
    with (
        ferrometer.span("caller") as span,
        tracing.Baggage(tenant="a b", gone="x"),
        tracing.Baggage(gone=None),
    ):
        carrier = {"Accept": "*/*"}
        tracing.inject(carrier)
        assert carrier == {"Accept": "*/*", "traceparent": span.traceparent, "baggage": "tenant=a%20b"}
        assert tracing.baggage() == {"tenant": "a b"}
    assert tracing.baggage() == {}
    with tracing.within(tracing.extract(carrier)), ferrometer.span("called"):
        pass
    caller, called = spans.all()
    assert (called.trace_id, called.parent_id) == (caller.trace_id, caller.span_id)


def test_within_none_changes_nothing(spans: Spans) -> None:
    with ferrometer.span("around") as around, tracing.within(None):
        assert tracing.current_span() is around
    with pytest.raises(AttributeError):
        tracing.extract(None)  # type: ignore[arg-type]


def test_the_context_in_threads_and_tasks(spans: Spans) -> None:
    seen: list[str | None] = []

    def look() -> None:
        span = tracing.current_span()
        seen.append(span and span.trace_id)

    async def main() -> None:
        await asyncio.to_thread(look)
        await asyncio.get_running_loop().run_in_executor(None, ferrometer.propagate(look))
        await asyncio.create_task(asyncio.to_thread(look))

    with ferrometer.span("around") as span:
        asyncio.run(main())
        thread = threading.Thread(target=ferrometer.propagate(look))
        thread.start()
        thread.join()
        alone = threading.Thread(target=look)
        alone.start()
        alone.join()
    assert seen == [span.trace_id] * 4 + [None]
