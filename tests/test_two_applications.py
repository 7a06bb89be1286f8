"""Several applications in a process, each with its namespace: none tells the requests of another."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import Response
from starlette.testclient import TestClient

from ferrometer import CollectorRegistry, instrument, serve_metrics


@pytest.mark.parametrize("late", [False, True])
def test_two_namespaces_in_one_registry_tell_their_own_requests(late: bool) -> None:
    """The families without a namespace tell those of all applications."""
    registry = CollectorRegistry()
    seen: list[dict[str, Any]] = []

    def made(namespace: str | None) -> Any:
        app = FastAPI()
        watched = instrument(app, namespace=namespace, registry=registry, default_collectors=False)

        @app.get("/x")
        async def x(status: int = 200) -> Response:
            seen.append(watched.stats.polling() | {"namespace": namespace})
            return Response(status_code=status)

        return app

    def value(name: str) -> Any:
        return registry.get_sample_value(name)

    def told(client: TestClient, namespace: str) -> tuple[Any, ...]:
        stats = client.get("/stats").json()["requests"]
        assert stats == client.get("/monitor").json()["metrics"]["requests"]
        names = ("requests_total", "requests_failed", "request_duration_milliseconds_count")
        scraped = tuple(value(f"{namespace}_{name}") for name in names)
        assert scraped == (stats["total"], stats["failed"], stats["total"])
        assert value(f"{namespace}_request_success_rate") == stats["success_rate"]
        assert (value(f"{namespace}_requests_in_flight"), stats["in_flight"]) == (0, 0)
        assert 0 < stats["duration"]["p50_ms"] < 10_000
        return scraped

    with ExitStack() as stack:

        def client(namespace: str | None) -> TestClient:
            return stack.enter_context(TestClient(made(namespace)))

        one = client("one")
        if not late:
            two, none = client("two"), client(None)
        for _ in range(3):
            one.get("/x")
        if late:  # what one counted before the others came is its own
            two, none = client("two"), client(None)
        for status in (200, 503, 500, 200, 404):
            two.get(f"/x?status={status}")
        for _ in range(4):
            none.get("/x")
        one.get("/x")
        assert told(one, "one") == (4, 0, 4)
        assert told(two, "two") == (5, 2, 5)
        total = sum(
            sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "http_requests_total"
        )
        assert total == 13
        flying = {(told["namespace"], told["requests_in_flight"]) for told in seen}
        assert flying == {("one", 1), ("two", 1), (None, 1)}
        again = client("one")
        again.get("/x")
        assert told(again, "one") == (5, 0, 5)  # the same namespace is the same application


@pytest.mark.skipif(sys.platform != "linux", reason="metrics are shared on Linux only")
def test_two_namespaces_on_a_port_of_their_own() -> None:
    registry = CollectorRegistry()
    servers = []
    with ExitStack() as stack:
        for namespace, times in (("one", 3), ("two", 5)):
            app = FastAPI()
            watched = instrument(app, namespace=namespace, registry=registry, default_collectors=False)
            servers.append(stack.enter_context(serve_metrics(0, registry=registry, stats=watched.stats)))
            client = stack.enter_context(TestClient(app))
            for _ in range(times):
                client.get("/nowhere")
        for server, times in zip(servers, (3, 5), strict=True):
            with urllib.request.urlopen(f"{server.url}/stats", timeout=20) as answer:
                assert json.load(answer)["requests"]["total"] == times
            with urllib.request.urlopen(f"{server.url}/metrics", timeout=20) as answer:
                text = answer.read().decode()
            assert "one_requests_total 3" in text
            assert "two_requests_total 5" in text


WORKER = """
import sys, ferrometer
from fastapi import FastAPI
from starlette.testclient import TestClient

ferrometer.share(sys.argv[1])
clients = {}
for namespace in ("one", "two"):
    app = FastAPI()
    ferrometer.instrument(app, namespace=namespace, default_collectors=False)
    clients[namespace] = TestClient(app)
for line in sys.stdin:
    namespace, times = line.split()
    for _ in range(int(times)):
        clients[namespace].get("/nowhere")
    print("done", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="metrics are shared on Linux only")
def test_two_namespaces_in_several_workers_and_the_sidecar(tmp_path: Path) -> None:
    from ferrometer.serving import serve_directory

    folder = tmp_path / "metrics"
    folder.mkdir(mode=0o700)
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(folder)]
    with ExitStack() as stack:
        for orders in (("one 3", "two 5"), ("two 7",)):
            worker = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(worker.kill)
            assert worker.stdin is not None
            assert worker.stdout is not None
            for order in orders:
                worker.stdin.write(order + "\n")
                worker.stdin.flush()
                assert worker.stdout.readline() == "done\n"
        for namespace, times in (("one", 3), ("two", 12)):
            with serve_directory(folder, 0, namespace=namespace) as sidecar:
                with urllib.request.urlopen(f"{sidecar.url}/stats", timeout=20) as answer:
                    assert json.load(answer)["requests"]["total"] == times
                with urllib.request.urlopen(f"{sidecar.url}/metrics", timeout=20) as answer:
                    assert f"{namespace}_requests_total {times}" in answer.read().decode()
