"""Series that one worker removes are gone everywhere; what is recorded afterwards counts from zero."""

from __future__ import annotations

import json
from pathlib import Path

from tests.workers.test_forks import run

CONVERSATION = """
ferrometer.share(directory)
jobs = ferrometer.Counter("jobs", "Jobs", ["queue"])
seconds = ferrometer.Histogram("seconds", "Seconds", ["queue"], buckets=(1, 2))
own = ferrometer.Gauge("own", "Of each worker", ["queue"])
depth = ferrometer.Gauge("depth", "Of all", ["queue"], multiprocess_mode="sum")
to_child, go = os.pipe()
back, to_parent = os.pipe()

def other():
    a = jobs.labels("a")
    a.inc(5)
    jobs.labels("b").inc()
    seconds.labels("a").observe(1.5)
    own.labels("a").set(3)
    depth.labels("a").set(4)
    os.write(to_parent, b"."); os.read(to_child, 1)
    a.inc(100)  # the handle of a removed series
    os.write(to_parent, b"."); os.read(to_child, 1)
    ferrometer.generate_latest()  # it learns of the removal
    assert jobs.labels("a") is not a
    jobs.labels("a").inc(3)
    os.write(to_parent, b"."); os.read(to_child, 1)

def shown():
    names = ("jobs_total", "seconds_count", "own", "depth")
    lines = [line for line in ferrometer.generate_latest().decode().splitlines() if line.startswith(names)]
    seen.append(sorted(re.sub('pid="[0-9]+",', "", line) for line in lines))

import json, re
seen = []
child = fork(other)
os.read(back, 1)
shown()
jobs.remove("a")
seconds.clear()
own.remove("a")  # of this worker, which has none
depth.clear()
shown()
for _ in range(2):
    os.write(go, b"."); os.read(back, 1)
    shown()
os.write(go, b".")
join([child])
shown()  # it is dead
shown()  # and folded
print(json.dumps(seen))
"""

OWN = 'own{queue="a"} 3.0'


def test_what_one_removes_is_gone_in_all(tmp_path: Path) -> None:
    seen = json.loads(run(CONVERSATION, tmp_path / "shared"))
    everything = ['depth{queue="a"} 4.0', 'jobs_total{queue="a"} 5.0', 'jobs_total{queue="b"} 1.0', OWN]
    assert seen[0] == [*everything, 'seconds_count{queue="a"} 1.0']
    without = ['jobs_total{queue="b"} 1.0', OWN]
    assert seen[1] == seen[2] == without
    assert seen[3:] == [['jobs_total{queue="a"} 3.0', *without]] * 3


def test_the_log_does_not_grow_with_what_is_gone(tmp_path: Path) -> None:
    """Label sets that come and go for ever leave a file of the size of what is there at any one time."""
    sizes = run(
        """
        ferrometer.share(directory)
        g = ferrometer.Gauge("g", "A gauge", ["n"], multiprocess_mode="sum")
        for round in range(60):
            for n in range(200):
                g.labels(f"{round} {n} {'x' * 50}").set(n)
            assert ferrometer.generate_latest().count(b"g{") == 200
            g.clear()
            if round in (9, 59):
                (segment,) = (f for f in os.listdir(directory) if len(f) == 36)
                print(os.stat(os.path.join(directory, segment)).st_size)
        """,
        tmp_path / "shared",
    )
    early, late = map(int, sizes.split())
    assert late <= early


MIDDLEWARE = """
import asyncio, json, queue
from ferrometer import Counter, Histogram, MetricsMiddleware
from ferrometer.collectors.app.caches import track_cache
from ferrometer.collectors.app.queues import track_queue

ferrometer.share(directory)
to_child, go = os.pipe()
back, to_parent = os.pipe()

async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

app = MetricsMiddleware(answer)
SCOPE = {"type": "http", "asgi": {"version": "3.0"}, "method": "GET", "path": "/x", "headers": []}

async def serve(times):
    async def receive(): return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message): pass
    for _ in range(times):
        await app(dict(SCOPE), receive, send)

def other():
    cache = track_cache("users")
    jobs = track_queue("jobs", queue.Queue())
    for times in (3, 5, 7):
        time.sleep(1.1)  # so long may it take until a removal is noticed
        asyncio.run(serve(times))
        cache.hit(times)
        for _ in range(times):
            jobs.put(1)
        os.write(to_parent, b"."); os.read(to_child, 1)

NAMES = ("http_requests_total", "http_request_duration_seconds_count", "http_response_body_bytes_total",
         "cache_hits_total", "queue_depth")

def total(name, text):
    return sum(float(line.rsplit(" ", 1)[1]) for line in text if line.startswith(name + "{"))

def shown():
    text = ferrometer.generate_latest().decode().splitlines()
    return {name: total(name, text) for name in NAMES}

ROUTE = ["method", "endpoint"]
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
FAMILIES = [  # as a program gets them: by defining them again
    Counter("http_requests", "HTTP requests served, by the status the client was sent.", [*ROUTE, "status"]),
    Histogram("http_request_duration_seconds", "Time from the request's start to the end of its response.",
              ROUTE, unit="seconds", buckets=BUCKETS),
    Counter("http_response_body_bytes", "Response bodies sent.", ROUTE),
]

child = fork(other)
seen = []
for _ in range(3):
    os.read(back, 1)
    seen.append(shown())
    track_cache("users")
    track_queue("own", queue.Queue())
    for family in FAMILIES:
        family.clear()
    for name in ("cache_hits", "queue_depth"):
        ferrometer.REGISTRY._names_to_collectors[name].clear()
    assert sum(shown().values()) == 0, shown()
    os.write(go, b".")
join([child])
print(json.dumps(seen))
"""


def test_what_another_process_clears_is_counted_on(tmp_path: Path) -> None:
    """The middleware, tracked caches and queues hold series that another process takes away."""
    told = json.loads(run(MIDDLEWARE, tmp_path / "shared"))
    for times, seen in zip((3, 5, 7), told, strict=True):
        assert seen == {
            "http_requests_total": times,
            "http_request_duration_seconds_count": times,
            "http_response_body_bytes_total": 5 * times,
            "cache_hits_total": times,
            "queue_depth": {3: 3, 5: 8, 7: 15}[times],  # all that wait, not only what came since
        }
