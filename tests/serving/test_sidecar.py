"""`ferrometer serve` tells what an application's processes recorded, with them and after them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ferrometer.exposition import CONTENT_TYPE_PROTOBUF as PROTOBUF
from tests.exposition.metric_families import decoded
from tests.exposition.test_negotiation import ACCEPTS
from tests.serving.client import Answer, ask
from tests.serving.program import Program, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sharing is Linux's")

WORKER = """
import sys
from ferrometer import Counter, Enum, Gauge, Histogram, Info, Summary, _core

_core.share("{directory}")
tokens = Counter("tokens", "Tokens", ["model"])
sizes = Histogram("sizes", "Sizes", buckets=(10, 100, 1000))
waits = Summary("waits", "Waits", quantiles=(0.5, 0.99))
depth = Gauge("depth", "Depth", multiprocess_mode="livesum")
top = Gauge("top", "Top", multiprocess_mode="max")
Info("build", "Build").info({{"version": "1"}})
Enum("state", "State", states=["up", "down"]).state("up")
Counter("odd.name", "A name that needs quotes").inc()
print("ready", flush=True)
for line in sys.stdin:
    count = int(line)
    for n in range(count):
        tokens.labels("llama").inc()
        sizes.observe(n)
        waits.observe(n)
    depth.inc(count)
    top.set(count)
    print("done", flush=True)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "shared"
    directory.mkdir(mode=0o700)
    return directory


@contextmanager
def worker(directory: Path) -> Iterator[Program]:
    with running(WORKER.format(directory=directory)) as program:
        assert program.line() == "ready"
        yield program


def record(program: Program, count: int) -> None:
    program.tell(str(count))
    assert program.line() == "done"


