"""Dashboards: their form, and that every panel has data, of a real Prometheus and of our own API."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ferrometer.generate.board import WINDOW, Panel
from ferrometer.generate.dashboards import boards
from tests.generate.driven import NAMESPACE, defined, wanted
from tests.generate.generated import ferrometer, generate
from tests.real.component import LEDGER, NODE_EXPORTER, PROMETHEUS, PROMETHEUS3, PROMTOOL, Component
from tests.real.process import Process
from tests.real.prometheus import free_port
from tests.real.uvicorn import uvicorn

APP = "from tests.generate.driven import make\napp = make()\n"
ROOT = Path(__file__).resolve().parents[2]
#: kube-state-metrics is not to be had: these are the names, labels and kinds of its documentation.
CLUSTER = """\
kube_pod_status_phase{namespace="apps",pod="a-1",phase="Running"} 1
kube_pod_container_status_restarts_total{namespace="apps",pod="a-1",container="a"} %d
kube_node_status_condition{node="n",condition="Ready",status="true"} 1
kube_deployment_status_replicas_unavailable{namespace="apps",deployment="a"} 0
"""


def panels() -> list[Panel]:
    return [panel for board in boards(NAMESPACE) for row in board.rows for panel in row.panels]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runbooks = '[alerts]\nrunbooks = "https://runbooks.example"\n'
    return generate("dashboards", tmp_path_factory.mktemp("dashboards"), runbooks, NAMESPACE)


@pytest.fixture(scope="module")
def trees(out: Path) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in sorted((out / "dashboards").glob("*.json"))}


def test_the_teams_dashboards_are_there(trees: dict[str, Any]) -> None:
    assert set(trees) == {
        *("system-overview", "api-performance", "job-processing", "infrastructure"),
        *("service", "eight-panels", "application-health", "inference", "cost"),
    }
    eight = [panel for panel in trees["eight-panels"]["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in eight] == [
        *("Request rate", "Response time", "Errors", "Job queue length", "Job processing time"),
        *("Database connections", "Memory", "Tasks"),
    ]


def test_ids_are_unique_and_what_people_need_is_set(trees: dict[str, Any]) -> None:
    assert len({tree["uid"] for tree in trees.values()}) == len(trees)
    links, exemplars, thresholds = 0, 0, 0
    for name, tree in trees.items():
        assert 8 <= len(tree["uid"]) <= 40
        ids = [panel["id"] for panel in tree["panels"]]
        assert len(set(ids)) == len(ids)
        assert 0 not in ids
        for panel in tree["panels"]:
            if panel["type"] == "row":
                continue
            where = f"{name}: {panel['title']}"
            assert panel["fieldConfig"]["defaults"]["unit"], where
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
            refs = [target["refId"] for target in panel["targets"]]
            assert refs == list("ABCDEFGH"[: len(refs)]), where
            assert all(target["legendFormat"] for target in panel["targets"]), where
            links += sum("https://runbooks.example/" in link["url"] for link in panel.get("links", ()))
            exemplars += sum(target.get("exemplar", False) for target in panel["targets"])
            thresholds += len(panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ())) > 1
        places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in tree["panels"]]
        assert len(set(places)) == len(places), name
        assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in tree["panels"]), name
    assert links >= 15
    assert exemplars >= 10
    assert thresholds >= 25


def test_alerts_that_panels_name_are_ready_made_rules() -> None:
    from ferrometer.alerts.packs import PACKS, pack

    known = {rule.alert for name in PACKS for rule in pack(name).rules}
    assert {panel.alert for panel in panels()} - {""} <= known


def test_a_long_namespace_still_has_unique_ids(tmp_path: Path) -> None:
    out = generate("dashboards", tmp_path, namespace="a" * 53)
    found = [json.loads(file.read_text())["uid"] for file in (out / "dashboards").glob("*.json")]
    assert len(set(found)) == len(found) == 9
    assert max(map(len, found)) <= 40


def test_promtool_reads_every_expression(tmp_path: Path) -> None:
    from ferrometer.alerts import Group, Rule, to_yaml

    rules = [
        Rule(record=f"r:{number}", expr=expression.replace(WINDOW, "5m"))
        for number, (expression, _) in enumerate(line for panel in panels() for line in panel.lines)
    ]
    assert len(rules) > 90
    (tmp_path / "rules.yml").write_text(to_yaml([Group(name="a", rules=tuple(rules))]))
    done = subprocess.run(
        [PROMTOOL.require(), "check", "rules", "--lint=none", tmp_path / "rules.yml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_is_defined_somewhere() -> None:
    assert len(defined(wanted())) > 60


def test_without_grafanas_builders_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ferrometer.generate.grafana_json", raising=False)
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk.builders", None)
    done = ferrometer("dashboards", "--namespace", "a", "--out", "out", folder=tmp_path)
    assert done.returncode == 2
    assert 'pip install "ferrometer[dashboards]"' in done.stderr


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The driven application, and requests to it as long as it lives."""
    folder = tmp_path_factory.mktemp("driven")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(ROOT))
        environment.setenv("FERROMETER_ENDPOINTS_NATIVE_HISTOGRAMS", "true")
        if sys.platform == "linux":
            environment.setenv("HISTORY", "1")
        with uvicorn(APP, folder) as base:
            ended = threading.Event()
            thread = threading.Thread(target=_request, args=(base, ended))
            thread.start()
            try:
                yield base
            finally:
                ended.set()
                thread.join()


