"""The generated Prometheus's configuration and rules, read by promtool, and by Prometheus 3 as it scrapes."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.promtools import promtools, verdict
from tests.generate.generated import generate, tree
from tests.real.component import LEDGER, PROMETHEUS3
from tests.real.process import Process
from tests.real.prometheus import free_port
from tests.real.uvicorn import uvicorn


@pytest.mark.parametrize("version", [2, 3])
def test_promtool_reads_it(version: int, tmp_path: Path) -> None:
    generate("rules", tmp_path, f"[generate]\nprometheus = {version}\n")
    out = generate(
        "prometheus", tmp_path, f'[generate]\nprometheus = {version}\n[endpoints]\nauth_token = "t"\n'
    )
    tools = promtools()
    if version == 3 and len(tools) == 1:
        pytest.skip("needs promtool 3: make real-prometheus3")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("metrics_token", "token", "ca.crt"):
        (secrets / name).write_text("secret")
    for file in ("prometheus.yml", "prometheus-kubernetes.yml"):
        # It looks for the files of secrets, too.
        text = (
            (out / file)
            .read_text()
            .replace("/run/secrets", str(secrets))
            .replace(f"/var{secrets}", str(secrets))
        )
        text = text.replace("/etc/prometheus-secrets", str(secrets))
        text = text.replace(f"{secrets}/kubernetes.io/serviceaccount", str(secrets))
        if version == 2:  # Debian's is built without the discovery in Kubernetes
            text = re.sub(r"kubernetes_sd_configs:\n +- role: \w+", "static_configs: []", text)
        (out / file).write_text(text)
        status, words = verdict(tools[version - 2], "check", "config", file, folder=out)
        assert status == 0, words
        if file == "prometheus.yml":
            assert "rule files found" in words
    made = tree(out / "prometheus.yml")
    assert made["global"]["scrape_interval"] == "15s"
    assert "retention.time=90d" in (out / "prometheus.yml").read_text()
    # Prometheus 2 does not know these words.
    assert ("scrape_native_histograms" in (out / "prometheus.yml").read_text()) == (version == 3)


def test_every_rule_file_is_promtools_too(tmp_path: Path) -> None:
    objectives = "[slo]\navailability = 99.9\nlatency = 99.0\n"
    out = generate("rules", tmp_path, f'{objectives}[alerts]\nrunbooks = "https://runbooks.example"\n')
    files = sorted((out / "rules").glob("*.yml"))
    for promtool in promtools():
        status, words = verdict(promtool, "check", "rules", *files, folder=out)
        assert status == 0, words
    text = "".join(file.read_text() for file in files)
    assert "runbook_url" in text
    assert "slo:sli_error:ratio_rate5m" in text


APP = """
import ferrometer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

app = Starlette(routes=[Route("/work", lambda request: PlainTextResponse("done"))])
ferrometer.instrument(app, registry=ferrometer.CollectorRegistry(), auth="the-token", collectors=[])
"""


def test_prometheus_3_scrapes_buckets_and_bins_with_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = PROMETHEUS3.require()
    monkeypatch.setenv("FERROMETER_ENDPOINTS_NATIVE_HISTOGRAMS", "true")
    with uvicorn(APP, tmp_path) as base:
        for _ in range(20):
            urllib.request.urlopen(f"{base}/work", timeout=10).close()
        address = base.removeprefix("http://")
        configuration = f"""
