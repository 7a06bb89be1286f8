"""No scrape ever waits for the GIL: while Python holds it for seconds, the port answers at once."""

from __future__ import annotations

import statistics
import threading
import time

import pytest

from tests.serving.client import ask
from tests.serving.program import running

PROGRAM = """
import sys, time
import ferrometer

tokens = ferrometer.Counter("tokens", "Tokens", ["n"])
for n in range(1000):
    tokens.labels(str(n)).inc(n)
seconds = ferrometer.Histogram("seconds", "Seconds", ["n"])
for n in range(100):
    seconds.labels(str(n)).observe(n)
server = ferrometer.serve_metrics(0)
print(server.port, flush=True)
while sys.stdin.readline():
    size = 1 << 22
    while True:  # until one call into C takes two seconds on this machine
        size *= 2
        begun = time.monotonic()
        HOLD
        if time.monotonic() - begun > 2:
            break
    print(begun, time.monotonic(), flush=True)
"""
#: Calls into C that give the GIL to nobody before they are done, taking about as long as `size` is large.
HOLDERS = {
    "sum": "sum(range(size * 4))",
    "sort": "sorted(range(size), key=None, reverse=True); list(range(size * 4)).count(-1)",
}


@pytest.mark.parametrize(("holder", "path"), [("sum", "/metrics"), ("sort", "/stats")])
def test_scrapes_go_on_while_the_gil_is_held(holder: str, path: str) -> None:
    with running(PROGRAM.replace("HOLD", HOLDERS[holder])) as program:
        port = program.number()
        assert ask(port, path).status == 200
        program.tell()
        scrapes: list[tuple[float, float]] = []
        line: list[str] = []

        reader = threading.Thread(target=lambda: line.append(program.line()))
        reader.start()
        while reader.is_alive():
            begun = time.monotonic()
            assert ask(port, path).status == 200
            scrapes.append((begun, time.monotonic() - begun))
            time.sleep(0.01)
        start, end = map(float, line[0].split())
        during = [took for begun, took in scrapes if start < begun < end - 0.5]
        assert end - start > 2
        assert len(during) > 50, "the scrapes stood still"
        assert statistics.median(during) < 0.02
        assert max(during) < 0.5  # the machine may have had something else to do
