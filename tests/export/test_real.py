"""Metrics at real receivers: what was exported is what they have."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.export.test_otlp_metrics import HEADER
from tests.logs.programs import run, wait_for
from tests.real.log_receivers import Receiver, rotel
from tests.real.prometheus3 import prometheus3

PROGRAM = f"""{HEADER}
from ferrometer import Gauge, Histogram
import random
made = exporting(sys.argv[2], sys.argv[1], interval=3600)
(feature,) = [feature for feature in made.runtime.features if feature.section == "export"]
counter.inc(7)
Gauge("depth", "Depth", ["queue"]).labels("q").set(2.5)
histogram = Histogram("latency_seconds", "Latency", unit="seconds", buckets=[0.01, 0.1, 1])
drawn = random.Random(3)
for _ in range(1000): histogram.observe(drawn.lognormvariate(-3, 1))
feature.collect()
assert _core.flush_records(30, "metrics")
print(_core.record_counts("metrics"), file=sys.stderr)
print(ferrometer.generate_latest().decode())
os._exit(0)
"""


def text_of(out: str, name: str) -> dict[str, float]:
    """The samples of a name in the text format, by their labels."""
    rows = [line.rsplit(" ", 1) for line in out.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return {key.removeprefix(name): float(value) for key, value in rows}


def test_prometheus_has_what_the_text_format_says_bucket_for_bucket(tmp_path: Path) -> None:
    with prometheus3(tmp_path) as server:
        out, err = run(PROGRAM, tmp_path / "shared", server.otlp)
        assert '"rejected":0' in err
        wait_for(lambda: server.query("jobs_total"), "the counter at Prometheus")
        assert float(server.query("jobs_total")[0]["value"][1]) == 7
        (depth,) = server.query("depth")
        assert (depth["metric"]["queue"], float(depth["value"][1])) == ("q", 2.5)
        told = {
            f'{{le="{float(row["metric"]["le"])}"}}'.replace("inf", "+Inf"): float(row["value"][1])
            for row in server.query("latency_seconds_bucket")
        }
        assert told == text_of(out, "latency_seconds_bucket")
        assert float(server.query("latency_seconds_count")[0]["value"][1]) == 1000


def test_an_exponential_histogram_is_a_native_one_of_the_same_quantiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERROMETER_EXPORT_HISTOGRAMS", "exponential")
    with prometheus3(tmp_path) as server:
        run(PROGRAM, tmp_path / "shared", server.otlp)
        wait_for(lambda: server.query("latency_seconds"), "the histogram at Prometheus")
        (row,) = server.query("latency_seconds")
        assert (row["histogram"][1]["count"], len(row["histogram"][1]["buckets"]) > 20) == ("1000", True)
        (median,) = server.query("histogram_quantile(0.5, latency_seconds)")
        assert float(median["value"][1]) == pytest.approx(math.exp(-3), rel=0.15)


def test_a_collector_takes_all_of_it(tmp_path: Path) -> None:
    from tests.export.test_otlp_metrics import metrics

    with Receiver() as behind, rotel(tmp_path, behind) as url:
        out, err = run(PROGRAM, tmp_path / "shared", url)
        assert '"rejected":0' in err

        def found() -> dict[str, Any]:
            return {metric.name: metric for metric in metrics(behind.posts, scope=None)}

        wait_for(lambda: {"jobs", "depth", "latency"} <= found().keys(), "the metrics behind the collector")
        (point,) = found()["latency"].histogram.data_points
        assert list(point.explicit_bounds) == [0.01, 0.1, 1]
        assert point.count == text_of(out, "latency_seconds_count")[""]
