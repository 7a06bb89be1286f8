"""Programs that reach into prometheus_client's insides: what they do happens, or raises (BX15)."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

WAYS = ("plain", "accelerated", "word")

PRELUDE = """
import sys, warnings
way = {way!r}
if way == "accelerated":
    import ferrometer
    ferrometer.accelerate()
if way == "word":
    import ferrometer as lib, ferrometer.metrics
else:
    import prometheus_client as lib, prometheus_client.metrics
def lines(registry, prefix=""):
    text = lib.generate_latest(registry).decode()
    told = [l for l in text.splitlines() if l[:1] != "#" and "_created" not in l]
    return [l for l in told if l.startswith(prefix) and not l.startswith("ferrometer_")]
"""


def said(code: str, way: str = "word", **environment: str) -> str:
    """What a fresh process with this code prints."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FERROMETER_")}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE.format(way=way) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**plain, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def same_in_all_ways(code: str, expected: str) -> None:
    for way in WAYS:
        assert said(code, way).strip() == textwrap.dedent(expected).strip(), way


def test_the_type_of_a_metric_is_its_class() -> None:
    same_in_all_ways(
        """
        kinds = {lib.Counter: "c", lib.Gauge: "g", lib.Histogram: "h", lib.Summary: "s"}
        print(type(lib.Gauge("a", "d")) is lib.Gauge, kinds[type(lib.Histogram("b", "d"))])
        print(type(lib.CollectorRegistry()) is lib.CollectorRegistry)
        print(isinstance(lib.Counter("c", "d"), lib.Counter), isinstance(lib.Counter("e", "d"), lib.Gauge))
        """,
        """
        True h
        True
        True False
        """,
    )


def test_classes_of_before_find_metrics_of_now() -> None:
    code = """
    from prometheus_client import Counter as Before, Gauge
    old = Gauge("old", "d")
    import ferrometer
    ferrometer.accelerate()
    from prometheus_client import Counter as Now, generate_latest, REGISTRY
    new = Before("new", "d")
    print(type(new) is Now, {Before: 1}[type(new)], {Now: 2}[type(Now("n", "d"))], {Now: 3}[Before])
    print(isinstance(old, Gauge), isinstance(new, Before), issubclass(Now, Before), issubclass(Before, Now))
    class Mine(Now):
        def inc(self, amount=1):
            Now.inc(self, 2 * amount)
    mine = Mine("mine", "d")
    mine.inc()
    Now.inc(mine)
    Now.inc(new, 4)
    print([l for l in generate_latest(REGISTRY).decode().splitlines() if l.startswith(("mine_t", "new_t"))])
    ferrometer.deaccelerate()
    print(type(Now("after", "d")) is Before, sys.modules["prometheus_client"].Counter is Before)
    """
    assert said(code, "plain").splitlines() == [
        "True 1 2 3",
        "True True True True",
        "['new_total 4.0', 'mine_total 3.0']",
        "True True",
    ]


def test_the_default_registry_is_emptied_by_its_dicts() -> None:
    same_in_all_ways(
        """
        def define(labels):
            counter = lib.Counter("orders", "Orders", labels)
            (counter.labels("x") if labels else counter).inc()
        for labels in ([], [], ["k"]):
            define(labels)
            print(lines(lib.REGISTRY, "orders"))
            lib.REGISTRY._collector_to_names.clear()
            lib.REGISTRY._names_to_collectors.clear()
            print(lines(lib.REGISTRY))
        """,
        """
        ['orders_total 1.0']
        []
        ['orders_total 1.0']
        []
        ['orders_total{k="x"} 1.0']
        []
        """,
    )


def test_the_dicts_are_saved_and_restored() -> None:
    same_in_all_ways(
        """
        registry = lib.CollectorRegistry()
        kept = lib.Counter("kept", "d", registry=registry)
        kept.inc(3)
        collectors, names = registry._collector_to_names.copy(), registry._names_to_collectors.copy()
        lib.Gauge("test_only", "d", registry=registry)
        registry._collector_to_names, registry._names_to_collectors = collectors, names
        known = registry._names_to_collectors
        print(lines(registry), sorted(known), "test_only" in known)
        registry._collector_to_names = {}
        registry._names_to_collectors = {}
        print(lines(registry), len(registry._collector_to_names))
        registry._collector_to_names.update(collectors)
        registry._names_to_collectors.update(names)
        kept.inc()
        print(lines(registry), list(registry._collector_to_names) == [kept])
        del registry._names_to_collectors["kept"], registry._names_to_collectors["kept_total"]
        registry._names_to_collectors.pop("kept_created")
        print(lines(registry))
        registry._collector_to_names.pop(kept)
        print(lines(registry))
        """,
        """
        ['kept_total 3.0'] ['kept', 'kept_created', 'kept_total'] False
        [] 0
        ['kept_total 4.0'] True
        ['kept_total 4.0']
        []
        """,
    )


