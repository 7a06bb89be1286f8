"""Notifications: the same as a real Alertmanager's, and what each receiver is told."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from starlette.applications import Starlette
from starlette.testclient import TestClient

import ferrometer
from ferrometer._runtime.delivery import LaterError, RefusedError
from ferrometer.alerts import Alerts, Rule
from ferrometer.alerts.api import moment
from ferrometer.alerts.notify import message, silence
from ferrometer.alerts.notify.dispatch import Dispatcher, Entry, Notification
from ferrometer.alerts.notify.receivers import integration
from ferrometer.alerts.notify.route import read
from tests.alerts.test_alertmanager import Receiver, alertmanager
from tests.alerts.test_feature import _alerts, until
from tests.real.component import AMTOOL
from tests.real.uvicorn import uvicorn

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the history is there on Linux only")

CONFIG = """
route:
  receiver: all
  group_by: [alertname, job]
  group_wait: 3s
  group_interval: 1h
  repeat_interval: 4h
  routes:
    - matchers: ['severity="critical"']
      receiver: critical
      continue: true
    - matchers: ['topic=~"gpu|drift"']
      receiver: topics
      group_by: [topic]
      routes:
        - {{matchers: ['topic="gpu"', 'severity!="info"'], group_by: ['...'], continue: true}}
        - {{match_re: {{job: '[ab]'}}, receiver: all}}
inhibit_rules:
  - {{source_matchers: ['severity="critical"'], target_matchers: ['severity=~"warning|info"'], equal: [job]}}
  - {{source_matchers: ['alertname="A"'], target_matchers: ['alertname=~"A|B"'], equal: [topic]}}
receivers:
  - {{name: all, webhook_configs: [{{url: 'http://127.0.0.1:{port}/'}}]}}
  - {{name: critical, webhook_configs: [{{url: 'http://127.0.0.1:{port}/'}}]}}
  - {{name: topics, webhook_configs: [{{url: 'http://127.0.0.1:{port}/', max_alerts: 2}}]}}
"""


def _post(url: str, told: object) -> Any:
    request = urllib.request.Request(url, json.dumps(told).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_the_verdicts_are_those_of_a_real_alertmanager(tmp_path: Path) -> None:
    # Alertmanager tells at once of what began long ago, before all of it has been posted.
    now = float(int(time.time())) + 3600
    dice = random.Random(7)
    entries: dict[object, Entry] = {}
    for _ in range(150):
        labels = {
            "alertname": dice.choice("ABC"),
            "job": dice.choice(["a", "b", "c", 'd"é']),
            "severity": dice.choice(["critical", "warning", "warning", "info", "info"]),
            "topic": dice.choice(["gpu", "drift", "", ""]),
            "n": dice.choice(["", "1", "2"]),
        }
        kept = tuple(sorted((name, value) for name, value in labels.items() if value))
        entries[kept] = Entry(kept, {"summary": dice.choice(["one", "two"]), "same": "yes"}, now - 0.5)
    muted = [
        {"name": "job", "value": "b|c", "isRegex": True, "isEqual": True},
        {"name": "n", "value": "1", "isRegex": False, "isEqual": False},
        {"name": "severity", "value": "critical", "isRegex": False, "isEqual": True},
    ]
    told = {
        "matchers": muted,
        "startsAt": moment(now - 3600),
        "endsAt": moment(now + 3600),
        "createdBy": "ann",
        "comment": "deploy",
    }
    configuration = read(CONFIG.format(port=1), "am.yml")
    dispatcher = Dispatcher(configuration, {name: {name: True} for name in configuration.receivers})
    dispatcher.take(entries.values(), now)
    most = {"topics": 2}
    ours = [
        json.loads(message.webhook(one, most=most.get(one.receiver, 0)))
        for one in dispatcher.due(now + 4, [silence.read(told, now)])
    ]
    assert len(ours) > 10
    with Receiver() as hook, alertmanager(tmp_path, hook.port, CONFIG) as url:
        _post(f"{url}/api/v2/silences", told | {"startsAt": moment(time.time() + 0.5)})
        until(lambda: any(one["status"]["state"] == "active" for one in _get(f"{url}/api/v2/silences")))
        _post(
            f"{url}/api/v2/alerts",
            [
                {
                    "labels": dict(one.labels),
                    "annotations": dict(one.annotations),
                    "startsAt": moment(one.starts_at),
                    "endsAt": moment(now + 7200),
                }
                for one in entries.values()
            ],
        )
        deadline = time.monotonic() + 30
        while len(hook.told) < len(ours) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2)
        theirs = hook.told
    key = lambda body: (body["receiver"], body["groupKey"])  # noqa: E731
    assert sorted(map(key, ours)) == sorted(map(key, theirs))
    for one, other in zip(sorted(ours, key=key), sorted(theirs, key=key), strict=True):
        other["externalURL"] = ""
        for alert in (*one["alerts"], *other["alerts"]):
            alert["startsAt"] = alert["startsAt"].replace(".500Z", ".5Z")
        assert one == other


CHANNELS = """
global:
  slack_api_url_file: '{folder}/slack'
  smtp_smarthost: '127.0.0.1:{smtp}'
  smtp_from: ferrometer@example.com
  smtp_require_tls: false
  pagerduty_url: 'http://127.0.0.1:{port}/pagerduty'
