"""Requests a second behind uvicorn, driven by wrk: the server on one core, wrk on another."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

from benches.row import FLOOR, OURS, Aim, Row
from ferrometer.bench.peers import absent, peer, tool
from ferrometer.bench.rounds import Effort, Samples, progress
from ferrometer.bench.wrapped import BARE, BARE_AGAIN, PASS_THROUGH, PATH, SAMPLED

CONNECTIONS = 32
SELDOM = 3  # the peers are far away: every third round is enough for them
MODULES = {
    "starlette_exporter": "starlette_exporter",
    "fastapi-instrumentator": "prometheus_fastapi_instrumentator",
    "opentelemetry": "opentelemetry.instrumentation.asgi",
    "pytheus": "pytheus.middleware",
}


@dataclass
class Server:
    """A running server, and how many responses wrk got from it."""

    port: int
    process: subprocess.Popen[str]
    output: IO[str]
    runs: int = 0
    answered: int = 0


def measure(application: str, effort: Effort) -> Samples:
    """Requests a second for each middleware around the same application."""
    wrk = tool("wrk", "apt-get install wrk")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if wrk is None:
        return {}
    if len(cores) < 2:
        absent("uvicorn + wrk", "a machine with two cores (and Linux, to pin server and client to them)")
        return {}
    names = {
        BARE: BARE,
        BARE_AGAIN: BARE,
        OURS: OURS,
        SAMPLED: SAMPLED,
        FLOOR: PASS_THROUGH,
        **{name: name for name, module in MODULES.items() if peer(module)},
    }
    rounds, seconds = effort.rounds(7, 1), 1 if effort.quick else 2  # wrk knows whole seconds only
    samples: Samples = {name: [] for name in names}
    order = list(names)
    with ExitStack() as stack:
        servers = {n: stack.enter_context(serving(m, application, cores[0])) for n, m in names.items()}
        for server in servers.values() if not effort.quick else ():
            _drive(wrk, server, cores[1], 1)
        for number in range(rounds):
            progress(f"uvicorn + wrk, {application}", number + 1, rounds)
            random.Random(number).shuffle(order)
            for name in order:
                if name in MODULES and number % SELDOM:
                    samples[name].append(None)
                else:
                    samples[name].append(_drive(wrk, servers[name], cores[1], seconds))
    return samples


@contextmanager
def serving(middleware: str, application: str, core: int) -> Iterator[Server]:
    """A server process; at its end the middleware must have counted what wrk was answered."""
    command = [sys.executable, "-m", "benches.server", middleware, application, str(core)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = process.stdout.readline()
        assert port, f"{' '.join(command)} did not start"
        server = Server(int(port), process, process.stdout)
        yield server
        process.terminate()
        _check(server, process.stdout.readline(), middleware)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _check(server: Server, said: str, middleware: str) -> None:
    assert said, f"{middleware}: the server ended without its count"
    seen = float(said)
    if middleware in (BARE, PASS_THROUGH):
        return
    # wrk hangs up on the requests that are under way when its time is over: they were seen, not answered.
    most = server.answered + server.runs * CONNECTIONS
    assert server.answered <= seen <= most, (
        f"{middleware}: {server.answered} answers, {seen} requests counted"
    )


def _drive(wrk: str, server: Server, core: int, seconds: int) -> float:
    """Requests a second over one run of wrk."""
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{server.port}{PATH}"]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=partial(os.sched_setaffinity, 0, {core}),
    )
    assert "Non-2xx" not in done.stdout, done.stdout
    assert "Socket errors" not in done.stdout, done.stdout
    answered = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert answered is not None, done.stdout
    assert rate is not None, done.stdout
    server.runs += 1
    server.answered += int(answered[1])
    return float(rate[1])


def _row(key: str, title: str, application: str) -> Row:
    return Row(
        key,
        title,
        "req/s",
        partial(measure, application),
        (Aim(OURS, BARE, at_least=0.97),),
        note=f"{CONNECTIONS} connections; server on one core, wrk on another; "
        f"'{BARE_AGAIN}' shows how far two equal servers lie apart",
    )


ROWS = (
    _row("wrk_plain", "uvicorn + wrk, plain ASGI", "plain"),
    _row("wrk_starlette", "uvicorn + wrk, Starlette", "starlette"),
)