def test_children_are_pruned_and_values_begin_anew() -> None:
    same_in_all_ways(
        """
        registry = lib.CollectorRegistry()
        gauge = lib.Gauge("pod_bytes", "d", ["pod"], registry=registry)
        for pod in "abcd":
            gauge.labels(pod).set(1)
        with gauge._lock:
            del gauge._metrics[("a",)]
        print(gauge._metrics.pop(("b",)) is not None, gauge._metrics.pop(("b",), None), len(gauge._metrics))
        for values in list(gauge._metrics.keys()):
            if values == ("c",):
                del gauge._metrics[values]
        print(lines(registry), ("d",) in gauge._metrics, ("c",) in gauge._metrics)
        try:
            del gauge._metrics[("a",)]
        except KeyError as error:
            print("KeyError", error)
        gauge._metrics.clear()
        print(lines(registry))
        gauge.labels("a").inc(2)
        print(lines(registry))
        counter = lib.Counter("c", "d", registry=registry)
        histogram = lib.Histogram("h", "d", registry=registry, buckets=(1,))
        summary = lib.Summary("s", "d", registry=registry)
        counter.inc(4), histogram.observe(3), summary.observe(2), gauge.labels("a")._metric_init()
        counter._metric_init(), histogram._metric_init(), summary._metric_init()
        histogram.observe(0.5)
        print(lines(registry))
        """,
        """
        True None 2
        ['pod_bytes{pod="d"} 1.0'] True False
        KeyError ('a',)
        []
        ['pod_bytes{pod="a"} 2.0']
        ['pod_bytes{pod="a"} 0.0', 'c_total 0.0', 'h_bucket{le="1.0"} 1.0', 'h_bucket{le="+Inf"} 1.0', \
'h_count 1.0', 'h_sum 0.5', 's_count 0.0', 's_sum 0.0']
        """.replace("\\\n", ""),
    )


def test_what_cannot_be_set_raises() -> None:
    code = """
    registry = lib.CollectorRegistry()
    gauge = lib.Gauge("g", "d", ["a"], registry=registry)
    histogram = lib.Histogram("h", "d", registry=registry)
    summary = lib.Summary("s", "d", registry=registry)
    child = gauge.labels("x")
    gauge._metrics[("x",)] = child  # it is there
    for attempt in (
        lambda: histogram._sum.set(0),
        lambda: histogram._buckets[0].set(0),
        lambda: histogram._buckets[0].inc(1),
        lambda: summary._count.set(0),
        lambda: gauge._metrics.__setitem__(("y",), child),
        lambda: setattr(histogram, "_name", "other"),
    ):
        try:
            attempt()
        except (AttributeError, TypeError) as error:
            print(type(error).__name__)
        else:
            print("seems to act")
    """
    for way in ("accelerated", "word"):
        assert "seems" not in said(code, way)


def test_the_flag_of_created_series_is_read_when_used() -> None:
    same_in_all_ways(
        """
        module = sys.modules[lib.__name__ + ".metrics"]
        registry = lib.CollectorRegistry()
        lib.Counter("c", "d", registry=registry), lib.Histogram("h", "d", registry=registry)
        def shown():
            return "_created" in lib.generate_latest(registry).decode()
        print(shown())
        module._use_created = False
        print(shown(), registry.get_sample_value("c_created"))
        module._use_created = True
        print(shown())
        lib.disable_created_metrics()
        print(shown(), module._use_created)
        """,
        """
        True
        False None
        True
        False False
        """,
    )


