"""The word prometheus_client replaced by the word ferrometer: the program does the same."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import prometheus_client
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

import ferrometer
from ferrometer import _core

SUBMODULES = [
    module.name.removeprefix("prometheus_client.")
    for module in pkgutil.walk_packages(prometheus_client.__path__, "prometheus_client.")
]
#: Made for a package that is not among ours.
OPTIONAL = {"aiohttp", "django", "twisted"}
#: Type variables, and a decorator's helper.
NOT_NAMES = {"T", "F", "decorate"}
#: Data: one class under both names, so that samples of either compare equal.
SHARED = [
    "metrics_core",
    "samples",
    "utils",
    "validation",
    "values",
    "mmap_dict",
    "parser",
    "openmetrics.parser",
]

PROGRAM = """
import random, sys, tempfile, urllib.request
from prometheus_client import (
    CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Metric, REGISTRY, Summary, generate_latest,
    start_http_server, write_to_textfile,
)
from prometheus_client.core import GaugeMetricFamily, CounterMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
import prometheus_client.exposition

class Queue(Collector):
    def collect(self):
        yield GaugeMetricFamily("queue_length", "Waiting", value=3)
        family = CounterMetricFamily("queue_served", "Served", labels=["queue"])
        family.add_metric(["a"], 5)
        yield family

requests = Counter("requests_total", "Requests", ["method"], namespace="shop")
requests.labels("GET").inc(2, exemplar={"trace_id": "abc"})
seconds = Histogram("seconds", "Latency", unit="seconds", buckets=(0.1, 1))
seconds.observe(0.5)
Summary("bytes", "Size").observe(5)
Info("build", "Build").info({"version": "1"})
Enum("state", "State", states=["up", "down"]).state("down")
level = Gauge("level", "Level", multiprocess_mode="mostrecent")
level.set_function(lambda: 7)

@seconds.time()
def work():
    pass

work()
REGISTRY.register(Queue())
server, thread = start_http_server(0, addr="127.0.0.1")
url = f"http://127.0.0.1:{server.server_port}/metrics"
ask = urllib.request.Request(url, headers={"Accept": CONTENT_TYPE_LATEST})
answers = [urllib.request.urlopen(url).read().decode(), urllib.request.urlopen(ask).read().decode()]
server.shutdown()
with tempfile.NamedTemporaryFile() as file:
    write_to_textfile(file.name, REGISTRY)
    answers.append(open(file.name).read())
parsers = text_string_to_metric_families, parse_openmetrics, text_string_to_metric_families
for text, parse in zip(answers, parsers):
    print("---")
    for family in sorted(parse(text), key=lambda family: family.name):
        print(family.name, family.type, family.documentation, family.unit)
        for sample in family.samples:
            moving = sample.name.endswith(("_created", "_sum"))
            moving |= sample.name.startswith(("process_", "python_gc"))
            value = "moving" if moving else sample.value
            exemplar = sample.exemplar and (sample.exemplar.labels, sample.exemplar.value)
            print(" ", sample.name, sorted(sample.labels.items()), value, exemplar)
"""


@pytest.mark.parametrize("name", prometheus_client.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert name in ferrometer.__all__
    ours, theirs = getattr(ferrometer, name), getattr(prometheus_client, name)
    assert callable(ours) == callable(theirs)
    assert isinstance(ours, type) == isinstance(theirs, type)


@pytest.mark.parametrize("name", SUBMODULES)
def test_every_submodule_is_there_with_its_names(name: str) -> None:
    if name.split(".")[0] in OPTIONAL:
        pytest.importorskip(name.split(".")[0])
    ours = importlib.import_module(f"ferrometer.{name}")
    theirs = importlib.import_module(f"prometheus_client.{name}")
    own = [
        each
        for each, value in vars(theirs).items()
        if getattr(value, "__module__", None) == theirs.__name__ and each not in NOT_NAMES
    ]
    assert [each for each in own if not each.startswith("_") and not hasattr(ours, each)] == []


@pytest.mark.parametrize("name", SHARED)
def test_modules_of_data_are_the_same(name: str) -> None:
    theirs = importlib.import_module(f"prometheus_client.{name}")
    assert importlib.import_module(f"ferrometer.{name}") is theirs
    assert theirs.__spec__ is not None
    assert theirs.__spec__.name == f"prometheus_client.{name}"


BOUND = """
import ferrometer, prometheus_client
from ferrometer.bridge.graphite import GraphiteBridge
assert GraphiteBridge(("localhost", 1))._registry is ferrometer.REGISTRY
assert ferrometer.MetricsHandler.registry is ferrometer.REGISTRY
assert ferrometer.PROCESS_COLLECTOR in ferrometer.REGISTRY._collector_to_names
assert prometheus_client.PROCESS_COLLECTOR not in ferrometer.REGISTRY._collector_to_names
print("bound")
"""


def test_what_is_bound_to_a_registry_is_bound_to_ours() -> None:
    """In a process of its own: beside a process collector of one's own, the default one gives way."""
    assert said(BOUND) == "bound\n"


