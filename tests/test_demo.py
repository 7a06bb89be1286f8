"""The demo as a user runs it: a real process, real sockets, and numbers that must agree."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrometer.demo import overhead
from ferrometer.demo.client import Totals
from ferrometer.demo.plan import steps
from ferrometer.demo.progress import Progress
from ferrometer.demo.scrape import Seen, differences
from ferrometer.demo.service import PRICES
from tests.demo_process import Demo, demo

COMMAND = [sys.executable, "-m", "ferrometer", "demo", "--sqlite"]
HUNDREDS = 3


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo without background traffic: what it shows stays what it is."""
    with demo(
        tmp_path_factory.mktemp("demo"), "--sqlite", "--requests", str(HUNDREDS * 100), "--rate", "0"
    ) as running:
        yield running


def test_table_is_the_plan(quiet: Demo) -> None:
    order = steps()
    planned = [next(order) for _ in range(HUNDREDS * 100)]
    expected = Counter(f"{step.method} {step.route}" for step in planned if step.method != "WEBSOCKET")
    shown = {name: int(cells[0]) for name, cells in quiet.rows().items() if name in expected}
    assert shown == expected


def test_table_is_what_metrics_says(quiet: Demo) -> None:
    seen = Seen.of(quiet.get("/metrics"))
    shown = {line: int(cells[0]) for line, cells in quiet.rows().items() if cells[0].isdigit()}
    assert shown.pop("all routes") == seen.total("http_requests_total") == 98 * HUNDREDS
    assert sum(shown[name] for name in shown if name.startswith(("GET", "POST"))) == 98 * HUNDREDS


def test_models_are_counted_and_paid_for(quiet: Demo) -> None:
    """What is printed is what /metrics and /models/stats say, and what the prices make of it."""
    rows, seen = quiet.rows(), Seen.of(quiet.get("/metrics"))
    told = {one["model"]: one for one in json.loads(quiet.get("/models/stats"))["models"]}
    assert rows["models"][:4] == ["answers", "tokens in", "out", "cost"]
    for name, prices in PRICES.items():
        answers, read, written, cost, *first = rows[name]
        assert (
            int(answers) == told[name]["requests"] == seen.total("inference_requests_total", model=name) > 0
        )
        assert (int(read), int(written)) == (
            told[name]["tokens"]["prompt"],
            told[name]["tokens"]["completion"],
        )
        right = (int(read) * prices["input"] + int(written) * prices["output"]) / 1e6
        assert cost == f"{right:.6f} USD"
        assert told[name]["cost_usd"] == pytest.approx(right)
        assert seen.total("gpuproxy_cost_by_model", model=name) == pytest.approx(right)
        assert len(first) == 3
        assert all(value.endswith(("ms", " s")) for value in first)
        assert told[name]["in_flight"] == 0


def test_stats_say_the_same(quiet: Demo) -> None:
    requests = json.loads(quiet.get("/stats"))["requests"]
    failed = Seen.of(quiet.get("/metrics")).total
    assert requests["total"] == 98 * HUNDREDS
    assert requests["failed"] == 4 * HUNDREDS == failed("gpuproxy_requests_failed")
    assert requests["in_flight"] == 0


def test_database_and_cache_are_real(quiet: Demo) -> None:
    def stats() -> Any:
        return json.loads(quiet.get("/stats"))

    seen = Seen.of(quiet.get("/metrics"))
    assert (
        seen.total("db_queries_total", operation="INSERT") == 23 * HUNDREDS + 1
    )  # each prompt, also the hung up; and the models
    assert (
        seen.total("db_queries_total", operation="SELECT") >= 2
    )  # one a model; the rest came from the cache
    database = stats()["database"]
    assert database["queries_total"] >= 23 * HUNDREDS + 2
    assert database["errors"] == 0
    assert (database["connections_active"], database["connections_idle"] >= 1) == (0, True)
    checked = json.loads(quiet.get("/health"))["checks"]["database"]
    assert checked["healthy"]
    assert (checked["total_connections"], checked["max_connections"]) == (database["connections_idle"], 4)
    deadline = time.monotonic() + 15
    while not (cache := stats()["cache"])["misses"]:  # caches are read every ten seconds
        assert time.monotonic() < deadline, cache
        time.sleep(0.1)
    while cache["hits"] + cache["misses"] < 21 * HUNDREDS:
        assert time.monotonic() < deadline, cache
        time.sleep(0.1)
        cache = stats()["cache"]
    assert (cache["hits"], cache["misses"]) == (21 * HUNDREDS - 2, 2)
    assert json.loads(quiet.get("/monitor"))["metrics"]["database"]["queries_total"] > 0


def test_websockets_and_hung_up_clients_are_counted(quiet: Demo) -> None:
    seen = Seen.of(quiet.get("/metrics"))
    accepted = seen.total("websocket_connections_total", endpoint="/v1/realtime", outcome="accepted")
    assert accepted == 2 * HUNDREDS
    assert seen.total("websocket_messages_total", direction="received") == 10 * HUNDREDS
    assert seen.total("websocket_messages_total", direction="sent") == 10 * HUNDREDS
    assert seen.total("http_client_disconnects_total") == HUNDREDS
    assert seen.total("http_exceptions_total", exception="RuntimeError") == HUNDREDS


