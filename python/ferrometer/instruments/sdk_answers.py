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
    operation = _OPERATIONS.get(url)
    if operation is not None:
        return operation
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


#: What OpenAI calls its tokens: a number, the call's attribute, and where a part of the number stands.
_CHAT = (
    ("prompt_tokens", "input_tokens", "prompt_tokens_details", "cached_tokens"),
    ("completion_tokens", "output_tokens", "completion_tokens_details", "reasoning_tokens"),
)
_RESPONSES = (
    ("input_tokens", "input_tokens", "input_tokens_details", "cached_tokens"),
    ("output_tokens", "output_tokens", "output_tokens_details", "reasoning_tokens"),
)
_MOST = 1 << 53


def _openai_usage(call: inference, told: dict[str, Any]) -> None:
    # Between two calls, an SDK runs so much code that none of this is in the processor's caches: what counts
    # is how little there is of it.
    for name, attribute, details, part in _CHAT if "prompt_tokens" in told else _RESPONSES:
        count = told.get(name)
        if count is None:
            continue
        if type(count) is not int or not 0 <= count < _MOST:
            call.refuse("tokens")
            continue
        setattr(call, attribute, count)
        holder = told.get(details)
        if holder is not None:
            setattr(call, part, _whole(call, holder, part))


def read_openai(call: inference, answer: object) -> None:
    """A completion, a chunk of one, a Response, an event with one, embeddings."""
    fields = answer.__dict__
    if (response := fields.get("response")) is not None:  # response.completed
        fields = response.__dict__
    if (usage := fields.get("usage")) is not None:
        _openai_usage(call, usage.__dict__)
    if type(model := fields.get("model")) is str:
        call.response_model = model
    if choices := fields.get("choices"):
        reason = choices[0].__dict__.get("finish_reason")
    else:
        reason = _field(fields.get("incomplete_details"), "reason") or fields.get("status")
    if type(reason) is str:
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
