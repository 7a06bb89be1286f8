"""Threads that record while others scrape; signals; interpreters within the interpreter."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ferrometer import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from tests.metrics.fresh import python
from tests.metrics.reading import Series, scrape

WRITERS = 6
ROUNDS = 3000


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def together(*work: Callable[[], None]) -> None:
    """Runs all at once; raises what one of them raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(work))

    def run(one: Callable[[], None]) -> None:
        start.wait()
        try:
            one()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def monotone(before: dict[Series, float], after: dict[Series, float]) -> None:
    for series, count in before.items():
        if series[0].endswith(("_total", "_bucket", "_count")):
            assert after[series] >= count, series


def consistent(now: dict[Series, float]) -> None:
    """Buckets ascend, and the last one is the count."""
    for (name, labels), count in now.items():
        if name == "h_count":
            buckets = [
                (dict(ls)["le"], v) for (n, ls), v in now.items() if n == "h_bucket" and set(labels) < set(ls)
            ]
            ascending = [v for _, v in sorted(buckets, key=lambda bucket: float(bucket[0]))]
            assert ascending == sorted(ascending)
            assert ascending[-1] == count


def test_totals_are_exact_and_every_scrape_is_monotone(registry: CollectorRegistry) -> None:
    counter = Counter("c", "h", ["l"], registry=registry)
    plain = Counter("p", "h", registry=registry)
    gauge = Gauge("g", "h", registry=registry)
    histogram = Histogram("h", "h", ["l"], registry=registry, buckets=[1, 2, 4, 8])
    sampled = Histogram("few", "h", registry=registry, sample=0.1, buckets=[1, 2, 4, 8])
    summary = Summary("s", "h", registry=registry, quantiles=[0.5, 0.9])
    for label in "ab":
        histogram.labels(label).observe(1)
    running = threading.Event()
    writing = WRITERS

    def write() -> None:
        nonlocal writing
        for number in range(ROUNDS):
            counter.labels(str(number % 20)).inc()
            plain.inc(0.5)
            gauge.inc()
            gauge.dec()
            histogram.labels("ab"[number % 2]).observe(number % 10)
            sampled.observe(number % 10)
            summary.observe(number % 10)
        writing -= 1
        if writing == 0:
            running.set()

    def read() -> None:
        before: dict[Series, float] = {}
        while not running.is_set():
            now = scrape(registry)
            monotone(before, now)
            consistent(now)
            before = now

    def collect() -> None:
        while not running.is_set():
            for family in registry.collect():
                assert family.name in ("c", "p", "g", "h", "few", "s")
            assert 0 <= histogram.labels("a").quantile(0.5) <= 9

    together(*[write] * WRITERS, read, read, collect)
    total = WRITERS * ROUNDS
    read_back = scrape(registry)
    assert sum(count for (name, _), count in read_back.items() if name == "c_total") == total
    assert read_back["p_total", ()] == total / 2
    assert read_back["g", ()] == 0
    assert read_back["h_count", (("l", "a"),)] + read_back["h_count", (("l", "b"),)] == total + 2
    assert read_back["few_count", ()] == total
    assert read_back["s_count", ()] == total
    assert read_back["s_sum", ()] == WRITERS * sum(number % 10 for number in range(ROUNDS))
    assert read_back["h_bucket", (("l", "a"), ("le", "+Inf"))] == read_back["h_count", (("l", "a"),)]


def test_series_that_stay_are_in_every_scrape(registry: CollectorRegistry) -> None:
    """While others come and go, and the table is made smaller under a scrape."""
    counter = Counter("c", "h", ["l"], registry=registry)
    for number in range(2000):
        counter.labels(f"gone{number}")
        counter.labels(f"stays{number}")
    expected = {f"stays{number}" for number in range(2000)}
    done = threading.Event()

    def remove() -> None:
        for again in range(6):
            for number in range(2000):
                counter.remove(f"gone{number}")
            for number in range(2000):
                counter.labels(f"gone{number}").inc(again)
        done.set()

    def read() -> None:
        while not done.is_set():
            found = [dict(labels)["l"] for name, labels in scrape(registry) if name == "c_total"]
            assert expected <= set(found)

    together(remove, read, read)