@pytest.mark.skipif(sys.platform != "linux", reason="circuit breakers are Linux's")
def test_a_provider_fails_and_its_breaker_opens_and_closes(quiet: Demo) -> None:
    rows = quiet.rows()
    assert rows["providers"] == ["calls", "failed", "refused", "score", "breaker"]
    assert rows["aurora"] == rows["cirrus"] == ["40", "1.00", "closed"]
    calls, failed, refused, score, states = rows["borealis"]
    assert states == "closed > open > half-open > closed"
    assert (int(failed), int(refused) > 0, int(calls) + int(refused) >= 40) == (3, True, True)
    assert float(score) == pytest.approx(1 - 2 * 3 / int(calls), abs=0.01)
    seen = Seen.of(quiet.get("/metrics"))
    assert seen.total("gpuproxy_circuit_breaker_state", provider="borealis", state="closed") == 1
    assert seen.total("gpuproxy_circuit_breaker_changes_total", provider="borealis", state="open") == 1
    assert seen.total("inference_errors_total", model="borealis-large") == 3
    told = {one["name"]: one for one in json.loads(quiet.get("/health/dashboard"))["providers"]}
    assert (told["borealis"]["requests"], told["borealis"]["errors"]) == (int(calls), 3)


@pytest.mark.skipif(sys.platform != "linux", reason="the table of jobs is Linux's")
def test_a_worker_is_killed_and_its_job_counted_as_lost(quiet: Demo) -> None:
    rows = quiet.rows()
    assert rows["resize"] == ["12", "11", "9", "1", "1", "0"]
    seen = Seen.of(quiet.get("/metrics"))
    assert seen.total("gpuproxy_job_lost_total", job_type="resize") == 1
    assert seen.total("jobs_processed_total", status="completed") == 9
    [told] = json.loads(quiet.get("/jobs"))["jobs"]
    assert (told["job_type"], told["running"], told["lost"]) == ("resize", 0, 1)


def test_every_url_shown_answers(quiet: Demo) -> None:
    urls = re.findall(r"http://\S+(/\w+)", quiet.output)
    assert {"/metrics", "/stats", "/health", "/monitor", "/polling"} <= set(urls)
    for path in urls:
        assert quiet.get(path)


def test_background_traffic_goes_on_until_ctrl_c(tmp_path: Path) -> None:
    with demo(tmp_path, "--sqlite", "--requests", "100", "--rate", "200") as running:

        def total() -> Any:
            return json.loads(running.get("/stats"))["requests"]["total"]

        deadline = time.monotonic() + 20
        while total() <= 100:
            assert time.monotonic() < deadline, "no traffic in the background"
            time.sleep(0.05)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(15) == 0
        assert running.process.stdout is not None
        assert running.process.stdout.read().strip().endswith("Stopped.")
        assert (tmp_path / "stderr").read_text() == ""


def test_once_ends_by_itself(tmp_path: Path) -> None:
    command = [*COMMAND, "--port", "0", "--once", "--requests", "100"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "all routes" in done.stdout
    assert "Ctrl-C" not in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    command = [*COMMAND, "--port", "0", "--once", "--requests", "100"]
    with (tmp_path / "stderr").open("w+") as errors:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 1
    assert (tmp_path / "stderr").read_text() == ""


def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*COMMAND, "--port", str(port)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    match = re.fullmatch(r"ferrometer demo: port (\d+) is busy, (\d+) is free: .*--port \2 .*\n", done.stderr)
    assert match, done.stderr
    assert int(match[1]) == port


@pytest.mark.parametrize(
    "options", [["--port", "65536"], ["--port", "x"], ["--requests", "0"], ["--rate", "-1"]]
)
def test_bad_options_are_refused(options: list[str]) -> None:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"argument {options[0]}" in done.stderr


def test_a_disagreement_is_noticed() -> None:
    client = Totals(answers={("GET", "/a", 200): 3}, conversations=0, messages=0, hung_up=0)
    seen = Seen.of(
        '# TYPE http_requests_total counter\nhttp_requests_total{method="GET",endpoint="/a",status="200"} 2\n'
    )
    assert differences(client, seen) == ["  GET /a 200: the client has 3, /metrics 2"]


def test_overhead_counts_what_it_measures() -> None:
    cost = overhead.measure(rounds=3, calls=50)
    assert cost.application > 0
    assert max(cost.empty, cost.measured, cost.sampled) < 1e6


def test_progress_without_a_terminal_is_four_lines() -> None:
    out = io.StringIO()
    progress = Progress(out, "Sending", 100)
    for done in range(100):
        progress.at(done)
    progress.finish()
    assert out.getvalue().splitlines() == [f"Sending  {n}/100" for n in (25, 50, 75, 100)]


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are Unix's")
def test_progress_on_a_terminal_stays_on_its_line() -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal:
        progress = Progress(terminal, "Sending", 100)
        progress.at(50)
        progress.finish()
        shown = ""
        while not shown.endswith("\n"):  # a terminal hands on what is written when it pleases
            shown += os.read(master, 4096).decode()
    os.close(master)
    assert shown.count("\n") == 1
    assert shown.endswith("100/100  \x1b[K\r\n")
