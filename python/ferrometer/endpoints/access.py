"""Who may read the endpoints: ``auth=`` asks for a secret, ``allow=`` for an address.

Both are decided at construction, so a wrong value fails when the application starts and never
opens an endpoint by accident. Secrets are kept as digests: no repr, log line or error shows them.
"""

from __future__ import annotations

import hashlib
import inspect
import ipaddress
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import anyio.to_thread
from starlette.requests import HTTPConnection, Request

from ferrometer import _core
from ferrometer._process.run import Outcome, outcome_of

_log = logging.getLogger("ferrometer")

AuthCheck: TypeAlias = Callable[[Request], "bool | Awaitable[bool]"]
Auth: TypeAlias = "str | Sequence[str] | AuthCheck"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

UNIX = "unix"
_MAKE_TOKEN = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class Refusal(NamedTuple):
    """A status and the headers that go with it; there is never a body that says why."""

    status: int
    headers: dict[str, str]


class Access:
    """Decides whether a request may read an endpoint.

    ``auth``: ``None`` (open), a bearer token, a list of bearer tokens (for rotation), a tuple
    ``(user, password)`` for basic authentication, or a callable that takes the Starlette request
    and returns ``True`` to admit. Anything but ``True``, and any exception, refuses. A plain
    function runs in a worker thread, a coroutine function on the event loop.

    ``allow``: ``None`` (everybody) or networks such as ``["10.0.0.0/8", "127.0.0.1", "::1"]``.
    Loopback is admitted only when listed. IPv4-mapped IPv6 addresses count as IPv4. A client
    without an address, as on a Unix socket, is admitted only by the word ``"unix"``. The address
    is the one the server reports: behind a proxy configure the server (uvicorn:
    ``--forwarded-allow-ips``); forwarding headers are never read here, since anyone can send them.
    """

    __slots__ = ("_allow", "_auth", "_native")

    def __init__(self, auth: Auth | None = None, allow: str | Iterable[str | Network] | None = None) -> None:
        self._auth = None if auth is None else _scheme(auth)
        self._allow = None if allow is None else _AllowList(allow)
        self._native = _core.Access(
            tokens=self._auth.digests if isinstance(self._auth, _Bearer) else None,
            user=self._auth.digests if isinstance(self._auth, _Basic) else None,
            networks=None if self._allow is None else self._allow.networks(),
            unix=self._allow is not None and self._allow.unix,
        )

    def __repr__(self) -> str:
        return f"Access(auth={self._auth!r}, allow={self._allow!r})"

    @property
    def is_native(self) -> bool:
        """Whether native code can decide: not where a callable does."""
        return not isinstance(self._auth, _Custom)

    def native(self) -> _core.Access:
        """The same for native code. Raises TypeError for an auth callable, which is Python code."""
        if isinstance(self._auth, _Custom):
            raise TypeError(
                "auth: a callable is Python code, and this server runs none; give a token, a list of tokens"
                " or a (user, password) tuple"
            )
        return self._native

    def refuse_address(self, request: HTTPConnection) -> Refusal | None:
        """403 for a client outside ``allow``, else ``None``."""
        client = request.client
        return None if self._native.admits(client.host if client is not None else None) else Refusal(403, {})

    async def refuse_credentials(self, request: Request) -> Refusal | None:
        """401 with a challenge for a request without the right secret, else ``None``."""
        if isinstance(self._auth, _Custom):
            challenge = None if await self._auth.admits(request) else "Bearer"
        else:
            challenge = self._native.challenge(request.headers.raw)
        return None if challenge is None else Refusal(401, {"WWW-Authenticate": challenge})


def _scheme(auth: object) -> _Bearer | _Basic | _Custom:
    if isinstance(auth, str):
        return _Bearer([auth])
    if isinstance(auth, tuple):
        return _Basic(auth)
    if isinstance(auth, list | set | frozenset):
        return _Bearer(list(auth))
    if callable(auth):
        return _Custom(auth)
    raise TypeError(
        f"auth must be a token, a list of tokens, a (user, password) tuple or a callable,"
        f" not {type(auth).__name__}"
    )


def _digest(secret: bytes) -> bytes:
    # Digests have one length, so a comparison tells nothing about the length of the secret.
    return hashlib.sha256(secret).digest()


