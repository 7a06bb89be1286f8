"""One logical call: as a block, sync and async, as a decorator, around streams; and how it may end."""

from __future__ import annotations

import asyncio
import gc
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrometer import CollectorRegistry, generate_latest
from ferrometer.instruments import CallEnd, inference, observe
from ferrometer.instruments.call import end_old_streams
from tests.instruments.test_exporter import samples
from tests.workers.test_forks import run


@pytest.fixture
def call(registry: CollectorRegistry) -> inference:
    return inference(model="m", provider="openai", registry=registry)


@pytest.fixture
def ends() -> Iterator[list[CallEnd]]:
    found: list[CallEnd] = []
    forget = observe(found.append)
    yield found
    forget()


def shown(registry: CollectorRegistry) -> dict[str, float]:
    """What is shown, without durations, which differ."""
    text = samples(registry)
    return {name: value for name, value in text.items() if "_sum{" not in name}


SUCCESS = {
    "inference_requests_total{m,success}": 1,
    "inference_duration_seconds_count{m}": 1,
    "inference_attempts_total{m}": 1,
}
STREAM = SUCCESS | {"inference_time_to_first_token_seconds_count{m}": 1}


def test_a_block_records_what_it_tells(call: inference, registry: CollectorRegistry) -> None:
    with call:
        assert samples(registry) == {"inference_in_flight{m}": 1}
        call.usage(100, 50, cached_tokens=64, cache_written_tokens=10, reasoning_tokens=20)
        call.finish_reason, call.batch_size = "stop", 4
        call.attempt()
    assert shown(registry) == SUCCESS | {
        "inference_attempts_total{m}": 2,
        "inference_tokens_total{m,prompt}": 100,
        "inference_tokens_total{m,completion}": 50,
        "inference_cached_tokens_total{m}": 64,
        "inference_cache_written_tokens_total{m}": 10,
        "inference_reasoning_tokens_total{m}": 20,
        "inference_finish_reasons_total{m,stop}": 1,
        "inference_batch_size_count{m}": 1,
    }


def test_a_success_without_usage_is_counted_as_that(call: inference, registry: CollectorRegistry) -> None:
    with call:
        pass
    assert shown(registry) == SUCCESS
    assert 'ferrometer_inference_usage_missing_total{model="m"} 1.0' in generate_latest(registry).decode()


