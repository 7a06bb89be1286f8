"""The generated manifests, checked by kubernetes-validate --strict, and what belongs together in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.promtools import promtools, verdict
from tests.generate.generated import check, generate
from tests.real.component import AMTOOL

CONFIGURATION = """
[endpoints]
path = "/observability"
auth_token = "a-token"
[generate]
port = 8080
image = "registry.example/gateway:1.4.2"
"""
VALIDATE = [str(Path(sys.executable).parent / "kubernetes-validate"), "--strict"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate("kubernetes", tmp_path_factory.mktemp("kubernetes"), CONFIGURATION, "gateway")


@pytest.fixture(scope="module")
def manifests(out: Path) -> list[dict[str, Any]]:
    files = sorted((out / "kubernetes").glob("*.yml"))
    return [made for file in files for made in yaml.safe_load_all(file.read_text())]


def named(manifests: list[dict[str, Any]], kind: str, name: str) -> Any:
    (found,) = (each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def test_every_manifest_is_of_its_schema(out: Path, manifests: list[dict[str, Any]]) -> None:
    files = sorted((out / "kubernetes").glob("*.yml"))
    said = check(*VALIDATE, *files, folder=out)
    # A kind without a schema would only be warned of.
    assert said.count("passed for resource") == len(manifests)
    broken = out / "broken.yml"
    broken.write_text(files[1].read_text().replace("readinessProbe", "readynessProbe"))
    assert subprocess.run([*VALIDATE, broken], capture_output=True).returncode


def test_the_application_has_probes_and_is_found_by_prometheus(manifests: list[dict[str, Any]]) -> None:
    deployment = named(manifests, "Deployment", "gateway")
    template = deployment["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/observability/metrics",
        "prometheus.io/scheme": "http",
    }
    (container,) = template["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/observability/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/observability/ready"
    assert (
        container["livenessProbe"]["initialDelaySeconds"],
        container["livenessProbe"]["periodSeconds"],
    ) == (10, 10)
    assert (
        container["readinessProbe"]["initialDelaySeconds"],
        container["readinessProbe"]["periodSeconds"],
    ) == (5, 5)
    (token,) = (each for each in container["env"] if each["name"] == "FERROMETER_ENDPOINTS_AUTH_TOKEN")
    assert token["valueFrom"]["secretKeyRef"]["name"] == "gateway-metrics-token"


def test_what_pods_mount_is_there(manifests: list[dict[str, Any]]) -> None:
    maps = {each["metadata"]["name"] for each in manifests if each["kind"] == "ConfigMap"}
    for made in manifests:
        if made["kind"] not in ("Deployment", "StatefulSet", "DaemonSet"):
            continue
        spec = made["spec"]["template"]["spec"]
        assert (
            made["spec"]["selector"]["matchLabels"].items()
            <= made["spec"]["template"]["metadata"]["labels"].items()
        )
        volumes = {each["name"]: each for each in spec.get("volumes", ())}
        claimed = {each["metadata"]["name"] for each in made["spec"].get("volumeClaimTemplates", ())}
        for volume in volumes.values():
            config = volume.get("configMap")
            assert config is None or config["name"] in maps or config.get("optional")
        for container in spec["containers"]:
            mounts = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", ())}
            assert set(mounts) <= set(volumes) | claimed
            # Nothing can be mounted within a config map, which is read-only.
            read_only = [path for name, path in mounts.items() if "configMap" in volumes.get(name, {})]
            assert not [
                (path, other)
                for path in mounts.values()
                for other in read_only
                if path.startswith(f"{other}/")
            ]
            assert re.search(r":v?\d+\.\d+\.\d+$", container["image"]), container["image"]
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True


def test_the_tools_read_what_is_within(manifests: list[dict[str, Any]], tmp_path: Path) -> None:
    rules = named(manifests, "ConfigMap", "prometheus-rules")["data"]
    for name, text in rules.items():
        (tmp_path / name).write_text(text)
    for promtool in promtools():
        status, words = verdict(promtool, "check", "rules", *rules, folder=tmp_path)
        assert status == 0, words
    text = named(manifests, "ConfigMap", "prometheus")["data"]["prometheus.yml"]
    if len(tools := promtools()) > 1:
        # The files that are there in a pod only.
        text = text.replace("/etc/prometheus-secrets", str(tmp_path)).replace(
            "/etc/prometheus-rules", str(tmp_path)
        )
        text = text.replace("/var/run/secrets/kubernetes.io/serviceaccount", str(tmp_path))
        for name in ("metrics_token", "token", "ca.crt"):
            (tmp_path / name).write_text("secret")
        (tmp_path / "prometheus.yaml").write_text(text)
        status, words = verdict(tools[-1], "check", "config", "prometheus.yaml", folder=tmp_path)
        assert status == 0, words
        assert "rule files found" in words
    (tmp_path / "alertmanager.yaml").write_text(
        named(manifests, "ConfigMap", "alertmanager")["data"]["alertmanager.yml"]
    )
    check(AMTOOL.require(), "check-config", "alertmanager.yaml", folder=tmp_path)


def test_nobody_outside_reaches_the_monitoring_and_no_secret_stands_there(
    out: Path, manifests: list[dict[str, Any]]
) -> None:
    policy = named(manifests, "NetworkPolicy", "from-within-only")
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert {each["metadata"].get("namespace") for each in manifests if each["kind"] == "StatefulSet"} == {
        "monitoring"
    }
    assert not [each for each in manifests if each["kind"] == "Secret"]
    assert not [each for each in manifests if each["kind"] == "Service" and each["spec"].get("type")]
    text = "".join(file.read_text() for file in (out / "kubernetes").glob("*.yml"))
    assert "a-token" not in text
    assert "create secret generic grafana-admin" in text
