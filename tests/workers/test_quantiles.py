"""A quantile is that of all workers' observations."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """
import sys, ferrometer
ferrometer.share(sys.argv[1])
h = ferrometer.Histogram("first_token_seconds", "x", ["model"])
s = ferrometer.Summary("size_bytes", "x")
for line in sys.stdin:
    value = float(line)
    if value:
        h.labels("llama").observe(value)
        s.observe(value)
    print(h.labels("llama").quantile(0.5), s.quantile(1.0), h.labels("none").quantile(0.5), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="metrics are shared on Linux only")
def test_quantiles_are_of_all_workers(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(folder)]

    def worker() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(process: subprocess.Popen[str], value: float) -> list[float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{value}\n")
        process.stdin.flush()
        return [float(text) for text in process.stdout.readline().split()]

    with worker() as one, worker() as two:
        try:
            assert all(math.isnan(value) for value in ask(one, 0))
            for value in range(1, 11):
                ask(one if value % 2 else two, value)
            for process in (one, two):
                median, largest, none = ask(process, 0)
                assert median == pytest.approx(5, rel=0.003)
                assert largest == 10
                assert math.isnan(none)
            two.kill()
            two.wait()
            assert ask(one, 0)[0] == pytest.approx(5, rel=0.003)
        finally:
            one.kill()
            two.kill()
