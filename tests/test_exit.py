"""The interpreter ends while other threads are in native code that calls Python, or comes back to it.

CPython before 3.14 ends such a thread with `pthread_exit`, which must not unwind native frames: that aborts
the process. Each crossing runs again and again in a daemon thread of a process of its own, in Python code
that waits, while the main thread exits. The last test says that no native function has been forgotten here.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from types import BuiltinFunctionType, GetSetDescriptorType, MethodDescriptorType

import pytest

from ferrometer import _core

PROGRAM = """
import asyncio, itertools, sys, threading, time
import ferrometer
from ferrometer import *
from ferrometer import _core

ready = threading.Event()
registry = CollectorRegistry()

def wait():
    ready.set()
    time.sleep(0.02)

class Text:
    def __init__(self, text="x"): self.text = text
    def __str__(self): wait(); return self.text

class Number:
    def __float__(self): wait(); return 1.5
    def __index__(self): wait(); return 1

class Finalised:
    def __del__(self): wait()
    def __call__(self): return 1.0

async def receive(): return {"type": "http.request", "body": b"", "more_body": False}
async def send(message): pass
SCOPE = {"type": "http", "asgi": {"version": "3.0"}, "method": "GET", "path": "/x", "headers": []}

async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})

def request(app, **scope):
    asyncio.run(_drive(app, {**SCOPE, **scope}))

async def _drive(app, scope):
    await app(scope, receive, send)

@SETUP@

def forever():
    for turn in itertools.count():
        work(turn)

