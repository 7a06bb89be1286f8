"""Mistakes that `mypy --strict` must see: an ignore that is not needed is an error, too.

Nobody runs this file.
"""

from __future__ import annotations

from starlette.applications import Starlette

import ferrometer
from ferrometer import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest

registry = CollectorRegistry()
counter = Counter("c", "h", ["l"], registry=registry)
gauge = Gauge("g", "h", registry=registry)
histogram = Histogram("h", "h", registry=registry)

Counter("c")  # type: ignore[call-arg]
Counter("c", "h", colour="red")  # type: ignore[call-arg]
Counter("c", "h", [5])  # type: ignore[list-item]
Counter("c", "h", buckets=[1])  # type: ignore[call-arg]
Histogram("h", "h", sample="0.1")  # type: ignore[arg-type]
Histogram("h", "h", buckets=5)  # type: ignore[arg-type]
Summary("s", "h", quantiles=0.99)  # type: ignore[arg-type]
Enum("e", "h", states=[1, 2])  # type: ignore[list-item]
Gauge("g", "h", max_series="5")  # type: ignore[arg-type]

counter.inc("1")  # type: ignore[arg-type]
counter.inc(None)  # type: ignore[arg-type]
counter.inc(1, exemplar={"trace_id": 5})  # type: ignore[dict-item]
counter.dec()  # type: ignore[attr-defined]
counter.observe(1)  # type: ignore[attr-defined]
gauge.set()  # type: ignore[call-arg]
gauge.observe(1)  # type: ignore[attr-defined]
gauge.set_function(5)  # type: ignore[arg-type]
histogram.inc()  # type: ignore[attr-defined]
histogram.quantile("p99")  # type: ignore[arg-type]
Info("i", "h").info({"a": 5})  # type: ignore[dict-item]
generate_latest("registry")  # type: ignore[arg-type]
registry.register(5)  # type: ignore[arg-type]


@histogram.time()
def add(a: int) -> int:
    return a


add("1")  # type: ignore[arg-type]
print(ferrometer.Countr)  # type: ignore[attr-defined]
print(ferrometer.instrumnt)  # type: ignore[attr-defined]
ferrometer.instrument(Starlette(), prefix="x")  # type: ignore[call-arg]
