"""A server in thirty lines: scopes, and a client that drives an application without any framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ferrometer import CollectorRegistry, generate_latest
from tests.middleware.labels import keyed_by

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def http_scope(
    path: str = "/", method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = (), **more: Any
) -> dict[str, Any]:
    """The scope of a request, as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
        "state": {},
        **more,
    }


def websocket_scope(path: str = "/", **more: Any) -> dict[str, Any]:
    """The scope of a websocket."""
    return {**http_scope(path, **more), "type": "websocket", "subprotocols": []}


def start(status: object = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> Message:
    """The beginning of a response."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    """A piece of a response."""
    return {"type": "http.response.body", "body": data, "more_body": more}


class Client:
    """What the server has received and what it will say."""

    def __init__(self, *incoming: Message) -> None:
        self.incoming = list(incoming)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        """The next message; ``http.disconnect`` once there are no more."""
        return self.incoming.pop(0) if self.incoming else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Keeps the message."""
        self.sent.append(message)

    @property
    def statuses(self) -> list[object]:
        """The statuses of the response's beginnings."""
        return [message["status"] for message in self.sent if message["type"] == "http.response.start"]


async def request(app: App, scope: Scope | None = None, *incoming: Message) -> Client:
    """One request to an application."""
    client = Client(*(incoming or ({"type": "http.request", "body": b"", "more_body": False},)))
    await app(http_scope() if scope is None else scope, client.receive, client.send)
    return client


Sample = tuple[str, tuple[tuple[str, str], ...]]


def samples(registry: CollectorRegistry) -> dict[Sample, float]:
    """What a scrape shows, read by prometheus_client's parser; times of creation left out.

    Samples that differ only in labels that no test knows of are added up.
    """
    from prometheus_client.parser import text_string_to_metric_families as parse

    found: dict[Sample, float] = {}
    for family in parse(generate_latest(registry).decode()):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                key = (sample.name, keyed_by(sample.name, sample.labels))
                found[key] = found[key] + sample.value if key in found else sample.value
    return found


def value(registry: CollectorRegistry, sample_name: str, **labels: str) -> float:
    """One sample, or 0 where there is none."""
    return samples(registry).get((sample_name, tuple(sorted(labels.items()))), 0.0)


def series(registry: CollectorRegistry, sample_name: str) -> dict[tuple[str, ...], float]:
    """All samples of one name, by the values of their labels in the order of the labels' names."""
    return {
        tuple(text for _, text in labels): number
        for (name, labels), number in samples(registry).items()
        if name == sample_name
    }
