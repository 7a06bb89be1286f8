"""What the demo's client does, in an order that never changes: the totals are known before it starts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing the client does; `route` is the name under which the server should have counted it."""

    method: str
    path: str
    route: str
    body: dict[str, object] | None = None
    hang_up: bool = False
    """Close the connection after the first byte of the answer."""


def _prompt(model: str, tokens: int) -> dict[str, object]:
    return {"model": model, "prompt": "why is the sky blue", "max_tokens": tokens}


_COMPLETIONS = "/v1/completions"
_STREAM = "/v1/completions/stream"

# One hundred requests of an ordinary afternoon.
_HUNDRED: tuple[tuple[int, Step], ...] = (
    (30, Step("GET", "/v1/models", "/v1/models")),
    (20, Step("GET", "/v1/models/llama-8b", "/v1/models/{name}")),
    (18, Step("POST", "/v1/embeddings", "/v1/embeddings", _prompt("llama-8b", 1))),
    (10, Step("POST", _COMPLETIONS, _COMPLETIONS, _prompt("llama-8b", 12))),
    (8, Step("POST", _STREAM, _STREAM, _prompt("llama-8b", 20))),
    (4, Step("POST", _COMPLETIONS, _COMPLETIONS, _prompt("llama-70b", 24))),
    (3, Step("POST", "/v1/finetunes", "/v1/finetunes")),
    (2, Step("WEBSOCKET", "/v1/realtime", "/v1/realtime")),
    (1, Step("GET", "/v1/models/llama-9000", "/v1/models/{name}")),
    (1, Step("POST", "/v1/embeddings", "/v1/embeddings", {"prompt": "but no model"})),
    (1, Step("GET", "/v1/gpus/7", "/v1/gpus/{number}")),
    (1, Step("GET", "/wp-login.php", "unmatched")),
    (1, Step("POST", _STREAM, _STREAM, _prompt("llama-8b", 500), hang_up=True)),
)


def steps() -> Iterator[Step]:
    """The hundred over and over, dealt out so that no kind comes in a block."""
    dealt = [(place / count, step) for count, step in _HUNDRED for place in range(1, count + 1)]
    return itertools.cycle([step for _, step in sorted(dealt, key=lambda pair: pair[0])])
