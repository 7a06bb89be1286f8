"""The real SDKs against a provider on a local port: what a watched client records of each kind of call."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ferrometer import CollectorRegistry, generate_latest
from ferrometer.instruments import watch
from tests.instruments.provider import Provider, serving
from tests.instruments.test_inference import shown

anthropic = pytest.importorskip("anthropic", reason="pip install anthropic")
openai = pytest.importorskip("openai", reason="pip install openai")

SECRET, PROMPT = "sk-very-secret", "the prompt that nobody may see"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
pytestmark = pytest.mark.filterwarnings(
    "default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def client(url: str, registry: CollectorRegistry) -> Iterator[Any]:
    with openai.OpenAI(api_key=SECRET, base_url=f"{url}/v1", max_retries=2) as made:
        yield watch(made, registry=registry)


@pytest.fixture
def claude(url: str, registry: CollectorRegistry) -> Iterator[Any]:
    with anthropic.Anthropic(api_key=SECRET, base_url=url, max_retries=2) as made:
        yield watch(made, registry=registry)


def answered(model: str, status: str = "success", attempts: int = 1) -> dict[str, float]:
    return {
        f"inference_requests_total{{{model},{status}}}": 1,
        f"inference_duration_seconds_count{{{model}}}": 1,
        f"inference_attempts_total{{{model}}}": attempts,
    }


def tokens(model: str, prompt: int = 100, completion: int = 50) -> dict[str, float]:
    return {
        f"inference_tokens_total{{{model},prompt}}": prompt,
        f"inference_tokens_total{{{model},completion}}": completion,
        f"inference_cached_tokens_total{{{model}}}": 64,
    }


def reasoned(model: str, reason: str) -> dict[str, float]:
    return {
        f"inference_reasoning_tokens_total{{{model}}}": 20,
        f"inference_finish_reasons_total{{{model},{reason}}}": 1,
    }


def streamed(model: str) -> dict[str, float]:
    return {
        f"inference_time_to_first_token_seconds_count{{{model}}}": 1,
        f"inference_time_between_tokens_seconds_count{{{model}}}": 1,
    }


def chat(client: Any, model: str = "m", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, **more)


USAGE: Any = {"stream": True, "stream_options": {"include_usage": True}}
WHOLE = answered("m") | tokens("m") | reasoned("m", "stop")
#: Each way to a completion with usage: all record the same.
PLAIN: dict[str, Callable[[Any], Any]] = {
    "create": chat,
    "raw": lambda c: c.chat.completions.with_raw_response.create(model="m", messages=MESSAGES).parse(),
    "raw, never parsed": lambda c: c.chat.completions.with_raw_response.create(model="m", messages=MESSAGES),
    "parse": lambda c: c.chat.completions.parse(model="m", messages=MESSAGES),
    "derived": lambda c: chat(c.with_options(timeout=30).copy()),
}
STREAMED: dict[str, Callable[[Any], Any]] = {
    "create": lambda c: list(chat(c, **USAGE)),
    "raw": lambda c: list(
        c.chat.completions.with_raw_response.create(model="m", messages=MESSAGES, **USAGE).parse()
    ),
    "context": lambda c: _within(chat(c, **USAGE)),
    "helper": lambda c: _helper(c),
}


def _within(stream: Any) -> None:
    with stream as chunks:
        for _ in chunks:
            pass


def _helper(client: Any) -> None:
    options: Any = {"include_usage": True}
    with client.chat.completions.stream(model="m", messages=MESSAGES, stream_options=options) as stream:
        for _ in stream:
            pass


def _streaming_response(client: Any, **more: Any) -> None:
    with client.chat.completions.with_streaming_response.create(
        model="m", messages=MESSAGES, **more
    ) as response:
        answer = response.parse()
        if more:
            list(answer)


PLAIN["with_streaming_response"] = _streaming_response
STREAMED["with_streaming_response"] = lambda c: _streaming_response(c, **USAGE)


@pytest.mark.parametrize("way", PLAIN)
def test_a_completion(way: str, client: Any, registry: CollectorRegistry) -> None:
    PLAIN[way](client)
    assert shown(registry) == WHOLE
    text = generate_latest(registry).decode()
    assert SECRET not in text
    assert PROMPT not in text


@pytest.mark.parametrize("way", STREAMED)
def test_a_streamed_completion(way: str, client: Any, registry: CollectorRegistry) -> None:
    STREAMED[way](client)
    assert shown(registry) == WHOLE | streamed("m")


def test_a_stream_keeps_its_type_and_has_no_usage_unless_asked(
    client: Any, registry: CollectorRegistry
) -> None:
    stream = chat(client, stream=True)
    assert type(stream) is openai.Stream
    assert stream.response.status_code == 200
    assert all(chunk.choices for chunk in stream), "include_usage was put in"
    assert shown(registry) == answered("m") | streamed("m") | {"inference_finish_reasons_total{m,stop}": 1}
    assert 'ferrometer_inference_usage_missing_total{model="m"} 1.0' in generate_latest(registry).decode()


def test_responses_and_embeddings(client: Any, registry: CollectorRegistry) -> None:
    client.responses.create(model="m", input=PROMPT)
    assert shown(registry) == answered("m") | tokens("m") | reasoned("m", "completed")
    for _ in client.responses.create(model="s", input=PROMPT, stream=True):
        pass
    found = shown(registry)
    assert found.items() >= (answered("s") | tokens("s") | reasoned("s", "completed") | streamed("s")).items()
    client.embeddings.create(model="e", input=PROMPT, encoding_format="float")
    assert shown(registry)["inference_tokens_total{e,prompt}"] == 7


def test_what_is_no_inference_is_not_counted(client: Any, registry: CollectorRegistry) -> None:
    client.models.list()
    assert shown(registry) == {}


def test_null_usage(client: Any, registry: CollectorRegistry) -> None:
    chat(client, "silent")
    assert shown(registry) == answered("silent") | {"inference_finish_reasons_total{silent,stop}": 1}
    assert "ferrometer_inference_usage_missing_total" in generate_latest(registry).decode()


def test_retries_are_one_call(client: Any, registry: CollectorRegistry) -> None:
    chat(client, "flaky")
    assert Provider.seen["flaky"] == 3
    assert shown(registry) == answered("flaky", attempts=3) | tokens("flaky") | reasoned("flaky", "stop")


def test_exhausted_retries_are_one_error(client: Any, registry: CollectorRegistry) -> None:
    with pytest.raises(openai.InternalServerError):
        chat(client, "down")
    assert shown(registry) == answered("down", "error", 3) | {"inference_errors_total{down,server}": 1}


def test_no_connection(registry: CollectorRegistry) -> None:
    client = watch(
        openai.OpenAI(api_key=SECRET, base_url="http://127.0.0.1:1/v1", max_retries=1), registry=registry
    )
    with client, pytest.raises(openai.APIConnectionError):
        chat(client)
    assert shown(registry) == answered("m", "error", 2) | {"inference_errors_total{m,connection}": 1}


def test_a_tool_call_is_the_first_token(client: Any, registry: CollectorRegistry) -> None:
    list(chat(client, "tool", **USAGE))
    assert shown(registry) == answered("tool") | tokens("tool") | reasoned("tool", "tool_calls") | streamed(
        "tool"
    )


def test_a_stream_that_the_provider_breaks(client: Any, registry: CollectorRegistry) -> None:
    with pytest.raises(openai.APIConnectionError):
        list(chat(client, "breaks", stream=True))
    found = shown(registry)
    assert found["inference_requests_total{breaks,error}"] == 1
    assert found["inference_errors_total{breaks,connection}"] == 1


def test_close_and_break_and_drop_are_cancellations(client: Any, registry: CollectorRegistry) -> None:
    stream = chat(client, stream=True)
    next(stream)
    stream.close()
    with chat(client, stream=True) as stream:
        for _ in stream:
            break
    stream = chat(client, stream=True)
    next(stream)
    del stream
    gc.collect()
    found = shown(registry)
    assert found["inference_requests_total{m,cancelled}"] == found["inference_duration_seconds_count{m}"] == 3
    assert "inference_in_flight{m}" not in found


def test_twice_is_once_and_other_objects_are_refused(client: Any, registry: CollectorRegistry) -> None:
    chat(watch(watch(client, registry=registry).copy(), registry=registry))
    assert shown(registry) == WHOLE
    with pytest.raises(TypeError, match="cannot watch list"):
        watch([])


def test_a_proxy_goes_through_mounts(url: str, registry: CollectorRegistry, monkeypatch: Any) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    made = openai.OpenAI(api_key=SECRET, base_url=f"{url}/v1", max_retries=1)
    with made, pytest.raises(openai.APIConnectionError):
        chat(watch(made, registry=registry))
    assert shown(registry)["inference_attempts_total{m}"] == 2


# Anthropic.

CLAUDE = (
    answered("c")
    | tokens("c", 110)
    | {
        "inference_cache_written_tokens_total{c}": 10,
        "inference_finish_reasons_total{c,end_turn}": 1,
    }
)


def message(client: Any, **more: Any) -> Any:
    return client.messages.create(model="c", max_tokens=100, messages=MESSAGES, **more)


def test_anthropic_excludes_what_was_cached_and_we_do_not(claude: Any, registry: CollectorRegistry) -> None:
    message(claude)
    assert shown(registry) == CLAUDE


@pytest.mark.parametrize("way", ["create", "helper", "text"])
def test_an_anthropic_stream(way: str, claude: Any, registry: CollectorRegistry) -> None:
    if way == "create":
        list(message(claude, stream=True))
    else:
        with claude.messages.stream(model="c", max_tokens=100, messages=MESSAGES) as stream:
            if way == "text":
                assert list(stream.text_stream) == ["a", "b", "c"]
            assert stream.get_final_message().usage.output_tokens == 50
    assert shown(registry) == CLAUDE | streamed("c")


# Asynchronous.


def test_asynchronous_clients(url: str, registry: CollectorRegistry) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(api_key=SECRET, base_url=f"{url}/v1") as made:
            client = watch(made, registry=registry)
            await chat(client, "plain")
            async for _ in await chat(client, "s", **USAGE):
                pass
            raw = await client.chat.completions.with_raw_response.create(model="raw", messages=MESSAGES)
            raw.parse()
            create = client.chat.completions.with_streaming_response.create
            async with create(model="later", messages=MESSAGES, **USAGE) as response:
                async for _ in await response.parse():
                    pass
            async with await chat(client, "closed", stream=True) as stream:
                async for _ in stream:
                    break

            reading = asyncio.Event()

            async def read() -> None:
                async for _ in await chat(client, "hangs", stream=True):
                    reading.set()

            task = asyncio.create_task(read())
            await reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with anthropic.AsyncAnthropic(api_key=SECRET, base_url=url) as made:
            claude = watch(made, registry=registry)
            await message(claude)
            async with claude.messages.stream(model="cs", max_tokens=9, messages=MESSAGES) as stream:
                assert [text async for text in stream.text_stream] == ["a", "b", "c"]

    asyncio.run(main())
    found = shown(registry)
    for model in ("plain", "s", "raw", "later"):
        assert found.items() >= (answered(model) | tokens(model) | reasoned(model, "stop")).items()
    for model in ("s", "later", "cs"):
        assert found.items() >= streamed(model).items()
    assert found["inference_requests_total{closed,cancelled}"] == 1
    assert found["inference_requests_total{hangs,cancelled}"] == 1
    assert found.items() >= CLAUDE.items()
    assert not any("in_flight" in name for name in found)
