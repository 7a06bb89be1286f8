"""Probes: calls that only ask whether a provider is there."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any, TypeAlias

import anyio
import anyio.to_thread

from ferrometer.providers.record import record

#: A function or coroutine function without arguments: False or an exception is a failure. Or an address.
Probe: TypeAlias = "Callable[[], Any] | str"


class Probes:
    """The probes of an application, by provider, or by provider and model.

    Raises ValueError for an address that is none, TypeError for what cannot be called.
    """

    def __init__(self, probes: Mapping[str | tuple[str, str], Probe], timeout: float) -> None:
        self._timeout = timeout
        self._all: list[tuple[str, str, Callable[[], Any], bool]] = []
        for key, probe in probes.items():
            provider, model = (key, "") if isinstance(key, str) else key
            if isinstance(probe, str):
                self._all.append((provider, model, _asking(provider, probe, timeout), True))
            elif callable(probe):
                self._all.append((provider, model, probe, False))
            else:
                raise TypeError(f"the probe of {provider!r} must be a function or an address, not {probe!r}")

    def __bool__(self) -> bool:
        return bool(self._all)

    async def run(self) -> None:
        """Runs all of them at once, each within the timeout, and records what they found."""
        async with anyio.create_task_group() as group:
            for one in self._all:
                group.start_soon(self._run, *one)

    async def _run(self, provider: str, model: str, probe: Callable[[], Any], keyless: bool) -> None:
        error: BaseException | None = None
        try:
            with anyio.fail_after(self._timeout):
                found = await anyio.to_thread.run_sync(probe, abandon_on_cancel=True)
                if isawaitable(found):
                    found = await found
            if found is False:
                error = ConnectionError("the probe returned False")
        except Exception as raised:  # that is what it asks
            error = raised
        # A probe's time is not that of an answer. Without a key, 401 says that somebody is there.
        record(provider, model, error=error, callers_key=keyless)


def _asking(provider: str, url: str, timeout: float) -> Callable[[], None]:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"the probe of {provider!r} must ask http:// or https:// and a host, not {url!r}")

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise

    return ask


def parse(texts: tuple[str, ...]) -> dict[str, str]:
    """Probes as the configuration has them, ``provider=address``; raises ValueError for anything else."""
    found = {}
    for text in texts:
        provider, separator, url = text.partition("=")
        if not separator or not provider.strip():
            raise ValueError(f"[providers] probes: write provider=https://host/path, not {text!r}")
        found[provider.strip()] = url.strip()
    return found
