"""Servers that metrics are pushed to: a Pushgateway, VictoriaMetrics."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.component import LEDGER, PUSHGATEWAY, VICTORIA_METRICS
from tests.real.process import Process
from tests.real.prometheus import free_port


@contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """Yields its `host:port`."""
    binary = PUSHGATEWAY.require()
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [binary, f"--web.listen-address={address}", "--log.level=warn"]
    with Process(command, folder=folder, env=PUSHGATEWAY.environment()) as process:
        process.wait_until(lambda: _is_up(f"http://{address}/-/ready"))
        LEDGER.exercised["pushgateway"] = str(binary)
        yield address


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[str]:
    """Yields its base URL."""
    binary = VICTORIA_METRICS.require()
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        binary,
        f"-httpListenAddr={address}",
        f"-storageDataPath={folder / 'data'}",
        "-search.latencyOffset=0s",
        "-search.disableCache",
    ]
    with Process(command, folder=folder, env=VICTORIA_METRICS.environment()) as process:
        process.wait_until(lambda: _is_up(f"http://{address}/health"))
        LEDGER.exercised["victoria-metrics"] = str(binary)
        yield f"http://{address}"


def query(base: str, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
    """An instant query by Prometheus's API: sorted label pairs, the name included, to value."""
    url = f"{base}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        result = json.load(answer)["data"]["result"]
    return {tuple(sorted(row["metric"].items())): float(row["value"][1]) for row in result}


def _is_up(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
