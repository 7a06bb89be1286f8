"""Providers in several processes: a real server, killed workers, forks, the sidecar, no directory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ferrometer.endpoints.own_port import serve_directory
from tests.breaker.test_breaker_workers import workers
from tests.workers.servers import SAY_WHO, served, until
from tests.workers.talking import Worker

WORKERS = 4

APP = (
    SAY_WHO
    + """
import os
import ferrometer
from fastapi import FastAPI
from ferrometer.breaker import breaker
from ferrometer.instruments import inference

asked = {"probes": 0}

def probe():
    asked["probes"] += 1

app = FastAPI()
app.add_middleware(SayWho)
ferrometer.instrument(
    app,
    ferrometer.Providers(probes={"probed": probe}, interval=0.5, health_below=0.5),
    ferrometer.Breakers(),
    namespace="gw",
    default_collectors=False,
)
one = breaker("openai", consecutive_failures=3, open_seconds=3600, longest_open_seconds=3600)

@app.get("/call")
async def call(fail: bool = False):
    try:
        with one.call(), inference(model="m", provider="openai"):
            if fail:
                raise ConnectionError("down")
    except (ConnectionError, ferrometer.CircuitOpenError):
        pass
    return os.getpid()

@app.get("/who")
async def who():
    return os.getpid()

@app.get("/probes")
async def probes():
    return asked["probes"]
"""
)


def post(port: int, **form: str) -> Any:
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/breakers", body, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn-preload"])
def test_four_workers_tell_the_same_of_providers_and_breakers(tmp_path: Path, server: str) -> None:
    with served(server, tmp_path, workers=WORKERS, source=APP) as running:

        def said(path: str) -> list[Any]:
            return [answer.json for answer in running.from_each(path, WORKERS).values()]

        def calls() -> list[tuple[int, int]]:
            found = []
            for told in said("/health/dashboard"):
                known = {one["name"]: one for one in told["providers"]}
                found.append((known["openai"]["requests"], known["openai"]["errors"]))
            return found

        assert len(running.load(60, "/call")) >= 1
        assert calls() == [(60, 0)] * WORKERS
        # A killed worker's calls are in the window; another makes the probes.
        victim = next(iter(running.from_each("/who", WORKERS)))
        running.kill(victim)
        running.load(40, "/call")
        assert set(calls()) == {(100, 0)}
        for _ in range(3):
            running.load(1, "/call?fail=true")
        assert set(calls()) == {(103, 3)}
        for answer in running.from_each("/metrics", WORKERS).values():
            lines = answer.body.decode().splitlines()
            [rate] = [line for line in lines if line.startswith('provider_error_rate{provider="openai"')]
            assert rate.endswith(f" {3 / 103!r}")
            [score] = [
                line for line in lines if line.startswith('gw_provider_health_score{provider="openai"')
            ]
            assert float(score.rpartition(" ")[2]) == pytest.approx(1 - 6 / 103)
            assert 'gw_circuit_breaker_state{provider="openai",state="open"} 1.0' in lines
            assert 'gw_circuit_breaker_state{provider="openai",state="closed"} 0.0' in lines
        assert all(told["breakers"][0]["state"] == "open" for told in said("/breakers"))
        # Probes are made by one worker for all, and go on after its death.
        assert sum(count > 0 for count in said("/probes")) == 1
        prober = next(who for who, answer in running.from_each("/probes", WORKERS).items() if answer.json)
        running.kill(prober)
        running.wait_for(lambda: any(said("/probes")), what="another one asks", seconds=60)
        # Reset through one worker, closed in all.
        assert post(running.port, name="openai", action="reset")["breakers"][0]["state"] == "closed"
        assert all(told["breakers"][0]["state"] == "closed" for told in said("/breakers"))
        assert post(running.port, name="openai", action="open")["breakers"][0]["forced"] is True
        assert all(told["breakers"][0]["forced"] for told in said("/breakers"))
        for form, status in (
            ({"name": "nobody", "action": "open"}, 404),
            ({"name": "openai", "action": "explode"}, 400),
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(running.port, **form)
            assert refused.value.code == status
            refused.value.close()
        url = f"http://127.0.0.1:{running.port}/breakers"
        for headers in ({"X-Forwarded-For": "10.0.0.1"}, {"Origin": "http://evil.example"}):
            request = urllib.request.Request(url, b"name=openai&action=reset", headers)
            with pytest.raises(urllib.error.HTTPError, match="403") as refused:
                urllib.request.urlopen(request, timeout=30)
            refused.value.close()
        assert said("/breakers")[0]["breakers"][0]["forced"] is True


def answer_of(worker: Worker) -> Any:
    return worker.read()


def totals(directory: Path, name: str = "p") -> tuple[int, int]:
    """Requests and errors of a provider, as a process that has none itself knows them."""
    program = f"""
        import json, sys
        import ferrometer
        ferrometer.share(sys.argv[1])
        _, _, body = ferrometer._core.dashboard_route().respond("GET", "/health/dashboard", "", [], None)
        found = {{one["name"]: one for one in json.loads(body)["providers"]}}.get({name!r})
        print(json.dumps([found["requests"], found["errors"]] if found else [0, 0]))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(directory)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    requests, errors = json.loads(ended.stdout)
    return requests, errors


