"""The native middleware and its naive twin see the same events and must count the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferrometer import CollectorRegistry, MetricsMiddleware
from tests.middleware.asgi import App, Client, Message, Receive, Scope, Send, body, http_scope, samples, start
from tests.middleware.twin import Twin

pytestmark = pytest.mark.usefixtures("dicts")

ERRORS = {
    error.__name__: error for error in (ValueError, KeyError, OSError, ConnectionResetError, RuntimeError)
}

events = st.one_of(
    st.builds(lambda status: ("start", status), st.sampled_from([103, 200, 204, 301, 404, 499, 500, 503])),
    st.builds(lambda data, more: ("body", data, more), st.sampled_from([b"", b"a", b"hello"]), st.booleans()),
    st.just(("receive",)),
    st.just(("pause",)),
    st.builds(lambda name: ("raise", name), st.sampled_from(sorted(ERRORS))),
    st.just(("refuse",)),
    st.just(("other",)),
)
scripts = st.lists(events, max_size=8)
methods = st.sampled_from(["GET", "POST", "HEAD", "PATCH", "OPTIONS", "BREW"])
requests = st.tuples(
    scripts,
    methods,
    st.sampled_from([None, b"0", b"12"]),
    st.integers(0, 3).map(lambda n: n if n else None),  # after how many pauses it is cancelled
    st.integers(0, 2),  # messages before the disconnect
)


async def play(script: list[Any], receive: Receive, send: Send) -> None:
    """An application that does what the script says."""
    guarded = False
    for event in script:
        try:
            match event:
                case ("start", status):
                    await send(start(status))
                case ("body", data, more):
                    await send(body(data, more=more))
                case ("receive",):
                    await receive()
                case ("pause",):
                    await asyncio.sleep(0)
                case ("raise", name):
                    raise ERRORS[name]("scripted")
                case ("refuse",):
                    guarded = True
                case ("other",):
                    await send({"type": "http.response.trailers", "headers": []})
        except asyncio.CancelledError:
            if not guarded:
                raise
            guarded = False


async def one(app: App, scope: Scope, messages: int, cancel: int | None) -> tuple[list[Message], str]:
    """One request: what the server got, and how it ended."""
    client = Client(*({"type": "http.request", "body": b"", "more_body": False} for _ in range(messages)))

    async def call() -> None:
        await app(scope, client.receive, client.send)

    task = asyncio.create_task(call())
    if cancel is not None:
        for _ in range(cancel):
            await asyncio.sleep(0)
        task.cancel()
    try:
        await task
        outcome = "returned"
    except asyncio.CancelledError:
        outcome = "cancelled"
    except tuple(ERRORS.values()) as error:
        outcome = repr(error)
    return client.sent, outcome


async def serve(app: App, plans: list[Any], together: bool) -> list[Any]:
    coroutines = []
    for script, method, length, cancel, messages in plans:
        headers = [(b"host", b"x")] + ([(b"content-length", length)] if length else [])
        coroutines.append(one(app, http_scope("/x", method, headers, script=script), messages, cancel))
    if together:
        return await asyncio.gather(*coroutines)
    return [await coroutine for coroutine in coroutines]


async def scripted(scope: Scope, receive: Receive, send: Send) -> None:
    await play(scope["script"], receive, send)


FAMILIES = (
    "http_requests_total",
    "http_request_duration_seconds_count",
    "http_exceptions_total",
    "http_client_disconnects_total",
    "http_requests_cancelled_total",
    "http_response_first_byte_seconds_count",
    "http_response_body_bytes_total",
    "http_request_body_bytes_total",
    "http_background_duration_seconds_count",
)


def counted(registry: CollectorRegistry) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for (name, labels), number in samples(registry).items():
        if name in FAMILIES and number:
            counts[name, *(text for _, text in labels)] = int(number)
    return counts


@pytest.mark.parametrize(
    "options", [{}, {"sample": 0.2}, {"request_id": True}], ids=["timed", "sampled", "named"]
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=st.lists(requests, min_size=1, max_size=6), together=st.booleans())
def test_the_same_events_are_the_same_counts(options: Any, plans: list[Any], together: bool) -> None:
    registry = CollectorRegistry()
    native = MetricsMiddleware(scripted, registry=registry, route=lambda scope: "/x", **options)
    twin = Twin(scripted, "/x")
    ours = asyncio.run(serve(native, plans, together))
    theirs = asyncio.run(serve(twin, plans, together))
    if "request_id" not in options:
        assert ours == theirs
    assert [outcome for _, outcome in ours] == [outcome for _, outcome in theirs]
    assert counted(registry) == +twin.counts
    assert samples(registry)["http_requests_in_flight", ()] == twin.in_flight == 0


def test_a_long_random_run_with_cancellations() -> None:
    """Five thousand requests, a few hundred at a time, each cancelled at a random turn or not at all."""
    import random

    rng = random.Random(5)
    registry = CollectorRegistry()
    kinds = ["start", "body", "receive", "pause", "pause", "pause"]

    def script() -> list[Any]:
        made: list[Any] = []
        for kind in rng.choices(kinds, k=rng.randrange(10)):
            if kind == "start":
                made.append(("start", rng.choice([200, 404, 500])))
            elif kind == "body":
                made.append(("body", b"x" * rng.randrange(5), rng.random() < 0.5))
            else:
                made.append((kind,))
        return made

    plans = [
        (script(), "GET", None, rng.choice([None, None, 1, 2, 3, 4, 5]), rng.randrange(3))
        for _ in range(5000)
    ]
    native = MetricsMiddleware(scripted, registry=registry, route=lambda scope: "/x")
    twin = Twin(scripted, "/x")
    for app in (native, twin):
        for first in range(0, len(plans), 250):
            asyncio.run(serve(app, plans[first : first + 250], together=True))
    assert counted(registry) == +twin.counts
    assert samples(registry)["http_requests_in_flight", ()] == 0
