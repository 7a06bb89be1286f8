"""What the instruments cost: one method against its plain calls, a whole `inference`, a chunk of a stream.

The chunk is measured on the real `Stream` class of the package openai over a `range()`: in a whole stream of
some 70 µs a chunk, nothing of it could be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benches.loop import UNROLL, blank, generate
from benches.row import FLOOR, OURS, Aim, Row
from ferrometer import CollectorRegistry, generate_latest
from ferrometer.bench import answers
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave
from ferrometer.instruments import get_metrics_exporter, inference
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

    def stream(watched: bool) -> Callable[[int], float]:
        def sample(operations: int) -> float:
            from time import perf_counter

            made = openai.Stream.__new__(openai.Stream)
            made.response = type("Response", (), {"close": lambda self: None})()
            made._iterator = (number for number in range(operations))
            if watched:
                call = inference(model="m", registry=registry)
                with call:
                    call.first_token()
                    _watch_stream(call, made, OPENAI._replace(has_content=lambda chunk: True))
            began = perf_counter()
            for _ in made:
                pass
            return perf_counter() - began

        return sample

    registry = CollectorRegistry()
    return [Subject(FLOOR, stream(False), step=STEP), Subject(OURS, stream(True), step=STEP)]


def _row(
    key: str,
    title: str,
    make: Callable[[], list[Subject]],
    aims: tuple[Aim, ...],
    baseline: str,
    note: str = "",
) -> Row:
    def measure(effort: Effort) -> Samples:
        rounds = ROUNDS // 4 if effort.quick else ROUNDS
        return interleave(make, rounds=rounds, seconds=SECONDS, title=title, builds=1 if effort.quick else 4)

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
)