def test_no_such_module_and_no_such_name() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"ferrometer\.nonsense"):
        importlib.import_module("ferrometer.nonsense")
    with pytest.raises(AttributeError, match="nonsense"):
        importlib.import_module("ferrometer.exposition").nonsense  # noqa: B018
    with pytest.raises(AttributeError, match="nonsense"):
        ferrometer.nonsense  # type: ignore[attr-defined]  # noqa: B018


def said(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_with_the_word_replaced_says_the_same() -> None:
    theirs, ours = said(PROGRAM), said(PROGRAM.replace("prometheus_client", "ferrometer"))
    assert ours == theirs
    assert {"process_resident_memory_bytes", "python_gc_objects_collected", "python_info"} <= set(
        re.findall(r"^\w+", ours, flags=re.MULTILINE)
    )


def test_importing_costs_no_prometheus_client() -> None:
    code = "import sys, ferrometer as f; f.Counter('c', 'h').inc(); print('prometheus_client' in sys.modules)"
    assert said(code) == "False\n"


def test_default_collectors_can_be_taken_out_before_the_first_scrape() -> None:
    code = """
from ferrometer import GC_COLLECTOR, PROCESS_COLLECTOR, REGISTRY, generate_latest
REGISTRY.unregister(GC_COLLECTOR)
REGISTRY.unregister(PROCESS_COLLECTOR)
print([line for line in generate_latest().decode().splitlines() if line.startswith("# TYPE")])
for collector in list(REGISTRY._collector_to_names):
    REGISTRY.unregister(collector)
print(generate_latest())
"""
    assert said(code) == "['# TYPE python_info gauge']\nb''\n"


@pytest.mark.parametrize("first", [True, False])
def test_default_collectors_give_way_to_the_applications_own(first: bool) -> None:
    code = f"""
from ferrometer import REGISTRY, Gauge, generate_latest
if {first}:
    generate_latest()
Gauge("process_open_fds", "Mine").set(1)
text = generate_latest().decode()
print(text.count("# TYPE process_open_fds"), "process_open_fds Mine" in text, "process_max_fds" in text)
"""
    assert said(code) == "1 True False\n"


def test_pushing_and_deleting() -> None:
    seen: list[tuple[str, str, str]] = []

    class Gateway(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.command, self.path, body.decode()))
            self.send_response(202)
            self.end_headers()

        do_PUT = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"127.0.0.1:{server.server_port}"
        registry = ferrometer.CollectorRegistry()
        ferrometer.Gauge("g", "h", registry=registry).set(2)
        ferrometer.push_to_gateway(address, job="nightly", registry=registry)
        ferrometer.pushadd_to_gateway(address, job="nightly", registry=registry, grouping_key={"a": "b"})
        ferrometer.delete_from_gateway(address, job="nightly")
        server.shutdown()
    text = "# HELP g h\n# TYPE g gauge\ng 2.0\n"
    assert seen == [
        ("PUT", "/metrics/job/nightly", text),
        ("POST", "/metrics/job/nightly/a/b", text),
        ("DELETE", "/metrics/job/nightly", ""),
    ]


def test_pushing_to_graphite() -> None:
    from ferrometer.bridge.graphite import GraphiteBridge

    registry = ferrometer.CollectorRegistry()
    ferrometer.Gauge("g", "h", ["a"], registry=registry).labels("x y").set(2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        GraphiteBridge(server.getsockname(), registry=registry, _timer=lambda: 99).push("pre.fix")
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1000) == b"pre.fix.g.a.x_y 2.0 99\n"


