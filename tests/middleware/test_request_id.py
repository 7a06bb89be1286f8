"""X-Request-ID: taken, made, kept for the length of the request, and returned."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from typing import Any

import pytest

from ferrometer import CollectorRegistry, MetricsMiddleware, get_request_id, request_id_var
from ferrometer.http.request_id import new_request_id
from tests.middleware.asgi import (
    Client,
    Message,
    Receive,
    Scope,
    Send,
    body,
    http_scope,
    request,
    series,
    start,
    value,
    websocket_scope,
)

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class App:
    """Answers, and keeps the id that it saw."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages or (start(), body())
        self.seen: list[str | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(get_request_id())
        await asyncio.sleep(0)
        for message in self.messages:
            await send(message)
        self.seen.append(get_request_id())


def returned(client: Client) -> list[bytes]:
    (first,) = [message for message in client.sent if message["type"] == "http.response.start"]
    return [value for name, value in first["headers"] if name.lower() == b"x-request-id"]


def run(app: Any, registry: CollectorRegistry, *headers: tuple[bytes, bytes], on: bool = True) -> Client:
    middleware = MetricsMiddleware(app, registry=registry, request_id=on)
    return asyncio.run(request(middleware, http_scope(headers=headers)))


@pytest.mark.parametrize("given", [b"a", b"abc-123", b"x" * 128, b"!~\"'<>{}|", b"0"])
@pytest.mark.parametrize("name", [b"x-request-id", b"X-Request-ID"])
def test_an_id_is_taken_and_returned(registry: CollectorRegistry, given: bytes, name: bytes) -> None:
    app = App()
    client = run(app, registry, (b"host", b"x"), (name, given))
    assert app.seen == [given.decode()] * 2
    assert returned(client) == [given]


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"x" * 129,
        b"x" * 10_000,
        b"a b",
        b"a\tb",
        b"a\nb",
        b"a\r\nSet-Cookie: x",
        b"\x00",
        b"\x7f",
        b"\xc3\xa4",
    ],
)
def test_a_bad_id_is_replaced(registry: CollectorRegistry, given: bytes) -> None:
    app = App()
    (fresh,) = returned(run(app, registry, (b"x-request-id", given)))
    assert UUID.fullmatch(fresh.decode())
    assert app.seen == [fresh.decode()] * 2


def test_an_id_is_made(registry: CollectorRegistry) -> None:
    app = App()
    (fresh,) = returned(run(app, registry))
    assert uuid.UUID(fresh.decode()).version == 4
    assert app.seen == [fresh.decode()] * 2


def test_off_means_off(registry: CollectorRegistry) -> None:
    app = App()
    client = run(app, registry, (b"x-request-id", b"abc"), on=False)
    assert returned(client) == []
    assert app.seen == [None, None]
    assert client.sent[0] is app.messages[0]


def test_the_applications_message_is_not_changed(registry: CollectorRegistry) -> None:
    headers = [(b"content-type", b"text/plain")]
    message = {"type": "http.response.start", "status": 200, "headers": headers, "trailers": True}
    app = App(message, body())
    for _ in range(3):
        client = run(app, registry, (b"x-request-id", b"abc"))
        assert client.sent[0] == {**message, "headers": [*headers, (b"x-request-id", b"abc")]}
        assert client.sent[0] is not message
    assert message["headers"] is headers
    assert headers == [(b"content-type", b"text/plain")]


@pytest.mark.parametrize("headers", [(), ((b"a", b"b"),), iter([(b"a", b"b")]), {(b"a", b"b"): 1}])
def test_headers_of_any_iterable(registry: CollectorRegistry, headers: Any) -> None:
    client = run(App({"type": "http.response.start", "status": 200, "headers": headers}, body()), registry)
    assert len(returned(client)) == 1


def test_a_start_without_headers(registry: CollectorRegistry) -> None:
    client = run(
        App({"type": "http.response.start", "status": 200}, body()), registry, (b"x-request-id", b"abc")
    )
    assert client.sent[0]["headers"] == [(b"x-request-id", b"abc")]


@pytest.mark.parametrize("headers", [5, None])
def test_headers_that_are_none_are_sent_as_they_are(registry: CollectorRegistry, headers: Any) -> None:
    message = {"type": "http.response.start", "status": 200, "headers": headers}
    client = run(App(message, body()), registry)
    assert client.sent[0] is message
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "200"): 1}


@pytest.mark.parametrize("name", [b"x-request-id", b"X-Request-Id"])
def test_an_applications_own_header_wins(registry: CollectorRegistry, name: bytes) -> None:
    message = start(headers=[(name, b"mine")])
    client = run(App(message, body()), registry, (b"x-request-id", b"theirs"))
    assert client.sent[0] is message


def test_only_the_final_start_bears_it(registry: CollectorRegistry) -> None:
    client = run(App(start(103), start(200), body()), registry, (b"x-request-id", b"abc"))
    assert [message.get("headers") for message in client.sent[:2]] == [[], [(b"x-request-id", b"abc")]]


