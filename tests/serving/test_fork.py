"""Forks beside a server: the child has none of its sockets, and may serve itself."""

from __future__ import annotations

import os
import threading

import pytest

from ferrometer import CollectorRegistry, serve_metrics
from tests.serving.client import ask, is_closed, raw
from tests.serving.program import running

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

PROGRAM = """
import os, signal, sys, time
import ferrometer

ferrometer.Counter("c", "h").inc()
server = ferrometer.serve_metrics(0)
print(server.port, flush=True)
sys.stdin.readline()
child = os.fork()
if child == 0:
    signal.alarm(60)
    try:
        assert not server.running
        server.stop()
        own = ferrometer.serve_metrics(0)
        print(own.port, flush=True)
    except BaseException as error:
        print(error, flush=True)
    time.sleep(60)
assert server.running
sys.stdin.readline()
server.stop()
print("stopped", flush=True)
sys.stdin.readline()
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


def test_a_child_holds_nothing_of_its_parent() -> None:
    with running(PROGRAM) as program:
        port = program.number()
        kept = raw(port, b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ask(port).status == 200
        program.tell()
        own = program.number()
        assert ask(own).status == 200
        assert ask(port).status == 200, "the parent goes on"
        program.tell()
        assert program.line() == "stopped"
        # The child lives, and would keep both open.
        assert is_closed(kept, 5)
        kept.close()
        with serve_metrics(port, registry=CollectorRegistry()) as again:
            assert ask(again.port).status == 200
        assert ask(own).status == 200
        program.tell()
        assert program.wait() == 0


STORM = """
import os, signal, sys
import ferrometer

counter = ferrometer.Counter("c", "h", ["n"])
histogram = ferrometer.Histogram("h", "h", ["n"])
for n in range(200):
    counter.labels(str(n)).inc()
    histogram.labels(str(n)).observe(n)
server = ferrometer.serve_metrics(0)
print(server.port, flush=True)
sys.stdin.readline()
for n in range(FORKS):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that waits for a lock ends by this signal
        told = b'c_total{n="7"} 1.0'
        assert told in ferrometer.generate_latest()
        with ferrometer.serve_metrics(0) as own:
            import socket
            with socket.create_connection(("127.0.0.1", own.port), timeout=5) as one:
                one.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
                body = b"".join(iter(lambda: one.recv(65536), b""))
        assert told in body and b"200 OK" in body, body[:200]
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        print(f"the child of fork {n} ended with {status}", flush=True)
        os._exit(1)
print("done", flush=True)
sys.stdin.readline()
"""


def test_forks_while_it_is_scraped() -> None:
    with running(STORM.replace("FORKS", "100")) as program:
        port = program.number()
        done = threading.Event()
        failed: list[BaseException] = []

        def scrape() -> None:
            try:
                while not done.is_set():
                    assert ask(port, accept_encoding="gzip").status == 200
            except BaseException as error:  # shown by the test below
                failed.append(error)

        scrapers = [threading.Thread(target=scrape) for _ in range(3)]
        for scraper in scrapers:
            scraper.start()
        try:
            program.tell()
            assert program.line() == "done"
        finally:
            done.set()
            for scraper in scrapers:
                scraper.join()
        assert failed == []
        program.tell()
        assert program.wait() == 0
