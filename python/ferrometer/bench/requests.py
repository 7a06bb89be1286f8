"""A request as uvicorn hands it to an application, without a server."""

from __future__ import annotations

from starlette.types import Message, Scope

#: As httpx sends them.
HEADERS = (
    (b"host", b"127.0.0.1:8000"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"user-agent", b"python-httpx/0.28.1"),
)


def scope_of(path: str, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = HEADERS) -> Scope:
    """A new scope, its strings decoded anew as uvicorn's httptools protocol does."""
    target, _, query = path.partition("?")
    raw = target.encode()
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "root_path": "",
        "headers": list(headers),
        "state": {},
        "method": method.encode().decode("ascii"),
        "path": raw.decode(),
        "raw_path": raw,
        "query_string": query.encode(),
    }


async def receive() -> Message:
    """The whole body of a request without one."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Message) -> None:
    """Takes every message, as a client that reads at once does."""
