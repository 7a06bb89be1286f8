"""The n-th feature is a class: settings, background, endpoint, check and delivery come from the seam."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import ferrometer
from ferrometer import CollectorRegistry
from ferrometer._runtime.delivery import Delivery, LaterError
from ferrometer._runtime.feature import Feature
from tests.runtime.example_feature import Greeter


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_a_feature_in_an_application(tmp_path: Path) -> None:
    registry, app, greeter = CollectorRegistry(), FastAPI(), Greeter(word="ahoy")
    made = ferrometer.instrument(app, greeter, registry=registry, auth="token")
    assert "greeter" in repr(made.runtime)
    assert greeter.events == [], "nothing starts before the application"
    with TestClient(app) as client:
        assert greeter.events == ["start"]
        until(lambda: len(greeter.said) > 1)
        assert client.get("/greetings").status_code == 401
        assert client.get("/greetings", headers={"Authorization": "Bearer token"}).json() == {"said": True}
        assert client.get("/greetings/live").json() == {"word": "ahoy"}

        def is_healthy() -> bool:
            health = client.get("/health", headers={"Authorization": "Bearer token"}).json()
            return health["checks"]["greeter"]["healthy"] is True

        until(
            is_healthy
        )  # a result is kept for a second, and the first may be from before the first greeting
        text = client.get("/metrics", headers={"Authorization": "Bearer token"}).text
    assert greeter.events == ["start", "close"]
    assert 'ferrometer_delivery_items_total{delivery="greetings"}' in text
    assert set(greeter.said) == {"ahoy"}


def test_what_is_refused_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    registry, app = CollectorRegistry(), FastAPI()
    ferrometer.instrument(app, Greeter(refuse=True), registry=registry, default_collectors=False)
    labels = {"delivery": "greetings", "reason": "refused"}
    with TestClient(app), caplog.at_level(logging.WARNING):
        until(lambda: (registry.get_sample_value("ferrometer_delivery_dropped_items_total", labels) or 0) > 0)
    assert "greetings: refused: nobody listens" in caplog.text


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERROMETER_GREETER_WORD", "moin")
    for given, word in ((None, "moin"), ("ahoy", "ahoy")):
        greeter = Greeter(word=given)
        ferrometer.instrument(FastAPI(), greeter, registry=CollectorRegistry())
        assert greeter.word == word


def test_a_feature_is_passed_once() -> None:
    with pytest.raises(ValueError, match=r"greeter is on already; pass Greeter\(\.\.\.\) once"):
        ferrometer.instrument(FastAPI(), Greeter(), Greeter(), registry=CollectorRegistry())


class Slow(Feature):
    section = "slow"

    class Settings:
        pass

    def __init__(self, order: list[str], name: str, fails: bool = False) -> None:
        super().__init__()
        self.section = name  # type: ignore[misc]  # one class for several
        self._order = order
        self._fails = fails

    def start(self) -> None:
        self._order.append(f"start {self.section}")

    def close(self, deadline: float) -> None:
        assert deadline - time.monotonic() <= 2.0
        self._order.append(f"close {self.section}")
        if self._fails:
            raise OSError("the disk is full")


def test_features_end_in_reverse_order_and_what_is_left_is_said(caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []
    app = FastAPI()
    features = [Slow(order, "one"), Slow(order, "two", fails=True), Slow(order, "three")]
    ferrometer.instrument(app, *features, registry=CollectorRegistry())
    with TestClient(app):
        pass
    assert order == ["start one", "start two", "start three", "close three", "close two", "close one"]
    assert "not ended within 2 s: two" in caplog.text


def test_no_thread_is_left() -> None:
    app = FastAPI()
    ferrometer.instrument(app, Greeter(), registry=CollectorRegistry())
    before = set(threading.enumerate())
    with TestClient(app):
        until(lambda: any(thread.name == "ferrometer-greetings" for thread in threading.enumerate()))
    until(lambda: not any(t.name.startswith("ferrometer") for t in set(threading.enumerate()) - before))


def test_a_child_has_a_life_of_its_own() -> None:
    """The parent's queue is not sent twice, and the child may start and end by itself."""
    program = """
import os, sys
from fastapi import FastAPI
from starlette.testclient import TestClient
import ferrometer
from tests.runtime.example_feature import Greeter
app, greeter = FastAPI(), Greeter(every=60.0)
made = ferrometer.instrument(app, greeter)
made.runtime.deliveries[0].put("parent's")
pid = os.fork()
made.runtime.start()
made.runtime.close()
print(sorted(set(greeter.said) - {"hello"}), greeter.events, flush=True)
if pid:
    os.waitpid(pid, 0)
"""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    lines = sorted(ran.stdout.splitlines())
    assert lines[0].startswith("[\"parent's\"] ['start', 'close']"), lines
    assert lines[1] == "[] ['start', 'close']", lines


def test_the_end_of_the_process_flushes() -> None:
    program = """
from fastapi import FastAPI
import ferrometer
from tests.runtime.example_feature import Greeter
app, greeter = FastAPI(), Greeter(every=60.0)
runtime = ferrometer.instrument(app, greeter).runtime
runtime.start()
greeter._send = lambda words: print("sent", words, flush=True)
runtime.deliveries[0]._send = greeter._send
runtime.deliveries[0].put("last words")
"""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert "last words" in ran.stdout


class Ledger:
    """Counts as a delivery's metrics do."""

    def __init__(self) -> None:
        self.taken: list[object] = []
        self.lost: list[tuple[object, str]] = []
        self.again = 0

    def sent(self, items: Sequence[object]) -> None:
        self.taken += items

    def retried(self) -> None:
        self.again += 1

    def dropped(self, items: Sequence[object], reason: str) -> None:
        self.lost += [(item, reason) for item in items]

    def queued(self, items: int) -> None:
        pass


def test_a_delivery_accounts_for_everything() -> None:
    """What was put in was sent, or was dropped with its reason; order is kept; the oldest go first."""
    counts, gate = Ledger(), threading.Event()
    failures = iter([LaterError("away"), LaterError("away", after=0.01)])

    def send(items: object) -> None:
        gate.wait(20)
        if error := next(failures, None):
            raise error

    delivery = Delivery("d", send, counts, queue=4, batch=2)
    for item in range(6):
        delivery.put(item)
    assert counts.lost == [(0, "queue_full"), (1, "queue_full")]
    delivery.start()
    gate.set()
    assert delivery.stop(time.monotonic() + 20) is True
    assert counts.taken == [2, 3, 4, 5]
    assert counts.again == 2


def test_a_receiver_that_hangs_does_not_hold_up_the_end() -> None:
    counts = Ledger()
    delivery = Delivery("d", lambda _: time.sleep(30), counts, queue=4)
    delivery.start()
    for item in range(3):
        delivery.put(item)
    begun = time.monotonic()
    assert delivery.stop(begun + 0.2) is False
    assert time.monotonic() - begun < 10
    assert [item for item, reason in counts.lost if reason == "stopped"] == [1, 2]


def test_nothing_is_imported_for_what_is_off() -> None:
    program = """
import sys
from fastapi import FastAPI
import ferrometer
ferrometer.instrument(FastAPI())
off = [name for name in sys.modules if name.split(".")[1:2] in (["export"], ["demo"], ["cli"], ["drop_in"])]
assert not off, off
"""
    environ = {key: text for key, text in os.environ.items() if not key.startswith("FERROMETER_")}
    subprocess.run([sys.executable, "-c", program], env=environ, timeout=60, check=True)
