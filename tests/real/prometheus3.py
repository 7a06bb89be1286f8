"""A real Prometheus 3 with its OTLP receiver."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.component import LEDGER, PROMETHEUS3
from tests.real.process import Process
from tests.real.prometheus import free_port


@dataclass
class Prometheus3:
    """A running one."""

    url: str

    @property
    def otlp(self) -> str:
        """Where it takes OTLP."""
        return f"{self.url}/api/v1/otlp"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        asked = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{asked}", timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])


@contextmanager
def prometheus3(folder: Path) -> Iterator[Prometheus3]:
    """Yields one that scrapes nothing."""
    binary, port = PROMETHEUS3.require(), free_port()
    (folder / "prometheus.yml").write_text("otlp:\n  translation_strategy: UnderscoreEscapingWithSuffixes\n")
    command: list[str | Path] = [
        *(binary, "--web.enable-otlp-receiver", f"--web.listen-address=127.0.0.1:{port}"),
        *(f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
    ]
    with Process(command, folder=folder, name="prometheus3") as process:
        url = f"http://127.0.0.1:{port}"
        process.wait_until(lambda: _is_ready(url), seconds=60)
        LEDGER.exercised["Prometheus 3"] = str(binary)
        yield Prometheus3(url)


def _is_ready(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
        return bool(answer.status == 200)
