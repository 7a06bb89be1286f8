"""Under real servers with several workers: whoever answers, the numbers are those of all."""

from __future__ import annotations

import http.client
import math
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.workers.servers import APP, COMMANDS, SERVERS, Served, served, total, until

N = 100
HELLO = 'endpoint="/hello"'
# Those that replace a worker that was killed; hypercorn ends with it.
REPLACING = ("uvicorn", "gunicorn", "gunicorn-preload", "granian")


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/*.seg"))


def check(running: Served, n: int, workers: int = 3) -> set[int]:
    """Every endpoint, of every worker, shows exactly so many; who they were."""
    # A request is counted when it is over, which is a moment after its answer was read.
    running.wait_for(
        lambda: total(running.get("/metrics").body, "shop_requests_total") >= running.measured, what="counted"
    )
    metrics = running.from_each("/metrics", workers)
    for answer in metrics.values():
        assert total(answer.body, "http_requests_total", HELLO, 'status="200"') == n
        assert total(answer.body, "http_request_duration_seconds_count", HELLO) == n
        assert total(answer.body, "http_request_duration_seconds_bucket", HELLO, 'le="+Inf"') == n
        assert total(answer.body, "shop_requests_total") == running.measured
        assert total(answer.body, "sold_total", 'what="apple"') == 2 * n
        assert total(answer.body, "latency_seconds_sum") == n / 4
        assert total(answer.body, "latency_seconds_bucket", 'le="0.25"') == n
        assert total(answer.body, "latency_seconds_bucket", 'le="0.1"') == 0
        assert total(answer.body, "shop_cache_hits") == n
        rate = total(answer.body, "shop_cache_hit_rate")
        assert rate == 100 if n else math.isnan(rate)
        assert total(answer.body, "shop_db_queries_total") == n
        assert total(answer.body, "http_requests_in_flight") == 0
    for path, part in (("/stats", ()), ("/monitor", ("metrics",))):
        for answer in running.from_each(path, workers).values():
            body = answer.json
            for key in part:
                body = body[key]
            assert body["requests"]["total"] == running.measured
            assert body["requests"]["failed"] == 0
            assert body["requests"]["in_flight"] == 0
            assert body["database"]["queries_total"] == n
            if path == "/stats":
                assert body["cache"] == {"hits": n, "misses": 0, "hit_rate": 100.0 if n else None}
    for answer in running.from_each("/polling", workers).values():
        assert answer.json["metrics"]["cache_hit_rate"] == (100.0 if n else None)
        assert answer.json["metrics"]["requests_in_flight"] == 0
    return set(metrics)


@pytest.mark.parametrize("server", SERVERS)
def test_every_worker_shows_the_totals_of_all(server: str, tmp_path: Path) -> None:
    with served(server, tmp_path) as running:
        directories = {a.json["directory"] for a in running.from_each("/who", 3).values()}
        assert len(directories) == 1
        check(running, 0)
        assert len(running.load(N)) > 1, "one worker did it all"
        workers = check(running, N)
        for answer in running.from_each("/snapshot", 3).values():
            # It counts itself among those in flight, but not yet among the answered.
            assert answer.json["total"] <= running.measured
        for answer in running.from_each("/metrics", 3).values():
            shown = {
                int(line.partition('pid="')[2].partition('"')[0])
                for line in answer.body.decode().splitlines()
                if line.startswith("process_resident_memory_bytes{")
            }
            assert shown >= workers
        directory = Path(directories.pop())
        assert directory.parent.parent == tmp_path / "run"
        assert directory.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in segments(directory)} == {0o600}


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn-preload", "granian", "hypercorn"])
def test_requests_in_flight_are_those_of_all_workers(server: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with served(server, tmp_path) as running, ThreadPoolExecutor(12) as pool:
        slow = [pool.submit(running.get, f"/slow?until={gate}") for _ in range(12)]
        try:

            def shown() -> set[tuple[int, float, int]]:
                return {
                    (
                        running.get("/polling").json["metrics"]["requests_in_flight"],
                        total(running.get("/metrics").body, "http_requests_in_flight"),
                        running.get("/stats").json["requests"]["in_flight"],
                    )
                    for _ in range(8)
                }

            until(lambda: shown() == {(12, 12.0, 12)}, what="twelve everywhere")
        finally:
            gate.touch()
        assert {future.result().status for future in slow} == {200}
        until(lambda: shown() == {(0, 0.0, 0)}, what="none anywhere")


@pytest.mark.parametrize("server", REPLACING)
def test_a_killed_workers_numbers_stay_and_the_next_ones_go_on(server: str, tmp_path: Path) -> None:
    with served(server, tmp_path) as running:
        running.load(N)
        before = check(running, N)
        # Some servers send the request that comes meanwhile to nobody: only the endpoints are asked.
        victim = min(before)
        running.kill(victim)

        def replaced() -> bool:
            try:
                answers = running.from_each("/metrics", 3, tries=5)
            except (OSError, AssertionError):
                return False
            for answer in answers.values():
                assert total(answer.body, "http_requests_total", HELLO) == N, "the totals went backwards"
            return len(answers.keys() - {victim}) >= 3

        running.wait_for(replaced, what="another worker")
        after = check(running, N)
        assert victim not in after
        running.load(N)
        check(running, 2 * N)
        for answer in running.from_each("/metrics", 3).values():
            shown = total(answer.body, "process_resident_memory_bytes", f'pid="{victim}"')
            assert shown == 0, "a dead worker has no memory"


def test_a_worker_that_is_asked_to_end_leaves_its_numbers(tmp_path: Path) -> None:
    with served("gunicorn", tmp_path) as running:
        running.load(N)
        before = check(running, N)
        os.kill(running.process.pid, signal.SIGHUP)  # all workers anew, gracefully

        def renewed() -> bool:
            try:
                return not running.from_each("/metrics", 3, tries=5).keys() & before
            except (OSError, AssertionError):
                return False

        running.wait_for(renewed, what="new workers")
        check(running, N)


def test_workers_that_are_recycled_leave_only_their_numbers(tmp_path: Path) -> None:
    command = [*COMMANDS["gunicorn"](0, 2), "--max-requests", "8", "--bind", "127.0.0.1:PORT"]
    command = [word for word in command if word not in ("-b", "127.0.0.1:0")]
    with served("gunicorn", tmp_path, workers=2, command=command) as running:
        seen, unanswered = set(), 0
        for _ in range(120):
            try:
                seen.add(running.get("/hello").worker)
            except (OSError, http.client.HTTPException):  # it went to a worker that was leaving
                unanswered += 1
        assert len(seen) > 6, "they were recycled"
        assert unanswered < 50
        directory = Path(running.get("/who").json["directory"])

        def shown() -> float:
            return total(running.get("/metrics").body, "http_requests_total", HELLO, 'status="200"')

        running.wait_for(lambda: 120 - unanswered <= shown() <= 120, what="all of them counted")
        running.wait_for(lambda: len(segments(directory)) <= 4, what="tidied up")
        assert len(list(directory.iterdir())) <= 4 + 3  # control, fold.lock, leases


def test_two_applications_never_mix(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (
        served("uvicorn", tmp_path / "one", workers=2, home=home) as one,
        served("uvicorn", tmp_path / "two", workers=2, home=home) as two,
        served("gunicorn", tmp_path / "three", workers=2, home=home) as three,
    ):
        one.load(30)
        two.load(50)
        three.load(70)
        check(one, 30, workers=2)
        check(two, 50, workers=2)
        check(three, 70, workers=2)
        assert len({s.get("/who").json["directory"] for s in (one, two, three)}) == 3


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_application_begins_anew_and_leaves_nothing(tmp_path: Path, how: signal.Signals) -> None:
    home = tmp_path / "home"
    with served("uvicorn", tmp_path / "one", workers=2, home=home) as running:
        running.load(40)
        check(running, 40, workers=2)
        directory = Path(running.get("/who").json["directory"])
        workers = running.from_each("/metrics", 2)
        if how == signal.SIGKILL:
            for pid in (running.process.pid, *workers):
                os.kill(pid, how)
    with served("uvicorn", tmp_path / "two", workers=2, home=home) as running:
        check(running, 0, workers=2)
        assert not directory.exists()
        assert len(list((home / f"ferrometer-{os.getuid()}").iterdir())) == 1


NAMED: dict[str, tuple[str, dict[str, str]]] = {
    "an argument": (APP.replace("namespace=", "shared='{}', namespace="), {}),
    "the environment": (APP, {"FERROMETER_DIR": "{}"}),
    "the switch": (APP, {"FERROMETER_SHARED": "{}"}),
    "prometheus_client's variable": (APP, {"PROMETHEUS_MULTIPROC_DIR": "{}"}),
    "an argument before the environment": (
        APP.replace("namespace=", "shared='{}', namespace="),
        {"FERROMETER_SHARED": "/nowhere"},
    ),
}


@pytest.mark.parametrize(("source", "environment"), NAMED.values(), ids=NAMED)
def test_a_named_directory_goes_on_where_it_was(
    tmp_path: Path, source: str, environment: dict[str, str]
) -> None:
    directory = tmp_path / "named"
    for n in (1, 2):
        with served(
            "uvicorn",
            tmp_path / f"{n}",
            workers=2,
            source=source.replace("{}", str(directory)),
            env={name: value.replace("{}", str(directory)) for name, value in environment.items()},
        ) as running:
            running.load(40)

            def seen() -> set[float]:
                answers = running.from_each("/metrics", 2)
                return {total(answer.body, "http_requests_total", HELLO) for answer in answers.values()}

            running.wait_for(lambda n=n: seen() == {40.0 * n}, what="counted")  # type: ignore[misc]
            assert Path(running.get("/who").json["directory"]).is_relative_to(directory)
    assert len(segments(directory)) == 3, "the graveyard, and those that died last"


def test_a_configuration_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[metrics]\nshared = "{tmp_path / "named"}"\n')
    with served("uvicorn", tmp_path, workers=2) as running:
        assert running.get("/who").json["directory"] == str(tmp_path / "named")
        running.load(40)
        check(running, 40, workers=2)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_switched_off_each_worker_is_alone(tmp_path: Path, how: str) -> None:
    source = APP.replace("namespace=", "shared=False, namespace=") if how == "argument" else APP
    environment = {"FERROMETER_SHARED": "off"} if how == "environment" else {}
    with served("uvicorn", tmp_path, workers=2, source=source, env=environment) as running:
        running.from_each("/who", 2)
        answers = running.from_each("/metrics", 2)
        shown = [total(answer.body, "shop_requests_total") for answer in answers.values()]
        assert max(shown) < running.measured
        assert segments(tmp_path) == []


def test_one_process_keeps_its_numbers_in_private_memory(tmp_path: Path) -> None:
    for options in ([], ["--reload"]):
        command = [sys.executable, "-m", "uvicorn", "served:app", "--port", "PORT", *options]
        with served("uvicorn", tmp_path, command=command) as running:
            running.load(20)
            check(running, 20, workers=1)
            assert segments(tmp_path) == []


BY_HAND = """
import os
import ferrometer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

class SayWho:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        async def named(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-worker", str(os.getpid()).encode())]
            await send(message)
        await self.app(scope, receive, named)

async def hello(request):
    return PlainTextResponse("hello")

measured = ferrometer.MetricsMiddleware(
    Starlette(routes=[Route("/hello", hello), Route("/who", hello)]), namespace="shop"
)
endpoints = ferrometer.observability_app(metrics=measured.metrics)

async def both(scope, receive, send):
    await (measured if scope.get("path") in ("/hello", "/who") else endpoints)(scope, receive, send)

app = SayWho(both)
"""


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn-preload"])
def test_without_instrument(server: str, tmp_path: Path) -> None:
    with served(server, tmp_path, workers=3, source=BY_HAND) as running:
        running.from_each("/who", 3)
        running.load(60)

        def shown() -> set[float]:
            answers = running.from_each("/metrics", 3).values()
            return {total(answer.body, "http_requests_total", HELLO) for answer in answers}

        running.wait_for(lambda: shown() == {60.0}, what="the total everywhere")
        for answer in running.from_each("/stats", 3).values():
            assert answer.json["requests"]["total"] == running.measured
