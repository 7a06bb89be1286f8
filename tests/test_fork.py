"""Real forks beside threads that scrape, record, register and remove: the child finds every lock free."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FORKS = 100

# A program of its own: a forked test runner would run the rest of the session twice.
PROGRAM = """
import os, signal, sys, threading
from ferrometer import CollectorRegistry, Counter, Histogram, Info, Summary, generate_latest

registry = CollectorRegistry()
counter = Counter("c", "h", ["n"], registry=registry)
summary = Summary("s", "h", ["n"], registry=registry, quantiles=(0.5, 0.99))
histogram = Histogram("h", "h", ["n"], registry=registry)
info = Info("i", "h", ["n"], registry=registry)


def record(n):
    counter.labels(n).inc()
    for exponent in range(-60, 60, 20):
        summary.labels(n).observe(2.0**exponent)
    histogram.labels(n).observe(0.5)
    info.labels(n).info({"of": n})


def scrape():
    while True:
        generate_latest(registry)


def churn():
    n = 0
    while True:
        n += 1
        record(str(n))
        for metric in (counter, summary, histogram, info):
            metric.remove(str(n - 5))


def register():
    while True:
        metric = Counter("r", "h", registry=registry)
        registry.unregister(metric)


for work in (scrape, scrape, scrape, churn, register):
    threading.Thread(target=work, daemon=True).start()
for n in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that waits for a lock ends by this signal
        record("child")
        assert histogram.labels("child")._sum.get() == 0.5
        text = generate_latest(registry)
        assert all(name in text for name in (b'c_total{n="child"} 1.0', b's_count{n="child"} 6.0')), text
        Counter(f"child_{n}", "h", registry=registry).inc()
        counter.remove("child")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        print(f"the child of fork {n} ended with {status}", file=sys.stderr)
        os._exit(1)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_finds_every_lock_free() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(FORKS)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


# A process of its own each time: what a first use makes is made once in a process, beside its first forks.
FIRST_USES = 25


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_during_a_first_use_leaves_no_lock_held() -> None:
    for _ in range(FIRST_USES):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "2"], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
