"""Programs that import prometheus_client get native metrics; everything else about them stays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest, make_asgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import DuplicateTimeseries
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette_exporter import PrometheusMiddleware, handle_metrics

import ferrometer
from ferrometer import _core

generate_openmetrics: Any = openmetrics.generate_latest
#: For calls of what has no types.
untyped: Any = prometheus_client

MAKE: list[tuple[Any, dict[str, Any], str, tuple[Any, ...]]] = [
    (prometheus_client.Counter, {}, "inc", (2,)),
    (prometheus_client.Gauge, {}, "set", (3.5,)),
    (prometheus_client.Histogram, {"buckets": [1, 2]}, "observe", (1.5,)),
    (prometheus_client.Summary, {}, "observe", (1.5,)),
    (prometheus_client.Info, {}, "info", ({"version": "1"},)),
    (prometheus_client.Enum, {"states": ["on", "off"]}, "state", ("off",)),
]


@pytest.fixture
def accelerated() -> Iterator[None]:
    with ferrometer.accelerate():
        yield


def record(registry: CollectorRegistry) -> None:
    for kind, further, act, arguments in MAKE:
        metric = kind(kind.__name__.lower(), "help", ["route"], registry=registry, **further)
        getattr(metric.labels("/"), act)(*arguments)
        getattr(metric.labels(route="/b"), act)(*arguments)


def lines(text: bytes) -> set[str]:
    return {line for line in text.decode().splitlines() if "_created" not in line}


def test_the_same_program_says_the_same() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    record(theirs)
    assert not any(isinstance(metric, _core.Metric) for metric in theirs._collector_to_names)
    with ferrometer.accelerate():
        native: Any = CollectorRegistry()
        for registry in (ours, native):
            record(registry)
            assert all(isinstance(metric, _core.Metric) for metric in registry._collector_to_names)
            assert lines(generate_latest(registry)) == lines(generate_latest(theirs))
            assert lines(generate_openmetrics(registry)) == lines(generate_openmetrics(theirs))
        assert type(native) is not type(ours)
        assert isinstance(native, CollectorRegistry)


@pytest.mark.usefixtures("accelerated")
@pytest.mark.parametrize(("kind", "further", "act", "arguments"), MAKE)
def test_a_native_metric_passes_for_prometheus_clients(
    kind: Any, further: dict[str, Any], act: str, arguments: tuple[Any, ...]
) -> None:
    metric = kind("m", "h", ["a"], registry=CollectorRegistry(), **further)
    child = metric.labels("x")
    getattr(child, act)(*arguments)
    for one in (metric, child):
        assert isinstance(one, kind)
        assert isinstance(one, _core.Metric)
        assert repr(one) == f"prometheus_client.metrics.{kind.__name__}(m)"
        assert type(one).__name__ == kind.__name__


@pytest.mark.usefixtures("accelerated")
def test_a_definition_made_twice_is_an_error_as_before() -> None:
    registry = CollectorRegistry()
    prometheus_client.Counter("twice", "h", registry=registry)
    with pytest.raises(DuplicateTimeseries, match="Duplicated timeseries in CollectorRegistry"):
        prometheus_client.Counter("twice", "h", registry=registry)
    with pytest.raises(DuplicateTimeseries):
        registry.register(prometheus_client.Gauge("twice", "h", registry=None))


def test_what_was_made_before_keeps_identity_and_values() -> None:
    registry: Any = prometheus_client.REGISTRY
    old = prometheus_client.Counter("made_before", "h", ["a"])
    child = old.labels("x")
    child.inc(2)
    try:
        with ferrometer.accelerate():
            now: Any = prometheus_client.REGISTRY
            assert now is registry
            assert ferrometer.CollectorRegistry in type(registry).__mro__
            assert registry._names_to_collectors["made_before"] is old
            assert old.labels("x") is child
            child.inc()
            old.labels("y").inc(5)
            assert type(old.labels("y")) is type(old)
            assert type(old) == prometheus_client.Counter  # noqa: E721  # equal; the name is the native one's
            new = prometheus_client.Counter("made_within", "h")
            new.inc(7)
            assert registry._names_to_collectors["made_within"] is new
            within = generate_latest().decode()
        new.inc()
        assert type(registry) is CollectorRegistry
        assert not isinstance(prometheus_client.Counter("made_after", "h"), _core.Metric)
        after = generate_latest().decode()
        with ferrometer.accelerate():
            new.inc()
            again = generate_latest().decode()
    finally:
        for collector in list(registry._collector_to_names):
            if getattr(collector, "_name", "").startswith("made_"):
                registry.unregister(collector)
    for text, count in ((within, 7), (after, 8), (again, 9)):
        assert f"\nmade_within_total {count}.0\n" in text
        assert '\nmade_before_total{a="x"} 3.0\n' in text
        assert '\nmade_before_total{a="y"} 5.0\n' in text
        assert text.count("\npython_info{") == 1


@pytest.mark.usefixtures("accelerated")
def test_subclasses_and_collectors_stay_what_they_are() -> None:
    class Mine(prometheus_client.Counter):
        def __init__(self, name: str, flavour: str = "", **further: Any) -> None:
            self.flavour = flavour
            super().__init__(name, "h", **further)

    class Own:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            yield GaugeMetricFamily("own", "h", value=4)

    registry = CollectorRegistry()
    mine = Mine("mine", "sweet", registry=registry)
    mine.inc()
    registry.register(Own())
    assert mine.flavour == "sweet"
    assert not isinstance(mine, _core.Metric)
    assert {"mine_total 1.0", "own 4.0"} <= lines(generate_latest(registry))
    assert registry.get_sample_value("own") == 4


@pytest.mark.usefixtures("accelerated")
def test_an_app_made_before_serves_native_metrics() -> None:
    registry = CollectorRegistry()
    client = TestClient(make_asgi_app(registry))
    prometheus_client.Gauge("g", "h", registry=registry).set(2)
    prometheus_client.Gauge("other", "h", registry=registry)
    assert "\ng 2.0\n" in client.get("/").text
    asked = client.get("/?name[]=g", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert asked.text == "# HELP g h\n# TYPE g gauge\ng 2.0\n# EOF\n"


def test_the_created_switch_is_prometheus_clients() -> None:
    untyped.disable_created_metrics()
    try:
        with ferrometer.accelerate():
            registry = CollectorRegistry()
            prometheus_client.Counter("c", "h", registry=registry)
            assert b"_created" not in generate_latest(registry)
            untyped.enable_created_metrics()
            assert b"c_created" in generate_latest(registry)
            untyped.disable_created_metrics()
            assert b"_created" not in generate_latest(registry)
    finally:
        untyped.enable_created_metrics()
        ferrometer.enable_created_metrics()


def test_many_threads_while_it_comes_and_goes() -> None:
    registry = CollectorRegistry()
    counter = prometheus_client.Counter("c", "h", ["thread"], registry=registry)
    stop = threading.Event()
    counts = [0] * 4
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                counter.labels(number).inc()
                counts[number] += 1
                generate_latest(registry)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with ferrometer.accelerate():
            prometheus_client.Gauge("g", "h", registry=None).set(1)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    for number, count in enumerate(counts):
        assert registry.get_sample_value("c_total", {"thread": str(number)}) == count


def test_a_directory_that_came_too_late_is_left_to_its_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with pytest.warns(RuntimeWarning, match="does not share its metrics there"):
        ferrometer.accelerate()
    assert not isinstance(prometheus_client.Gauge("g", "h", registry=None), _core.Metric)


async def hello(_: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


def served() -> str:
    """What starlette_exporter tells of three requests to an application of its own."""
    PrometheusMiddleware._metrics.clear()
    app = Starlette(routes=[Route("/hello/{name}", hello), Route("/metrics", handle_metrics)])
    app.add_middleware(PrometheusMiddleware, app_name="shop", group_paths=True, prefix="shop")
    app.router.routes.append(Mount("/raw", make_asgi_app()))
    client = TestClient(app)
    for name in ("a", "b", "c"):
        assert client.get(f"/hello/{name}").status_code == 200
    text = client.get("/metrics").text
    raw = client.get("/raw/").text
    assert 'path="/hello/{name}"' in raw
    return text


def without_times(text: str) -> set[str]:
    return {
        line
        for line in text.splitlines()
        if line.startswith(("shop", "# HELP shop", "# TYPE shop"))
        and not any(part in line for part in ("_seconds_sum", "_created", "_bucket", "/metrics"))
    }


def test_a_library_that_knows_nothing_of_it() -> None:
    registry = prometheus_client.REGISTRY
    known = set(registry._collector_to_names)

    def forget() -> set[Any]:
        new = set(registry._collector_to_names) - known
        for collector in new:
            registry.unregister(collector)
        return new

    before = served()
    assert not any(isinstance(metric, _core.Metric) for metric in forget())
    with ferrometer.accelerate():
        after = served()
        own = [metric for metric in forget() if isinstance(metric, prometheus_client.Counter)]
    PrometheusMiddleware._metrics.clear()
    assert own
    assert all(isinstance(metric, _core.Metric) for metric in own)
    assert without_times(after) == without_times(before)
    assert any(
        line.startswith("shop_requests_total{") and line.endswith(" 3.0") for line in after.splitlines()
    )


PROGRAM = """
import sys
from prometheus_client import REGISTRY, Counter, generate_latest
c = Counter("c", "h")
c.inc()
assert "c_total 1.0" in generate_latest().decode()
print(type(c).__mro__[2].__module__, *sys.argv[1:])
"""


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ferrometer", "run", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_a_program_is_run_with_its_arguments(tmp_path: Path, separator: list[str]) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    done = run(*separator, str(script), "--once", "x")
    assert (done.returncode, done.stdout) == (0, "ferrometer.metrics --once x\n"), done.stderr


def test_a_command_and_its_processes(tmp_path: Path) -> None:
    code = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {PROGRAM!r}]))"
    done = run("--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (0, "ferrometer.metrics\n"), done.stderr


def test_the_sitecustomize_of_others_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('theirs')")
    done = run(sys.executable, "-c", PROGRAM, PYTHONPATH=str(tmp_path))
    assert done.stdout.splitlines()[-2:] == ["theirs", "ferrometer.metrics"], done.stderr


def test_a_command_of_an_environment_that_is_not_activated() -> None:
    done = run("--", Path(sys.executable).name, "-c", "import sys; print(sys.prefix)", PATH="/nowhere")
    assert (done.returncode, done.stdout) == (0, f"{sys.prefix}\n"), done.stderr


def test_a_program_that_is_not_there() -> None:
    done = run("--", "no-such-program")
    assert (done.returncode, done.stderr) == (
        127,
        "ferrometer run: no-such-program: No such file or directory\n",
    )
    assert run().returncode == 2
