"""``ferrometer logs``: what workers log, in order, filtered, living or dead."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.logs.programs import program, wait_for

WORKER = """
share(sys.argv[1])
ship.start([Syslog("127.0.0.1:1", name="away")], service="s")
for number in range(200):
    request = f"r{number % 3}"
    log(number, level=number % 5, request_id=request, worker=sys.argv[2], http={"status": 200 + number % 2})
    time.sleep(0.0005)
os._exit(0)
"""


def logs(*arguments: object) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "ferrometer", "logs", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_dead_applications_lines_in_order_and_filtered(tmp_path: Path) -> None:
    workers = [program(WORKER, tmp_path / "d", name, stderr=subprocess.DEVNULL) for name in "ab"]
    for worker in workers:
        assert worker.wait(60) == 0
    rows = logs(tmp_path / "d")
    assert len(rows) == 400
    for name in "ab":
        assert [row["number"] for row in rows if row["worker"] == name] == list(range(200))
    assert logs(tmp_path / "d", "-n", 7) == rows[-7:]
    assert logs(tmp_path / "d", "--level", "error") == [row for row in rows if row["number"] % 5 >= 3]  # type: ignore[operator]
    assert logs(tmp_path / "d", "--request-id", "r1") == [row for row in rows if row["request_id"] == "r1"]
    wanted = [row for row in rows if row["worker"] == "a" and row["http"] == {"status": 201}]
    assert logs(tmp_path / "d", "--field", "worker=a", "--field", "http.status=201") == wanted
    assert wanted


def test_following_sees_what_a_healthy_shipper_has_sent_already(tmp_path: Path) -> None:
    shared = tmp_path / "d"
    shared.mkdir(mode=0o700)
    follower = subprocess.Popen(
        [sys.executable, "-m", "ferrometer", "logs", str(shared), "-f"], stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    worker = program(
        """
share(sys.argv[1])
ship.start([File(sys.argv[2])], service="s")
for number in range(300):
    log(number)
    time.sleep(0.002)
assert ship.flush(30)
sys.stdin.readline()
""",
        shared,
        tmp_path / "log",
        stdin=subprocess.PIPE,
    )
    try:
        found = [json.loads(follower.stdout.readline())["number"] for _ in range(300)]
        assert found == list(range(300))
        # Who comes later sees them, too.
        assert [row["number"] for row in logs(shared)] == list(range(300))
        worker.communicate("\n", timeout=60)
    finally:
        follower.kill()
        follower.communicate()
        worker.kill()


def test_following_several_workers_until_one_of_them_is_killed(tmp_path: Path) -> None:
    shared = tmp_path / "d"
    shared.mkdir(mode=0o700)
    follower = subprocess.Popen(
        [sys.executable, "-m", "ferrometer", "logs", str(shared), "-f"], stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    workers = [
        program(
            """
share(sys.argv[1])
ship.start([File(sys.argv[2], name="file")], service="s")
for number in range(100):
    log(number, worker=sys.argv[3])
    time.sleep(0.001)
if sys.argv[3] == "a": os.kill(os.getpid(), signal.SIGKILL)
assert ship.flush(60)
sys.stdin.readline()
""",
            shared,
            tmp_path / "log",
            name,
            stdin=subprocess.PIPE,
        )
        for name in "abc"
    ]
    try:
        found: dict[str, list[int]] = {name: [] for name in "abc"}
        for _ in range(300):
            row = json.loads(follower.stdout.readline())
            found[row["worker"]].append(row["number"])
        assert found == {name: list(range(100)) for name in "abc"}
        for worker in workers:
            worker.communicate("\n", timeout=60)
        assert [worker.returncode for worker in workers] == [-signal.SIGKILL, 0, 0]
    finally:
        follower.kill()
        follower.communicate()
        for worker in workers:
            worker.kill()
            worker.wait(30)


def test_without_sinks_the_latest_lines_stay_to_be_seen(tmp_path: Path) -> None:
    process = program(
        """
share(sys.argv[1])
ship.start([], service="s", queue_bytes=1 << 20)
for number in range(20_000):
    log(number, text="x" * 100)
    if number % 100 == 0: time.sleep(0.01)
assert sum(ship.counts()["dropped"].values()) == 0
os._exit(0)
""",
        tmp_path / "d",
    )
    assert process.wait(120) == 0
    found = [row["number"] for row in logs(tmp_path / "d")]
    assert len(found) > 1000
    assert found == list(range(found[0], 20_000))  # type: ignore[call-overload]


def test_a_directory_that_is_none_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ferrometer", "logs", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "No such file" in done.stderr) == (2, True)


def test_the_sidecar_ships_when_nobody_else_does(tmp_path: Path) -> None:
    worker = program(WORKER, tmp_path / "d", "a", stderr=subprocess.DEVNULL)
    assert worker.wait(60) == 0
    log = tmp_path / "log"
    sidecar = subprocess.Popen(
        [
            *(sys.executable, "-m", "ferrometer", "serve", "--dir", str(tmp_path / "d"), "--port", "0"),
            *("--logs", str(log), "--service", "s", "--namespace", "gw"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert sidecar.stdout is not None
        (url,) = re.findall(r"(http://\S+/metrics)", sidecar.stdout.readline())
        wait_for(lambda: log.exists() and len(log.read_text().splitlines()) == 200, "all lines")

        def metrics() -> str:
            import urllib.request

            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())

        wait_for(lambda: not list((tmp_path / "d").glob("*.ring")), "the ring's removal")
        text = metrics()
        assert 'gw_log_lines_total{level="error"} 40' in text, text
        assert 'gw_log_dropped_total{reason="full",sink="all"} 0' in text
        assert 'gw_log_dropped_total{reason="rejected"' in text
        assert "gw_log_last_success_timestamp_seconds" in text
    finally:
        sidecar.terminate()
        sidecar.communicate(timeout=30)
    assert sidecar.returncode == 0


def test_an_applications_url(tmp_path: Path) -> None:
    from tests.real.prometheus import free_port

    port = free_port()
    server = program(
        """
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from ferrometer.logs import recent
ship.start([File(sys.argv[2])], service="s")
for number in range(3000): log(number, level=number % 5)
assert ship.flush(30)
uvicorn.run(Starlette(routes=[Route("/logs", recent.answer)]), port=int(sys.argv[1]), log_level="error")
""",
        port,
        tmp_path / "log",
    )
    try:

        def answers() -> bool:
            import urllib.request

            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/logs?after=0", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_for(answers, "an answer")
        rows = logs(f"http://127.0.0.1:{port}")
        assert [row["number"] for row in rows] == list(range(1000, 3000))
        errors = logs(f"http://127.0.0.1:{port}/logs", "--level", "error", "-n", 3)
        assert [row["number"] for row in errors] == [2994, 2998, 2999]
        command = [sys.executable, "-m", "ferrometer", "logs", f"http://127.0.0.1:{port}/nothing"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, "404" in done.stderr) == (2, True)
    finally:
        server.terminate()
        server.wait(30)