def test_families_come_and_go_under_a_scrape(registry: CollectorRegistry) -> None:
    done = threading.Event()
    stays = Counter("stays", "h", registry=registry)

    def churn() -> None:
        for number in range(400):
            one = Histogram(f"h{number % 7}", "h", ["l"], registry=registry)
            one.labels("x").observe(1)
            gauge = Gauge(f"g{number % 5}", "h", registry=registry)
            gauge.set_function(lambda: 1)
            stays.inc()
            registry.unregister(one)
            registry.unregister(gauge)
        done.set()

    def read() -> None:
        before: dict[Series, float] = {}
        while not done.is_set():
            now = scrape(registry)
            assert now["stays_total", ()] >= before.get(("stays_total", ()), 0)
            list(registry.collect())
            before = now

    together(churn, read, read)
    assert {name for name, _ in scrape(registry)} == {"stays_total", "stays_created"}


def test_removal_beside_recording(registry: CollectorRegistry) -> None:
    """Handles of removed series stay valid; nothing is counted twice."""
    counter = Counter("c", "h", ["l"], registry=registry)
    done = threading.Event()

    def write() -> None:
        for number in range(5000):
            counter.labels(f"x{number % 5}").inc()
        done.set()

    def remove() -> None:
        while not done.is_set():
            counter.clear()
            counter.remove("x1")
            counter.remove_by_labels({"l": "x2"})

    together(write, remove, remove)
    assert sum(child._value.get() for child in counter._metrics.values()) <= 5000


def test_a_signal_handler_may_do_anything() -> None:
    """It runs between any two steps of the main thread, a lock's holder included."""
    python("""
        import signal
        import prometheus_client  # an import that a signal interrupts is not to be finished by its handler

        counter = Counter("c", "h", ["l"], registry=registry)
        handled = 0

        def handle(signum, frame):
            global handled
            number = handled = handled + 1  # a further signal may come within the handler
            counter.labels(f"s{number % 3}").inc()
            one = Gauge(f"h{number}", "h", registry=registry)
            if number % 10 == 0:
                generate_latest(registry)
                list(registry.collect())
            registry.unregister(one)

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        number = 0
        while handled < 1500:
            number += 1
            one = Histogram(f"m{number % 10}", "h", registry=registry)
            registry.unregister(one)
            counter.labels(f"x{number % 3}").inc()
            counter.remove(f"x{(number + 1) % 3}")
        signal.setitimer(signal.ITIMER_REAL, 0)
        generate_latest(registry)
    """)


def test_interpreters_within_the_interpreter_are_refused() -> None:
    """By an ImportError that says so, and the main one goes on."""
    done = python('''
        try:
            import _interpreters as interpreters
        except ImportError:
            try:
                import _xxsubinterpreters as interpreters
            except ImportError:
                print("none here")
                sys.exit()

        counter = Counter("c", "h", registry=registry)
        code = """if True:
            try:
                import ferrometer
            except ImportError as error:
                assert "subinterpreter" in str(error), error
            else:
                raise AssertionError("imported")
        """
        inner = interpreters.create()
        failure = interpreters.run_string(inner, code)
        assert failure is None, failure
        interpreters.destroy(inner)
        counter.inc()
        assert b"c_total 1.0" in generate_latest(registry)
        print("refused")
    ''')
    assert done.stdout.strip() in ("refused", "none here")


def test_other_threads_run_while_text_is_written(registry: CollectorRegistry) -> None:
    """The interpreter's lock is released: a Python thread gets on during one long scrape."""
    histogram = Histogram("h", "h", ["l"], registry=registry, buckets=[n / 10 for n in range(200)])
    for number in range(3000):
        histogram.labels(number).observe(1)
    steps = 0
    within: list[int] = []
    done = threading.Event()
    # With a switch only every ten seconds, another thread runs when a holder lets go, and not before.
    sys.setswitchinterval(10)

    def count() -> None:
        nonlocal steps
        while not done.is_set():
            steps += 1
            time.sleep(0)  # lets go

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(3):
            before = steps
            generate_latest(registry)
            within.append(steps - before)
    finally:
        done.set()
        thread.join()
    assert max(within) > 20  # a holder would let it take one step