threading.Thread(target=forever, daemon=True).start()
assert ready.wait(60)
time.sleep(0.03)
sys.exit(7)
"""

#: What runs in the thread. `wait()` is Python code that gives up the GIL; what has none to offer says
#: `ready.set()` and comes back from work without the GIL.
CROSSINGS = {
    "a circuit breaker's listener and judge": """
        from ferrometer.breaker import CircuitBreaker, CircuitOpenError
        one = CircuitBreaker("provider", consecutive_failures=1)
        one.listen(lambda *change: wait())
        class Odd(Exception):
            @property
            def status_code(self): wait(); return 500
        def work(turn):
            one.reset()
            try:
                with one.call(): raise Odd
            except (Odd, CircuitOpenError): pass
    """,
    "a job's wait, __float__": """
        kind = _core.JobType("resize")
        def work(turn):
            kind.submitted(Number())
            kind.start("an id", Number()).end("completed")
            _core.running_jobs(60.0)
    """,
    "labels, a label's __str__": """
        family = Counter("c", "help", ["a"], registry=registry)
        def work(turn): family.labels(Text()).inc()
    """,
    "labels by name": """
        family = Counter("c", "help", ["a"], registry=registry)
        def work(turn): family.labels(a=Text()).inc()
    """,
    "labels, a subclass's __init__": """
        class Mine(Counter):
            def _metric_init(self): wait()
        family = Mine("c", "help", ["a"], registry=registry)
        def work(turn): family.labels(str(turn)).inc()
    """,
    "labels, time.time replaced": """
        family = Counter("c", "help", ["a"], registry=registry, max_series=10**6)
        clock = time.time
        def late(): wait(); return clock()
        time.time = late
        def work(turn): family.labels(str(turn)).inc()
    """,
    "Counter.inc, __float__": """
        counter = Counter("c", "help", registry=registry)
        def work(turn): counter.inc(Number())
    """,
    "an instrument's attributes and amount": """
        from ferrometer.otel import MeterProvider
        meter = MeterProvider(registry).get_meter("m")
        counter, histogram = meter.create_counter("c"), meter.create_histogram("h")
        gauge, observed = meter.create_gauge("g"), meter.create_observable_gauge("o")
        def work(turn):
            counter.add(Number(), {"a": Text()})
            histogram.record(Number(), {"a": Text()})
            gauge.set(Number(), {"a": Text()})
            observed.observe_all([(1.0, {"a": Text()})])
    """,
    "Counter.inc, an exemplar's items": """
        counter = Counter("c", "help", registry=registry)
        class Labels(dict):
            def items(self): wait(); return super().items()
        def work(turn): counter.inc(1.0, Labels(a="b"))
    """,
    "Gauge.set, __float__": """
        gauge = Gauge("g", "help", registry=registry)
        def work(turn): gauge.set(Number()); gauge.inc(Number()); gauge.dec(Number())
    """,
    "Histogram.observe, __float__": """
        histogram = Histogram("h", "help", registry=registry)
        def work(turn): histogram.observe(Number())
    """,
    "Summary.observe, __float__": """
        summary = Summary("s", "help", registry=registry)
        def work(turn): summary.observe(Number())
    """,
    "a sampled Histogram.observe, __float__": """
        histogram = Histogram("h", "help", registry=registry, sample=0.5)
        def work(turn): histogram.observe(Number())
    """,
    "Metric._define, a documentation's __str__": """
        def work(turn): Counter("c", Text(), registry=None)
    """,
    "Metric._define, a state's __str__": """
        states = [Text("a"), Text("b")]
        def work(turn): _core.Enum()._define(None, "stateset", "e", "help", "", [], states, 9, 1.0, True, {})
    """,
    "Metric._set_info, a label's __str__": """
        info = Info("i", "help", registry=registry)
        def work(turn): info.info({"a": Text()})
    """,
    "Metric._put": """
        gauge = Gauge("g", "help", registry=registry)
        def work(turn): gauge._put(Number())
    """,
    "Metric._created": """
        gauge = Gauge("g", "help", registry=registry)
        def work(turn): gauge._created = Number()
    """,
    "Metric._quantiles": """
        summary = Summary("s", "help", registry=registry)
        def work(turn): summary._quantiles([Number()])
    """,
    "Metric._reset": """
        counter = Counter("c", "help", registry=registry)
        clock = time.time
        def late(): wait(); return clock()
        time.time = late
        def work(turn): counter.reset()
    """,
    "Metric._remove and _forget": """
        family = Gauge("c", "help", ["a"], registry=registry)
        def work(turn):
            family.labels("x").set_function(Finalised())
            family.remove(Text("x"))
    """,
    "Metric._clear, a finaliser": """
        family = Gauge("c", "help", ["a"], registry=registry)
        def work(turn):
            family.labels("x").set_function(Finalised())
            family.clear()
    """,
    "the death of a metric, a finaliser": """
        def work(turn):
            gauge = Gauge("c", "help", registry=None)
            gauge.set_function(Finalised())
            del gauge
    """,
    "Metric._run_callbacks": """
        Gauge("g", "help", registry=registry).set_function(lambda: wait() or 1.0)
        def work(turn): generate_latest(registry)
    """,
    "a collector's collect": """
        class Slow:
            def collect(self): wait(); return []
        registry.register(Slow())
        def work(turn): generate_latest(registry)
    """,
    "a scrape in flight": """
        for number in range(2000): Counter(f"c{number}", "help", registry=registry)
        def work(turn): ready.set(); generate_latest(registry)
    """,
    "other encodings in flight": """
        from prometheus_client.openmetrics import exposition
        for number in range(500): Histogram(f"c{number}", "help", registry=registry)
        def work(turn):
            ready.set()
            registry._native.openmetrics([], b"", b"")
            registry._native.protobuf([], None, 100, b"", b"")
    """,
    "rows and computed families in flight": """
        family = Counter("c", "help", ["a"], registry=registry)
        for number in range(2000): family.labels(str(number))
        def work(turn):
            ready.set()
            list(registry.collect())
            registry._native.computed([])
            _core.shared_values([family.labels("1")])
    """,
    "the numbers of models in flight": """
        requests = Counter("inference_requests", "help", ["model", "status"], registry=registry)
        for number in range(2000): requests.labels(str(number), "success").inc()
        def work(turn):
            ready.set()
            _core.models_stats(registry._native, "")
    """,
    "remote write requests in flight": """
        text = b"a 1\\n" * 20000
        def work(turn):
            ready.set()
            _core.write_requests(text, 0, [], 100)
            _core.write_further_requests(b"", 0, [], 100, True, True)
    """,
    "start_http_server": """
        import urllib.request
        Gauge("g", "help", registry=registry).set_function(lambda: wait() or 1.0)
        server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
        def work(turn): urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics").read()
    """,
    "a history starts, answers and stops": """
        def work(turn):
            history = _core.History()
            history.start(registry._native)
            ready.set()
            history.respond("GET", "query", [("query", "1+1")])
            _core.SampleStore().instant("1+1", 0)
            history.stop()
    """,
    "serve_metrics": """
        def work(turn):
            with serve_metrics(0, registry=registry): wait()
    """,
    "HttpMetrics, a registry's repr": """
        class Odd:
            def __repr__(self): wait(); return "odd"
        def work(turn):
            try: _core.HttpMetrics(Odd())
            except TypeError: pass
    """,
    "the lines of the logs in flight": """
        def work(turn): ready.set(); _core.answer_logs(None, "")
    """,
    "a native answer below an application in flight": """
        _core.record_provider_call("provider", "model", "success")
        route = _core.dashboard_route()
        def work(turn): ready.set(); route.respond("GET", "/health/dashboard", "", [], None)
    """,
    "a histogram's drift in flight": """
        histogram = Histogram("drifting", "Help", registry=registry)
        for value in range(1, 2000): histogram.observe(value)
        empty = _core.HistogramBins([])
        def work(turn):
            ready.set()
            bins = _core.HistogramBins.of(histogram)
            bins.compare(bins.since(empty))
    """,
    "HttpMetrics.snapshot": """
        metrics = _core.HttpMetrics(registry)
        def work(turn): ready.set(); metrics.snapshot(); metrics.uptime(); metrics.in_flight()
    """,
    "MetricsMiddleware, a route function": """
        app = MetricsMiddleware(answer, registry=registry, route=lambda scope: wait() or "/x")
        def work(turn): request(app)
    """,
    "MetricsMiddleware, the application": """
        async def slow(scope, receive, send): wait(); await answer(scope, receive, send)
        app = MetricsMiddleware(slow, registry=registry, request_id=True)
        def work(turn): request(app)
    """,
    "MetricsMiddleware, an application that raises": """
        async def slow(scope, receive, send): wait(); raise ValueError
        app = MetricsMiddleware(slow, registry=registry)
        def work(turn):
            try: request(app)
            except ValueError: pass
    """,
    "MetricsMiddleware, exemplars": """
        def trace(): wait(); return "a" * 32
        app = MetricsMiddleware(answer, registry=registry, exemplars=trace)
        def work(turn): request(app)
    """,
    "MetricsMiddleware, the route resolver": """
        class Route:
            @property
            def path(self): wait(); return "/x"
        async def routed(scope, receive, send): scope["route"] = Route(); await answer(scope, receive, send)
        app = MetricsMiddleware(routed, registry=registry)
        def work(turn): request(app)
    """,
    "MetricsMiddleware, a websocket": """
        async def routed(scope, receive, send): await send({"type": "websocket.accept"}); wait()
        app = MetricsMiddleware(routed, registry=registry, route=lambda scope: wait() or "/x")
        def work(turn): request(app, type="websocket")
    """,
    "a logged value's __str__": """
        import json, logging
        _core.start_shipping(json.dumps({"directory": None, "service": "s", "sinks": [], "patience": 0.0}))
        logger = _core.Logger("x")
        class Handler(logging.Handler): pass
        stdlib = logging.Logger("y")
        stdlib.addHandler(Handler())
        _core.log_directly(True, Handler)
        def work(turn):
            stdlib.warning("%s", Text(), extra={"value": Text()})
            for level in ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal"):
                getattr(logger, level)("event", value=Text())
            _core.log_event(2, "x", Text(), {"value": Text()})
            _core.LogContext(None, {"value": Text()}).as_dict()
            logger.bind(value=Text())
            _core.log_record(logging.LogRecord("x", 30, "", 0, "%s", (Text(),), None))
    """,
    "a span's attribute's __str__": """
        from ferrometer import tracing
        tracing.setup("s", export=False)
        class Named(str):
            def __del__(self): wait()
        def work(turn):
            with _core.span("x", value=Text()) as span:
                span.set_attribute(Text(), Text())
                span.set(value=Text())
                span.add_event("e", {"value": Text()})
                span.add_link(span, {"value": Text()})
                span.record_exception(ValueError(Text()))
                span.record_failure(ValueError(Text()))
                span.update_name(Named("x"))
                span.update_name("x")
            asyncio.run(entered(_core.span("x", value=Text())))
            _core.start_span("x", attributes={"value": Text()}).end()
            _core.client_span("x", 0.1, {"value": Text()})
            span.again().start().end()
            _core.span("x")(Finalised())
            with tracing.within(span), tracing.Baggage(a="b"): _core.trace_headers()
        async def entered(span):
            async with span: pass
    """,
    "metrics on their way": """
        counter = Counter("c", "help", ["a"], registry=registry, max_series=10**6)
        for number in range(20_000): counter.labels(str(number)).inc()
        families = registry._native.protobuf([], None, 100, b"", b"")
        def work(turn): ready.set(); _core.append_metrics(families, 2, 1, False)
    """,
    "a request's span": """
        from ferrometer import tracing
        tracing.setup("s", export=False)
        app = MetricsMiddleware(answer, registry=registry)
        def work(turn): request(app, state={"user_id": Text()})
    """,
    "the responder, its Python part": """
        responder = _core.Responder(registry._native)
        def part(form, escaping, names): wait(); return [], b"", b""
        def work(turn): responder.respond("GET", "/metrics", "", [], None, from_python=part)
    """,
    "logs on their way": """
        import atexit, json, shutil, tempfile
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder, True)
        keeper = {"name": "nobody", "kind": "syslog", "host": "127.0.0.1", "port": 1, "format": "json_lines",
                  "tls": False, "facility": 16}
        config = json.dumps({"directory": folder, "service": "s", "sinks": [keeper], "patience": 0.0})
        _core.start_shipping(config)
        reader = _core.LogReader(folder)
        other = _core.DirectoryShipper(config)
        def work(turn):
            _core.append_log_line(1, b"{}")
            ready.set()
            [reader.read() for _ in range(50)]
            _core.flush_records(0.02)
            other.stop(0.0)
            if turn: _core.stop_shipping(0.02)
    """,
    "a damaged file is logged": """
        import atexit, logging, shutil, tempfile
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder, True)
        class Slow(logging.Handler):
            def emit(self, record): wait()
        logging.getLogger("ferrometer").addHandler(Slow())
        _core.share(folder)
        def work(turn):
            with open(f"{folder}/broken{turn}.seg", "wb") as file: file.write(b"x" * 5000)
            ready.set()
            generate_latest(registry)
            _core.fold_dead(1)
            _core.living(folder)
            _core.read_directory(folder)
            _core.inspect(folder)
    """,
}


@pytest.mark.parametrize("name", CROSSINGS)
def test_exit_with_a_thread_in_native_code(name: str) -> None:
    program = PROGRAM.replace("@SETUP@", textwrap.dedent(CROSSINGS[name]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 7, done.stderr[-2000:]


#: Every native function that can run Python, or gives up the GIL, and the crossing above that tries it.
CROSSES = {
    "HistogramBins.compare": "a histogram's drift in flight",
    "HistogramBins.of": "a histogram's drift in flight",
    "HistogramBins.since": "a histogram's drift in flight",
    "NativeRoute.respond": "a native answer below an application in flight",
    **{
        f"{name}": "a circuit breaker's listener and judge"
        for name in (
            *("Breaker.begin", "Breaker.force_closed", "Breaker.force_open", "Breaker.reset"),
            *("BreakerCall.cancel", "BreakerCall.failure", "BreakerCall.success"),
        )
    },
    **{
        f"{name}": "an instrument's attributes and amount"
        for name in (
            *("CountInstrument.add", "RecordInstrument.record", "SetInstrument.set"),
            "Instrument.observe_all",
        )
    },
    "JobType.start": "a job's wait, __float__",
    "JobType.submitted": "a job's wait, __float__",
    "running_jobs": "a job's wait, __float__",
    "History.respond": "a history starts, answers and stops",
    "SampleStore.instant": "a history starts, answers and stops",
    "History.start": "a history starts, answers and stops",
    "History.stop": "a history starts, answers and stops",
    "LogContext.__new__": "a logged value's __str__",
    "LogContext.as_dict": "a logged value's __str__",
    **{
        f"Logger.{level}": "a logged value's __str__"
        for level in ("critical", "debug", "error", "exception", "fatal", "info", "warn", "warning")
    },
    "Logger.bind": "a logged value's __str__",
    "log_directly": "a logged value's __str__",
    "log_record": "a logged value's __str__",
    "log_event": "a logged value's __str__",
    **{
        f"Span.{method}": "a span's attribute's __str__"
        for method in (
            *("add_event", "add_link", "again", "end", "record_exception", "record_failure", "set"),
            *("set_attribute", "start", "update_name"),
        )
    },
    "append_metrics": "metrics on their way",
    "start_span": "a span's attribute's __str__",
    "client_span": "a span's attribute's __str__",
    "trace_headers": "a span's attribute's __str__",
    "DirectoryShipper.stop": "logs on their way",
    "LogReader.read": "logs on their way",
    "flush_records": "logs on their way",
    "stop_shipping": "logs on their way",
    "Counter.inc": "Counter.inc, __float__",
    "Gauge.dec": "Gauge.set, __float__",
    "Gauge.inc": "Gauge.set, __float__",
    "Gauge.set": "Gauge.set, __float__",
    "Histogram.observe": "Histogram.observe, __float__",
    "HttpMetrics.__new__": "HttpMetrics, a registry's repr",
    "HttpMetrics.snapshot": "HttpMetrics.snapshot",
    "HttpMetrics.uptime": "HttpMetrics.snapshot",
    "HttpMetrics.in_flight": "HttpMetrics.snapshot",
    "answer_logs": "the lines of the logs in flight",
    "Metric.__new__": "the death of a metric, a finaliser",
    "Metric._become_child": "labels, a subclass's __init__",
    "Metric._clear": "Metric._clear, a finaliser",
    "Metric._created": "Metric._created",
    "Metric._define": "Metric._define, a documentation's __str__",
    "Metric._forget": "Metric._remove and _forget",
    "Metric._forget_all": "Metric._clear, a finaliser",
    "Metric._put": "Metric._put",
    "Metric._quantiles": "Metric._quantiles",
    "Metric._record": "a sampled Histogram.observe, __float__",
    "Metric._remove": "Metric._remove and _forget",
    "Metric._reset": "Metric._reset",
    "Metric._rows": "rows and computed families in flight",
    "Metric._run_callbacks": "Metric._run_callbacks",
    "Metric._set_function": "the death of a metric, a finaliser",
    "Metric._set_info": "Metric._set_info, a label's __str__",
    "Metric.labels": "labels, a label's __str__",
    "MetricsMiddleware.__new__": "MetricsMiddleware, the application",
    "MetricsServer.__new__": "serve_metrics",
    "MetricsServer.of_directory": "serve_metrics",
    "MetricsServer.stop": "serve_metrics",
    "Registry.computed": "rows and computed families in flight",
    "Registry.openmetrics": "other encodings in flight",
    "Registry.protobuf": "other encodings in flight",
    "Registry.text": "a scrape in flight",
    "Summary.observe": "Summary.observe, __float__",
    "inspect": "a damaged file is logged",
    "fold_dead": "a damaged file is logged",
    "living": "a damaged file is logged",
    "read_directory": "a damaged file is logged",
    "share": "a damaged file is logged",
    "Responder.respond": "the responder, its Python part",
    "models_stats": "the numbers of models in flight",
    "shared_values": "rows and computed families in flight",
    "write_further_requests": "remote write requests in flight",
    "write_requests": "remote write requests in flight",
}
#: Those that only read or write native state. They run no Python code and keep the GIL.
INERT = {
    "HistogramBins.__new__",
    "HistogramBins.count",
    "HistogramBins.pairs",
    "breaker_route",
    "configure_providers",
    "dashboard_route",
    "list_providers",
    "providers_shared",
    "record_provider_call",
    "register_provider_metrics",
    "JobRun.end",
    "JobType.__new__",
    "JobType.end",
    "JobType.name",
    "register_job_metrics",
    "DistinctSubjects.__new__",
    "DistinctSubjects.counts",
    "DistinctSubjects.seen",
    "register_distinct_metrics",
    "Breaker.__new__",
    "Breaker.call",
    "Breaker.forced",
    "Breaker.rejected",
    "Breaker.state",
    "Breaker.trials",
    "BreakerCall.is_trial",
    "breakers_shared",
    "change_breaker",
    "list_breakers",
    "register_breaker_metrics",
    "state_troubles",
    "History.__new__",
    "History.after_fork",
    "History.document",
    "History.latest_routes",
    "History.put_document",
    "History.record",
    "History.routes",
    "History.writes",
    "LivePage.__new__",
    "LivePage.latest_routes",
    "LivePage.routes",
    "LivePage.show",
    "SampleStore.__new__",
    "SampleStore.push",
    "check_expression",
    "Logger.__new__",
    "Span.is_recording",
    "Span.is_remote",
    "Span.is_sampled",
    "Span.name",
    "Span.set_status",
    "Span.span_id",
    "Span.trace_id",
    "Span.traceparent",
    "Span.tracestate",
    "configure_traces",
    "current_span",
    "has_traces",
    "parse_baggage",
    "parse_traceparent",
    "span",
    "span_elsewhere",
    "stop_traces",
    "Logger.__repr__",
    "Logger.bound",
    "Logger.name",
    "configure_logs",
    "log_failures",
    "log_format_keys",
    "log_lines_wait",
    "log_route",
    "log_level",
    "log_redactions",
    "log_requests",
    "sample_logs",
    "set_log_level",
    "share_log_level",
    "DirectoryShipper.__new__",
    "DirectoryShipper.leads",
    "LogReader.__new__",
    "append_log_line",
    "record_counts",
    "register_record_metrics",
    "start_shipping",
    "Counter.__new__",
    "CountInstrument.__new__",
    "Instrument.__new__",
    "Instrument.__repr__",
    "RecordInstrument.__new__",
    "SetInstrument.__new__",
    "Enum.__new__",
    "Gauge.__new__",
    "Histogram.__new__",
    "HttpMetrics.namespace",
    "HttpMetrics.registry",
    "HttpMetrics.sample",
    "Info.__new__",
    "Metric.__class__",
    "Metric._children",
    "Metric._defined",
    "Metric._get",
    "Metric._has_callbacks",
    "Metric._hold",
    "Metric._is_removed",
    "Metric._labelvalues",
    "Metric._meta",
    "Metric._set_state",
    "Metric._statistics",
    "Metric._subclass_children",
    "Metric._take",
    "MetricsMiddleware.app",
    "MetricsMiddleware.metrics",
    "MetricsServer.host",
    "MetricsServer.port",
    "MetricsServer.running",
    "Access.__new__",
    "Access.admits",
    "Access.challenge",
    "Responder.__new__",
    "choose_format",
    "Registry.__new__",
    "Registry.adopt",
    "Registry.fail",
    "Registry.names",
    "Registry.release",
    "Registry.reserve",
    "Registry.reset",
    "Registry.unregister",
    "Summary.__new__",
    "export_created",
    "exports_created",
    "new_request_id",
    "own_methods",
    "private_dict_layout",
    "protobuf_family",
    "shared_directory",
    "sharing_failure",
    "show_call",
}


def native_functions() -> set[str]:
    found = set()
    for name, value in vars(_core).items():
        if isinstance(value, type):
            found |= {
                f"{name}.{key}"
                for key, member in vars(value).items()
                if isinstance(
                    member, MethodDescriptorType | GetSetDescriptorType | staticmethod | BuiltinFunctionType
                )
                and (not key.startswith("__") or key in ("__class__", "__new__"))
            }
        elif isinstance(value, BuiltinFunctionType):
            found.add(name)
    return found


def test_every_native_function_is_classified() -> None:
    new = native_functions() - CROSSES.keys() - INERT
    assert not new, f"try them in CROSSINGS, or say in INERT that they run no Python: {sorted(new)}"
    assert not CROSSES.keys() & INERT
    assert set(CROSSES.values()) <= CROSSINGS.keys()