def test_other_flags_of_modules_are_read_when_used() -> None:
    same_in_all_ways(
        """
        from importlib import import_module
        def module(name): return import_module(f"{lib.__name__}.{name}")
        def made(name, label="x"):
            try:
                lib.Counter(name, "h", [label], registry=lib.CollectorRegistry())
            except ValueError as error:
                return "refused"
            return "made"
        validation = module("validation")
        def names(): return made("a.b"), made("ab", "x.y"), validation.get_legacy_validation()
        print(*names())
        validation._legacy_validation = True
        print(*names())
        validation._legacy_validation = False
        print(*names())
        validation.enable_legacy_validation()
        print(*names(), validation._legacy_validation)
        validation.disable_legacy_validation()
        print(*names(), validation._legacy_validation)
        core = module("metrics_core")
        core.METRIC_TYPES += ("ours",)
        print(core.Metric("a", "b", "ours").type)
        lib.Histogram.DEFAULT_BUCKETS = (1, 2)  # bound where the class was made, in both libraries
        print(len(lib.Histogram("h", "h", registry=lib.CollectorRegistry())._upper_bounds))
        """,
        """
        made made False
        refused refused True
        made made False
        refused refused True True
        made made False False
        ours
        15
        """,
    )


def test_exemplars_have_the_time_that_python_tells() -> None:
    same_in_all_ways(
        """
        import time, importlib
        registry = lib.CollectorRegistry()
        counter = lib.Counter("c", "d", registry=registry)
        histogram = lib.Histogram("h", "d", registry=registry)
        time.time = lambda: 1234.5
        counter.inc(exemplar={"trace_id": "a"})
        histogram.observe(1, exemplar={"trace_id": "a"})
        module = importlib.import_module(lib.__name__ + ".openmetrics.exposition")
        print(module.generate_latest(registry).decode().count("# {trace_id=\\"a\\"} 1.0 1234.5"))
        """,
        "2",
    )


@pytest.mark.parametrize("way", ["accelerated", "word"])
def test_a_directory_that_is_named_after_the_import(tmp_path: Path, way: str) -> None:
    code = f"""
    import os, importlib
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = {str(tmp_path)!r}
    lib.Counter("c", "d").inc(2)
    multiprocess = importlib.import_module(lib.__name__ + ".multiprocess")
    registry = lib.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    print(lines(registry))
    """
    assert said(code, way) == "['c_total 2.0']\n"
    assert list((tmp_path / "ferrometer").iterdir())


def test_a_value_class_of_several_processes_without_a_directory_warns() -> None:
    code = """
    import prometheus_client.values as values
    values.ValueClass = values.MultiProcessValue(lambda: 7)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lib.Counter("c", "d")
        lib.Counter("e", "d")
    print([str(w.message)[:61] for w in caught])
    """
    assert said(code) == "['prometheus_client.values.ValueClass is that of several proces']\n"


def test_gauges_of_a_private_registry_have_no_pid(tmp_path: Path) -> None:
    same = """
    registry = lib.CollectorRegistry()
    lib.Gauge("g", "d", registry=registry).set(3)
    lib.Gauge("by", "d", ["pid"], registry=registry).labels("mine").set(4)
    lib.Counter("c", "d", registry=registry).inc()
    print(lines(registry), registry.get_sample_value("g"))
    """
    for way in WAYS:
        directory = tmp_path / way
        directory.mkdir()
        printed = said(same, way, PROMETHEUS_MULTIPROC_DIR=str(directory))
        assert printed == "['g 3.0', 'by{pid=\"mine\"} 4.0', 'c_total 1.0'] 3.0\n", way


