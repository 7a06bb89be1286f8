"""State of all workers: a call through a closed circuit breaker, a user that is counted, a drift check."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from functools import partial
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from benches.floor import noop
from benches.loop import UNROLL, Stream, blank, generate, pack
from benches.record import EMPTY
from benches.row import FLOOR, OURS, Aim, Row
from ferrometer import CollectorRegistry, Histogram, _core
from ferrometer.active_users import ActiveUsers
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave
from ferrometer.breaker import CircuitBreaker
from ferrometer.drift import Baseline, DriftMonitor
from ferrometer.jobs import job, submitted

ROUNDS = 120
SECONDS = 0.0004
LOCK = "threading.Lock"
DRIFT_VALUES = 100_000


def _subject(name: str, statement: str, names: dict[str, Any], check: Callable[[], bool]) -> Subject:
    inner = generate(statement, names)

    def assure(done: int) -> None:
        assert check(), f"{name}: not what {done} calls should have left"

    return Subject(name, lambda operations: inner(blank(operations)), assure, step=10 * UNROLL)


def _always() -> bool:
    return True


def _breaker() -> CircuitBreaker:
    return CircuitBreaker(f"bench-{uuid.uuid4()}")


def record_subjects() -> list[Subject]:
    """Leave for a call, and its success."""
    one = _breaker()
    return [
        _subject(EMPTY, "pass", {}, _always),
        _subject(FLOOR, "counter.inc(); counter.inc()", {"counter": noop()}, _always),
        _subject(OURS, "begin().success()", {"begin": one.begin}, lambda: one.state == "closed"),
    ]


def context_subjects() -> list[Subject]:
    """A ``with`` block around nothing."""
    one = _breaker()
    return [
        _subject(EMPTY, "pass", {}, _always),
        _subject(LOCK, "with lock: pass", {"lock": threading.Lock()}, _always),
        _subject(OURS, "with call(): pass", {"call": one.call}, lambda: one.state == "closed"),
    ]


def decorated_subjects() -> list[Subject]:
    """A decorated function that does nothing; the plain one is subtracted."""

    def plain() -> None:
        return None

    one = _breaker()
    subjects = [
        _subject(EMPTY, "call()", {"call": plain}, _always),
        _subject(OURS, "call()", {"call": one(plain)}, lambda: one.state == "closed"),
    ]
    if pybreaker := peer("pybreaker"):
        other = pybreaker.CircuitBreaker()
        closed = partial(_is_closed, other)
        subjects.append(_subject("pybreaker", "call()", {"call": other(plain)}, closed))
    if circuitbreaker := peer("circuitbreaker"):
        decorated = circuitbreaker.CircuitBreaker(name="bench")
        subjects.append(
            _subject("circuitbreaker", "call()", {"call": decorated(plain)}, lambda: bool(decorated.closed))
        )
    return subjects


def _is_closed(breaker: Any) -> bool:
    return bool(breaker.current_state == "closed")


def user_subjects() -> list[Subject]:
    """A user of ten thousand, by an id of 36 characters."""
    source = random.Random(7)
    ids = [(str(uuid.UUID(int=source.getrandbits(128))),) for _ in range(400 * UNROLL)]
    users = ActiveUsers("bench")

    def about() -> bool:
        return users.counts()["1d"] < 1.03 * len(ids)

    def subject(name: str, statement: str, names: dict[str, Any], check: Callable[[], bool]) -> Subject:
        inner = generate(statement, names, rotate=("user",))
        stream = Stream(pack(ids))

        def assure(done: int) -> None:
            assert check(), f"{name}: not what {done} calls should have left"

        return Subject(name, lambda operations: inner(stream.take(operations)), assure, step=10 * UNROLL)

    return [
        subject(EMPTY, "pass", {}, _always),
        subject(FLOOR, "seen.inc()", {"seen": noop()}, _always),
        subject(OURS, "seen($user)", {"seen": users.seen}, about),
    ]


def drift_subjects() -> list[Subject]:
    """PSI, KS and Wasserstein of 100 000 values against as many; SciPy has the values themselves."""
    source = random.Random(7)
    before, after = ([source.lognormvariate(mean, 1) for _ in range(DRIFT_VALUES)] for mean in (0, 0.3))
    histogram = Histogram("drifting", "Help", registry=CollectorRegistry())
    for value in before:
        histogram.observe(value)
    monitor = DriftMonitor("model", histogram, Baseline.of(histogram))
    for value in after:
        histogram.observe(value)
    unseen = monitor._before

    def ours(operations: int) -> float:
        began = perf_counter()
        for _ in range(operations):
            monitor._before = unseen
            monitor.check()
        return perf_counter() - began

    def assure(_: int) -> None:
        monitor._before = unseen
        found = monitor.check()
        assert found.values == DRIFT_VALUES
        assert found.ks is not None
        assert 0.1 < found.ks < 0.14

    subjects = [Subject(OURS, ours, assure)]
    if stats := peer("scipy.stats"):
        arrays = [peer("numpy").array(values) for values in (before, after)]

        def scipy(operations: int) -> float:
            began = perf_counter()
            for _ in range(operations):
                stats.ks_2samp(*arrays, method="asymp")
                stats.wasserstein_distance(*arrays)
            return perf_counter() - began

        subjects.append(Subject("scipy", scipy, every=4))
    return subjects


def job_subjects() -> list[Subject]:
    """A ``with`` block around nothing, which is a job with an id."""
    submitted("bench")
    return [
        _subject(EMPTY, "pass", {}, _always),
        _subject(FLOOR, "counter.inc(); counter.inc()", {"counter": noop()}, _always),
        _subject(LOCK, "with lock: pass", {"lock": threading.Lock()}, _always),
        _subject(OURS, "with job('bench', 'an-id'): pass", {"job": job}, _no_job_runs),
        _subject("ferrometer, no id", "with job('bench'): pass", {"job": job}, _no_job_runs),
    ]


def _no_job_runs() -> bool:
    return all(running == 0 for _, running, *_ in _core.running_jobs(3600.0))


def celery_subjects() -> list[Subject]:
    """What the hooks of a task do: it is put into a queue, starts and succeeds; without Celery's own part."""
    import ferrometer.jobs.celery as hooks

    task = SimpleNamespace(name="bench.task", request=SimpleNamespace(id="a-task-id", delivery_info={}))
    headers = {"id": "a-task-id", "retries": 0, "eta": None}
    names = {
        "headers": headers,
        "task": task,
        "before": hooks._before_publish,
        "after": hooks._after_publish,
        "prerun": hooks._prerun,
        "success": hooks._success,
        "postrun": hooks._postrun,
    }
    calls = (
        "before('bench.task', headers=headers, routing_key='celery'); after('bench.task', headers=headers); "
        "prerun(task, 'a-task-id', task); success(task); postrun(task, 'a-task-id', state='SUCCESS')"
    )
    return [_subject(EMPTY, "pass", {}, _always), _subject(OURS, calls, names, _no_job_runs)]