def test_servers_use_the_native_text() -> None:
    """Negotiation, `name[]` and compression in a server made by prometheus_client's code."""
    registry = ferrometer.CollectorRegistry()
    ferrometer.Counter("c", "h", registry=registry).inc()
    ferrometer.Gauge("g", "h", registry=registry)
    server, thread = ferrometer.start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["Content-Type"] == ferrometer.CONTENT_TYPE_PLAIN_0_0_4
            assert answer.read() == ferrometer.generate_latest(registry)
        with urllib.request.urlopen(f"{url}/?name[]=g") as answer:
            assert answer.read() == b"# HELP g h\n# TYPE g gauge\ng 0.0\n"
        proto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": proto})) as answer:
            assert answer.headers["Content-Type"].startswith("application/vnd.google.protobuf")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# Registries in registries.


class Own:
    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily("own", "h", value=4)]


def values(text: bytes) -> dict[str, float]:
    families = text_string_to_metric_families(text.decode())
    return {s.name: s.value for f in families for s in f.samples if not s.name.endswith("_created")}


def test_ours_in_theirs() -> None:
    ours = ferrometer.CollectorRegistry()
    theirs = prometheus_client.CollectorRegistry(auto_describe=True)
    counter = ferrometer.Counter("c", "h", registry=ours)
    prometheus_client.Gauge("g", "h", registry=theirs).set(2)
    ours.register(Own())
    theirs.register(ours)
    counter.inc(3)
    assert values(prometheus_client.generate_latest(theirs)) == {"c_total": 3, "g": 2, "own": 4}
    assert theirs.get_sample_value("c_total") == 3
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        prometheus_client.Gauge("c", "h", registry=theirs)
    theirs.unregister(ours)
    assert values(prometheus_client.generate_latest(theirs)) == {"g": 2}


def test_theirs_in_ours() -> None:
    ours = ferrometer.CollectorRegistry(auto_describe=True)
    theirs = prometheus_client.CollectorRegistry()
    ferrometer.Counter("c", "h", registry=ours).inc(3)
    gauge = prometheus_client.Gauge("g", "h", registry=theirs)
    ours.register(theirs)
    gauge.set(2)
    assert values(ferrometer.generate_latest(ours)) == {"c_total": 3, "g": 2}
    assert ours.get_sample_value("g") == 2
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        ferrometer.Gauge("g", "h", registry=ours)
    ours.unregister(theirs)
    assert values(ferrometer.generate_latest(ours)) == {"c_total": 3}


@pytest.mark.parametrize("inner", ["ferrometer", "prometheus_client"])
def test_the_default_registries_in_each_other(inner: str) -> None:
    outer = {"ferrometer": "prometheus_client", "prometheus_client": "ferrometer"}[inner]
    code = f"""
import {inner} as inner, {outer} as outer
inner.Counter("c", "h").inc(3)
outer.REGISTRY.register(inner.REGISTRY)
text = outer.generate_latest().decode()
print("c_total 3.0" in text, text.count("# TYPE process_open_fds"), text.count("# TYPE python_info"))
"""
    assert said(code) == "True 1 1\n"


def test_a_metric_of_either_registers_in_the_other() -> None:
    ours, theirs = ferrometer.CollectorRegistry(), prometheus_client.CollectorRegistry()
    ferrometer.Counter("native", "h", registry=theirs).inc(3)
    prometheus_client.Counter("theirs", "h", registry=ours).inc(4)  # type: ignore[arg-type]
    assert values(prometheus_client.generate_latest(theirs)) == {"native_total": 3}
    assert values(ferrometer.generate_latest(ours)) == {"theirs_total": 4}
    assert all(isinstance(metric, _core.Metric) for metric in theirs._collector_to_names)


def test_the_environment_says_whether_created_is_told() -> None:
    code = "import ferrometer as f; f.Counter('c', 'h'); print(b'c_created' in f.generate_latest())"
    for value, told in (("True", "False"), ("1", "False"), ("", "True"), ("no", "True")):
        environment = {**os.environ, "PROMETHEUS_DISABLE_CREATED_SERIES": value}
        command = [sys.executable, "-c", code]
        assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout == f"{told}\n"