def test_what_killed_processes_recorded_stays_in_the_window(tmp_path: Path) -> None:
    program = """
        from ferrometer.providers import record
        count = 0
        while True:
            record("p", "m", status=500 if count % 10 == 0 else 200, first_token_seconds=0.1)
            count += 1
            if count in (1, 1000):
                say(count)
    """
    with workers(tmp_path, program, 4) as running:
        for worker in running:
            assert worker.read() == 1
        for worker in running:
            assert worker.read() == 1000
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.wait(60)
    requests, errors = totals(tmp_path)
    assert requests >= 4000
    assert abs(errors / requests - 0.1) < 0.01
    with workers(tmp_path, program, 1) as [one]:  # nothing they held keeps others out
        assert one.read() == 1
    assert totals(tmp_path)[0] > requests


def test_children_of_a_fork_record_into_the_same_window(tmp_path: Path) -> None:
    program = """
        from ferrometer.instruments import inference
        from ferrometer.providers import track
        forget = track()
        def call():
            with inference(model="m", provider="p"):
                pass
        call()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                for _ in range(25):
                    call()
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        forget()
        call()
        say("done")
    """
    with workers(tmp_path, program, 1) as [worker]:
        assert worker.read() == "done"
    assert totals(tmp_path) == (101, 0)


