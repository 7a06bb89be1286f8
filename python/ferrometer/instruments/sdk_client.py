"""OpenAI's and Anthropic's clients, watched one object at a time: the methods of the object are replaced.

``request`` is where all of an SDK's calls pass, with all of their attempts. What it returns keeps its type:
of a stream, ``_iterator`` and ``close`` are replaced, of a raw answer, whose body comes later, ``parse`` and
``close``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from inspect import iscoroutinefunction
from typing import Any

from ferrometer.instruments.attempts import count_attempts, enter_call, leave_call
from ferrometer.instruments.call import inference
from ferrometer.instruments.recorder import recorder_of
from ferrometer.instruments.sdk_answers import Sdk, StreamReader, operation_of
from ferrometer.metrics.registry import CollectorRegistry

_WATCHED = "_ferrometer_watched"


def watch_sdk(client: Any, sdk: Sdk, provider: str | None, registry: CollectorRegistry) -> None:
    """Measures the calls of a client, and of those that ``copy`` and ``with_options`` derive from it."""
    if _WATCHED in vars(client):
        return
    setattr(client, _WATCHED, True)
    original, name = client.request, provider or sdk.provider
    recorder = recorder_of(registry, "client")
    url = client.base_url
    address, port = url.host, str(url.port or 443)  # once: each look takes microseconds
    count_attempts(client._client)

    def begin(options: Any) -> inference | None:
        data = options.json_data
        model = data.get("model") if isinstance(data, dict) else None
        operation = operation_of(options.url)
        if operation is None or not isinstance(model, str):
            return None
        call = inference(model=model, provider=name, operation=operation)
        call._recorder = recorder
        call.server_address, call.server_port = address, port
        call.attempts = 0
        return call

    if iscoroutinefunction(original):

        async def request(cast_to: Any, options: Any, **rest: Any) -> Any:
            if (call := begin(options)) is None:
                return await original(cast_to, options, **rest)
            call.__enter__()
            token = enter_call(call)
            try:
                answer = await original(cast_to, options, **rest)
                _answered(call, answer, sdk, rest)
            except BaseException as error:
                call.end(error)
                raise
            finally:
                leave_call(token)
            if call._number < 0:  # otherwise its stream ends it
                call.end()
            return answer

    else:

        def request(cast_to: Any, options: Any, **rest: Any) -> Any:  # type: ignore[misc]  # sync
            if (call := begin(options)) is None:
                return original(cast_to, options, **rest)
            call.__enter__()
            token = enter_call(call)
            try:
                answer = original(cast_to, options, **rest)
                _answered(call, answer, sdk, rest)
            except BaseException as error:
                call.end(error)
                raise
            finally:
                leave_call(token)
            if call._number < 0:  # otherwise its stream ends it
                call.end()
            return answer

    client.request = request
    copy = client.copy

    def derived(*args: Any, **kwargs: Any) -> Any:
        made = copy(*args, **kwargs)
        watch_sdk(made, sdk, provider, registry)
        return made

    client.copy = client.with_options = derived


#: Of classes of answers: stream, raw, or neither. By class: pydantic is slow to lack an attribute.
_KINDS: dict[type, str] = {}


def _kind(answer: type) -> str:
    kind = _KINDS.get(answer)
    if kind is None:
        raw = "raw" if hasattr(answer, "parse") and hasattr(answer, "http_request") else ""
        kind = _KINDS[answer] = "stream" if hasattr(answer, "__stream__") else raw
    return kind


def _answered(call: inference, answer: Any, sdk: Sdk, asked: dict[str, Any]) -> None:
    kind = _kind(type(answer))
    if kind == "stream":
        _watch_stream(call, answer, sdk)
    elif kind == "raw":
        _watch_raw(call, answer, sdk, asked.get("stream", False))
    else:
        try:
            sdk.read(call, answer)
        except Exception:  # an answer of another shape
            call.refuse("answer")


# Streams.


def _watch_stream(call: inference, stream: Any, sdk: Sdk) -> None:
    call.open()
    reader, close = StreamReader(call, sdk), stream.close
    if hasattr(stream, "__anext__"):
        stream._iterator = _achunks(stream._iterator, call, sdk, reader)

        async def closed() -> None:
            reader.end((), 0, GeneratorExit())
            await close()

    else:
        stream._iterator = _chunks(stream._iterator, call, sdk, reader)

        def closed() -> None:  # type: ignore[misc]  # sync
            reader.end((), 0, GeneratorExit())
            close()

    stream.close = closed


def _chunks(chunks: Iterator[Any], call: inference, sdk: Sdk, reader: StreamReader) -> Iterator[Any]:
    before = latest = None
    count = 0
    try:
        for chunk in chunks:
            call.arrived()
            reader.first = reader.first or chunk
            before, latest, count = latest, chunk, count + 1
            if sdk.has_content(chunk):
                call.first_token()
                yield chunk
                break
            yield chunk
        # From here on a chunk costs next to nothing.
        for chunk in chunks:
            before, latest = latest, chunk
            count += 1
            call._touched = count
            yield chunk
    except BaseException as error:
        reader.end((before, latest), count, error)
        raise
    reader.end((before, latest), count)


async def _achunks(
    chunks: AsyncIterator[Any], call: inference, sdk: Sdk, reader: StreamReader
) -> AsyncIterator[Any]:
    before = latest = None
    count = 0
    try:
        async for chunk in chunks:
            call.arrived()
            reader.first = reader.first or chunk
            before, latest, count = latest, chunk, count + 1
            if sdk.has_content(chunk):
                call.first_token()
                yield chunk
                break
            yield chunk
        async for chunk in chunks:
            before, latest = latest, chunk
            count += 1
            call._touched = count
            yield chunk
    except BaseException as error:
        reader.end((before, latest), count, error)
        raise
    reader.end((before, latest), count)


# Raw answers.


def _watch_raw(call: inference, raw: Any, sdk: Sdk, streamed: bool) -> None:
    """The call ends with what ``parse`` returns, or with ``close``; without either its tokens are unknown."""
    call.open()
    parse, close = raw.parse, getattr(raw, "close", None)

    def parsed(answer: Any) -> Any:
        if call.status is None:
            if _kind(type(answer)) == "stream":
                _watch_stream(call, answer, sdk)
            else:
                StreamReader(call, sdk).end((answer,), 0)
        return answer

    if iscoroutinefunction(parse):

        async def watched(*args: Any, **kwargs: Any) -> Any:
            return parsed(await parse(*args, **kwargs))

    else:

        def watched(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # sync
            return parsed(parse(*args, **kwargs))

    if close is None and not streamed:
        # Complete already, and nothing will say that it is done with: parsing is cached.
        try:
            parsed(parse())
        except Exception:  # the application sees it when it parses
            call.refuse("answer")
            call.end()
        return
    raw.parse = watched
    if close is not None and iscoroutinefunction(close):

        async def aclosed() -> None:
            call.end()
            await close()

        raw.close = aclosed
    elif close is not None:

        def closed() -> None:
            call.end()
            close()

        raw.close = closed
