"""Receivers of spans: Jaeger, which gives them back."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.component import JAEGER, LEDGER
from tests.real.process import Process
from tests.real.prometheus import free_port


@dataclass
class Jaeger:
    """A running Jaeger."""

    url: str
    """Of its OTLP receiver."""
    query: str

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace, as it tells them by OTLP's JSON; none where it knows none."""
        try:
            with urllib.request.urlopen(f"{self.query}/api/v3/traces/{trace_id}", timeout=10) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        return [
            {**span, "resource": resource["resource"]}
            for resource in told["result"]["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def services(self) -> list[str]:
        """The services that it knows."""
        with urllib.request.urlopen(f"{self.query}/api/services", timeout=10) as answer:
            return list(json.load(answer)["data"] or [])


@contextmanager
def jaeger(folder: Path) -> Iterator[Jaeger]:
    """Yields one that keeps its spans in memory."""
    binary = JAEGER.require()
    otlp, query, admin = free_port(), free_port(), free_port()
    others = [
        f"--{name}=127.0.0.1:{free_port()}"
        for name in (
            *("collector.http-server.host-port", "collector.grpc-server.host-port"),
            *("collector.otlp.grpc.host-port", "query.grpc-server.host-port"),
        )
    ]
    command: list[str | Path] = [
        *(binary, f"--collector.otlp.http.host-port=127.0.0.1:{otlp}"),
        *(f"--query.http-server.host-port=127.0.0.1:{query}", f"--admin.http.host-port=127.0.0.1:{admin}"),
        *others,
    ]
    env = {"SPAN_STORAGE_TYPE": "memory", "PATH": "/usr/bin:/bin"}
    with Process(command, folder=folder, name="jaeger", env=env) as process:
        process.wait_until(lambda: _answers(f"http://127.0.0.1:{admin}/"), seconds=60)
        LEDGER.exercised["Jaeger"] = str(binary)
        yield Jaeger(f"http://127.0.0.1:{otlp}", f"http://127.0.0.1:{query}")


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