class ApiError(Exception):
    """As the SDKs' own: the status, and the response with its headers."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__()
        self.status_code = status
        self.response = type(
            "Response", (), {"headers": {k.replace("_", "-"): v for k, v in headers.items()}}
        )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ApiError(429, retry_after="7"), "rate_limit"),
        (ApiError(401), "authentication"),
        (ApiError(400), "bad_request"),
        (ApiError(503), "server"),
        (ApiError(504), "timeout"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "connection"),
        (KeyError("x"), "other"),
    ],
)
def test_errors_by_kind(
    error: Exception, kind: str, call: inference, registry: CollectorRegistry, ends: list[CallEnd]
) -> None:
    with pytest.raises(type(error)), call:
        raise error
    found = shown(registry)
    assert found["inference_requests_total{m,error}"] == found[f"inference_errors_total{{m,{kind}}}"] == 1
    assert "inference_in_flight{m}" not in found
    (end,) = ends
    assert (end.provider, end.model, end.status, end.error_type) == ("openai", "m", "error", kind)
    assert end.http_status == getattr(error, "status_code", None)
    assert end.retry_after == (7 if kind == "rate_limit" else None)


def test_a_cancelled_task_is_no_error(call: inference, registry: CollectorRegistry) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def work() -> None:
            async with call:
                started.set()
                await asyncio.sleep(3600)

        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    found = shown(registry)
    assert found["inference_requests_total{m,cancelled}"] == 1
    assert not any("inference_errors_total" in name for name in found)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
@pytest.mark.parametrize(
    "name", ["input_tokens", "output_tokens", "cached_tokens", "cache_written_tokens", "reasoning_tokens"]
)
def test_a_bad_number_of_tokens_is_named(name: str, value: float, call: inference) -> None:
    with call, pytest.raises(ValueError, match=f"{name} must be finite and not negative, not {value!r}"):
        call.usage(**{name: value})  # type: ignore[arg-type]
    assert getattr(call, name) is None


# Streams.


def consume(stream: Iterator[int]) -> None:
    assert list(stream) == [0, 1, 2]


def close(stream: Any) -> None:
    next(stream)
    stream.close()


def drop(stream: Any) -> None:
    next(stream)
    del stream
    gc.collect()


def fail(stream: Any) -> None:
    next(stream)
    with pytest.raises(ZeroDivisionError):
        stream.throw(ZeroDivisionError)


ENDS = [(consume, "success"), (close, "cancelled"), (drop, "cancelled"), (fail, "error")]


@pytest.mark.parametrize(("end", "status"), ENDS)
def test_a_stream_ends_once(
    end: Callable[[Any], None], status: str, call: inference, registry: CollectorRegistry
) -> None:
    def work() -> Iterator[int]:
        with call:
            return call.stream(range(3))

    stream = work()
    assert samples(registry) == {"inference_in_flight{m}": 1}
    end(stream)
    del stream
    gc.collect()
    call.end()
    found = shown(registry)
    assert found["inference_duration_seconds_count{m}"] == 1
    assert found[f"inference_requests_total{{m,{status}}}"] == 1
    assert found["inference_time_to_first_token_seconds_count{m}"] == 1
    assert found.get("inference_time_between_tokens_seconds_count{m}") == (1 if status == "success" else None)
    assert "inference_in_flight{m}" not in found


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        await asyncio.sleep(0)
        yield number


def test_asynchronous_streams(registry: CollectorRegistry) -> None:
    async def main() -> None:
        async with inference(model="m", registry=registry) as whole:
            stream = whole.astream(numbers())
        assert [number async for number in stream] == [0, 1, 2]
        async with inference(model="m", registry=registry) as broken:
            stream = broken.astream(numbers())
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]
        async with inference(model="m", registry=registry) as cut:
            stream = cut.astream(numbers())

        async def read(chunks: AsyncIterator[int]) -> None:
            async for _ in chunks:
                await asyncio.sleep(3600)

        task = asyncio.create_task(read(stream))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del stream, task
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(main())
    found = shown(registry)
    assert found["inference_requests_total{m,success}"] == 1
    assert found["inference_requests_total{m,cancelled}"] == 2
    assert "inference_in_flight{m}" not in found


def test_a_stream_in_a_cycle_is_ended_by_its_age(call: inference, registry: CollectorRegistry) -> None:
    gc.disable()
    try:
        with call:
            stream = call.stream(range(3))
        next(stream)
        cycle: list[Any] = [stream]
        cycle.append(cycle)
        del stream, cycle
        assert end_old_streams(0) == 0  # seen for the first time
        assert end_old_streams(0) == 1
        assert shown(registry)["inference_requests_total{m,abandoned}"] == 1
    finally:
        gc.enable()
        gc.collect()
    assert sum(v for k, v in shown(registry).items() if k.startswith("inference_requests_total")) == 1


def test_a_stream_that_moves_is_not_old(call: inference) -> None:
    with call:
        stream = call.stream(range(9))
    for _ in stream:
        assert end_old_streams(0) == 0


def test_as_a_decorator(registry: CollectorRegistry) -> None:
    measured = inference(model="m", registry=registry)

    @measured
    def plain(x: int) -> int:
        return x + 1

    @measured
    async def coroutine(x: int) -> int:
        return x + 1

    @measured
    def generator(x: int) -> Iterator[int]:
        yield from range(x)

    @measured
    async def asynchronous(x: int) -> AsyncIterator[int]:
        for number in range(x):
            yield number

    async def main() -> list[int]:
        return [await coroutine(1), *[number async for number in asynchronous(3)]]

    assert plain(1) == 2
    assert list(generator(3)) == [0, 1, 2]
    assert asyncio.run(main()) == [2, 0, 1, 2]
    found = shown(registry)
    assert found["inference_requests_total{m,success}"] == 4
    assert found["inference_time_to_first_token_seconds_count{m}"] == 2
    assert plain.__name__ == "plain"


def test_an_observer_that_fails_breaks_nothing(call: inference, registry: CollectorRegistry) -> None:
    forget = observe(lambda end: 1 / 0)
    try:
        with call:
            call.usage(1, 2)
    finally:
        forget()
    assert 'ferrometer_inference_refused_total{what="observer"} 1.0' in generate_latest(registry).decode()
    forget()


def test_an_unknown_role_is_named(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="role must be 'client' or 'server', not 'x'"):
        inference(model="m", role="x", registry=registry)  # type: ignore[arg-type]


FORK = """
ferrometer.share(directory)
import json, signal, time
from ferrometer.instruments import inference
call = inference(model="m")
call.__enter__()
stream = inference(model="m")
with stream:
    chunks = stream.stream(range(3))
next(chunks)
back, to_parent = os.pipe()

def child():
    with call:  # begun here, too: this one counts
        pass
    list(chunks)  # the parent's: it counts there
    with inference(model="m") as own:
        own.usage(100, 50)
    flying = inference(model="m")
    flying.__enter__()
    os.write(to_parent, b".")
    time.sleep(600)

pid = fork(child)
os.read(back, 1)

def shown(name):
    lines = ferrometer.generate_latest().decode().splitlines()
    return sum(float(l.rpartition(" ")[2]) for l in lines if l.startswith(name))

names = ("inference_requests_total{", "inference_in_flight{")
both = [shown(name) for name in names]
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
list(chunks)
print(json.dumps([both, [shown(name) for name in names], shown("inference_tokens_total{")]))
"""


def test_forks_and_killed_workers(tmp_path: Path) -> None:
    """Each call is counted in the process that began it; what a dead worker had in flight is gone."""
    assert json.loads(run(FORK, tmp_path / "shared")) == [[2, 3], [3, 1], 150]