def test_what_was_recorded_before_sharing_comes_along(tmp_path: Path) -> None:
    """Providers, breakers and jobs; a forked child tells nothing of its parent's a second time."""
    program = """
        import os, sys
        import ferrometer
        from ferrometer.breaker import CircuitBreaker
        from ferrometer.jobs import job
        from ferrometer.providers import record
        def begin():
            one = CircuitBreaker("openai", consecutive_failures=3, open_seconds=600, longest_open_seconds=600)
            for _ in range(3):
                record("openai", "m", status=500, seconds=0.5)
                one.begin().failure()
            try:
                one.begin()
            except ferrometer.CircuitOpenError:
                pass
            record("openai", "m", seconds=0.5)
            with job("resize"):
                pass
        begin()
        child = os.fork()
        ferrometer.share(sys.argv[1])
        if child:
            os.waitpid(child, 0)
        else:
            record("openai", "m", seconds=0.5)
            os._exit(0)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert totals(tmp_path, "openai") == (5, 3)
    with (
        serve_directory(tmp_path, 0, namespace="gw") as server,
        urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer,
    ):
        lines = answer.read().decode().splitlines()
    for line in (
        'gw_circuit_breaker_state{provider="openai",state="open"} 1.0',
        'gw_circuit_breaker_changes_total{provider="openai",state="open"} 1.0',
        'gw_circuit_breaker_rejected_total{provider="openai"} 1.0',
        'provider_error_rate{provider="openai"} 0.6',
        'gw_job_completed_total{job_type="resize"} 1.0',
    ):
        assert lines.count(line) == 1, line


def test_a_million_models_are_capped_and_counted(tmp_path: Path) -> None:
    program = """
        from ferrometer.providers import record
        from ferrometer.providers.feature import expose
        expose()
        for number in range(3000):  # of the million: there is room for 512
            record(f"provider {number}")
        value = ferrometer.REGISTRY.get_sample_value
        text = ferrometer.generate_latest().decode()
        say([
            sum(line.startswith("provider_availability{") for line in text.splitlines()),
            value("ferrometer_providers_without_room_total", {"table": "providers"}),
            os.stat(os.path.join(sys.argv[1], "providers-1.state")).st_size,
        ])
    """
    with workers(tmp_path, program, 1) as [worker]:
        series, refused, size = answer_of(worker)
    assert (series, refused) == (512, 3000 - 512)
    assert size < 5 << 20


def test_the_sidecar_shows_them_after_the_death_of_all(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    directory.mkdir(mode=0o700)
    program = """
        from ferrometer.providers import record
        one = CircuitBreaker("openai", consecutive_failures=3, open_seconds=3600, longest_open_seconds=3600)
        fail(one)
        record("openai", "m", status=500)
        record("openai", "m")
        ferrometer.ActiveUsers().seen("somebody")
        from ferrometer.jobs import job
        with job("resize"):
            pass
        with job("train", "one"):
            say("done")
            listen()
    """
    with serve_directory(directory, 0, namespace="gw") as server:

        def get(path: str, data: bytes | None = None) -> str:
            with urllib.request.urlopen(server.url + path, data, timeout=30) as answer:
                return str(answer.read().decode())

        assert "provider" not in get("/metrics")
        assert "job" not in get("/metrics")
        assert json.loads(get("/health/dashboard"))["providers"] == []
        assert json.loads(get("/breakers")) == {"breakers": []}
        with workers(directory, program, 1) as [worker]:
            assert worker.read() == "done"
            lines = get("/metrics").splitlines()
            assert lines.count('gw_job_in_flight{job_type="train"} 1.0') == 1
        lines = get("/metrics").splitlines()
        for line in (
            'gw_job_started_total{job_type="train"} 1.0',
            'gw_job_in_flight{job_type="train"} 0.0',
            'gw_job_lost_total{job_type="train"} 1.0',
            'gw_job_completed_total{job_type="resize"} 1.0',
            'gw_job_duration_seconds_count{job_type="resize",status="completed"} 1.0',
            'jobs_processed_total{status="lost"} 1.0',
            "job_processing_duration_seconds_count 1.0",
            'gw_circuit_breaker_state{provider="openai",state="open"} 1.0',
            'gw_circuit_breaker_state{provider="openai",state="half_open"} 0.0',
            'provider_availability{provider="openai"} 1.0',
            'provider_error_rate{provider="openai"} 0.5',
            'gw_provider_health_score{provider="openai"} 0.0',
            'gw_active_users{kind="user",window="5m"} 1.0',
        ):
            assert lines.count(line) == 1, line
        [told] = json.loads(get("/health/dashboard"))["providers"]
        assert (told["name"], told["requests"], told["error_rate"]) == ("openai", 2, 0.5)
        assert json.loads(get("/breakers", b"name=openai&action=reset"))["breakers"][0]["state"] == "closed"
        assert 'gw_circuit_breaker_state{provider="openai",state="closed"} 1.0' in get("/metrics")
        # Another application in the same place: its file is another one.
        for file in directory.glob("*.state"):
            file.unlink()
        until(lambda: json.loads(get("/breakers")) == {"breakers": []}, what="gone")
        with workers(directory, program, 1) as [worker]:
            assert worker.read() == "done"
            assert json.loads(get("/breakers"))["breakers"][0]["state"] == "open"


def test_a_directory_that_vanishes_or_is_of_another_version_is_told(tmp_path: Path) -> None:
    program = """
        import logging, shutil
        from ferrometer.providers import record
        from ferrometer.providers.feature import Providers
        told = []
        class Told(logging.Handler):
            def emit(self, record): told.append(record.getMessage())
        logging.getLogger("ferrometer").addHandler(Told())
        feature = Providers()
        feature.start()
        record("p")
        shutil.rmtree(sys.argv[1])
        feature._table.look()
        feature._table.look()
        record("p", status=500)
        requests = [row[3] for row in ferrometer._core.list_providers()]
        say([requests, [words for words in told if "providers" in words]])
    """
    vanishing = tmp_path / "vanishing"
    vanishing.mkdir(mode=0o700)
    with workers(vanishing, program, 1) as [worker]:
        rates, told = answer_of(worker)
    assert rates == [0.5]
    [words] = told
    assert "the file of the providers' health in the shared directory is gone" in words
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "providers-1.state").write_bytes(b"of another version")
    with workers(other, program, 1) as [worker]:
        rates, told = answer_of(worker)
    assert rates == [0.5]
    [words] = told
    assert "not shared with the others" in words
    assert "providers-1.state is of another version or owner, or damaged" in words
