"""Spans of the application: every way to make one, what it holds, and what is wrong with it without harm."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

import ferrometer
from ferrometer import _core, tracing
from tests.tracing.received import Spans


def test_a_span_with_its_child(spans: Spans) -> None:
    before = time.time_ns()
    with ferrometer.span("outer", bucket="b", size=3, ratio=0.5, cached=True, none=None) as outer:
        assert tracing.current_span() is outer
        assert [outer.is_recording] == [True]
        with ferrometer.span("inner") as inner:
            assert inner.trace_id == outer.trace_id
        assert tracing.current_span() is outer
    assert tracing.current_span() is None
    assert not outer.is_recording
    child, parent = spans.all()
    assert (child.name, child.parent_id, child.trace_id) == ("inner", parent.span_id, parent.trace_id)
    assert (parent.name, parent.parent_id, parent.kind, parent.status) == ("outer", "", "internal", "unset")
    assert (parent.trace_id, parent.span_id) == (outer.trace_id, outer.span_id)
    assert parent.attributes == {"bucket": "b", "size": 3, "ratio": 0.5, "cached": True}
    assert before <= parent.start_ns <= child.start_ns <= child.end_ns <= parent.end_ns
    assert parent.scope == ("ferrometer", ferrometer.__version__)
    assert parent.resource["service.name"] == "svc"
    assert parent.flags & 1


def test_times_are_right_also_of_long_spans(spans: Spans) -> None:
    begun = time.monotonic_ns()
    with ferrometer.span("outer"), ferrometer.span("inner"):
        time.sleep(0.3)
    took = time.monotonic_ns() - begun
    inner, outer = spans.all()
    assert 0.3e9 <= inner.end_ns - inner.start_ns <= took
    assert outer.start_ns <= inner.start_ns <= inner.end_ns <= outer.end_ns


def test_an_exception_is_told_and_goes_on(spans: Spans) -> None:
    def fail() -> None:
        secret_local = "hunter2"
        raise ValueError(f"no such thing: password={secret_local}")

    with pytest.raises(ValueError, match="hunter2"), ferrometer.span("fails"):
        fail()
    span = spans.one()
    assert (span.status, span.attributes["error.type"]) == ("error", "ValueError")
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert "in fail" in event.attributes["exception.stacktrace"]
    assert "hunter2" not in str(span)
    assert "no such thing" in event.attributes["exception.message"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_what_only_ends_the_work_is_no_failure(spans: Spans, error: type[BaseException]) -> None:
    with pytest.raises(error), ferrometer.span("ends"):
        raise error
    assert (spans.one().status, spans.one().events) == ("unset", [])


def test_async_with_and_tasks(spans: Spans) -> None:
    async def child(number: int) -> None:
        async with ferrometer.span("child", number=number):
            await asyncio.sleep(0.001)

    async def main() -> None:
        async with ferrometer.span("parent") as parent:
            await asyncio.gather(*(child(number) for number in range(5)))
            assert tracing.current_span() is parent

    asyncio.run(main())
    *children, parent = spans.all()
    assert {span.parent_id for span in children} == {parent.span_id}
    assert sorted(span.attributes["number"] for span in children) == list(range(5))


def test_decorated_functions(spans: Spans) -> None:
    @ferrometer.span("plain", kind="f")
    def plain(first: int, *, second: int) -> int:
        """Doc."""
        return first + second

    @ferrometer.span("coroutine")
    async def coroutine() -> str | None:
        await asyncio.sleep(0)
        span = tracing.current_span()
        return span and span.name

    assert (plain.__name__, plain.__doc__) == ("plain", "Doc.")
    assert [plain(1, second=2), plain(2, second=2)] == [3, 4]
    assert asyncio.run(coroutine()) == "coroutine"
    assert asyncio.iscoroutinefunction(coroutine)
    found = spans.all()
    assert [span.name for span in found] == ["plain", "plain", "coroutine"]
    assert len({span.trace_id for span in found}) == 3
    assert found[0].attributes == {"kind": "f"}


def test_a_decorated_generator_is_present_only_while_it_runs(spans: Spans) -> None:
    names: list[str | None] = []

    def look() -> None:
        span = tracing.current_span()
        names.append(span and span.name)

    @ferrometer.span("numbers")
    def numbers() -> Iterator[int]:
        for number in range(2):
            look()
            yield number
        look()

    for _ in numbers():
        look()
    assert names == ["numbers", None, "numbers", None, "numbers"]
    assert spans.one().name == "numbers"


def test_generators_that_are_sent_to_thrown_into_closed_and_forgotten(spans: Spans) -> None:
    @ferrometer.span("steps")
    def steps() -> Any:
        try:
            got = yield 1
            got = yield got
        except KeyError:
            got = yield "caught"
        return got

    one = steps()
    assert [next(one), one.send("a")] == [1, "a"]
    assert one.throw(KeyError("k")) == "caught"
    with pytest.raises(StopIteration) as end:
        one.send("end")
    assert end.value.value == "end"
    two = steps()
    next(two)
    with pytest.raises(ValueError, match="out"):
        two.throw(ValueError("out"))
    three = steps()
    next(three)
    three.close()
    four = steps()
    next(four)
    del four
    gc.collect()
    assert [span.status for span in spans.all()] == ["unset", "error", "unset", "unset"]
    assert tracing.current_span() is None


def test_a_decorated_asynchronous_generator(spans: Spans) -> None:
    @ferrometer.span("chunks")
    async def chunks(fails: bool) -> AsyncIterator[int]:
        with ferrometer.span("within"):
            yield 1
        yield 2
        if fails:
            raise ValueError("broken")

    async def main() -> None:
        assert [chunk async for chunk in chunks(False)] == [1, 2]
        assert tracing.current_span() is None
        with pytest.raises(ValueError, match="broken"):
            [chunk async for chunk in chunks(True)]

    asyncio.run(main())
    found = [span for span in spans.all() if span.name == "chunks"]
    assert [span.status for span in found] == ["unset", "error"]


def test_started_by_hand_with_kind_links_scope_and_time(spans: Spans) -> None:
    with ferrometer.span("other") as other:
        pass
    remote = tracing.extract(
        {"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "TraceState": "v=1"}
    )
    assert remote is not None
    assert remote.is_remote
    span = tracing.start_span(
        "publish",
        "producer",
        parent=remote,
        attributes={"queue": "q"},
        links=[(other, {"why": "batch"})],
        scope=("lib", "2.0"),
        start_ns=1_000,
    )
    assert tracing.current_span() is None
    span.add_event("sent", {"bytes": 7}, time_ns=1_500)
    span.add_link(remote)
    span.set_status("ok")
    span.set_status("error", "too late: ok is final")
    span.update_name("publish q")
    span.end(2_000)
    span.end(3_000)
    span.set_attribute("late", 1)
    told = spans.named("publish q")
    assert (told.kind, told.parent_id, told.tracestate) == ("producer", "00f067aa0ba902b7", "v=1")
    assert told.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (told.start_ns, told.end_ns, told.status, told.scope) == (1_000, 2_000, "ok", ("lib", "2.0"))
    assert told.attributes == {"queue": "q"}
    assert [(event.name, event.attributes, event.time_ns) for event in told.events] == [
        ("sent", {"bytes": 7}, 1_500)
    ]
    assert [(link.span_id, link.attributes, link.tracestate) for link in told.links] == [
        (other.span_id, {"why": "batch"}, ""),
        ("00f067aa0ba902b7", {}, "v=1"),
    ]
    # Whether the parent is of another process is known, and it is.
    assert told.flags & 0x300 == 0x300
    root = tracing.start_span("root", is_root=True)
    assert root.trace_id != told.trace_id
    with pytest.raises(ValueError, match="kind must be one of internal, server"):
        tracing.start_span("x", "worker")
    with pytest.raises(ValueError, match="status must be"):
        root.set_status("fine")
    with pytest.raises(TypeError, match="takes a name"):
        ferrometer.span(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="decorates a function"):
        ferrometer.span("x")(3)  # type: ignore[type-var]


def test_samplers(spans: Spans) -> None:
    spans.setup(ratio=0.25)
    peer = TraceIdRatioBased(0.25)
    ids = RandomIdGenerator()
    for _ in range(400):
        remote = f"00-{ids.generate_trace_id():032x}-{ids.generate_span_id():016x}"
        for flags in ("00", "01"):
            with (
                tracing.within(tracing.extract({"traceparent": f"{remote}-{flags}"})),
                ferrometer.span("x") as span,
            ):
                assert span.is_recording == (flags == "01"), "the caller decides"
        with ferrometer.span("root") as root, ferrometer.span("child") as child:
            assert root.trace_id is not None
            expected = (
                peer.should_sample(None, int(root.trace_id, 16), "root").decision
                == Decision.RECORD_AND_SAMPLE
            )
            assert root.is_recording == child.is_recording == expected
            assert child.trace_id == root.trace_id
    spans.setup(sampler="always_off")
    with tracing.within(tracing.extract({"traceparent": f"{remote}-01"})), ferrometer.span("x") as span:
        assert not span.is_recording
        assert tracing.headers()["traceparent"].endswith("-00")
    spans.setup(sampler="parentbased_always_off")
    with ferrometer.span("x") as span:
        assert not span.is_recording
    with pytest.raises(ValueError, match="sampler must be one of always_on"):
        spans.setup(sampler="sometimes")
    with pytest.raises(ValueError, match="ratio must be from 0 to 1"):
        spans.setup(ratio=2)


def test_without_traces_spans_cost_and_do_nothing() -> None:
    tracing.shutdown()
    with ferrometer.span("nothing", a=1) as span:
        assert not span.is_recording
        assert (span.trace_id, span.traceparent) == (None, None)
        assert tracing.current_span() is None
        assert tracing.headers() == {}

    @ferrometer.span("nothing")
    def function() -> int:
        return 3

    assert function() == 3


def test_ends_out_of_order_elsewhere_and_never(spans: Spans) -> None:
    first, second = ferrometer.span("first"), ferrometer.span("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    second.__exit__(None, None, None)

    entered = ferrometer.span("thread")
    entered.__enter__()
    thread = threading.Thread(target=entered.__exit__, args=(None, None, None))
    thread.start()
    thread.join()

    async def main() -> None:
        span = ferrometer.span("task")
        await asyncio.create_task(_enter(span))
        span.__exit__(None, None, None)

    asyncio.run(main())
    for _ in range(1000):
        ferrometer.span("never").start()
        with ferrometer.span("made, not begun"):
            ferrometer.span("x")
    names = [span.name for span in spans.all()]
    assert names[:4] == ["first", "second", "thread", "task"]
    assert "never" not in names
    # What was entered here and left elsewhere is the present one still.
    _core.span_var.set(None)


async def _enter(span: tracing.Span) -> None:
    span.__enter__()


def test_the_same_object_again_and_within_itself(spans: Spans) -> None:
    span = ferrometer.span("again", a=1)
    for _ in range(2):
        with span, span:
            pass
    first, second = spans.all()
    assert first.span_id != second.span_id
    assert first.attributes == second.attributes == {"a": 1}


def test_many_threads(spans: Spans) -> None:
    def work(number: int) -> None:
        for turn in range(200):
            with ferrometer.span("outer", number=number), ferrometer.span("inner", turn=turn):
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = spans.all()
    outer = {span.span_id: span for span in found if span.name == "outer"}
    inner = [span for span in found if span.name == "inner"]
    assert (len(outer), len(inner)) == (1600, 1600)
    assert all(outer[span.parent_id].trace_id == span.trace_id for span in inner)


def test_a_value_that_sets_attributes_of_its_own_span(spans: Spans) -> None:
    class Meddling:
        def __str__(self) -> str:
            span.set_attribute("meddled", 1)
            span.end()
            return "text"

    with ferrometer.span("meddled with") as span:
        span.set_attribute("value", Meddling())
    assert spans.one().attributes == {"meddled": 1}
