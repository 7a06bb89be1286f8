"""What scrapes of a port of its own cost the application's requests: the 99th percentile at a fixed rate.

Requests are sent when they are due, whatever became of those before, and a latency is counted from that
moment: a late answer makes those behind it late as well. Windows with and without scrapes take turns.
"""

from __future__ import annotations

import http.client
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

from benches.exposition import CLIENT
from benches.row import CONTROL, FLOOR, OURS, Aim, Row
from ferrometer.bench.peers import absent, peer
from ferrometer.bench.rounds import Effort, Samples, progress
from ferrometer.bench.wrapped import PATH

SERIES, QUICK_SERIES = 100_000, 2_000
RATE = 400  # requests a second: a third of what the server can do
SCRAPES = 10  # a second
SELDOM = 3

# Scrapes in a process of its own, until it is killed; one line for each.
_SCRAPER = """
import http.client, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
began, done = time.monotonic(), 0
while True:
    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    assert answer.status == 200 and len(answer.read()) > 1000
    done += 1
    print(done, flush=True)
    time.sleep(max(0.0, began + done / float(sys.argv[2]) - time.monotonic()))
"""


class Served(NamedTuple):
    """An application's port, and that of its metrics."""

    port: int
    scraped: int


def measure(effort: Effort) -> Samples:
    """The 99th percentile of each window, in seconds."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2 or peer("uvicorn") is None:
        absent("requests beside scrapes", "a machine with two cores (and Linux), and pip install uvicorn")
        return {}
    series = QUICK_SERIES if effort.quick else SERIES
    rounds, seconds = effort.rounds(15, 1), effort.seconds(2.0, 0.3)
    samples: Samples = {FLOOR: [], OURS: [], CONTROL: []}
    with ExitStack() as stack:
        ours = stack.enter_context(serving("ferrometer", series, cores[0]))
        theirs = stack.enter_context(serving(CLIENT, series, cores[0])) if peer(CLIENT) else None
        for served in filter(None, (ours, theirs)):
            latencies(served.port, 0.5)  # warm
        for number in range(rounds):
            progress("requests beside scrapes", number + 1, rounds)
            order = list(samples)
            random.Random(number).shuffle(order)
            for name in order:
                served = theirs if name == CONTROL else ours
                if served is None or (name == CONTROL and number % SELDOM):
                    samples[name].append(None)
                    continue
                with ExitStack() as beside:
                    if name != FLOOR:
                        # One of the control's can take longer than the window.
                        beside.enter_context(scraping(served.scraped, cores[1], int(name == OURS)))
                    samples[name].append(p99(latencies(served.port, seconds)))
    return samples if theirs else {name: samples[name] for name in (FLOOR, OURS)}


@contextmanager
def serving(library: str, series: int, core: int) -> Iterator[Served]:
    """A server process."""
    command = [sys.executable, "-m", "benches.own_port_server", library, str(series), str(core)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ports = process.stdout.readline().split()
            assert len(ports) == 2, f"{' '.join(command)} did not start"
            yield Served(*map(int, ports))
        finally:
            process.kill()


@contextmanager
def scraping(port: int, core: int, least: int) -> Iterator[None]:
    """Scrapes meanwhile, so many at least besides the first."""
    with subprocess.Popen(
        [sys.executable, "-c", _SCRAPER, str(port), str(SCRAPES)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(os.sched_setaffinity, 0, {core}),
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "1\n", "the first scrape failed"
            yield
        finally:
            process.kill()
        done = process.stdout.read().split()
        assert len(done) >= least, "no scrape was answered during the window"


def latencies(port: int, seconds: float) -> list[float]:
    """Seconds from when each request was due to its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    found: list[float] = []
    began = time.perf_counter()
    for number in range(int(seconds * RATE)):
        due = began + number / RATE
        while (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        connection.request("GET", PATH)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        found.append(time.perf_counter() - due)
    connection.close()
    return found


def p99(values: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(values, n=100, method="inclusive")[98]


ROWS = (
    Row(
        "own_port",
        "p99 beside 10 scrapes a second",
        "ms",
        measure,
        (Aim(OURS, FLOOR, at_most=1.1),),
        faster_than_control=OURS,
        note=f"{SERIES:,} series on a port of its own, {RATE} requests a second to Starlette behind uvicorn; "
        "floor: no scrapes; control: prometheus_client's start_http_server",
    ),
)
