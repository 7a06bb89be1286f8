"""What a middleware adds to one request, over the same application without it.

Every subject answers the same requests: the scope is built anew for each as uvicorn builds it, strings
decoded from bytes, headers as httpx sends them. The time of the bare application is subtracted round by
round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from ferrometer import _core
from ferrometer.bench import answers, wrapped
from ferrometer.bench.requests import receive, send
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave
from ferrometer.bench.wrapped import BARE, PASS_THROUGH, SAMPLED, Wrapped

Drive = Callable[[ASGIApp, int], float]
Driver = Callable[[], Drive]


# Drivers: seconds for so many requests to an application ---------------------------------------------------


async def _awaited(app: ASGIApp, requests: int) -> float:
    began = perf_counter()
    for _ in range(requests):
        await app(wrapped.new_scope(), receive, send)
    return perf_counter() - began


async def _in_tasks(app: ASGIApp, requests: int) -> float:
    async def run_asgi(scope: Scope) -> None:
        await app(scope, receive, send)

    create_task = asyncio.get_running_loop().create_task
    began = perf_counter()
    for _ in range(requests):
        await create_task(run_asgi(wrapped.new_scope()))
    return perf_counter() - began


def _by_hand(app: ASGIApp, requests: int) -> float:
    began = perf_counter()
    for _ in range(requests):
        coroutine = cast(Coroutine[Any, Any, None], app(wrapped.new_scope(), receive, send))
        try:  # noqa: SIM105  (a context manager would cost more than what is measured)
            coroutine.send(None)
        except StopIteration:
            pass
    return perf_counter() - began


def awaited() -> Drive:
    """`await app(scope, receive, send)`, uvicorn's own line, in one asyncio task."""
    batch = wrapped.own_code(_awaited)
    return lambda app, requests: asyncio.run(batch(app, requests))


def in_tasks() -> Drive:
    """An asyncio task for each request, as uvicorn starts them."""
    batch = wrapped.own_code(_in_tasks)
    return lambda app, requests: asyncio.run(batch(app, requests))


def by_hand() -> Drive:
    """`coroutine.send(None)` until StopIteration for each request: no other awaiting frame at all."""
    drive: Drive = wrapped.own_code(_by_hand)
    return drive


# Applications ----------------------------------------------------------------------------------------------


def suspending() -> ASGIApp:
    """An application that answers after giving the event loop one turn."""
    answer = wrapped.plain()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await answer(scope, receive, send)

    return cast(ASGIApp, wrapped.own_code(app))


# Subjects --------------------------------------------------------------------------------------------------


def subjects(
    app: Callable[[], ASGIApp], drive: Driver, *, sampled: bool = False, peers: bool = True
) -> list[Subject]:
    """The application bare, inside the floor (twice, as a control), inside ours and inside the peers."""
    makers = dict(wrapped.MAKERS)
    makers[FLOOR] = makers.pop(PASS_THROUGH)
    makers[CONTROL] = lambda app: wrapped.pass_through(wrapped.pass_through(app).app)
    one_percent = makers.pop(SAMPLED)
    if sampled:
        makers[OURS] = one_percent
    if not peers:
        makers = {name: makers[name] for name in (BARE, FLOOR, CONTROL, OURS)}
    made = {name: maker(app()) for name, maker in makers.items()}
    return [subject(name, it, drive) for name, it in made.items() if it is not None]


def subject(name: str, it: Wrapped, drive: Driver) -> Subject:
    check = answers.equals(it.seen, name) if it.seen else _answers_at_all(it.app)
    return Subject(name, partial(drive(), it.app), check, step=5)


def _answers_at_all(app: ASGIApp) -> Callable[[int], None]:
    """For what counts nothing: that it passes the whole response on."""

    def check(done: int) -> None:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        asyncio.run(_request(app(wrapped.new_scope(), receive, collect)))
        assert [m["type"] for m in messages] == ["http.response.start", "http.response.body"]
        assert messages[1]["body"] == b"hello"

    return check


async def _request(response: Awaitable[None]) -> None:
    await response


OFFICIAL = "by the official functions"


def without_private_layout() -> list[Subject]:
    """Ours, and ours reading dicts by the official functions alone: what the private layout is worth."""
    ours = [one for one in subjects(wrapped.plain, awaited, peers=False) if one.name != CONTROL]
    official = next(one for one in subjects(wrapped.plain, awaited, peers=False) if one.name == OURS)

    def sample(operations: int) -> float:
        before = _core.private_dict_layout()
        _core.private_dict_layout(wanted=False)
        try:
            return official.sample(operations)
        finally:
            _core.private_dict_layout(wanted=before)

    return [*ours, replace(official, name=OFFICIAL, sample=sample)]


# Rows ------------------------------------------------------------------------------------------------------


def _row(
    key: str,
    title: str,
    make: Callable[[], list[Subject]],
    aims: Sequence[Aim] = (),
    *,
    rounds: int = 400,
    note: str = "",
) -> Row:
    def measure(effort: Effort) -> Samples:
        return interleave(
            make,
            rounds=effort.rounds(rounds),
            seconds=effort.seconds(0.0004),
            title=title,
            builds=effort.rounds(20, 1),
        )

    return Row(key, title, "ns", measure, tuple(aims), baseline=BARE, faster_than_control=FLOOR, note=note)


ROWS = (
    _row(
        "middleware",
        "middleware, everything on",
        lambda: subjects(wrapped.plain, awaited),
        [Aim(OURS, FLOOR, at_most=0.6), Aim("starlette_exporter", OURS, at_least=100)],
        note="over the bare application; floor: an empty Python pass-through",
    ),
    _row(
        "middleware_sampled",
        "middleware at sample=0.01",
        lambda: subjects(wrapped.plain, awaited, sampled=True, peers=False),
        [Aim(OURS, FLOOR, at_most=0.55)],
    ),
    Row(
        "middleware_dicts",
        "  without the private dict layout",
        "ns",
        lambda effort: interleave(
            without_private_layout,
            rounds=effort.rounds(400),
            seconds=effort.seconds(0.0004),
            title="dict layout",
            builds=effort.rounds(20, 1),
        ),
        baseline=BARE,
        note="what following CPython's layout of dicts spares",
    ),
    _row("middleware_send", "  driven by .send(None)", lambda: subjects(wrapped.plain, by_hand, peers=False)),
    _row(
        "middleware_tasks",
        "  asyncio, a task each",
        lambda: subjects(wrapped.plain, in_tasks),
    ),
    _row(
        "middleware_suspends",
        "  asyncio, suspending once",
        lambda: subjects(suspending, awaited),
    ),
    _row(
        "middleware_starlette",
        "  around a Starlette app",
        lambda: subjects(wrapped.starlette, awaited),
        rounds=800,  # a request takes 25 us, and the difference is a hundredth of that
    ),
)
