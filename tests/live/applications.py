"""Applications whose figures are known."""

from __future__ import annotations

#: Ten requests in each tenth of a second to one route: nine take 10 ms, one 100 ms and fails.
STEADY = """
import threading, time
import ferrometer
from starlette.applications import Starlette

app = Starlette()
registry = ferrometer.CollectorRegistry()
ferrometer.instrument(
    app,
    ferrometer.Page(),
    namespace="shop",
    registry=registry,
    health_checks={"stock": lambda: True},
    auth=AUTH,
)
requests = ferrometer.Counter("http_requests", "", ["method", "endpoint", "status"], registry=registry)
times = ferrometer.Histogram("http_request_duration_seconds", "", ["method", "endpoint"], registry=registry)
stopped = threading.Event()


def feed():
    due = time.monotonic()
    while not stopped.wait(max(0.0, due - time.monotonic())):
        due += 0.1
        for number in range(10):
            status = "500" if number == 0 else "200"
            requests.labels("GET", "/orders/{id}", status).inc()
            times.labels("GET", "/orders/{id}").observe(0.1 if number == 0 else 0.01)


threading.Thread(target=feed, daemon=True).start()
"""

#: What a hostile client could choose, as a route, a check and an exception.
HOSTILE = [
    "<img src=x onerror=document.title='owned'>",
    "<script>document.title='owned'</script>",
    "\"><svg onload=document.title='owned'>",
    "javascript:document.title='owned'",
    "{{constructor.constructor('document.title=1')()}}",
    "&lt;b&gt;",
    "${1}",
    "a\\nb",
    "__proto__",
    "constructor",
    "\u202egnp.exe",
    "' or 1=1 --",
    "日本語",
    "🦀" * 40,
    "x" * 500,
]
HOSTILE_APP = f"""
import ferrometer
from starlette.applications import Starlette

VALUES = {HOSTILE!r}
app = Starlette()
registry = ferrometer.CollectorRegistry()
ferrometer.instrument(
    app,
    ferrometer.Page(title=VALUES[0]),
    registry=registry,
    health_checks={{value: (lambda: False) for value in VALUES if value.isprintable()}},
)
requests = ferrometer.Counter("http_requests", "", ["method", "endpoint", "status"], registry=registry)
times = ferrometer.Histogram("http_request_duration_seconds", "", ["method", "endpoint"], registry=registry)
depth = ferrometer.Gauge("queue_depth", "", ["queue"], registry=registry)
import threading, time


def feed():
    while True:
        for value in VALUES:
            requests.labels(value, value, value).inc()
            times.labels(value, value).observe(0.01)
            depth.labels(value).set(1)
        time.sleep(0.2)


threading.Thread(target=feed, daemon=True).start()
"""

#: A thousand routes.
MANY = """
import threading, time
import ferrometer
from starlette.applications import Starlette

app = Starlette()
registry = ferrometer.CollectorRegistry()
ferrometer.instrument(app, ferrometer.Page(), registry=registry)
requests = ferrometer.Counter("http_requests", "", ["method", "endpoint", "status"], registry=registry)
times = ferrometer.Histogram("http_request_duration_seconds", "", ["method", "endpoint"], registry=registry)
routes = [(requests.labels("GET", f"/r/{n}", "200"), times.labels("GET", f"/r/{n}")) for n in range(1000)]


def feed():
    while True:
        for n, (count, took) in enumerate(routes):
            count.inc()
            took.observe(0.001 * (n + 1))
        time.sleep(0.5)


threading.Thread(target=feed, daemon=True).start()
"""

#: Real requests under real workers.
WORKING = """
import ferrometer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def hello(request):
    return PlainTextResponse("hello")


app = Starlette(routes=[Route("/hello", hello)])
ferrometer.instrument(app, ferrometer.Page(), namespace="shop")
"""