def _request(base: str, ended: threading.Event) -> None:
    while not ended.wait(0.05):
        for path in ("/status/200", "/status/404", "/status/500", "/stream"):
            try:
                with urllib.request.urlopen(base + path, timeout=20) as answer:
                    answer.read()
            except urllib.error.HTTPError as error:
                error.close()


@contextmanager
def cluster() -> Iterator[str]:
    """What kube-state-metrics would expose."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (CLUSTER % int(time.time())).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(base: str, expression: str) -> list[Any]:
    """An instant query with Grafana's window put in."""
    asked = urllib.parse.urlencode({"query": expression.replace(WINDOW, "15s")})
    try:
        with urllib.request.urlopen(f"{base}/api/v1/query?{asked}", timeout=30) as answer:
            return list(json.load(answer)["data"]["result"])
    except urllib.error.HTTPError as error:
        if error.code >= 500:  # it is about to start
            raise
        raise AssertionError(f"{expression}: {error.read().decode()}") from None


def without_data(base: str, sources: set[str], seconds: float = 60) -> list[str]:
    """The expressions that have no number within so long."""
    lines = [(panel, line) for panel in panels() if panel.source in sources for line, _ in panel.lines]
    deadline = time.monotonic() + seconds
    while True:
        lines = [(panel, line) for panel, line in lines if not has_number(ask(base, line))]
        if not lines or time.monotonic() > deadline:
            return [f"{panel.title}: {line}" for panel, line in lines]
        time.sleep(1)


def has_number(result: list[Any]) -> bool:
    return any(not math.isnan(float(series["value"][1])) for series in result)


@pytest.mark.parametrize("server", [PROMETHEUS, PROMETHEUS3], ids=["Prometheus 2", "Prometheus 3"])
def test_every_panel_has_data_of_a_live_prometheus(
    server: Component, application: str, tmp_path: Path
) -> None:
    binary, node = server.require(), NODE_EXPORTER.require()
    native = "\n  scrape_native_histograms: true\n  always_scrape_classic_histograms: true"
    port, listen = free_port(), f"127.0.0.1:{free_port()}"
    with cluster() as state:
        targets = {"app": application.removeprefix("http://"), "node": f"127.0.0.1:{port}", "cluster": state}
        jobs = "".join(
            f"- job_name: {name}\n  static_configs: [{{targets: ['{target}']}}]\n"
            for name, target in targets.items()
        )
        configuration = f"global:\n  scrape_interval: 500ms{native if server is PROMETHEUS3 else ''}\n"
        (tmp_path / "prometheus.yml").write_text(f"{configuration}scrape_configs:\n{jobs}")
        exporter: list[str | Path] = [node, f"--web.listen-address=127.0.0.1:{port}"]
        command: list[str | Path] = [
            *(binary, f"--config.file={tmp_path / 'prometheus.yml'}", f"--web.listen-address={listen}"),
            f"--storage.tsdb.path={tmp_path / 'data'}",
        ]
        with (
            Process(exporter, folder=tmp_path, env=NODE_EXPORTER.environment()),
            Process(command, folder=tmp_path, env=server.environment(), name="server") as process,
        ):
            process.wait_until(lambda: bool(ask(f"http://{listen}", "up == 1")), seconds=60)
            LEDGER.exercised[f"{server.title} (dashboards)"] = str(binary)
            sources = {"", "node", "kubernetes", *(("native",) if server is PROMETHEUS3 else ())}
            assert without_data(f"http://{listen}", sources) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the history is there on Linux only")
def test_every_panel_has_data_of_the_applications_own_api(application: str) -> None:
    """Nodes and pods have exporters of their own, which only a Prometheus scrapes."""
    assert without_data(application, {"", "native"}) == []
