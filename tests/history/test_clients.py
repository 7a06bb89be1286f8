"""Clients of Prometheus ask the port of its own, which answers without Python."""

from __future__ import annotations

import importlib
import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ferrometer
from ferrometer import _core
from ferrometer.endpoints.own_port import serve_directory
from tests.real.component import LEDGER, PROMTOOL
from tests.real.npm import npm_package


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    registry = ferrometer.CollectorRegistry()
    jobs = ferrometer.Counter("jobs", "Jobs done", ["queue"], registry=registry)
    took = ferrometer.Histogram("took_seconds", "How long", registry=registry)
    history = _core.History()
    history.start(registry._native)
    try:
        with ferrometer.serve_metrics(port=0, auth="s3cret", registry=registry) as server:
            deadline = time.monotonic() + 60
            url = f"http://127.0.0.1:{server.port}"
            while time.monotonic() < deadline:
                jobs.labels("mail").inc(3)
                took.observe(0.04)
                found = ferrometer.query("jobs_total[1m]", where=url, token="s3cret")
                if isinstance(found, list) and found and len(getattr(found[0], "points", ())) >= 3:
                    break
                time.sleep(0.2)
            yield server.port
    finally:
        history.stop()


@pytest.fixture(scope="module")
def promtool() -> Path:
    binary = PROMTOOL.require()
    LEDGER.exercised["promtool"] = str(binary)
    return binary


def _promtool(binary: Path, *words: str) -> str:
    done = subprocess.run([binary, "query", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_promtool_asks(port: int, promtool: Path) -> None:
    server = f"http://anyone:s3cret@127.0.0.1:{port}"
    assert 'jobs_total{queue="mail"} =>' in _promtool(promtool, "instant", server, "jobs_total")
    shown = _promtool(promtool, "range", "--step=1s", server, "sum by (queue) (jobs_total)")
    assert '{queue="mail"} =>' in shown
    series = _promtool(promtool, "series", "--match=jobs_total", server)
    assert '{__name__="jobs_total", queue="mail"}' in series
    names = _promtool(promtool, "labels", server, "__name__").split()
    assert {"jobs_total", "took_seconds_bucket", "took_seconds"} <= {*names}


def test_promtool_is_told_what_is_wrong(port: int, promtool: Path) -> None:
    words = [str(promtool), "query", "instant", f"http://x:s3cret@127.0.0.1:{port}", "jobs_total +"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "parse error" in done.stderr


def test_prometheus_api_client(port: int) -> None:
    client = importlib.import_module("prometheus_api_client")  # it has no types
    connection = client.PrometheusConnect(
        f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer s3cret"}
    )
    assert connection.check_prometheus_connection()
    assert "jobs_total" in connection.all_metrics()
    assert "queue" in connection.get_label_names()
    assert connection.get_label_values("queue") == ["mail"]
    (current,) = connection.get_current_metric_value("jobs_total", {"queue": "mail"})
    assert float(current["value"][1]) >= 3
    now = datetime.now(UTC)
    found = connection.get_metric_range_data(
        "jobs_total", start_time=now - timedelta(minutes=5), end_time=now, chunk_size=timedelta(minutes=5)
    )
    assert len(found[0]["values"]) >= 3
    quantiles = connection.custom_query("histogram_quantile(0.9, took_seconds)")
    assert float(quantiles[0]["value"][1]) == pytest.approx(0.04, rel=0.01)


def test_other_paths_stay_unknown(port: int) -> None:
    for path in ("nothing", "api/v2/query"):
        with pytest.raises(OSError, match="404"):
            ferrometer.query("1", where=f"http://127.0.0.1:{port}/{path}", token="s3cret")


def test_a_directory_is_asked_without_its_application(tmp_path: Path) -> None:
    """What `ferrometer serve` does: the answers of those who are gone."""
    tmp_path.chmod(0o700)
    registry = ferrometer.CollectorRegistry()
    ferrometer.Counter("jobs", "Jobs done", registry=registry).inc(7)
    history = _core.History(tmp_path)
    history.start(registry._native)
    deadline = time.monotonic() + 60
    while not (tmp_path / "history" / "0.tail").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    history.stop()
    with serve_directory(tmp_path, 0) as server:
        url = f"http://127.0.0.1:{server.port}"
        found = ferrometer.query("last_over_time(jobs_total[5m])", where=url)
    assert isinstance(found, list)
    assert [sample.value for sample in found if isinstance(sample, ferrometer.history.Sample)] == [7]


def test_the_port_asks_a_history_that_runs(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    another = _core.History()
    another.start(ferrometer.CollectorRegistry()._native)
    another.stop()
    assert ferrometer.query("jobs_total", where=url, token="s3cret")
    del another
    assert ferrometer.query("jobs_total", where=url, token="s3cret")


@pytest.fixture(scope="module")
def npm_client() -> Path:
    """The folder that has the client of npm and what it depends on."""
    return npm_package("prometheus-query", "3.5.1")


def test_prometheus_query_of_npm(port: int, npm_client: Path) -> None:
    program = """
const { PrometheusDriver } = require("prometheus-query");
const client = new PrometheusDriver({
  endpoint: process.argv[2], baseURL: "/api/v1", auth: { username: "x", password: "s3cret" },
});
(async () => {
  const now = Date.now();
  const instant = await client.instantQuery("jobs_total");
  const range = await client.rangeQuery("jobs_total", now - 60000, now, 1);
  const series = await client.series(["jobs_total"], now - 3600000, now);
  let refused = "";
  try { await client.instantQuery("jobs_total +"); } catch (error) { refused = JSON.stringify(error); }
  console.log(JSON.stringify({
    type: instant.resultType,
    queue: instant.result[0].metric.labels.queue,
    value: instant.result[0].value.value,
    points: range.result[0].values.length,
    series: series.length,
    names: await client.labelNames(),
    values: await client.labelValues("queue"),
    metadata: await client.metadata(),
    targets: await client.targets(),
    refused,
  }));
})().catch(error => { console.error(error); process.exit(1); });
"""
    script = npm_client / "ask.cjs"
    script.write_text(program)
    words = ["node", str(script), f"http://127.0.0.1:{port}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["type"], found["queue"], found["values"], found["series"]) == (
        "vector",
        "mail",
        ["mail"],
        1,
    )
    assert found["value"] >= 3
    assert found["points"] >= 3
    assert {"queue", "le"} <= {*found["names"]}
    assert found["metadata"]["jobs_total"][0]["type"] == "counter"
    assert "activeTargets" in found["targets"]
    assert "parse error" in found["refused"]
