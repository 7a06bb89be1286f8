"""A scrape: `generate_latest` over 10 000 histogram children, and what a Python thread loses meanwhile."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from benches.record import BUCKETS, DRIVERS, LABELS, latencies
from benches.row import CONTROL, OURS, Aim, Row
from ferrometer.bench import answers
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave

CHILDREN = 10_000
QUICK_CHILDREN = 500
PER_CHILD = len(BUCKETS) + 4  # the buckets, +Inf, _count, _sum, _created
CLIENT = "prometheus_client"


def filled(library: Any, children: int) -> Any:
    """A registry with one histogram of so many children, a few realistic observations in each."""
    registry = library.CollectorRegistry()
    # A family of ours stops at 10 000 series unless told otherwise, and the control has more.
    more = {"max_series": children} if library.__name__ == "ferrometer" else {}
    family = library.Histogram(
        "http_request_duration_seconds",
        "Request latency.",
        LABELS,
        registry=registry,
        buckets=BUCKETS,
        **more,
    )
    values = latencies(1000)
    for i in range(children):
        child = family.labels("GET", f"/v1/models/{i}/infer", "200")
        for k in range(8):
            child.observe(values[(i * 8 + k) % 1000])
    return registry


def check_text(text: bytes, children: int) -> None:
    """The text has every line it must have, parses, and says what was observed."""
    lines = text.count(b"\n")
    # HELP and TYPE of the histogram and of its `_created` family.
    assert lines == children * PER_CHILD + 4, f"{lines} lines for {children} children"
    samples = answers.exposed(text)
    counts = [v for (name, _), v in samples.items() if name == "http_request_duration_seconds_count"]
    infinite = [v for (name, labels), v in samples.items() if ("le", "+Inf") in labels]
    assert len(counts) == len(infinite) == children
    assert set(counts) == set(infinite) == {8.0}


# Speed -----------------------------------------------------------------------------------------------------


def scrape_subjects(children: int) -> list[Subject]:
    subjects = [_scrape(name, peer(module), children) for name, module in DRIVERS.items() if peer(module)]
    subjects.append(_scrape(CONTROL, peer("ferrometer"), 2 * children))
    return subjects


def _scrape(name: str, library: Any, children: int) -> Subject:
    registry = filled(library, children)
    latest: list[bytes] = []

    def sample(scrapes: int) -> float:
        began = time.perf_counter()
        for _ in range(scrapes):
            text = library.generate_latest(registry)
        took = time.perf_counter() - began
        latest[:] = [text]
        return took

    # A scrape of prometheus_client lasts over a second: a few of them are enough.
    every = 5 if name == CLIENT else 1
    return Subject(name, sample, lambda done: check_text(latest[0], children), every=every)


def measure(effort: Effort) -> Samples:
    children = QUICK_CHILDREN if effort.quick else CHILDREN
    return interleave(
        partial(scrape_subjects, children),
        rounds=effort.rounds(25, 2),
        seconds=effort.seconds(0.03),
        title="generate_latest",
    )


ROWS = (
    Row(
        "scrape",
        "generate_latest, 10 000 hist.",
        "ms",
        measure,
        (Aim(CLIENT, OURS, at_least=100),),
        faster_than_control=OURS,
        note="180 004 lines, 14 buckets; control: twice the children",
    ),
)
