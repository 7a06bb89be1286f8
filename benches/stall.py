"""The longest time that an event loop stands still while it answers a scrape of 100 000 series."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

from benches.row import FLOOR, OURS, Aim, Row
from ferrometer.bench.rounds import Effort, Samples

# Seconds from one turn of the loop to the next, at worst, while one request is answered. The floor answers
# nothing and waits for a thread, so it shows what the machine does to the loop by itself.
PROGRAM = """
import asyncio, json, sys, time
import ferrometer, prometheus_client
from starlette.applications import Starlette

rounds, series = int(sys.argv[1]), int(sys.argv[2])
registry = ferrometer.CollectorRegistry()
counter = ferrometer.Counter("c", "h", ["a", "b"], max_series=2 * series, registry=registry)
for number in range(series):
    counter.labels(str(number), "x").inc()
application = Starlette()
ferrometer.instrument(application, registry=registry)
theirs = prometheus_client.CollectorRegistry(auto_describe=False)
same = prometheus_client.Counter("c", "h", ["a", "b"], registry=theirs)
for number in range(series):
    same.labels(str(number), "x").inc()

async def ask(app, path):
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"accept-encoding", b"gzip")], "root_path": "", "http_version": "1.1", "scheme": "http",
        "server": ("localhost", 80), "client": ("127.0.0.1", 1), "state": {},
    }
    sizes = []
    async def send(message):
        sizes.append(len(message.get("body", b"")))
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    await app(scope, receive, send)
    assert sum(sizes) > 100, sizes

async def longest(work):
    worst, running = 0.0, True
    async def turn():
        nonlocal worst
        while running:
            begun = time.perf_counter()
            await asyncio.sleep(0)
            worst = max(worst, time.perf_counter() - begun)
    turning = asyncio.create_task(turn())
    await asyncio.sleep(0.01)
    worst = 0.0
    await work()
    running = False
    await turning
    return worst

async def main():
    ours, drop_in = application, ferrometer.make_asgi_app(registry)
    peer = prometheus_client.make_asgi_app(theirs)
    works = {
        "floor": lambda: asyncio.to_thread(time.sleep, 0.05),
        "/metrics": lambda: ask(ours, "/metrics"),
        "/stats": lambda: ask(ours, "/stats"),
        "make_asgi_app": lambda: ask(drop_in, "/"),
    }
    found = {name: [] for name in [*works, "prometheus_client"]}
    for number in range(rounds):
        for name, work in works.items():
            found[name].append(await longest(work))
        if number == 0:
            found["prometheus_client"].append(await longest(lambda: ask(peer, "/")))
    print(json.dumps(found))

asyncio.run(main())
"""


@cache
def _run(rounds: int, series: int) -> dict[str, list[float | None]]:
    command = [sys.executable, "-c", PROGRAM, str(rounds), str(series)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, list[float | None]] = json.loads(done.stdout)
    found["prometheus_client"] += [None] * (rounds - len(found["prometheus_client"]))
    return found


def _measure(which: str, effort: Effort) -> Samples:
    found = _run(3, 1000) if effort.quick else _run(30, 100_000)
    peer = found["prometheus_client"]
    samples: Samples = {FLOOR: found["floor"], OURS: found[which]}
    return samples | ({} if which == "/stats" else {"prometheus_client": peer})


def _row(key: str, which: str) -> Row:
    return Row(
        f"stall.{key}",
        f"longest stall of the event loop: {which}",
        "ms",
        lambda effort: _measure(which, effort),
        aims=(Aim(OURS, at_most=1.0),),
        note="100 000 series, gzip; the floor is a loop beside an idle thread",
    )


ROWS = (_row("metrics", "/metrics"), _row("stats", "/stats"), _row("drop_in", "make_asgi_app"))