route:
  receiver: team
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: team
    webhook_configs:
      - url: 'http://127.0.0.1:{port}/hook'
        http_config: {{authorization: {{credentials: bearer-secret}}}}
    slack_configs:
      - channel: '#alerts'
        send_resolved: true
        title: '{{{{ .Status | toUpper }}}} {{{{ .Alerts | len }}}}: {{{{ .CommonLabels.alertname }}}}'
        text: '{{{{ range .Alerts.Firing }}}}{{{{ .Annotations.summary }}}};{{{{ end }}}}'
    pagerduty_configs:
      - routing_key: 0123456789abcdef0123456789abcdef
    email_configs:
      - to: 'ann@example.com, bob@example.com'
        send_resolved: true
        headers: {{Subject: 'alert {{{{ .CommonLabels.alertname }}}}'}}
"""


class Channels:
    """A receiver of POSTs that refuses what the real ones would refuse."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.told.append((self.path, body, dict(self.headers)))
                wrong = _wrong(self.path, body)
                self.send_response(400 if wrong else 202)
                self.end_headers()
                self.wfile.write(wrong.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def of(self, path: str) -> list[Any]:
        return [body for at, body, _ in self.told if at == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _wrong(path: str, body: dict[str, Any]) -> str:
    """What PagerDuty's and Slack's documentation refuse."""
    if path == "/pagerduty":
        payload = body["payload"]
        if len(body["routing_key"]) != 32 or body["event_action"] not in (
            "trigger",
            "acknowledge",
            "resolve",
        ):
            return "routing_key or event_action"
        if not body["dedup_key"] or len(body["dedup_key"]) > 255:
            return "dedup_key"
        if not payload["summary"] or len(payload["summary"]) > 1024 or not payload["source"]:
            return "summary or source"
        return "" if payload["severity"] in ("critical", "error", "warning", "info") else "severity"
    if path == "/slack":
        return "" if body.get("text") or body.get("attachments") else "no_text"
    return ""


class Mails:
    """Keeps the mails of a real SMTP server."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Any]] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.rcpt_tos, parsed))
        return "250 OK"


@contextmanager
def smtp(**options: Any) -> Iterator[tuple[int, Mails]]:
    mails = Mails()
    controller = Controller(mails, hostname="127.0.0.1", port=0, **options)
    # The port that the kernel chose is known only afterwards.
    controller.port = _free()
    controller.start()
    try:
        yield controller.port, mails
    finally:
        controller.stop()


def _free() -> int:
    from tests.real.prometheus import free_port

    return free_port()


def test_each_receiver_is_told_of_the_beginning_and_of_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, registry, channels = Starlette(), ferrometer.CollectorRegistry(), Channels()
    depth = ferrometer.Gauge("depth", "", registry=registry)
    rule = Rule(
        alert="Deep",
        expr="depth > 5",
        labels={"severity": "critical", "job": "a\nX-Evil: 1"},
        annotations={"summary": "{{ $value }} wait", "runbook_url": "https://r.example/deep"},
    )
    (tmp_path / "slack").write_text(f"http://127.0.0.1:{channels.port}/slack\n")
    with smtp() as (port, mails):
        (tmp_path / "am.yml").write_text(
            CHANNELS.format(folder=tmp_path, port=channels.port, smtp=port).replace(
                "alert {{ .CommonLabels.alertname }}", "{{ .CommonLabels.job }}"
            )
        )
        alerts = Alerts(rules=[rule], notify=tmp_path / "am.yml", interval=0.5)
        ferrometer.instrument(app, alerts, registry=registry)
        depth.set(7)
        with TestClient(app) as client, caplog.at_level(logging.DEBUG):
            until(lambda: len(channels.told) >= 3 and mails.mails)
            hook = channels.of("/hook")[0]
            assert (hook["status"], hook["version"], hook["receiver"]) == ("firing", "4", "team")
            assert hook["commonAnnotations"]["summary"] == "7 wait"
            authorization = [head["Authorization"] for at, _, head in channels.told if at == "/hook"]
            assert authorization == ["Bearer bearer-secret"]
            slack = channels.of("/slack")[0]
            assert slack["channel"] == "#alerts"
            assert slack["attachments"][0]["title"] == "FIRING 1: Deep"
            assert slack["attachments"][0]["text"] == "7 wait;"
            assert slack["attachments"][0]["color"] == "danger"
            duty = channels.of("/pagerduty")[0]
            assert (duty["event_action"], duty["payload"]["severity"]) == ("trigger", "critical")
            assert "7 wait https://r.example/deep" in duty["payload"]["custom_details"]["firing"]
            to, mail = mails.mails[0]
            assert to == ["ann@example.com", "bob@example.com"]
            assert mail["Subject"] == "a X-Evil: 1"
            assert mail["X-Evil"] is None
            assert "Deep: 7 wait https://r.example/deep" in mail.get_content()
            depth.set(0)
            until(lambda: len(channels.told) >= 6 and len(mails.mails) >= 2)
            time.sleep(2)
            assert [body["status"] for body in channels.of("/hook")] == ["firing", "resolved"], "each once"
            assert channels.of("/hook")[1]["commonAnnotations"]["summary"] == "7 wait"
            ends = channels.of("/pagerduty")
            assert [body["event_action"] for body in ends] == ["trigger", "resolve"]
            assert ends[0]["dedup_key"] == ends[1]["dedup_key"]
            assert mails.mails[1][1]["References"] == mail["References"]
            text = client.get("/metrics").text
            assert 'ferrometer_delivery_items_total{delivery="notify team/webhook"} 2.0' in text
    channels.close()
    for secret in ("bearer-secret", "0123456789abcdef", f"{channels.port}/slack"):
        assert secret not in caplog.text


def test_silences_by_api_and_amtool(tmp_path: Path) -> None:
    (tmp_path / "am.yml").write_text("route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]\n")
    source = (
        "import ferrometer\nfrom starlette.applications import Starlette\n"
        "from ferrometer.alerts import Rule\napp = Starlette()\n"
        "ferrometer.instrument(app, ferrometer.Page(), ferrometer.Alerts(rules=[Rule(alert='Always',"
        f" expr='vector(1)', labels={{'job': 'a'}})], notify={str(tmp_path / 'am.yml')!r}, interval=0.5))\n"
    )
    amtool = AMTOOL.require()

    def run(base: str, *words: str) -> str:
        done = subprocess.run(
            [amtool, f"--alertmanager.url={base}", *words], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with uvicorn(source, tmp_path, "--workers", "2") as base:
        until(lambda: [one for one in _alerts(base) if one["state"] == "firing" and "silenced" not in one])
        assert "Always" in until(lambda: run(base, "alert", "query", "-o", "simple"))
        for number in range(8):
            # Some of them by the worker that does not evaluate.
            comment = f"deploy {number}"
            run(base, "silence", "add", "job=a", f"n!~x{number}", "-a", "ann", "-c", comment, "-d", "1h")
        ids = run(base, "silence", "query", "-q").split()
        assert len(ids) == 8, "none is lost"
        until(lambda: [one for one in _alerts(base) if one.get("silenced")])
        until(lambda: "suppressed" in run(base, "alert", "query", "-s", "-o", "json"))
        run(base, "silence", "expire", *ids)
        assert run(base, "silence", "query", "-q") == ""
        until(lambda: [one for one in _alerts(base) if "silenced" not in one])
        for matchers in ([], [{"name": "a", "value": ".*", "isRegex": True}]):
            told = {"matchers": matchers, "startsAt": moment(time.time()), "endsAt": moment(time.time() + 60)}
            with pytest.raises(urllib.error.HTTPError) as refused:
                _post(f"{base}/api/v2/silences", told)
            assert refused.value.code == 400
            refused.value.close()
        request = urllib.request.Request(f"{base}/api/v2/silences", b"{}", {"Content-Type": "text/plain"})
        with pytest.raises(urllib.error.HTTPError, match="415") as refused:
            urllib.request.urlopen(request, timeout=30)
        refused.value.close()


def _has(channels: Channels, count: int) -> bool:
    return len(channels.of("/b")) >= count


def test_one_that_hangs_delays_nothing(tmp_path: Path) -> None:
    import socket

    channels = Channels()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        (tmp_path / "am.yml").write_text(
            "route: {receiver: both, group_wait: 0s, group_interval: 1s}\n"
            "receivers: [{name: both, webhook_configs: ["
            f"{{url: 'http://127.0.0.1:{deaf.getsockname()[1]}/'}}, {{url: 'http://127.0.0.1:{channels.port}/b'}}]}}]"
        )
        app, registry = Starlette(), ferrometer.CollectorRegistry()
        depth = ferrometer.Gauge("depth", "", ["n"], registry=registry)
        rule = Rule(alert="Deep", expr="depth > 5")
        alerts = Alerts(rules=[rule], notify=str(tmp_path / "am.yml"), interval=0.5)
        ferrometer.instrument(app, alerts, registry=registry)
        with TestClient(app):
            for count in (1, 2, 3):
                depth.labels(str(count)).set(6)
                until(partial(_has, channels, count))
    channels.close()


def _notification() -> Notification:
    labels = (("alertname", "A"), ("job", "j"))
    return Notification("i", "r", '{}:{alertname="A"}', labels[:1], (Entry(labels, {}, 1e9),), ())


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_mail_with_a_password_and_without_tls() -> None:
    def check(_s: object, _e: object, _v: object, _m: object, data: LoginPassword) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=True)

    options = {"authenticator": check, "auth_required": True, "auth_require_tls": False}
    node = {"to": "a@example.com", "from": "f@example.com", "auth_username": "ann", "require_tls": "false"}
    with smtp(**options) as (port, mails):
        node["smarthost"] = f"127.0.0.1:{port}"
        integration("email", node | {"auth_password": "right"}, {}, "x").send(_notification())
        assert [to for to, _ in mails.mails] == [["a@example.com"]]
        with pytest.raises(RefusedError, match="refused the credentials") as refused:
            integration("email", node | {"auth_password": "wr0ng"}, {}, "x").send(_notification())
        assert "wr0ng" not in str(refused.value)
        with pytest.raises(RefusedError, match="no STARTTLS"):
            integration("email", node | {"auth_password": "x", "require_tls": "true"}, {}, "x").send(
                _notification()
            )
    with pytest.raises(LaterError, match="no mail server: ConnectionRefusedError"):
        integration("email", node | {"auth_password": "x"}, {}, "x").send(_notification())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_apprise() -> None:
    channels = Channels()
    url = f"json://127.0.0.1:{channels.port}/apprise"
    pytest.importorskip("apprise")
    integration("apprise", {"urls": [url]}, {}, "x").send(_notification())
    assert "A" in channels.of("/apprise")[0]["title"]
    with pytest.raises(ValueError, match="url 1 is none that apprise knows") as refused:
        integration("apprise", {"urls": ["nothing-secret://x"]}, {}, "x")
    assert "secret" not in str(refused.value)
    channels.close()


@pytest.mark.parametrize(
    ("kind", "node", "words"),
    [
        ("webhook", {}, "url or url_file is needed"),
        ("webhook", {"url": "hooks/s3cret"}, "url is none"),
        ("webhook", {"url": "http://h/", "urll": "x"}, "webhook_configs has no key 'urll' here"),
        ("webhook", {"url_file": "/nothing"}, "url_file '/nothing': No such file"),
        ("slack", {"channel": "#a"}, "api_url or api_url_file is needed"),
        (
            "slack",
            {"api_url": "http://h/", "title": "{{ nothing }}"},
            "title: function 'nothing' not defined",
        ),
        (
            "slack",
            {"api_url": "http://h/", "text": '{{ template "x" . }}'},
            "text: .*must not call templates",
        ),
        ("email", {"to": "a@b"}, "needs to, from and smarthost"),
        ("sns", {}, "no sns_configs here; there are webhook_configs"),
    ],
)
def test_what_cannot_be_is_refused(kind: str, node: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        integration(kind, node, {}, "am.yml: receiver 'a'")
    assert "am.yml: receiver 'a'" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_the_generated_configuration_is_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ferrometer", "generate", "alertmanager", "--namespace", "shop"]
    subprocess.run([*command, "--out", str(tmp_path)], check=True, capture_output=True, cwd=tmp_path)
    text = (tmp_path / "alertmanager.yml").read_text()
    (tmp_path / "slack").write_text("http://127.0.0.1:9/hook")
    configuration = read(text.replace("/run/secrets/slack_webhook_url", str(tmp_path / "slack")), "am.yml")
    for name, kinds in configuration.receivers.items():
        for kind, node in kinds:
            integration(kind, node, configuration.defaults, name)
    labels = {"alertname": "DriftDetected", "severity": "critical"}
    taken = [one.receiver for one in configuration.route.of(labels)]
    assert taken == ["critical", "drift"], "as amtool says of the same file"
    with pytest.raises(ValueError, match="api_url_file '/run/secrets/slack_webhook_url': No such file"):
        integration(*read(text, "am.yml").receivers["alerts"][0], read(text, "am.yml").defaults, "alerts")
