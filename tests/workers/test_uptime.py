"""One application, one start: also through workers that are replaced, and behind every front."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

WORKER = """
import sys, ferrometer
from ferrometer._core import HttpMetrics
ferrometer.share(sys.argv[1])
metrics = HttpMetrics(ferrometer.REGISTRY, "gw")
for _ in sys.stdin:
    text = ferrometer.generate_latest().decode()
    [line] = [line for line in text.splitlines() if line.startswith("gw_uptime_seconds ")]
    print(metrics.uptime(), metrics.snapshot()["uptime_seconds"], line.split()[1], flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="metrics are shared on Linux only")
def test_the_start_is_that_of_the_first_worker(tmp_path: Path) -> None:
    from ferrometer.serving import serve_directory

    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(folder)]

    def worker() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(process: subprocess.Popen[str]) -> list[float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return [float(text) for text in process.stdout.readline().split()]

    def told(port: int) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=20) as answer:
            return json.load(answer)["uptime_seconds"]

    with worker() as first:
        begun = time.time() - min(ask(first))
        time.sleep(1.2)
        with worker() as second, serve_directory(folder, 0, namespace="gw") as sidecar:
            try:
                for process in (first, second):
                    for value in ask(process):
                        assert value == pytest.approx(time.time() - begun, abs=0.5)
                first.kill()
                first.wait()
                for value in ask(second):
                    assert value == pytest.approx(time.time() - begun, abs=0.5)
                assert told(sidecar.port) >= 1
            finally:
                first.kill()
                second.kill()
