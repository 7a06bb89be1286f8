"""The demo's programme: measure, serve, drive traffic, show what was seen, keep serving."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from socket import socket

import ferrometer
from ferrometer.demo import overhead, report
from ferrometer.demo.client import Totals, Traffic, TrafficError, traffic
from ferrometer.demo.progress import Progress
from ferrometer.demo.scrape import Seen, differences
from ferrometer.demo.server import AddressError, address, listen, serving
from ferrometer.demo.service import Gateway
from ferrometer.demo.stores import Stores, stores

_SETTLE_SECONDS = 5.0
"""How long requests whose client has gone may take to end."""


@dataclass(frozen=True)
class Options:
    """What `ferrometer demo` can be told."""

    host: str = "127.0.0.1"
    port: int = 8000
    requests: int = 2000
    rate: float = 5.0
    """Requests a second after the table; 0 for none."""
    once: bool = False
    """End after the table."""
    sqlite: bool = False
    """Start no PostgreSQL and no Valkey."""


def run(options: Options) -> int:
    """Runs the demo; the exit status: 0 all well, 1 something did not work, 2 the address cannot be had."""
    try:
        with listen(options.host, options.port) as listener:
            return asyncio.run(_until_interrupted(options, listener))
    except AddressError as problem:
        print(f"ferrometer demo: {problem}", file=sys.stderr)
        return 2
    except TrafficError as problem:
        print(f"ferrometer demo: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the signal handler stood, or where there is none
        return 0


async def _until_interrupted(options: Options, listener: socket) -> int:
    programme = asyncio.ensure_future(_programme(options, listener))
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(name, programme.cancel)
    try:
        return await programme
    except asyncio.CancelledError:
        print("\nStopped.", flush=True)
        return 0


async def _programme(options: Options, listener: socket) -> int:
    base = address(listener)
    _say(f"The live page: {base}/ferrometer" if sys.platform == "linux" else "The live page needs Linux.")
    _say(f"A small GPU gateway on {base}, watched by Ferrometer.")
    cost = overhead.measure()
    async with stores(not options.sqlite) as found:
        _say(report.foundation(found))
        if sys.platform == "linux":
            ferrometer.share()  # with the worker, which is another process
        gateway = Gateway(found)
        async with serving(gateway.app, listener), traffic(base, options.requests, options.rate) as client:
            return await _show(options, base, gateway, client, found, cost)


async def _show(
    options: Options, base: str, gateway: Gateway, client: Traffic, found: Stores, cost: overhead.Overhead
) -> int:
    totals = await _watch(client, options.requests, gateway)
    if gateway.upstreams is not None:
        await gateway.upstreams.run()
    if gateway.jobs is not None:
        await gateway.jobs.run()
    seen = await _settled(base, gateway)
    _say(report.table(seen, gateway.quantile))
    _say(report.models(seen, gateway.call_quantile))
    _say(report.beside(seen))
    _say(report.calls(seen, gateway.call_quantile, found))
    _say(report.below(seen, found))
    if gateway.upstreams is not None:
        _say(report.providers(gateway.upstreams, seen))
    if gateway.jobs is not None:
        _say(report.jobs(gateway.jobs, seen))
    wrong = differences(totals, seen)
    _say("\n".join(["The client and /metrics disagree:", *wrong]) if wrong else _AGREED)
    _say(f"What measuring costs a request, on this machine, just now:\n\n{report.price(cost)}")
    if options.once or wrong:
        return 1 if wrong else 0
    _say(f"Serving{', with a little traffic,' if options.rate else ''} until Ctrl-C:")
    _say(report.urls(base))
    if options.rate:
        client.stroll()
        if gateway.upstreams is not None:
            await gateway.upstreams.go_on()
    await asyncio.Event().wait()
    return 0


_AGREED = "Every answer the client counted is in /metrics, under its route and status."


def _say(paragraph: str) -> None:
    print(paragraph, end="\n\n", flush=True)


async def _watch(client: Traffic, total: int, gateway: Gateway) -> Totals:
    progress = Progress(sys.stdout, "Sending requests", total)
    async for done in client.progress():
        progress.at(done, f"{gateway.in_flight()} in flight")
    progress.finish()
    print()
    assert client.totals is not None  # progress() ends with them or raises
    return client.totals


async def _settled(base: str, gateway: Gateway) -> Seen:
    """A scrape with nothing in flight: the clients that hung up are noticed a moment later.

    The servers' own figures, which are read in the background, are then of this moment too.
    """
    deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
    written = 0.0
    while True:
        seen = Seen.of(await asyncio.to_thread(_get, f"{base}/metrics"))
        late = asyncio.get_running_loop().time() > deadline
        if seen.quiet() and not written:
            await gateway.settled()
            written = time.time()
        elif late or (written and seen.read_since(written, gateway.readers)):
            return seen
        await asyncio.sleep(0.05)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