@contextmanager
def sidecar(directory: Path, *options: str, **environ: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """`ferrometer serve` on some port; yields it, and the process."""
    command = [sys.executable, "-m", "ferrometer", "serve", "--dir", str(directory), "--port", "0", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=os.environ | environ, cwd=directory.parent
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield int(line.rsplit(":", 1)[1].split("/")[0]), process
        finally:
            process.kill()


def values(answer: Answer) -> dict[str, float]:
    lines = answer.body.decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line[:1] != "#"}


def test_the_living_and_the_dead_are_added_up(directory: Path) -> None:
    with sidecar(directory) as (port, _), worker(directory) as first, worker(directory) as second:
        assert values(ask(port)).get('tokens_total{model="llama"}', 0) == 0
        record(first, 100)
        record(second, 11)
        told = values(ask(port))
        assert told['tokens_total{model="llama"}'] == 111
        assert told['sizes_bucket{le="10.0"}'] == 11 + 11
        assert told["sizes_count"] == told["waits_count"] == 111
        assert told["sizes_sum"] == sum(range(100)) + sum(range(11))
        assert told['waits{quantile="0.5"}'] == pytest.approx(44, rel=0.01)
        assert told["depth"] == 111
        assert told["top"] == 100
        assert told['build_info{version="1"}'] == 1
        assert told['state{state="up"}'] == 1
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        for _ in range(3):  # once with the dead segment, then from the graveyard
            told = values(ask(port))
            assert told['tokens_total{model="llama"}'] == 111
            assert told["sizes_count"] == told["waits_count"] == 111
            assert told["depth"] == 11, "of the living only"
            assert told["top"] == 100
        record(second, 1)
        assert values(ask(port))['tokens_total{model="llama"}'] == 112
        assert len(list(directory.glob("*.seg"))) == 2, "one lives, one graveyard"


def test_it_works_after_the_application(directory: Path) -> None:
    with worker(directory) as only:
        record(only, 5)
    for _ in range(2):  # itself restarted
        with sidecar(directory) as (port, _process):
            assert values(ask(port))['tokens_total{model="llama"}'] == 5


def test_it_works_before_the_application(tmp_path: Path) -> None:
    directory = tmp_path / "later"
    with sidecar(directory) as (port, _):
        assert ask(port)[::2] == (200, b"")
        assert json.loads(ask(port, "/stats").body)["requests"]["total"] == 0
        with worker(directory) as late:
            record(late, 3)
            assert values(ask(port))['tokens_total{model="llama"}'] == 3


@pytest.mark.parametrize("media_type", ACCEPTS)
def test_every_format(directory: Path, media_type: str) -> None:
    with worker(directory) as only, sidecar(directory) as (port, _):
        record(only, 2)
        answer = ask(port, accept=ACCEPTS[media_type])
        assert answer.headers["content-type"] == media_type
        assert b"odd" not in answer.body
        some = ask(port, "/metrics?name[]=depth", accept=ACCEPTS[media_type]).body
        assert b"depth" in some
        assert b"tokens" not in some
        if media_type == PROTOBUF:
            [metric] = decoded(answer.body)["sizes"].metric
            assert metric.histogram.sample_count == 2
        else:
            assert b'tokens_total{model="llama"} 2.0\n' in answer.body


APP = """
import sys
from fastapi import FastAPI
from starlette.testclient import TestClient
import ferrometer
from ferrometer import _core

_core.share(sys.argv[1] if len(sys.argv) > 1 else "{directory}")
app = FastAPI()
app.get("/ok")(lambda: "ok")
app.get("/broken")(lambda: 1 / 0)
made = ferrometer.instrument(app, namespace="gateway")
made.stats.gpu.request(cost_usd=1.5)
made.stats.cache.hit(3)
made.stats.cache.miss()
with TestClient(app, raise_server_exceptions=False) as client:
    for path in ("/ok", "/ok", "/ok", "/broken"):
        client.get(path)
    print("ready", flush=True)
    sys.stdin.readline()
"""


def test_the_namespaced_families_and_the_json(directory: Path) -> None:
    source = APP.replace("{directory}", str(directory))
    with (
        running(source) as first,
        running(source) as second,
        sidecar(directory, "--namespace", "gateway") as (port, _),
        sidecar(directory) as (other, _),
    ):
        assert (first.line(), second.line()) == ("ready", "ready")
        told = values(ask(port))
        assert told["gateway_requests_total"] == 8
        assert told["gateway_requests_failed"] == 2
        assert told["gateway_request_success_rate"] == 75
        assert told["gateway_request_duration_milliseconds_count"] == 8
        assert told['gateway_request_duration_milliseconds{quantile="0.99"}'] > 0
        assert told["gateway_gpu_cost_total"] == 3
        stats = json.loads(ask(port, "/stats").body)
        assert stats["requests"]["total"] == 8
        assert stats["requests"]["failed"] == 2
        assert stats["gpu"] == {
            "active_instances": 0,
            "total_cost_usd": 3.0,
            "requests_total": 2,
            "requests_failed": 0,
        }
        assert stats["cache"]["hits"] == 6
        assert 0 <= stats["uptime_seconds"] < 60
        assert json.loads(ask(port, "/monitor").body)["metrics"]["requests"]["duration"]["p99_ms"] > 0
        assert b"gateway_requests_total" not in ask(other).body
        assert json.loads(ask(other, "/stats").body)["requests"]["total"] == 8


def test_damaged_files_fail_nothing(directory: Path) -> None:
    with worker(directory) as only, sidecar(directory) as (port, _):
        record(only, 2)
        (directory / f"{'0' * 32}.seg").touch(mode=0o600)
        (directory / f"{'1' * 32}.seg").write_bytes(os.urandom(100_000))
        (directory / f"{'1' * 32}.seg").chmod(0o600)
        (directory / f"{'2' * 32}.seg").symlink_to("/etc/passwd")
        told = values(ask(port))
        assert told['tokens_total{model="llama"}'] == 2
        damaged = {name: value for name, value in told.items() if "unreadable" in name}
        assert sum(damaged.values()) == 3
        assert damaged['ferrometer_segments_unreadable{reason="empty"}'] == 1


def test_secrets_come_from_files_and_variables(directory: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("old-secret\nnew-secret\n")
    for options, environ, secrets in [
        (["--token-file", str(tokens)], {}, ["old-secret", "new-secret"]),
        (["--auth-env", "MY_TOKEN"], {"MY_TOKEN": "my-secret"}, ["my-secret"]),
        ([], {"FERROMETER_AUTH_TOKEN": "our-secret"}, ["our-secret"]),
    ]:
        with sidecar(directory, *options, **environ) as (port, process):
            assert ask(port).status == 401
            for secret in secrets:
                assert ask(port, authorization=f"Bearer {secret}").status == 200
            assert ask(port, authorization="Bearer wrong-secret").status == 401
            process.terminate()
            out, errors = process.communicate(timeout=5)
            assert process.returncode == 0
            assert "-secret" not in out + errors
    with sidecar(directory, "--allow", "10.0.0.0/8,192.0.2.0/24", "--allow", "::1") as (port, _):
        assert ask(port).status == 403


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told(directory: Path, stop: signal.Signals) -> None:
    with sidecar(directory) as (port, process):
        assert ask(port).status == 200
        begun = time.monotonic()
        process.send_signal(stop)
        assert process.wait(5) == 0
        assert time.monotonic() - begun < 2


def command(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ferrometer", *words],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | environ,
    )


def test_what_the_user_can_mend(directory: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with sidecar(directory) as (port, _):
        for words, complaint in [
            (["--port", str(port)], "the port is taken"),
            (["--addr", "192.0.2.1"], "no such address"),
            (["--token-file", str(empty)], "holds no token"),
            (["--token-file", str(tmp_path / "none")], "No such file"),
            (["--token-env", "NOT_SET"], "NOT_SET is not set"),
            (["--token-env", "HOME", "--token-file", "B"], "not both"),
            (["--allow", "here"], "no IP address"),
            (["--namespace", "a b"], "invalid namespace"),
        ]:
            done = command("serve", "--dir", str(directory), "--port", "0", *words)
            assert done.returncode == 2, words
            assert complaint in done.stderr, done.stderr
            assert "Traceback" not in done.stderr
    directory.chmod(0o777)
    done = command("serve", "--dir", str(directory))
    assert (done.returncode, "others can write it" in done.stderr) == (2, True), done.stderr


def test_inspect_lists_what_is_there(directory: Path) -> None:
    assert "holds no segments" in command("inspect", str(directory)).stdout
    with worker(directory) as living:
        record(living, 1)
        with worker(directory) as dying:
            record(dying, 1)
            dead = dying.process.pid
        (directory / f"{'0' * 32}.seg").touch(mode=0o600)
        done = command("inspect", str(directory))
        assert done.returncode == 0, done.stderr
        heads, *rows = [line.split() for line in done.stdout.splitlines()]
        assert heads[:3] == ["file", "state", "pid"]
        states = {(row[1], row[2]) for row in rows}
        assert states == {("live", str(living.process.pid)), ("dead", str(dead)), ("unreadable", "-")}
        assert [row[-1] for row in rows if row[1] == "unreadable"] == ["empty"]
        known = json.loads(command("inspect", "--json", str(directory)).stdout)
        assert {segment["state"] for segment in known} == {"live", "dead", "unreadable"}
        assert sum(segment["series"] for segment in known) > 10
        with sidecar(directory) as (port, _):
            assert ask(port).status == 200
        rows = [line.split() for line in command("inspect", str(directory)).stdout.splitlines()[1:]]
        assert {row[1] for row in rows} == {"live", "graveyard", "unreadable"}
    assert command("inspect", FERROMETER_DIR=str(directory)).returncode == 0
    for words in (["inspect"], ["serve"]):
        done = command(*words, FERROMETER_DIR="")
        assert (done.returncode, "which directory?" in done.stderr) == (2, True)
    done = command("inspect", str(directory / "nothing"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