@pytest.mark.parametrize("way", ["accelerated", "word"])
def test_a_registry_with_the_collector_of_processes_shows_its_metrics_once(tmp_path: Path, way: str) -> None:
    code = """
    import importlib
    multiprocess = importlib.import_module(lib.__name__ + ".multiprocess")
    registry = lib.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    lib.Counter("c", "d", registry=registry).inc()
    lib.Gauge("by", "d", ["pid"], registry=registry).labels("mine").set(4)
    names = [f.name for f in registry.collect() if not f.name.startswith('ferrometer_')]
    print(lines(registry), names)
    """
    printed = said(code, way, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert printed == "['c_total 1.0', 'by{pid=\"mine\"} 4.0'] ['c', 'by']\n"


def test_a_type_of_metric_made_by_a_program() -> None:
    same_in_all_ways(
        """
        from prometheus_client.samples import Sample
        Base = sys.modules[lib.__name__ + ".metrics"].MetricWrapperBase
        class Latest(Base):
            _type = "gauge"
            def _metric_init(self):
                self._held = 0.0
            def set(self, value):
                self._held = value
            def _child_samples(self):
                return (Sample("", {}, self._held, None, None),)
        registry = lib.CollectorRegistry()
        plain, labelled = Latest("a", "d", registry=registry), Latest("b", "d", ["k"], registry=registry)
        plain.set(3)
        labelled.labels("x").set(4)
        labelled.labels(k="y").set(5)
        labelled.remove("x")
        class Twice(Latest):
            def set(self, value):
                super().set(2 * value)
        Twice("in_default", "d").set(6)
        print(lines(registry), isinstance(plain, Base), lines(lib.REGISTRY, "in_default"))
        """,
        "['a 3.0', 'b{k=\"y\"} 5.0'] True ['in_default 12.0']",
    )


@pytest.mark.parametrize("order", ["accelerate first", "instrument first"])
def test_the_metrics_of_an_accelerated_program_are_on_our_page(order: str) -> None:
    code = f"""
    import ferrometer
    from fastapi import FastAPI
    from starlette.testclient import TestClient
    app = FastAPI()
    first = {order == "accelerate first"}
    if first:
        ferrometer.accelerate()
    before = lib.Counter("before", "d")
    before.inc()
    ferrometer.instrument(app)
    ferrometer.accelerate()
    lib.Counter("my_orders", "mine").inc()
    gone = lib.Counter("gone", "d")
    lib.REGISTRY.unregister(gone)
    class Own:
        def collect(self):
            yield sys.modules["prometheus_client"].metrics_core.GaugeMetricFamily("own", "d", value=4)
    lib.REGISTRY.register(Own())
    clash = lib.Counter("http_requests", "of the program")
    with TestClient(app) as client:
        text = client.get("/metrics").text
    for name in ("before_total 1.0", "my_orders_total 1.0", "own 4.0", "gone_total 0.0"):
        print(name, chr(10) + name + chr(10) in text)
    print(text.count("# TYPE python_info "), text.count("# TYPE http_requests_total "))
    print(lines(lib.REGISTRY, "http_requests_total"))
    """
    assert said(code, "plain").splitlines() == [
        "before_total 1.0 True",
        "my_orders_total 1.0 True",
        "own 4.0 True",
        "gone_total 0.0 False",
        "1 1",
        "['http_requests_total 0.0']",
    ]


def test_every_name_can_be_had_after_instrument() -> None:
    code = """
    from fastapi import FastAPI
    lib.instrument(FastAPI())
    from ferrometer import *
    print(GC_COLLECTOR, PROCESS_COLLECTOR.__class__.__name__)
    lib.REGISTRY.unregister(GC_COLLECTOR)  # it is not in, since ours is
    print(lib.generate_latest().decode().count("# TYPE python_gc_objects_collected_total "))
    """
    first, last = said(code).splitlines()
    assert "GCCollector" in first
    assert last == "1"


@pytest.mark.parametrize(
    "name", ["asgi", "exposition", "gc_collector", "bridge.graphite", "multiprocess", "core"]
)
def test_a_module_of_the_drop_in_can_be_the_first_that_is_imported(name: str) -> None:
    command = [sys.executable, "-c", f"import ferrometer.{name}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_a_program_started_by_another_sitecustomize(tmp_path: Path) -> None:
    """As opentelemetry-instrument does: it puts a folder of its own first and becomes the program."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("print('instrumented')")
    starter = tmp_path / "starter.py"
    starter.write_text(
        "import os, sys\n"
        f"os.environ['PYTHONPATH'] = {str(theirs)!r} + os.pathsep + os.environ['PYTHONPATH']\n"
        "os.execl(sys.executable, sys.executable, *sys.argv[1:])\n"
    )
    program = tmp_path / "program.py"
    program.write_text(
        "import prometheus_client as p; print(type(p.Counter('c', 'd')).__mro__[2].__module__)"
    )
    command = [sys.executable, "-m", "ferrometer", "run", "--", sys.executable, str(starter), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["instrumented", "ferrometer.metrics"], done.stderr
