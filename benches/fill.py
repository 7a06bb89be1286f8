"""A fresh process that creates children of one metric and prints the bytes of memory each of them took.

    python -m benches.fill ferrometer Counter 50000 1 0.8

Library, kind, children, observations in each child, sigma of their logarithm.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import random
import sys
from collections.abc import Callable
from typing import Any

LABELS = ("method", "path", "status")
MEDIAN = 0.02  # seconds
KNOWN_BYTES = 8192  # what a child of the control holds

Labels = Callable[..., Any]
"""Called with three label values; gives a child with `inc` and `observe`."""


def resident() -> int:
    """Bytes of this process in memory, garbage collected and free memory given back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss"))


def like_prometheus_client(library: str, kind: str, **more: Any) -> Labels:
    """A family of ours or of prometheus_client: the same signatures."""
    module = importlib.import_module(library)
    registry = module.CollectorRegistry()
    labels: Labels = getattr(module, kind)(
        "measured", "A benchmark's.", LABELS, registry=registry, **more
    ).labels
    return labels


def ferrometer(kind: str, children: int) -> Labels:
    # A family of ours stops at 10 000 series unless told otherwise.
    return like_prometheus_client("ferrometer", kind, max_series=children + 1)


def prometheus_client(kind: str, children: int) -> Labels:
    return like_prometheus_client("prometheus_client", kind)


def pytheus(kind: str, children: int) -> Labels:
    metrics = importlib.import_module("pytheus.metrics")
    family = getattr(metrics, kind)("measured", "A benchmark's.", required_labels=list(LABELS), registry=None)
    return lambda *values: family.labels(dict(zip(LABELS, values, strict=True)))


def opentelemetry(kind: str, children: int) -> Labels:
    metrics = importlib.import_module("opentelemetry.sdk.metrics")
    export = importlib.import_module("opentelemetry.sdk.metrics.export")
    provider = metrics.MeterProvider(metric_readers=[export.InMemoryMetricReader()], shutdown_on_exit=False)
    instrument = getattr(provider.get_meter("benches"), f"create_{kind.lower()}")("measured")

    class Child:
        def __init__(self, *values: str) -> None:
            self.attributes = dict(zip(LABELS, values, strict=True))

        def inc(self) -> None:
            instrument.add(1, self.attributes)

        def observe(self, value: float) -> None:
            instrument.record(value, self.attributes)

    return Child


def control(kind: str, children: int) -> Labels:
    """Children whose size is known beforehand: the measurement must find it."""
    kept = []

    class Child:
        def __init__(self, *values: str) -> None:
            kept.append(bytearray(KNOWN_BYTES))

        def inc(self) -> None:
            """Holds memory, counts nothing."""

        def observe(self, value: float) -> None:
            """Holds memory, counts nothing."""

    return Child


LIBRARIES = {f.__name__: f for f in (ferrometer, prometheus_client, pytheus, opentelemetry, control)}


def main(library: str, kind: str, children: int, observations: int, sigma: float) -> float:
    """Bytes for each child."""
    chance = random.Random(5)
    values = [MEDIAN * chance.lognormvariate(0.0, sigma) for _ in range(1 << 16)]
    labels = LIBRARIES[library](kind, children)
    before = resident()
    for i in range(children):
        child = labels("GET", f"/v1/models/{i}/infer", "200")
        if kind == "Counter":
            child.inc()
            continue
        start = chance.randrange(len(values) - observations)
        for value in values[start : start + observations]:
            child.observe(value)
    del child
    return (resident() - before) / children


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
