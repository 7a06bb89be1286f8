"""The live page and the rules: processor time of the server for one refresh, and for 60 rules."""

from __future__ import annotations

import subprocess
import sys

from benches.row import OURS, Aim, Row
from ferrometer.bench.rounds import Effort, Samples

# A thousand routes are recorded for 20 s; then processor time of this process for what the page asks at a
# refresh of its first view with more than 150 routes (overview.js and routes.js), and for the rules of the
# pack, five times over.
PROGRAM = """
import sys, time
import ferrometer
from ferrometer import _core
from ferrometer.alerts.evaluate import GroupState, vector
from ferrometer.alerts.packs import pack

turns = int(sys.argv[1])
registry = ferrometer.CollectorRegistry()
requests = ferrometer.Counter("http_requests", "", ["method", "endpoint", "status"], registry=registry)
times = ferrometer.Histogram("http_request_duration_seconds", "", ["method", "endpoint"], registry=registry)
routes = [
    (*(requests.labels("GET", f"/{n}", status) for status in ("200", "500")), times.labels("GET", f"/{n}"))
    for n in range(1000)
]
history = _core.History()
history.start(registry._native)
until = time.time() + 20
while time.time() < until:
    for n, (well, failed, took) in enumerate(routes):
        well.inc()
        took.observe(0.001 * (1 + n % 97))
        if n % 50 == 0:
            failed.inc()
    time.sleep(0.25)

ALL, BAD = "http_requests_total", 'http_requests_total{status=~"5.."}'
def q(share, window, by=""):
    rate = f"rate(http_request_duration_seconds_bucket[{window}])"
    return f"histogram_quantile({share}, sum by (le{by}) ({rate}))"
failing = f"(sum(rate({BAD}[15s])) or 0 * sum(rate({ALL}[15s]))) / sum(rate({ALL}[15s]))"
now = [
    "sum(http_requests_in_flight)", "ferrometer_health_check",
    f"sum by (method, endpoint) (rate({ALL}[1m]))", f"sum by (method, endpoint) (rate({BAD}[1m]))",
    *(q(share, "1m", ", method, endpoint") for share in (0.5, 0.95, 0.99)),
]
over = [
    f'sum by (class) (label_replace(rate({ALL}[15s]), "class", "${{1}}xx", "status", "(.).*"))',
    q(0.5, "15s"), q(0.95, "15s"), q(0.99, "15s"), failing,
]
from urllib.parse import urlencode

def refresh():
    at = time.time() // 2 * 2
    gets = [("get", "targets")] + [("get", "query?" + urlencode({"query": each})) for each in now]
    for each in over:
        gets.append(("get", "query_range?" + urlencode({"query": each, "start": at, "end": at, "step": 2})))
    status, _, body = history.respond("POST", "batch", gets, "bench")
    assert status == 200 and b'"error"' not in body, body[:300]

groups = [GroupState(pack("service")) for _ in range(5)]
def ask(expression, at):
    asked = [("query", expression), ("time", repr(at))]
    return vector(history.respond("GET", "query", asked, "rules")[2].decode())
def rules():
    for group in groups:
        for state in group.rules:
            state.evaluate(ask, time.time())

for call in (refresh, rules):
    call()
    begun = time.process_time()
    for _ in range(turns):
        call()
    print((time.process_time() - begun) / turns)
history.stop()
"""


def _measure(which: int, effort: Effort) -> Samples:
    samples: Samples = {OURS: []}
    for _ in range(1 if effort.quick else 3):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "20"], check=True, capture_output=True, text=True
        )
        samples[OURS].append(float(done.stdout.split()[which]))
    return samples


ROWS = (
    Row(
        "page.refresh",
        "a refresh of the live page, 1000 routes, processor time of the server",
        "ms",
        lambda effort: _measure(0, effort),
        aims=(Aim(OURS, at_most=50),),
        note="one request; the recorder's look each second is in it",
    ),
    Row(
        "rules.evaluation",
        "60 rules over 1000 routes, one evaluation",
        "ms",
        lambda effort: _measure(1, effort),
        # 0.2 % of a core, every 15 seconds.
        aims=(Aim(OURS, at_most=30),),
    ),
)
