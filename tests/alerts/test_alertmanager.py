"""A real Alertmanager is told of alerts, and tells its receivers."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import ferrometer
from ferrometer.alerts import Alerts, Group, Rule
from ferrometer.alerts.alertmanager import Alertmanager, due
from ferrometer.alerts.evaluate import GroupState, Sample
from tests.alerts.test_feature import until
from tests.real.component import ALERTMANAGER, ALERTMANAGER_TEMPLATE, LEDGER
from tests.real.process import Process
from tests.real.prometheus import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the history is there on Linux only")

_CONFIG = """
route:
  {{receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{port}/', send_resolved: true}}]}}]
"""


class Receiver:
    """A webhook that keeps what it is told, and answers as it is told to."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.status == 200:
                    outer.told.append(json.loads(body))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def alertmanager(folder: Path, hook: int, config: str = _CONFIG) -> Iterator[str]:
    binary = ALERTMANAGER.require()
    if not ALERTMANAGER_TEMPLATE.exists():
        # Debian's binary looks there and nowhere else, so unpacking the package is not enough.
        LEDGER.missing["alertmanager"] = f"{ALERTMANAGER_TEMPLATE} is missing: {ALERTMANAGER.install}"
        pytest.skip(LEDGER.missing["alertmanager"])
    (folder / "am.yml").write_text(config.format(port=hook))
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [binary, "--config.file=am.yml"]
    command += [f"--storage.path={folder / 'am'}", "--cluster.listen-address="]
    with Process([*command, f"--web.listen-address={address}"], folder=folder) as process:

        def ready() -> bool:
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)

        process.wait_until(ready)
        LEDGER.exercised["alertmanager"] = str(binary)
        yield f"http://{address}"


def test_its_receivers_hear_of_the_beginning_and_of_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, registry = Starlette(), ferrometer.CollectorRegistry()
    depth = ferrometer.Gauge("depth", "", registry=registry)
    rule = Rule(
        alert="Deep",
        expr="depth > 5",
        labels={"severity": "page"},
        annotations={"summary": "{{ $value }} wait"},
    )
    with Receiver() as hook, alertmanager(tmp_path, hook.port) as url:
        alerts = Alerts(rules=[rule], alertmanagers=[url], interval=0.5)
        ferrometer.instrument(app, alerts, registry=registry)
        depth.set(7)
        with TestClient(app) as client, caplog.at_level(logging.WARNING, "ferrometer"):
            first = until(lambda: hook.told)[0]
            assert first["status"] == "firing"
            assert first["commonLabels"] == {"alertname": "Deep", "severity": "page"}
            assert first["commonAnnotations"] == {"summary": "7 wait"}
            active = client.get("/api/v1/alerts").json()["data"]["alerts"][0]["activeAt"]
            assert first["alerts"][0]["startsAt"][:19] == active[:19]
            depth.set(0)
            last = until(lambda: [told for told in hook.told if told["status"] == "resolved"])
            assert len(last) == 1
            assert last[0]["commonAnnotations"] == {"summary": "7 wait"}, "the words of the alert as it fired"
            time.sleep(1.5)
            assert [told["status"] for told in hook.told] == ["firing", "resolved"], "each once"
            text = client.get("/metrics").text
            assert 'ferrometer_delivery_items_total{delivery="alertmanager"} 2.0' in text
    assert "alert fires: Deep (severity=page): 7 wait" in caplog.text
    assert "alert is over: Deep (severity=page)" in caplog.text


def test_an_alertmanager_that_fails_is_asked_again_and_told_the_latest() -> None:
    app, registry = Starlette(), ferrometer.CollectorRegistry()
    with Receiver() as hook:
        hook.status = 500
        alerts = Alerts(
            rules=[Rule(alert="Always", expr="vector(1)")],
            alertmanagers=[f"http://ann:se%3Acret@127.0.0.1:{hook.port}/am/"],
            interval=0.5,
        )
        ferrometer.instrument(app, alerts, registry=registry)
        with TestClient(app) as client:
            until(
                lambda: (
                    'ferrometer_delivery_retries_total{delivery="alertmanager"}'
                    in client.get("/metrics").text
                )
            )
            hook.status = 200
            told = until(lambda: hook.told)[0]
            assert [alert["labels"] for alert in told] == [{"alertname": "Always"}]
            assert told[0]["endsAt"] > told[0]["startsAt"]
        assert "se:cret" not in repr(alerts)


def test_when_alerts_are_told() -> None:
    group = GroupState(Group(name="g", rules=(Rule(alert="A", expr="x", wait="10s"),)))
    value = [Sample((("a", "b"),), 1.0)]

    def at(now: float, found: list[Sample]) -> list[tuple[bool, float]]:
        group.rules[0].evaluate(lambda *_: found, now)
        return [(told["lasts"], told["until"]) for told in due([group], now)]

    assert at(100, value) == [], "pending"
    assert at(110, value) == [(True, 350)]
    assert at(125, value) == []
    assert at(170, value) == [(True, 410)], "after a minute, again"
    assert at(175, []) == [(False, 175)]
    assert at(180, []) == []
    assert at(236, []) == [(False, 175)], "for a quarter of an hour"
    assert at(1100, []) == []
    assert at(1110, value) == []
    assert at(1115, []) == [], "what never fired"


def test_ten_thousand_alerts_at_once() -> None:
    group = GroupState(Group(name="g", rules=(Rule(alert="A", expr="x"),)))
    group.rules[0].evaluate(lambda *_: [Sample((("n", str(n)),), 1.0) for n in range(10_000)], time.time())
    with Receiver() as hook:
        receiver, told = Alertmanager(f"http://127.0.0.1:{hook.port}"), due([group], time.time())
        for at in range(0, len(told), 500):
            receiver.send(told[at : at + 500])
        assert sum(map(len, hook.told)) == 10_000


@pytest.mark.parametrize("url", ["alertmanager:9093", "ftp://secret@host", "http://", ""])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="a URL is like") as refused:
        Alertmanager(url)
    assert "secret" not in str(refused.value)
