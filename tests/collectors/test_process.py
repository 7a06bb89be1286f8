"""The process collector against the real process: children that burn, open, spawn and allocate."""

from __future__ import annotations

import math
import os
import resource
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

import prometheus_client
import psutil
import pytest

from ferrometer import generate_latest
from ferrometer.collectors.host.process import ProcessCollector, by_psutil, read_process
from ferrometer.testing import PedanticRegistry, collect, examine, lint, samples, value
from tests.collectors.test_fork import in_child

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def test_it_keeps_the_rules(registry: PedanticRegistry) -> None:
    examine(lambda: ProcessCollector(registry=registry), registry)
    assert lint(registry) == []


@linux
def test_the_names_and_values_are_prometheus_clients(registry: PedanticRegistry) -> None:
    theirs = prometheus_client.CollectorRegistry()
    prometheus_client.ProcessCollector(registry=theirs)
    ProcessCollector(registry=registry).collect()
    ours, peer = samples(registry), samples(prometheus_client.generate_latest(theirs))
    tolerated: dict[str, Any] = {
        "process_resident_memory_bytes": {"rel": 0.2},
        "process_virtual_memory_bytes": {"rel": 0.2},
        "process_cpu_seconds_total": {"abs": 0.2},  # they read in hundredths of a second
        "process_start_time_seconds": {"abs": 0.02},
        "process_max_fds": {"abs": 0},
        "process_open_fds": {"abs": 1},  # they count the descriptor they list with
    }
    assert {name for name, _ in peer if not name.endswith("_created")} == set(tolerated)
    for name, tolerance in tolerated.items():
        assert ours[name, ()] == pytest.approx(peer[name, ()], **tolerance), name


def test_help_texts_are_prometheus_clients_too(registry: PedanticRegistry) -> None:
    theirs = prometheus_client.CollectorRegistry()
    prometheus_client.ProcessCollector(registry=theirs)
    collect(ProcessCollector(registry=registry))
    text = prometheus_client.generate_latest(theirs).decode()
    definitions = [line for line in text.splitlines() if line.startswith("#")]
    assert definitions
    assert set(definitions) <= set(generate_latest(registry).decode().splitlines())


def test_cpu_time_is_what_was_burned(registry: PedanticRegistry) -> None:
    collector = ProcessCollector(registry=registry)
    collect(collector)
    before, burned = value(registry, "process_cpu_seconds_total"), time.process_time()
    while time.process_time() < burned + 0.3:
        sum(range(1000))
    collect(collector)
    used = value(registry, "process_cpu_seconds_total") - before
    assert used == pytest.approx(time.process_time() - burned, abs=0.1)
    assert used >= 0.3


def test_descriptors_are_counted_exactly(registry: PedanticRegistry) -> None:
    before = read_process().open_fds
    with ExitStack() as stack:
        for _ in range(17):
            stack.enter_context(open(os.devnull))
        assert read_process().open_fds == before + 17
    assert read_process().open_fds == before


@linux
def test_descriptors_are_counted_alike_where_the_kernel_does_not_say_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = read_process().open_fds
    unhelpful = os.stat_result([0] * 10)  # st_size of /proc/self/fd before Linux 6.2
    real = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, **kw: unhelpful if path == "/proc/self/fd" else real(path, **kw)
    )
    assert read_process().open_fds == told == len(os.listdir("/proc/self/fd")) - 1


def test_threads_and_memory_are_seen(registry: PedanticRegistry) -> None:
    before = read_process()
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    ballast = bytearray(os.urandom(1 << 16) * 1024)  # 64 MiB, every page of it touched
    during = read_process()
    stop.set()
    for thread in threads:
        thread.join()
    assert during.threads == before.threads + 5
    assert during.resident_bytes - before.resident_bytes > 0.8 * len(ballast)
    assert during.minor_faults > before.minor_faults


def test_context_switches_are_this_processs(registry: PedanticRegistry) -> None:
    before = read_process()
    for _ in range(50):
        time.sleep(0.001)
    after = read_process()
    assert after.voluntary_switches >= before.voluntary_switches + 50
    assert resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw >= after.voluntary_switches


@linux
def test_psutil_reads_the_same_process() -> None:
    ours, theirs = read_process(), by_psutil()
    assert theirs.resident_bytes == pytest.approx(ours.resident_bytes, rel=0.1)
    assert theirs.virtual_bytes == pytest.approx(ours.virtual_bytes, rel=0.1)
    assert theirs.cpu_seconds == pytest.approx(ours.cpu_seconds, abs=0.2)
    assert theirs.start_time_seconds == pytest.approx(ours.start_time_seconds, abs=0.02)
    assert (theirs.threads, theirs.max_fds) == (ours.threads, ours.max_fds)
    assert abs(theirs.open_fds - ours.open_fds) <= 1
    assert ours.start_time_seconds == pytest.approx(psutil.Process().create_time(), abs=0.02)


@linux
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_shows_its_own_numbers(registry: PedanticRegistry) -> None:
    collector = ProcessCollector(registry=registry)
    while time.process_time() < 0.5:
        sum(range(1000))
    collect(collector)
    parent = value(registry, "process_cpu_seconds_total")

    def child() -> None:
        collect(collector)
        assert value(registry, "process_cpu_seconds_total") < parent / 2
        assert value(registry, "process_start_time_seconds") > read_start

    time.sleep(0.05)
    read_start = value(registry, "process_start_time_seconds")
    in_child(child)


def test_no_limit_is_infinite(registry: PedanticRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: infinite)
    assert math.isinf(read_process().max_fds)


def test_a_namespace_goes_before_the_names(registry: PedanticRegistry) -> None:
    collect(ProcessCollector(namespace="gateway", registry=registry))
    assert {name.startswith("gateway_process_") for name, _ in samples(registry)} == {True}
