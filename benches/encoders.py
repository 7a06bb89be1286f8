"""A scrape in each format over 10 000 histogram children: time, memory, and what gzip makes of it."""

from __future__ import annotations

import gzip
import importlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benches.exposition import CHILDREN, CLIENT, QUICK_CHILDREN, check_text, filled
from benches.footprint import run
from benches.row import CONTROL, Aim, Row
from ferrometer.bench import answers
from ferrometer.bench.peers import peer
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave

TEXT, OPEN, PROTOBUF = "ferrometer text", "ferrometer OpenMetrics", "ferrometer protobuf"
ENCODERS = {TEXT: "generate_latest", OPEN: "generate_openmetrics", PROTOBUF: "generate_protobuf"}
LEVELS = (1, 3, 6)


def encoder(name: str) -> Callable[[Any], bytes]:
    function: Callable[[Any], bytes] = getattr(
        importlib.import_module("ferrometer.exposition"), ENCODERS[name]
    )
    return function


def check(name: str, body: bytes, children: int) -> None:
    """Every child is in it, with what was observed."""
    if name == PROTOBUF:
        # Each child names its own path once, and has at least two bytes a bucket.
        assert body.count(b"/v1/models/") == children
        assert len(body) > 200 * children
    elif name == OPEN:
        assert body.endswith(b"\n# EOF\n")
        counts = [
            v for (n, _), v in answers.exposed(body.removesuffix(b"# EOF\n")).items() if n.endswith("_count")
        ]
        assert counts == [8.0] * children
    else:
        check_text(body, children)


def subjects(children: int) -> list[Subject]:
    """Each encoder of ours, prometheus_client's text, and ours over twice the children."""
    registry = filled(peer("ferrometer"), children)
    ours = [_subject(name, encoder(name), registry, children) for name in ENCODERS]
    if client := peer(CLIENT):
        ours.append(_subject(CLIENT, client.generate_latest, filled(client, children), children, every=5))
    twice = filled(peer("ferrometer"), 2 * children)
    return [*ours, _subject(CONTROL, encoder(TEXT), twice, 2 * children)]


def _subject(
    name: str, encode: Callable[[Any], bytes], registry: Any, children: int, every: int = 1
) -> Subject:
    latest: list[bytes] = []

    def sample(scrapes: int) -> float:
        began = time.perf_counter()
        for _ in range(scrapes):
            body = encode(registry)
        took = time.perf_counter() - began
        latest[:] = [body]
        return took

    return Subject(name, sample, lambda done: check(name, latest[0], children), every=every)


def measure(effort: Effort) -> Samples:
    children = QUICK_CHILDREN if effort.quick else CHILDREN
    return interleave(
        partial(subjects, children),
        rounds=effort.rounds(15, 2),
        seconds=effort.seconds(0.03),
        title="encoders",
    )


# Memory ----------------------------------------------------------------------------------------------------

PEAK = """
from benches.encoders import encoder, peak
print(peak(encoder({name!r}), {children}))
"""
TWICE = """
from benches.encoders import encoder, peak, TEXT
encode = encoder(TEXT)
print(peak(lambda registry: encode(registry) + b"one copy more", {children}))
"""


def peak(encode: Callable[[Any], bytes], children: int) -> float:
    """The most memory that scrapes took beyond what was there before, over the size of the result."""
    registry = filled(importlib.import_module("ferrometer"), children)
    most = 0.0
    for _ in range(4):
        with open("/proc/self/clear_refs", "w") as reset:
            reset.write("5")  # the high-water mark starts again from here
        before = _memory("VmRSS")
        size = len(encode(registry))
        most = max(most, (_memory("VmHWM") - before) / size)
    return most


def _memory(what: str) -> int:
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def measure_memory(effort: Effort) -> Samples:
    """Times the size of the result, each in a fresh process."""
    # Fewer children would be lost in the pages of everything else.
    rounds = effort.rounds(3, 1)
    programs = {name: PEAK.format(name=name, children=CHILDREN) for name in ENCODERS}
    programs[CONTROL] = TWICE.format(children=CHILDREN)
    return {name: [float(run("-c", program)) for _ in range(rounds)] for name, program in programs.items()}


# Compression -----------------------------------------------------------------------------------------------


def measure_gzip(effort: Effort) -> Samples:
    """Seconds to compress the text at some levels; the endpoints use the first."""
    children = QUICK_CHILDREN if effort.quick else CHILDREN
    body = encoder(TEXT)(filled(peer("ferrometer"), children))
    samples: Samples = {}
    for level in LEVELS:
        times: list[float | None] = []
        for _ in range(effort.rounds(5, 1)):
            began = time.perf_counter()
            zipped = gzip.compress(body, level)
            times.append(time.perf_counter() - began)
        assert gzip.decompress(zipped) == body
        samples[f"level {level}: 1/{len(body) / len(zipped):.0f}"] = times
    return samples


ROWS = (
    Row(
        "encoders",
        "each format, 10 000 hist.",
        "ms",
        measure,
        tuple(Aim(CLIENT, name, at_least=100) for name in ENCODERS),
        faster_than_control=TEXT,
        note="180 004 lines; protobuf with native histograms; control: text of twice the children",
    ),
    Row(
        "encoders_memory",
        "  memory over result",
        "bytes",
        measure_memory,
        tuple(Aim(name, at_most=1.5) for name in ENCODERS),
        note="the most of four scrapes, per byte of the result; control: one copy more",
    ),
    Row("encoders_gzip", "  gzip of the text", "ms", measure_gzip, note="level, and the share that is left"),
)
