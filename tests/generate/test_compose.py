"""The generated compose.yml, checked by the schema of Compose's specification, and by Compose itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ferrometer.generate import images
from tests.generate.generated import check, generate, tree
from tests.real.component import COMPOSE

NEEDED = {
    "AI_PLATFORM_VERSION": "1.2.3",
    "GRAFANA_ADMIN_PASSWORD": "from a vault",
    "POSTGRES_EXPORTER_DSN": "postgresql://monitor@db/app",
    "REDIS_EXPORTER_URL": "redis://cache:6379",
    "SLACK_WEBHOOK_URL": "https://hooks.example/1",
    "METRICS_TOKEN": "token",
}
TOKEN = '[endpoints]\nauth_token = "a-token"\n'


def test_it_is_of_composes_specification(tmp_path: Path) -> None:
    out = generate("compose", tmp_path, TOKEN)
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    check(*schema, "compose.yml", folder=out)
    made = tree(out / "compose.yml")
    made["services"]["grafana"]["imaeg"] = "x"
    (out / "broken.yml").write_text(str(made))
    assert subprocess.run([*schema, out / "broken.yml"], capture_output=True).returncode


def test_compose_reads_it_and_says_which_secret_is_missing(tmp_path: Path) -> None:
    binary = COMPOSE.require()
    out = generate("all", tmp_path, TOKEN)
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command: list[str | Path] = [binary, "compose", "-f", "compose.yml", "config", "--quiet"]
    if subprocess.run([binary, "compose", "version"], capture_output=True, env=clean).returncode:
        del command[1]
    check(*command, folder=out, env={**clean, **NEEDED})
    for name in NEEDED.keys() - {"SLACK_WEBHOOK_URL"}:
        some = {key: text for key, text in NEEDED.items() if key != name}
        done = subprocess.run(command, cwd=out, env={**clean, **some}, capture_output=True, text=True)
        assert done.returncode != 0
        assert name in done.stderr


def test_files_that_it_mounts_are_generated_too(tmp_path: Path) -> None:
    out = generate("all", tmp_path, TOKEN)
    mounted = {
        volume.partition(":")[0]
        for service in tree(out / "compose.yml")["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    }
    assert len(mounted) >= 8
    assert {path for path in mounted if not (out / path).exists()} == set()


def test_ports_are_this_machines_only_images_pinned_and_health_asked_for(tmp_path: Path) -> None:
    out = generate("compose", tmp_path)
    services: dict[str, Any] = tree(out / "compose.yml")["services"]
    published = {
        int(port.rpartition(":")[2]): name
        for name, each in services.items()
        for port in each.get("ports", ())
    }
    # Those under which people look for them.
    for port in (9090, 3000, 3100, 9080, 9093, 4317, 4318, 8888, 13133, 16686, 9121, 9187, 9835):
        assert port in published
    for name, service in services.items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        version = service["image"].rpartition(":")[2]
        assert re.fullmatch(r"v?\d+\.\d+\.\d+|\?the version of its image\}", version), service["image"]
    # These images have no program that could ask.
    without = {name for name, service in services.items() if "healthcheck" not in service}
    assert without == {"promtail", "otel-collector", "redis-exporter", "gpu-exporter"}
    assert "--storage.tsdb.retention.time=90d" in services["prometheus"]["command"]


def test_no_default_password_stands_anywhere(tmp_path: Path) -> None:
    out = generate("all", tmp_path, TOKEN)
    for file in out.rglob("*"):
        if file.is_file():
            text = file.read_text()
            assert "a-token" not in text
            for name, value in re.findall(r"(?i)(\w*(?:password|secret_key|passwd)\w*): *([^\s#]+)", text):
                assert value.startswith(("${", "'${")) or value in ("password", "true", "false"), (
                    f"{name} in {file}"
                )


@pytest.mark.parametrize("name", [name for name in vars(images) if name.isupper()])
def test_an_image_has_a_version(name: str) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+$", getattr(images, name))
