"""Every format shows all workers: exemplars, native histograms, names asked for, quantiles over all."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.workers.test_forks import run

RECORDED = """
from ferrometer import REGISTRY
from ferrometer.openmetrics import exposition as openmetrics
ferrometer.share(directory)
requests = ferrometer.Counter("requests", "Requests", ["model"])
seconds = ferrometer.Histogram("seconds", "Seconds", buckets=(0.1, 1, 10))
size = ferrometer.Summary("size", "Bytes", quantiles=(0.5, 0.99))
build = ferrometer.Info("build", "What runs")
state = ferrometer.Enum("state", "What it does", states=["starting", "serving"])

def one(n):
    def work():
        for i in range(1, 101):
            seconds.observe(n * i / 100, exemplar={"trace_id": f"{n}-{i}"})
            size.observe(n * 1000 + i)
        requests.labels("m").inc(n, exemplar={"trace_id": f"counter-{n}"})
        build.info({"version": "7"})
        state.state("serving" if n == 3 else "starting")
        time.sleep(0.05)
    return work

for n in (1, 2, 3):
    join([fork(one(n))])
"""


def test_openmetrics_has_the_exemplars_of_all(tmp_path: Path) -> None:
    program = RECORDED + 'print(openmetrics.generate_latest(REGISTRY).decode(), end="")'
    text = run(program, tmp_path / "shared").decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    buckets = {s.labels["le"]: s for s in families["seconds"].samples if s.name == "seconds_bucket"}
    assert [buckets[le].value for le in ("0.1", "1.0", "10.0", "+Inf")] == [18, 183, 300, 300]
    # The latest of each bucket, whoever recorded it.
    exemplars = {le: sample.exemplar for le, sample in buckets.items()}
    traces = {le: exemplar.labels for le, exemplar in exemplars.items() if exemplar is not None}
    assert traces["0.1"] == {"trace_id": "3-3"}
    assert traces["10.0"] == {"trace_id": "3-100"}
    (total,) = (s for s in families["requests"].samples if s.name == "requests_total")
    assert total.value == 6
    assert total.exemplar is not None
    assert total.exemplar.labels == {"trace_id": "counter-3"}
    quantiles = {s.labels["quantile"]: s.value for s in families["size"].samples if "quantile" in s.labels}
    # Of 300 values the 150th and the 297th; no mean of three workers' quantiles is near them.
    assert abs(quantiles["0.5"] / 2050 - 1) < 0.003
    assert abs(quantiles["0.99"] / 3097 - 1) < 0.003
    assert [s.labels for s in families["build"].samples] == [{"version": "7"}]
    states = {s.labels["state"]: s.value for s in families["state"].samples}
    assert states == {"starting": 0, "serving": 1}


def test_names_and_protobuf(tmp_path: Path) -> None:
    program = (
        RECORDED
        + """
assert b"requests_total" not in REGISTRY._native.protobuf([], {"seconds"}, 160, b"", b"")
whole = REGISTRY._native.protobuf([], None, 160, b"", b"")
few = REGISTRY._native.protobuf([], None, 4, b"", b"")
assert len(few) < len(whole) - 50  # fewer native buckets, merged over all workers
restricted = REGISTRY.restricted_registry(["requests_total"])
print(ferrometer.generate_latest(restricted).decode(), end="")
"""
    )
    text = run(program, tmp_path / "shared").decode()
    assert text.endswith('requests_total{model="m"} 6.0\n')
    assert "seconds" not in text
