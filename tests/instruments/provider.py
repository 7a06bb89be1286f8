"""A provider of models on a local port: OpenAI's and Anthropic's API, and what may go wrong there.

The model's name says what happens: ``flaky`` answers 429 twice, ``down`` always 500, ``breaks`` ends the
connection amid a stream, ``hangs`` sends one chunk and waits, ``silent`` tells no usage.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

OPENAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
RESPONSES_USAGE = {
    "input_tokens": 100,
    "output_tokens": 50,
    "total_tokens": 150,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens_details": {"reasoning_tokens": 20},
}
ANTHROPIC_USAGE = {
    "input_tokens": 36,
    "cache_read_input_tokens": 64,
    "cache_creation_input_tokens": 10,
    "output_tokens": 50,
}


class Provider(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[Counter[str]] = Counter()
    release: ClassVar[threading.Event] = threading.Event()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        self._json({"object": "list", "data": []})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = asked["model"]
        self.seen[model] += 1
        if model == "flaky" and self.seen[model] <= 2:
            return self._json({"error": {"message": "slow down"}}, 429, {"retry-after-ms": "1"})
        if model == "down":
            return self._json({"error": {"message": "no"}}, 500, {"retry-after-ms": "1"})
        kind = self.path.rpartition("/v1/")[2].partition("?")[0]
        if asked.get("stream"):
            return self._stream(model, list(_EVENTS[kind](model, asked)))
        return self._json(_ANSWERS[kind](model))

    def _json(self, body: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, model: str, events: list[tuple[str | None, object]]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, (name, data) in enumerate(events):
            if number == 2 and model == "breaks":
                self.close_connection = True
                self.connection.close()
                return
            if number == 2 and model == "hangs":
                self.release.wait(60)
                self.close_connection = True
                return
            text = data if isinstance(data, str) else json.dumps(data)
            line = (f"event: {name}\n" if name else "") + f"data: {text}\n\n"
            try:
                self.wfile.write(f"{len(line):x}\r\n{line}\r\n".encode())
                self.wfile.flush()
            except OSError:  # the client is gone
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")


def _chat(model: str) -> object:
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": f"{model}-2026",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
        ],
        "usage": None if model == "silent" else OPENAI_USAGE,
    }


def _chat_events(model: str, asked: dict[str, Any]) -> Iterator[tuple[str | None, object]]:
    def chunk(delta: object, reason: str | None = None) -> object:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": choices,
        }

    yield None, chunk({"role": "assistant", "content": ""})
    if model == "tool":
        call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        yield None, chunk({"tool_calls": [call]})
    for word in ("a", "b", "c"):
        yield None, chunk({"content": word})
    yield None, chunk({}, "tool_calls" if model == "tool" else "stop")
    if asked.get("stream_options", {}).get("include_usage"):
        yield None, {**chunk({}), "choices": [], "usage": OPENAI_USAGE}  # type: ignore[dict-item]
    yield None, "[DONE]"


def _response(model: str) -> dict[str, Any]:
    return {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": model,
        "status": "completed",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSES_USAGE,
    }


def _response_events(model: str, asked: dict[str, Any]) -> Iterator[tuple[str | None, object]]:
    made = {**_response(model), "usage": None, "status": "in_progress"}
    yield "response.created", {"type": "response.created", "sequence_number": 0, "response": made}
    for number in (1, 2):
        delta = {"item_id": "i", "output_index": 0, "content_index": 0, "delta": "a", "logprobs": []}
        yield (
            "response.output_text.delta",
            {"type": "response.output_text.delta", "sequence_number": number, **delta},
        )
    yield (
        "response.completed",
        {"type": "response.completed", "sequence_number": 3, "response": _response(model)},
    )


def _message(model: str) -> dict[str, Any]:
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": ANTHROPIC_USAGE,
    }


def _message_events(model: str, asked: dict[str, Any]) -> Iterator[tuple[str | None, object]]:
    start = {**_message(model), "content": [], "stop_reason": None}
    start["usage"] = {**ANTHROPIC_USAGE, "output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in "abc"
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 50},
        },
        {"type": "message_stop"},
    ]
    for event in events:
        yield event["type"], event


_ANSWERS: dict[str, Any] = {
    "chat/completions": _chat,
    "responses": _response,
    "messages": _message,
    "embeddings": lambda model: {
        "object": "list",
        "model": model,
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    },
}
_EVENTS: dict[str, Any] = {
    "chat/completions": _chat_events,
    "responses": _response_events,
    "messages": _message_events,
}


@contextmanager
def serving() -> Iterator[str]:
    """The provider's address while it serves."""
    Provider.seen.clear()
    Provider.release.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            Provider.release.set()
            server.shutdown()
            thread.join()