class _Bearer:
    def __init__(self, tokens: list[object]) -> None:
        if not tokens:
            raise ValueError("auth=[] would refuse everybody; give at least one token, or None for no check")
        self.digests = [_digest(_token(token, n, len(tokens))) for n, token in enumerate(tokens, start=1)]

    def __repr__(self) -> str:
        return f"<bearer, {len(self.digests)} token{'s' * (len(self.digests) > 1)}>"


def _token(token: object, number: int, total: int) -> bytes:
    which = "the token" if total == 1 else f"token {number} of {total}"
    if not isinstance(token, str):
        raise TypeError(f"auth: {which} must be a str, not {type(token).__name__}")
    if not token:
        raise ValueError(f"auth: {which} is empty, which would admit an empty secret; {_MAKE_TOKEN}")
    if not all("!" <= c <= "~" for c in token):
        raise ValueError(
            f"auth: {which} holds a space, a control or a non-ASCII character, which a bearer header"
            f" cannot carry; {_MAKE_TOKEN}"
        )
    return token.encode()


class _Basic:
    def __init__(self, pair: tuple[object, ...]) -> None:
        if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise TypeError(
                f"auth: a tuple means (user, password), two str; got {len(pair)} of"
                f" {', '.join(type(part).__name__ for part in pair) or 'nothing'}."
                f" For several bearer tokens give a list"
            )
        user, password = (str(part) for part in pair)
        if not user or ":" in user:
            raise ValueError(
                f"auth: the user {user!r} must be non-empty and without ':', which ends it in a basic header"
            )
        if not password:
            raise ValueError(f"auth: the password of user {user!r} is empty; give one, or None for no check")
        self.digests = (_digest(user.encode()), _digest(password.encode()))

    def __repr__(self) -> str:
        return "<basic>"


class _Custom:
    def __init__(self, check: Callable[..., object]) -> None:
        self._check = check
        self._name = getattr(check, "__qualname__", type(check).__name__)
        self._is_async = inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(
            getattr(check, "__call__", None)  # noqa: B004 - the method itself is asked for, not callability
        )

    def __repr__(self) -> str:
        return f"<callable {self._name}>"

    async def admits(self, request: Request) -> bool:
        # Boxed in the thread: not every exception finds the way out of one.
        outcome = (
            self._call(request) if self._is_async else await anyio.to_thread.run_sync(self._call, request)
        )
        if inspect.isawaitable(outcome.value):
            outcome = await outcome_of(outcome.value)
        if outcome.error is not None:
            # The type only: the message of a failed login may quote the secret.
            kind = type(outcome.error).__name__
            _log.error("auth callable %s raised %s: request refused", self._name, kind)
            return False
        answer = outcome.value
        if not isinstance(answer, bool):
            # A Response or an error object is truthy; admitting it would open the endpoint.
            _log.error(
                "auth callable %s returned %s, not True or False: request refused",
                self._name,
                type(answer).__name__,
            )
            return False
        return answer

    def _call(self, request: Request) -> Outcome:
        try:
            return Outcome(self._check(request))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # Ctrl-C
            return Outcome(error=error)


class _AllowList:
    def __init__(self, allow: str | Iterable[str | Network]) -> None:
        entries = [allow] if isinstance(allow, str) else list(allow)
        if not entries:
            raise ValueError("allow=() would refuse everybody; list networks, or None for everybody")
        self.unix = UNIX in entries
        self._networks = [_network(entry) for entry in entries if entry != UNIX]

    def __repr__(self) -> str:
        return "[" + ", ".join([*map(str, self._networks), *[UNIX] * self.unix]) + "]"

    def networks(self) -> list[tuple[str, int]]:
        """Addresses and the lengths of their prefixes; ``"unix"`` is none."""
        return [(str(network.network_address), network.prefixlen) for network in self._networks]


def _network(entry: object) -> Network:
    if isinstance(entry, ipaddress.IPv4Network | ipaddress.IPv6Network):
        network: Network = entry
    elif isinstance(entry, str):
        network = _parse_network(entry)
    else:
        raise TypeError(f"allow: {entry!r} must be a str such as '10.0.0.0/8', not {type(entry).__name__}")
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:  # clients are unmapped before the comparison, so networks are too
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _parse_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"allow: {text!r} is no IP address or network; write '10.0.0.0/8', '127.0.0.1', '::1',"
            f" or 'unix' for clients on a Unix socket. Host names are not resolved"
        ) from None
    address = text.partition("/")[0]
    raise ValueError(f"allow: {text!r} has bits set beyond its prefix; write '{meant}' or '{address}'")