[endpoints]
auth_token = "the-token"
[generate]
services = ["gateway={address}"]
scrape_interval = "1s"
"""
        generate("rules", tmp_path, configuration)
        out = generate("prometheus", tmp_path, configuration)
        (tmp_path / "token").write_text("the-token")
        file = out / "prometheus.yml"
        file.write_text(file.read_text().replace("/run/secrets/metrics_token", str(tmp_path / "token")))
        listen = f"127.0.0.1:{free_port()}"
        command: list[str | Path] = [
            *(binary, f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'data'}"),
            f"--web.listen-address={listen}",
        ]

        def query(expression: str) -> list[Any]:
            asked = urllib.request.quote(expression)  # type: ignore[attr-defined]
            with urllib.request.urlopen(f"http://{listen}/api/v1/query?query={asked}", timeout=5) as answer:
                return list(json.load(answer)["data"]["result"])

        with Process(command, folder=tmp_path, name="prometheus3") as process:
            name, labels = "http_request_duration_seconds", '{job="gateway",endpoint="/work"}'
            process.wait_until(lambda: bool(query(f"histogram_count({name}{labels})")), seconds=60)
            LEDGER.exercised["Prometheus 3"] = str(binary)
            assert query(f"histogram_count({name}{labels})")[0]["value"][1] == "20"
            assert query(f"{name}_count{labels}")[0]["value"][1] == "20"
            assert query(f'{name}_bucket{{le="+Inf",job="gateway",endpoint="/work"}}')[0]["value"][1] == "20"


def test_pods_are_scraped_as_their_annotations_say(tmp_path: Path) -> None:
    """Discovery is replaced by what it would find; a real Prometheus applies the rules."""
    from tests.real.component import PROMETHEUS

    out = generate(
        "prometheus", tmp_path, '[generate]\nprometheus = 2\n[endpoints]\npath = "/observability"\n'
    )
    made = tree(out / "prometheus-kubernetes.yml")
    jobs = [job for job in made["scrape_configs"] if "kubernetes_sd_configs" in job and "scheme" not in job]
    assert [job["job_name"] for job in jobs] == ["ai-platform", "kubernetes-pods"]
    meta = "__meta_kubernetes_pod_"

    def pod(name: str, address: str, **annotations: str) -> dict[str, Any]:
        labels = {
            f"{meta}name": name,
            f"{meta}label_app_kubernetes_io_name": name.rpartition("-")[0],
            f"{meta}node_name": "node-1",
            f"{meta}phase": annotations.pop("phase", "Running"),
            "__meta_kubernetes_namespace": "apps",
        }
        labels |= {f"{meta}annotation_prometheus_io_{key}": text for key, text in annotations.items()}
        return {"targets": [address], "labels": labels}

    pods = [
        pod("ai-platform-1", "10.0.0.1:8000", scrape="true", port="8000", path="/observability/metrics"),
        # Its second port is the same target.
        pod("ai-platform-1", "10.0.0.1:9999", scrape="true", port="8000", path="/observability/metrics"),
        pod("ai-platform-2", "[fd00::1]:1", scrape="true", port="8000", scheme="https"),
        pod("ai-platform-3", "10.0.0.3:8000"),
        pod("ai-platform-4", "10.0.0.4:8000", scrape="true", phase="Succeeded"),
        pod("node-exporter-1", "10.0.0.5:9100", scrape="true"),
    ]
    for job in jobs:
        del job["kubernetes_sd_configs"]
        job["static_configs"] = pods
    made = {"global": {"scrape_interval": "1h"}, "scrape_configs": jobs}
    (tmp_path / "pods.yml").write_text(yaml.safe_dump(made))
    listen = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        *(PROMETHEUS.require(), f"--config.file={tmp_path / 'pods.yml'}", f"--web.listen-address={listen}"),
        f"--storage.tsdb.path={tmp_path / 'data'}",
    ]

    def targets() -> set[tuple[str, str, str]]:
        with urllib.request.urlopen(f"http://{listen}/api/v1/targets?state=active", timeout=5) as answer:
            active = json.load(answer)["data"]["activeTargets"]
        return {(each["scrapePool"], each["scrapeUrl"], each["labels"]["pod"]) for each in active}

    with Process(command, folder=tmp_path, env=PROMETHEUS.environment()) as process:
        process.wait_until(lambda: len(targets()) >= 3, seconds=30)
        assert targets() == {
            ("ai-platform", "http://10.0.0.1:8000/observability/metrics", "ai-platform-1"),
            ("ai-platform", "https://[fd00::1]:8000/metrics", "ai-platform-2"),
            ("kubernetes-pods", "http://10.0.0.5:9100/metrics", "node-exporter-1"),
        }
