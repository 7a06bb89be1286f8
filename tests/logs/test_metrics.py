"""What was logged and what became of it, told by every process of a directory alike."""

from __future__ import annotations

import re
from pathlib import Path

from tests.logs.programs import run

BODY = """
from ferrometer import CollectorRegistry, generate_latest, REGISTRY
share(sys.argv[1])
ship.register(REGISTRY, "gw")
ship.start([File(sys.argv[2], name="file"), Syslog("127.0.0.1:1", name="away")], service="s", namespace="gw")
for number in range(100): log(number, level=number % 5)
for child in range(3):
    pid = os.fork()
    if pid == 0:
        for number in range(100): log(number, level=3)
        if child == 0: os._exit(0)
        if child == 1: os.kill(os.getpid(), signal.SIGKILL)
        end = time.monotonic() + 60
        while ship.counts()["sinks"]["file"]["shipped"] < 400: assert time.monotonic() < end; time.sleep(0.01)
        sys.stderr.write(generate_latest(REGISTRY).decode())
        sys.stderr.flush()
        os._exit(0)
    os.waitpid(pid, 0)
print(generate_latest(REGISTRY).decode(), flush=True)
os._exit(0)
"""


def samples(text: str) -> dict[str, float]:
    found = re.findall(r"^(gw_log_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_every_worker_tells_the_totals_of_all(tmp_path: Path) -> None:
    out, err = run(BODY, tmp_path / "d", tmp_path / "log")
    told = samples(err)
    assert told['gw_log_lines_total{level="error"}'] == 320
    assert told['gw_log_lines_total{level="debug"}'] == 20
    assert told['gw_log_shipped_total{sink="file"}'] == 400
    assert told['gw_log_shipped_total{sink="away"}'] == 0
    assert told['gw_log_queue_bytes{sink="file"}'] == 0
    assert told['gw_log_queue_bytes{sink="away"}'] > 400 * 56
    assert told['gw_log_dropped_total{reason="full",sink="all"}'] == 0
    assert told['gw_log_dropped_total{reason="rejected",sink="file"}'] == 0
    assert told['gw_log_last_success_timestamp_seconds{sink="file"}'] > 1.7e9
    assert not any("last_success" in name and "away" in name for name in told)
    assert "# TYPE gw_log_lines_total counter" in err
    assert "# TYPE gw_log_queue_bytes gauge" in err
    # The parent asks a moment later, and is told the same.
    parent = samples(out)
    assert {name: value for name, value in parent.items() if "success" not in name} == {
        name: value for name, value in told.items() if "success" not in name
    }
