"""auth= and allow=: who gets in, who does not, and what wrong values say."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import threading
from typing import Any

import anyio.lowlevel
import pytest
from starlette.requests import Request

from ferrometer.endpoints.access import Access, AuthCheck

pytestmark = pytest.mark.anyio

TOKEN = "s3cret-token"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def request_from(
    client: tuple[str, int] | None = ("127.0.0.1", 5000), *authorization: str | bytes
) -> Request:
    headers = [
        (b"authorization", value if isinstance(value, bytes) else value.encode()) for value in authorization
    ]
    return Request(
        {"type": "http", "method": "GET", "path": "/metrics", "headers": headers, "client": client}
    )


async def admits(access: Access, *authorization: str | bytes) -> bool:
    refusal = await access.refuse_credentials(request_from(("127.0.0.1", 5000), *authorization))
    if refusal is not None:
        assert refusal.status == 401
        assert refusal.headers["WWW-Authenticate"]
    return refusal is None


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"BEARER  {TOKEN}", True),
        ("Bearer wrong", False),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        ("Bearer", False),
        ("Bearer ", False),
        (TOKEN, False),
        (f"Basic {TOKEN}", False),
        ("", False),
        (b"Bearer \xff\xfe", False),
    ],
)
async def test_a_bearer_token(header: str | bytes, admitted: bool) -> None:
    assert await admits(Access(TOKEN), header) is admitted


async def test_no_header_and_two_headers_are_refused() -> None:
    assert not await admits(Access(TOKEN))
    assert not await admits(Access(TOKEN), f"Bearer {TOKEN}", "Bearer other")
    assert not await admits(Access(TOKEN), f"Bearer {TOKEN}", f"Bearer {TOKEN}")


async def test_every_token_of_a_list_admits_and_no_other() -> None:
    access = Access(["old", "new"])
    assert await admits(access, "Bearer old")
    assert await admits(access, "Bearer new")
    assert not await admits(access, "Bearer old,new")


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        (basic("prom", "pä:ss"), True),
        (basic("prom", "pä:ss").replace("Basic", "basic"), True),
        (basic("prom", "other"), False),
        (basic("other", "pä:ss"), False),
        (basic("prom", ""), False),
        ("Basic !!!", False),
        ("Basic " + base64.b64encode(b"no-colon").decode(), False),
        (f"Bearer {TOKEN}", False),
    ],
)
async def test_basic(header: str, admitted: bool) -> None:
    assert await admits(Access(("prom", "pä:ss")), header) is admitted


async def test_the_challenge_names_the_scheme() -> None:
    cases: list[tuple[Any, str]] = [
        (TOKEN, "Bearer"),
        (("u", "p"), "Basic "),
        (lambda request: False, "Bearer"),
    ]
    for auth, scheme in cases:
        refusal = await Access(auth).refuse_credentials(request_from())
        assert refusal is not None
        assert refusal.headers["WWW-Authenticate"].startswith(scheme)


async def test_a_callable_sees_the_request_and_a_plain_one_leaves_the_loop_free() -> None:
    seen: list[tuple[str, threading.Thread]] = []

    def plain(request: Request) -> bool:
        seen.append((request.url.path, threading.current_thread()))
        return request.headers.get("authorization") == "yes"

    async def asynchronous(request: Request) -> bool:
        await anyio.lowlevel.checkpoint()
        return plain(request)

    class Callable:
        async def __call__(self, request: Request) -> bool:
            return plain(request)

    checks: list[AuthCheck] = [plain, asynchronous, Callable(), lambda request: asynchronous(request)]
    for auth in checks:
        assert await admits(Access(auth), "yes")
        assert not await admits(Access(auth), "no")
    assert {path for path, _ in seen} == {"/metrics"}
    assert seen[0][1] is not threading.current_thread()
    assert seen[2][1] is threading.current_thread()


@pytest.mark.parametrize("answer", [None, 1, "yes", object(), b"", [True]])
async def test_only_true_admits(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert not await admits(Access(lambda request: answer))
    assert "refused" in caplog.text


async def test_a_callable_that_raises_refuses_and_its_message_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(request: Request) -> bool:
        raise RuntimeError(f"login failed for {TOKEN}")

    assert not await admits(Access(broken))
    assert "RuntimeError" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("allow", "client", "admitted"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "127.0.0.1", False),  # loopback is not special
        (["10.0.0.0/8"], "::1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:11.1.2.3", False),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "11.1.2.3", False),
        (["0.0.0.0/0"], "::1", False),
        (["::/0"], "2001:db8::1", True),
        (["::1"], "::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        ([ipaddress.ip_network("192.168.0.0/16")], "192.168.3.4", True),
        (["10.0.0.0/8", "192.168.1.7"], "192.168.1.7", True),
        (["10.0.0.0/8"], "testclient", False),
        (["10.0.0.0/8"], "", False),
        (["10.0.0.0/8"], None, False),
        (["unix"], None, True),
        (["unix"], "", True),
        (["unix"], "127.0.0.1", False),
        (["unix", "127.0.0.1"], "127.0.0.1", True),
    ],
)
async def test_addresses(allow: Any, client: str | None, admitted: bool) -> None:
    address = None if client is None else (client, 5000)
    refusal = Access(allow=allow).refuse_address(request_from(address))
    assert (refusal is None) is admitted
    assert refusal is None or (refusal.status, refusal.headers) == (403, {})


async def test_forwarding_headers_are_not_read() -> None:
    scope = request_from(("8.8.8.8", 1)).scope
    scope["headers"] = [(b"x-forwarded-for", b"10.0.0.1"), (b"forwarded", b"for=10.0.0.1")]
    assert Access(allow="10.0.0.0/8").refuse_address(Request(scope)) is not None


async def test_nothing_asked_admits_everybody() -> None:
    assert Access().refuse_address(request_from(None)) is None
    assert await admits(Access())


@pytest.mark.parametrize(
    ("auth", "error", "words"),
    [
        ("", ValueError, "the token is empty"),
        ([], ValueError, "auth=[] would refuse everybody"),
        (["ok", ""], ValueError, "token 2 of 2 is empty"),
        (["ok", None], TypeError, "token 2 of 2 must be a str, not NoneType"),
        (b"bytes", TypeError, "not bytes"),
        ("hunter2 space", ValueError, "holds a space"),
        ("hunter2\n", ValueError, "a control"),
        ("hunter2é", ValueError, "non-ASCII"),
        (("a", "b", "c"), TypeError, "a tuple means (user, password)"),
        (("only",), TypeError, "got 1 of str"),
        ((), TypeError, "nothing"),
        (("u", 1), TypeError, "str, int"),
        (("", "hunter2"), ValueError, "must be non-empty"),
        (("a:b", "hunter2"), ValueError, "'a:b'"),
        (("u", ""), ValueError, "the password of user 'u' is empty"),
        (7, TypeError, "not int"),
        (True, TypeError, "not bool"),
        ({"token": "x"}, TypeError, "not dict"),
    ],
)
async def test_a_wrong_auth_fails_at_construction_and_quotes_no_secret(
    auth: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        Access(auth)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("allow", "error", "words"),
    [
        ([], ValueError, "allow=() would refuse everybody"),
        ("localhost", ValueError, "Host names are not resolved"),
        (["10.0.0.1/8"], ValueError, "write '10.0.0.0/8' or '10.0.0.1'"),
        (["10.0.0.0/33"], ValueError, "'10.0.0.0/33' is no IP address or network"),
        ([""], ValueError, "'' is no IP address"),
        (["10.0.0.0/8 "], ValueError, "no IP address"),
        ([1], TypeError, "must be a str"),
        ([None], TypeError, "not NoneType"),
    ],
)
async def test_a_wrong_allow_fails_at_construction(allow: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        Access(allow=allow)
    assert words in str(caught.value)


async def test_repr_hides_secrets() -> None:
    kinds: list[Any] = [TOKEN, [TOKEN, "other"], ("user", TOKEN)]
    for auth in kinds:
        text = repr(Access(auth, ["10.0.0.0/8", "unix"]))
        assert TOKEN not in text
        assert "10.0.0.0/8, unix" in text


class Strange(BaseException):
    pass


@pytest.mark.parametrize(
    "error", [Strange, SystemExit, asyncio.CancelledError, GeneratorExit, StopIteration, StopAsyncIteration]
)
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_callable_that_raises_a_base_exception_refuses(
    error: type[BaseException], plain: bool, late: bool
) -> None:
    def check(request: Request) -> bool:
        raise error

    async def async_check(request: Request) -> bool:
        if late:
            await asyncio.sleep(0)
        return check(request)

    def handed_back(request: Request) -> Any:
        return async_check(request)

    access = Access(auth=(handed_back if late else check) if plain else async_check)
    for _ in range(2):
        refusal = await access.refuse_credentials(Request({"type": "http", "headers": []}))
        assert refusal is not None
        assert refusal.status == 401


@pytest.mark.parametrize("end", ["cancelled", "closed"])
def test_a_request_that_ends_while_the_callable_waits_ends_it(end: str) -> None:
    ended: list[str] = []

    async def check(request: Request) -> bool:
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            ended.append(type(error).__name__)
            raise
        return True

    async def ask() -> None:
        asked = Access(auth=check).refuse_credentials(Request({"type": "http", "headers": []}))
        if end == "closed":
            asked.send(None)
            asked.close()
            return
        task = asyncio.ensure_future(asked)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ask())
    assert ended == ["CancelledError" if end == "cancelled" else "GeneratorExit"]


async def test_a_plain_callable_that_raises_a_keyboard_interrupt_refuses() -> None:
    def check(request: Request) -> bool:
        raise KeyboardInterrupt  # in a worker thread, which no Ctrl-C reaches

    refusal = await Access(auth=check).refuse_credentials(Request({"type": "http", "headers": []}))
    assert refusal is not None
    assert refusal.status == 401
