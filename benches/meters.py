"""A counter and a histogram of OpenTelemetry's metrics API, three attributes: ours and its SDK's, in one run.

``python -m benches.meters``; nanoseconds of the calling thread, the least of interleaved rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ferrometer
from ferrometer.otel import MeterProvider

ROUNDS, CALLS = 60, 1000


def nothing(amount: float, attributes: object = None) -> None:
    """What a call with these arguments costs in Python."""


def calls_of(provider: Any, name: str) -> dict[str, Callable[[], None]]:
    meter = provider.get_meter("bench")
    counter, histogram = meter.create_counter("requests"), meter.create_histogram("duration", "s")

    def add() -> None:
        counter.add(1, {"http.method": "GET", "http.route": "/items/{id}", "http.status": 200})

    def record() -> None:
        histogram.record(0.25, {"http.method": "GET", "http.route": "/items/{id}", "http.status": 200})

    return {f"counter.add, {name}": add, f"histogram.record, {name}": record}


def floor() -> None:
    nothing(1, {"http.method": "GET", "http.route": "/items/{id}", "http.status": 200})


def main() -> None:
    calls: dict[str, Callable[[], None]] = {"floor": floor}
    calls |= calls_of(MeterProvider(ferrometer.CollectorRegistry()), "ours")
    try:
        from opentelemetry.sdk.metrics import MeterProvider as Sdk
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        calls |= calls_of(Sdk([InMemoryMetricReader()]), "OpenTelemetry")
    except ImportError as error:
        print(error)
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begun = time.thread_time_ns()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], (time.thread_time_ns() - begun) / CALLS)
    for name, nanoseconds in best.items():
        ours = best.get(name.replace("OpenTelemetry", "ours"), nanoseconds)
        print(f"{name:<36} {nanoseconds:9.0f} ns   x {nanoseconds / ours:6.1f}")


if __name__ == "__main__":
    main()