def test_the_variable_is_reset(registry: CollectorRegistry) -> None:
    async def raises(scope: Scope, receive: Receive, send: Send) -> None:
        assert get_request_id() == "inner"
        raise ValueError

    async def main() -> None:
        token = request_id_var.set("outer")
        await request(MetricsMiddleware(App(), registry=registry, request_id=True))
        assert get_request_id() == "outer"
        scope = http_scope(headers=[(b"x-request-id", b"inner")])
        with pytest.raises(ValueError):  # noqa: PT011  # its own, without a text
            await request(MetricsMiddleware(raises, registry=registry, request_id=True), scope)
        assert get_request_id() == "outer"
        request_id_var.reset(token)
        assert get_request_id() is None

    asyncio.run(main())


def test_requests_side_by_side_keep_their_own(registry: CollectorRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            assert get_request_id() == scope["path"]
        # A task started by the request inherits it.
        assert await asyncio.create_task(later()) == scope["path"]
        await send(start())
        await send(body())

    async def later() -> str | None:
        return get_request_id()

    middleware = MetricsMiddleware(app, registry=registry, request_id=True)

    async def main() -> None:
        scopes = [http_scope(f"/{n}", headers=[(b"x-request-id", f"/{n}".encode())]) for n in range(200)]
        clients = await asyncio.gather(*(request(middleware, scope) for scope in scopes))
        assert [returned(client) for client in clients] == [[f"/{n}".encode()] for n in range(200)]

    asyncio.run(main())


def test_a_request_that_ends_in_another_context(registry: CollectorRegistry) -> None:
    """The variable was never set there; dropping the request must not raise."""
    import contextvars

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    middleware = MetricsMiddleware(app, registry=registry, request_id=True)
    pending: Any = middleware(http_scope(), Client().receive, Client().send)

    async def main() -> None:
        contextvars.copy_context().run(pending.send, None)
        contextvars.copy_context().run(pending.close)

    asyncio.run(main())
    assert get_request_id() is None
    assert series(registry, "http_requests_total") == {("unmatched", "GET", "499"): 1}


def test_websockets_have_one_too(registry: CollectorRegistry) -> None:
    seen: list[str | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(get_request_id())
        await send({"type": "websocket.accept"})

    async def main() -> None:
        client = Client()
        scope = websocket_scope(headers=[(b"x-request-id", b"abc")])
        await MetricsMiddleware(app, registry=registry, request_id=True)(scope, client.receive, client.send)

    asyncio.run(main())
    assert seen == ["abc"]


def test_ids_do_not_repeat() -> None:
    ids = {new_request_id() for _ in range(100_000)}
    assert len(ids) == 100_000
    assert all(UUID.fullmatch(one) for one in list(ids)[:1000])


def test_bits_are_even() -> None:
    """Each of the 122 free bits is set in half of the ids, within 5 standard deviations of 20 000 throws."""
    numbers = [uuid.UUID(new_request_id()).int for _ in range(20_000)]
    counts = [sum(number >> bit & 1 for number in numbers) for bit in range(128)]
    fixed = {62, 63, 76, 77, 78, 79}
    sigma = (20_000 * 0.25) ** 0.5
    assert all(abs(counts[bit] - 10_000) < 5 * sigma for bit in range(128) if bit not in fixed)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_makes_ids_of_its_own() -> None:
    new_request_id()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(new_request_id() for _ in range(50)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 50 * 36).decode()
    ours = {new_request_id() for _ in range(50)}
    assert len(theirs) == 50 * 36
    assert not ours & {theirs[n : n + 36] for n in range(0, len(theirs), 36)}


def test_no_faults_are_counted(registry: CollectorRegistry) -> None:
    run(App(), registry)
    assert value(registry, "ferrometer_middleware_errors_total", reason="request_id") == 0


@pytest.mark.parametrize("options", [{"skip_paths": ["/"]}, {"skip_methods": ["GET"]}], ids=str)
def test_requests_that_are_not_measured_have_an_id_all_the_same(
    registry: CollectorRegistry, options: dict[str, Any]
) -> None:
    app = App()
    middleware = MetricsMiddleware(app, registry=registry, request_id=True, **options)
    client = asyncio.run(request(middleware, http_scope(headers=[(b"x-request-id", b"abc")])))
    assert app.seen == ["abc", "abc"]
    assert returned(client) == [b"abc"]
    client = asyncio.run(request(middleware))
    assert returned(client) == [app.seen[-1].encode()]  # type: ignore[union-attr]
    assert UUID.fullmatch(app.seen[-1] or "")
    assert get_request_id() is None
    assert series(registry, "http_requests_total") == {}
    assert value(registry, "http_requests_in_flight") == 0
    assert series(registry, "http_request_duration_seconds_count") == {}
