"""What the answers of the SDKs say: tokens, finish reason, whether a chunk has content. No SDK is imported.

Tokens come out inclusive: OpenAI's prompt tokens are; Anthropic's input tokens leave out what was cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ferrometer.instruments.call import inference

_OPERATIONS = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/responses/compact": "chat",
    "/v1/messages": "chat",
    "/embeddings": "embeddings",
    "/completions": "text_completion",
    "/v1/complete": "text_completion",
}


def operation_of(url: str) -> str | None:
    """GenAI's name of what a request asks for; None where it is no inference, e.g. a list of files."""
    path = url.partition("?")[0]
    if path.startswith("/deployments/"):  # Azure puts the deployment before it
        path = "/" + path.split("/", 3)[-1]
    return _OPERATIONS.get(path)


def _field(holder: object, name: str) -> Any:
    """A field of a model; None where there is none. With ``getattr``, pydantic takes microseconds."""
    fields = getattr(holder, "__dict__", None)
    return None if fields is None else fields.get(name)


def _whole(call: inference, holder: object, name: str) -> int | None:
    """A number of tokens; what is none is counted and None."""
    value = _field(holder, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        call.refuse("tokens")
        return None
    return value


def _openai_usage(call: inference, usage: object) -> None:
    for prefix, name in (("prompt", "input_tokens"), ("input", "input_tokens")):
        if (count := _whole(call, usage, f"{prefix}_tokens")) is not None:
            setattr(call, name, count)
            call.cached_tokens = _whole(call, _field(usage, f"{prefix}_tokens_details"), "cached_tokens")
    for prefix, name in (("completion", "output_tokens"), ("output", "output_tokens")):
        if (count := _whole(call, usage, f"{prefix}_tokens")) is not None:
            setattr(call, name, count)
            details = _field(usage, f"{prefix}_tokens_details")
            call.reasoning_tokens = _whole(call, details, "reasoning_tokens")


def read_openai(call: inference, answer: object) -> None:
    """A completion, a chunk of one, a Response, an event with one, embeddings."""
    answer = _field(answer, "response") or answer  # response.completed
    if (usage := _field(answer, "usage")) is not None:
        _openai_usage(call, usage)
    if isinstance(model := _field(answer, "model"), str):
        call.response_model = model
    choices = _field(answer, "choices")
    if choices:
        reason = _field(choices[0], "finish_reason")
    else:
        incomplete = _field(answer, "incomplete_details")
        status = _field(answer, "status")
        reason = _field(incomplete, "reason") or status
    if isinstance(reason, str):
        call.finish_reason = reason


def read_anthropic(call: inference, answer: object) -> None:
    """A message, message_start, message_delta (whose output is cumulative: the latest counts)."""
    answer = _field(answer, "message") or answer
    if (usage := _field(answer, "usage")) is not None:
        fresh = _whole(call, usage, "input_tokens")
        read = _whole(call, usage, "cache_read_input_tokens")
        written = _whole(call, usage, "cache_creation_input_tokens")
        if fresh is not None:
            call.input_tokens = fresh + (read or 0) + (written or 0)
            call.cached_tokens, call.cache_written_tokens = read, written
        if (output := _whole(call, usage, "output_tokens")) is not None:
            call.output_tokens = output
    if isinstance(model := _field(answer, "model"), str):
        call.response_model = model
    reason = _field(answer, "stop_reason") or _field(_field(answer, "delta"), "stop_reason")
    if isinstance(reason, str):
        call.finish_reason = reason


def openai_content(chunk: Any) -> bool:
    """Whether a chunk has something of the answer: text, reasoning, a tool call."""
    if choices := _field(chunk, "choices"):
        delta = _field(choices[0], "delta")
        if delta is None:
            return bool(_field(choices[0], "text"))
        if any(_field(delta, name) for name in ("content", "tool_calls", "refusal")):
            return True
        # What the SDK does not know: models that show their reasoning.
        return bool((getattr(delta, "model_extra", None) or {}).get("reasoning_content"))
    kind = _field(chunk, "type")
    return isinstance(kind, str) and kind.endswith(".delta")


def anthropic_content(chunk: Any) -> bool:
    """Whether an event has something of the answer; message_start and pings have not."""
    return bool(_field(chunk, "type") == "content_block_delta")


class Sdk(NamedTuple):
    """How the answers of an SDK are read."""

    provider: str
    read: Callable[[inference, object], None]
    has_content: Callable[[Any], bool]


OPENAI = Sdk("openai", read_openai, openai_content)
ANTHROPIC = Sdk("anthropic", read_anthropic, anthropic_content)


class StreamReader:
    """What a stream's chunks say about its call: the first one, and at its end the latest two."""

    __slots__ = ("_call", "_sdk", "first")

    def __init__(self, call: inference, sdk: Sdk) -> None:
        self._call = call
        self._sdk = sdk
        self.first: object = None

    def end(self, latest: Iterable[object], chunks: int, error: BaseException | None = None) -> None:
        """The stream has ended."""
        call = self._call
        if call.status is None:
            call.chunks = chunks
            try:
                for chunk in (self.first, *latest):
                    if chunk is not None:
                        self._sdk.read(call, chunk)
            except Exception:  # an answer of another shape
                call.refuse("answer")
            call.end(error)
