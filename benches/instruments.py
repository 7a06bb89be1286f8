"""What the instruments cost: one method against its plain calls, a whole `inference`, a chunk of a stream.

The chunk is measured on the real `Stream` class of the package openai over a `range()`: in a whole stream of
some 70 µs a chunk, nothing of it could be seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from time import perf_counter, thread_time
from typing import Any

from benches.loop import UNROLL, blank, generate
from benches.row import FLOOR, OURS, Aim, Row
from ferrometer import CollectorRegistry, generate_latest
from ferrometer.bench import answers
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave
from ferrometer.instruments import get_metrics_exporter, inference, watch
from ferrometer.instruments.genai import set_conventions
from ferrometer.instruments.sdk_answers import OPENAI
from ferrometer.instruments.sdk_client import _watch_stream

EMPTY = "empty loop"
STEP = 4 * UNROLL
ROUNDS, SECONDS = 120, 0.0004
PLAIN = "plain metric calls"


def _subject(
    name: str, statement: str, names: dict[str, Any], check: Callable[[int], None] = lambda done: None
) -> Subject:
    inner = generate(statement, names)
    return Subject(name, lambda operations: inner(blank(operations)), check, step=STEP)


def _total(registry: CollectorRegistry, name: str) -> Callable[[int], None]:
    return answers.equals(lambda: answers.total(generate_latest(registry), name), name)


def record_subjects() -> list[Subject]:
    """`record_inference` with tokens, and the four calls that it stands for."""
    ours, plain = CollectorRegistry(), CollectorRegistry()
    metrics, other = (get_metrics_exporter("bench", registry=registry) for registry in (ours, plain))
    names = {
        "requests": other.inference_requests_total,
        "seconds": other.inference_duration_seconds,
        "tokens": other.inference_tokens_total,
    }
    calls = (
        "requests.labels('m', 'success').inc()",
        "seconds.labels('m').observe(0.25)",
        "tokens.labels('m', 'prompt').inc(100)",
        "tokens.labels('m', 'completion').inc(50)",
    )
    statement = "metrics.record_inference('m', 'success', 0.25, 100, 50)"
    return [
        _subject(EMPTY, "pass", {}),
        _subject(PLAIN, "; ".join(calls), names, _total(plain, "inference_requests_total")),
        _subject(OURS, statement, {"metrics": metrics}, _total(ours, "inference_requests_total")),
    ]


def context_subjects() -> list[Subject]:
    """A whole `with inference(...)` with tokens and a finish reason."""
    native, both = CollectorRegistry(), CollectorRegistry()
    set_conventions(("native", "gen_ai@1.41"), both)

    def whole(registry: CollectorRegistry) -> Callable[[], None]:
        def call() -> None:
            with inference(model="m", provider="openai", registry=registry) as one:
                one.input_tokens, one.output_tokens, one.finish_reason = 100, 50, "stop"

        return call

    return [
        _subject(EMPTY, "pass", {}),
        *(
            _subject(name, "call()", {"call": whole(registry)}, _total(registry, "inference_requests_total"))
            for name, registry in ((OURS, native), ("and GenAI's", both))
        ),
    ]


def chunk_subjects() -> list[Subject]:
    """One chunk of the real Stream class: bare, and watched."""
    openai = peer("openai")
    if openai is None:
        return []

    def drain(stream: Any) -> float:
        began = perf_counter()
        for _ in stream:
            pass
        return perf_counter() - began

    def sample(operations: int, watched: bool) -> float:
        return drain(_stream(openai.Stream, (number for number in range(operations)), watched))

    return [
        Subject(FLOOR, partial(sample, watched=False), step=STEP),
        Subject(OURS, partial(sample, watched=True), step=STEP),
    ]


def async_chunk_subjects() -> list[Subject]:
    """The same of AsyncStream; nothing is waited for, so no event loop is in the figures."""
    openai = peer("openai")
    if openai is None:
        return []

    async def numbers(operations: int) -> AsyncIterator[int]:
        for number in range(operations):
            yield number

    async def drain(stream: Any) -> float:
        began = perf_counter()
        async for _ in stream:
            pass
        return perf_counter() - began

    def sample(operations: int, watched: bool) -> float:
        draining = drain(_stream(openai.AsyncStream, numbers(operations), watched))
        try:
            draining.send(None)
        except StopIteration as done:
            return float(done.value)
        raise AssertionError("an iteration that waits for nothing waited")

    return [
        Subject(FLOOR, partial(sample, watched=False), step=STEP),
        Subject(OURS, partial(sample, watched=True), step=STEP),
    ]


_STREAMS = CollectorRegistry()


def _stream(kind: Any, iterator: Any, watched: bool) -> Any:
    made = kind.__new__(kind)
    made.response = type("Response", (), {"close": lambda self: None})()
    made._iterator = iterator
    if watched:
        call = inference(model="m", registry=_STREAMS)
        with call:
            call.first_token()
            _watch_stream(call, made, OPENAI._replace(has_content=lambda chunk: True))
    return made


def transport_subjects() -> list[Subject]:
    """The transport of an httpx client alone: one that answers from memory, bare and watched."""
    httpx = peer("httpx")
    if httpx is None:
        return []
    registry = CollectorRegistry()
    answer, request = httpx.Response(200), httpx.Request("GET", "http://models.test/")

    def made(watched: bool) -> Callable[[], object]:
        client = httpx.Client(transport=httpx.MockTransport(lambda _: answer))
        if watched:
            watch(client, registry=registry)
        handle = client._transport.handle_request
        return lambda: handle(request)

    return [
        _subject(FLOOR, "call()", {"call": made(False)}),
        _subject(OURS, "call()", {"call": made(True)}, _total(registry, "http_client_requests_total")),
    ]


def watched_call_subjects() -> list[Subject]:
    """A whole call of OpenAI's client, answered in memory: bare and watched."""
    openai, httpx2 = peer("openai"), peer("httpx2")
    if openai is None or httpx2 is None:
        return []
    registry = CollectorRegistry()

    def made(watched: bool) -> Callable[[], object]:
        transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=COMPLETION))
        client = openai.OpenAI(
            api_key="k", base_url="http://models.test/v1", http_client=httpx2.Client(transport=transport)
        )
        if watched:
            watch(client, registry=registry)
        create, messages = client.chat.completions.create, [{"role": "user", "content": "hi"}]
        return lambda: create(model="m", messages=messages)

    return [
        _calls(FLOOR, made(False)),
        _calls(OURS, made(True), _total(registry, "inference_requests_total")),
    ]


