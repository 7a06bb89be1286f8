"""A live Prometheus that scrapes what it is given, asked over its own query API."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.real.component import LEDGER, PROMETHEUS, PROMTOOL
from tests.real.process import Process

_CONFIG = """\
global:
  scrape_interval: 200ms
  scrape_timeout: 200ms
scrape_configs:
  - job_name: app
    metrics_path: {path}
    static_configs:
      - targets: [{target}]
"""


def free_port() -> int:
    """A port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Prometheus:
    """The query side of a running server."""

    def __init__(self, url: str, process: Process) -> None:
        self.url = url
        self._process = process

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """An instant query's vector: sorted label pairs (name, instance and job left out) to value."""
        result = self._api("query", query=expression)
        assert result["resultType"] == "vector", result["resultType"]
        hidden = {"__name__", "instance", "job"}
        return {
            tuple(sorted((k, v) for k, v in row["metric"].items() if k not in hidden)): float(row["value"][1])
            for row in result["result"]
        }

    def value(self, expression: str) -> float:
        """The one value a query answers with; `nan` while there is none."""
        values = list(self.query(expression).values())
        assert len(values) <= 1, f"{expression} answers with {len(values)} series"
        return values[0] if values else float("nan")

    def exemplars(self, selector: str) -> list[dict[str, Any]]:
        """The exemplars of the last hour: `seriesLabels`, and of each its `labels`, `value`, `timestamp`."""
        now = time.time()
        return list(self._api("query_exemplars", query=selector, start=f"{now - 3600}", end=f"{now + 60}"))

    def metadata(self, metric: str) -> dict[str, str]:
        """What the server has learnt from HELP and TYPE of one metric: `type`, `help`, `unit`."""
        found = self._api("metadata", metric=metric).get(metric) or [{}]
        return dict(found[0])

    def target_health(self) -> tuple[str, str]:
        """Health of the only target (`up`, `down`, `unknown`) and the last scrape's error text."""
        targets = self._api("targets")["activeTargets"]
        return (targets[0]["health"], targets[0]["lastError"]) if targets else ("unknown", "")

    def wait_for(self, true: Callable[[Prometheus], bool], *, seconds: float = 20.0, what: str) -> None:
        """Polls until `true`; a target that cannot be scraped fails at once with the server's own words."""

        def check() -> bool:
            health, error = self.target_health()
            assert health != "down", f"Prometheus cannot scrape the target: {error}"
            return true(self)

        self._process.wait_until(check, seconds=seconds, what=what)

    def _api(self, what: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]


@contextmanager
def prometheus(
    target: str, folder: Path, *options: str, path: str = "/metrics", config: str = _CONFIG
) -> Iterator[Prometheus]:
    """A Prometheus scraping `target` (host:port) five times a second; skips or fails where there is none."""
    binary = PROMETHEUS.require()
    file = folder / "prometheus.yml"
    file.write_text(config.format(path=path, target=target))
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        binary,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
        *options,
    ]
    with Process(command, folder=folder) as process:
        process.wait_until(lambda: _ready(f"http://{address}/-/ready"))
        LEDGER.exercised[f"prometheus {_version(binary)}"] = str(binary)
        yield Prometheus(f"http://{address}", process)


def check_metrics(exposition: bytes) -> list[str]:
    """What `promtool check metrics` finds wrong with an exposition: one complaint per line."""
    binary = PROMTOOL.require()
    done = subprocess.run([binary, "check", "metrics"], input=exposition, capture_output=True, timeout=30)
    LEDGER.exercised[f"promtool {_version(binary)}"] = str(binary)
    complaints = (done.stdout + done.stderr).decode().splitlines()
    assert bool(done.returncode) == bool(complaints), f"promtool ended with {done.returncode}: {complaints}"
    return complaints


def _ready(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)


def _version(binary: Path) -> str:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30)
    words = (said.stdout or said.stderr).split()
    return words[words.index("version") + 1] if "version" in words else "?"