def _measure(subjects: Callable[[], list[Subject]], title: str, effort: Effort) -> Samples:
    return interleave(
        subjects,
        rounds=effort.rounds(ROUNDS),
        seconds=effort.seconds(SECONDS),
        title=title,
        builds=effort.rounds(4, 1),
    )


def _row(key: str, title: str, subjects: Callable[[], list[Subject]], *aims: Aim) -> Row:
    return Row(key, title, "ns", partial(_measure, subjects, title), aims, baseline=EMPTY)


ROWS = (
    _row("breaker", "breaker.begin().success()", record_subjects, Aim(OURS, at_most=100)),
    _row("breaker_context", "with breaker.call()", context_subjects, Aim(OURS, LOCK, at_most=2.5)),
    _row("breaker_decorated", "a decorated call, more", decorated_subjects, Aim(OURS, at_most=300)),
    _row("job", "with job(type, id)", job_subjects, Aim(OURS, at_most=1500)),
    _row("celery_hooks", "Celery's hooks, one task", celery_subjects, Aim(OURS, at_most=10_000)),
    _row("active_users", "users.seen(id)", user_subjects, Aim(OURS, at_most=40)),
    Row(
        "drift",
        "drift of one model, 100 000 values",
        "ns",
        partial(_measure, drift_subjects, "drift of one model, 100 000 values"),
        (Aim(OURS, at_most=1_000_000),),
    ),
)