def _calls(
    name: str, call: Callable[[], object], check: Callable[[int], None] = lambda done: None
) -> Subject:
    def sample(operations: int) -> float:
        began = thread_time()
        for _ in range(operations):
            call()
        return thread_time() - began

    return Subject(name, sample, check, step=4)


COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 20},
    },
}


def _row(
    key: str,
    title: str,
    make: Callable[[], list[Subject]],
    aims: tuple[Aim, ...],
    baseline: str,
    note: str = "",
    seconds: float = SECONDS,
) -> Row:
    def measure(effort: Effort) -> Samples:
        rounds = ROUNDS // 4 if effort.quick else ROUNDS
        return interleave(make, rounds=rounds, seconds=seconds, title=title, builds=1 if effort.quick else 4)

    return Row(key, title, "ns", measure, aims, baseline=baseline, note=note)


ROWS = (
    _row(
        "instruments_record",
        "record_inference(...)",
        record_subjects,
        (Aim(OURS, PLAIN, at_most=1.5),),
        EMPTY,
    ),
    _row(
        "instruments_context",
        "with inference(...)",
        context_subjects,
        (Aim(OURS, at_most=1200), Aim("and GenAI's", at_most=1800)),
        EMPTY,
    ),
    _row(
        "instruments_chunk",
        "a chunk of a watched stream",
        chunk_subjects,
        (Aim(OURS, at_most=100),),
        FLOOR,
        "the real Stream class over a range(); what is shown comes on top of the bare iteration",
    ),
    _row(
        "instruments_async_chunk",
        "a chunk of a watched async stream",
        async_chunk_subjects,
        (Aim(OURS, at_most=180),),
        FLOOR,
        "the real AsyncStream class over a range(), likewise",
    ),
    _row(
        "instruments_transport",
        "a request through a watched httpx transport",
        transport_subjects,
        (Aim(OURS, at_most=1000),),
        FLOOR,
        "the transport alone, answering from memory; what is shown comes on top of the bare one",
    ),
    _row(
        "instruments_openai",
        "a watched call of OpenAI's client",
        watched_call_subjects,
        (Aim(OURS, at_most=5000),),
        FLOOR,
        "answered in memory, in CPU time of the thread; what is shown comes on top of the bare call",
        seconds=0.02,
    ),
)
