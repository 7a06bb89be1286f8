"""Drift from bins, beside SciPy and NumPy on the values themselves, and over several processes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from scipy import stats  # type: ignore[import-untyped]  # it has no types

from ferrometer import CollectorRegistry, Histogram
from ferrometer.drift import Baseline, DriftMonitor

VALUES = 100_000

Draw = Callable[[random.Random], float]
#: Name, baseline, window, and how far PSI, KS and (as a share) Wasserstein may be from those of the values.
#: Narrow ones lie in few bins; where many values are equal, deciles of bins are other ones.
PAIRS: list[tuple[str, Draw, Draw, float, float, float]] = [
    ("lognormal", lambda r: r.lognormvariate(0, 1), lambda r: r.lognormvariate(0.3, 1), 1e-4, 5e-4, 2e-4),
    ("exponential", lambda r: r.expovariate(1), lambda r: r.expovariate(0.8), 1e-4, 5e-4, 2e-4),
    ("the same", lambda r: r.lognormvariate(0, 1), lambda r: r.lognormvariate(0, 1), 1e-4, 5e-4, 2.7e-3),
    ("normal", lambda r: r.gauss(100, 10), lambda r: r.gauss(103, 12), 5e-3, 5e-4, 2.7e-3),
    ("narrow", lambda r: r.uniform(0.9, 1.1), lambda r: r.uniform(0.9, 1.1) * 1.015, 3.8e-2, 1e-3, 2.7e-3),
    ("integers", lambda r: float(r.randint(1, 40)), lambda r: float(r.randint(1, 50)), 1.6e-2, 5e-4, 2.7e-3),
]


def _pair(
    registry: CollectorRegistry, baseline: Draw, window: Draw
) -> tuple[DriftMonitor, list[float], list[float]]:
    source = random.Random(11)
    before = [baseline(source) for _ in range(VALUES)]
    after = [window(source) for _ in range(VALUES)]
    histogram = Histogram("h", "help", registry=registry)
    for value in before:
        histogram.observe(value)
    monitor = DriftMonitor("model", histogram, Baseline.of(histogram))
    for value in after:
        histogram.observe(value)
    return monitor, before, after


@pytest.mark.parametrize(
    ("name", "baseline", "window", "psi_error", "ks_error", "wasserstein_error"),
    PAIRS,
    ids=[pair[0] for pair in PAIRS],
)
def test_it_is_what_scipy_finds_in_the_values(
    registry: CollectorRegistry,
    name: str,
    baseline: Draw,
    window: Draw,
    psi_error: float,
    ks_error: float,
    wasserstein_error: float,
) -> None:
    monitor, before, after = _pair(registry, baseline, window)
    found = monitor.check()
    assert (found.values, found.baseline_values) == (VALUES, VALUES)
    assert found.psi is not None
    assert found.ks is not None
    assert found.wasserstein is not None
    assert abs(found.ks - stats.ks_2samp(before, after).statistic) <= ks_error
    far = stats.wasserstein_distance(before, after) / numpy.std(before)
    assert abs(found.wasserstein - far) <= wasserstein_error * far
    edges = numpy.unique(numpy.quantile(before, numpy.linspace(0, 1, 11)[1:-1]))
    p = numpy.bincount(numpy.searchsorted(edges, before), minlength=len(edges) + 1) / VALUES
    q = numpy.bincount(numpy.searchsorted(edges, after), minlength=len(edges) + 1) / VALUES
    p, q = numpy.maximum(p, 0.5 / VALUES), numpy.maximum(q, 0.5 / VALUES)
    assert abs(found.psi - float(((q - p) * numpy.log(q / p)).sum())) <= psi_error


def test_statuses_and_what_is_reported(registry: CollectorRegistry) -> None:
    told: list[tuple[str, float, str, float]] = []
    histogram = Histogram("h", "help", registry=registry)
    monitor = DriftMonitor("ranker", histogram, report=lambda *found: told.append(found))
    source = random.Random(3)

    def fill(mean: float) -> None:
        for _ in range(2000):
            histogram.observe(source.gauss(mean, 10))

    fill(100)
    assert monitor.check().status is None  # the baseline is taken
    fill(100)
    assert monitor.check().status == "ok"
    fill(104.4)
    assert monitor.check().status == "warning"
    fill(120)
    assert monitor.check().status == "critical"
    assert [(model, status) for model, _, status, _ in told] == [
        ("ranker", "ok"),
        ("ranker", "warning"),
        ("ranker", "critical"),
    ]
    assert all(0 < seconds < 10 for *_, seconds in told)


def test_too_few_values_say_nothing_and_are_kept_for_the_next_check(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "help", registry=registry)
    monitor = DriftMonitor("model", histogram)
    for _ in range(499):
        histogram.observe(1)
    assert monitor.check().baseline_values == 0
    histogram.observe(1)
    assert monitor.check().baseline_values == 500
    for _ in range(499):
        histogram.observe(50)
    found = monitor.check()
    assert (found.status, found.psi, found.values) == (None, None, 499)
    histogram.observe(50)
    found = monitor.check()
    assert (found.status, found.values, found.ks) == ("critical", 500, 1.0)


def test_negative_values_have_no_distance(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "help", registry=registry)
    monitor = DriftMonitor("model", histogram)
    for value in [-1.0] * 500:
        histogram.observe(value)
    monitor.check()
    for value in [1.0] * 500:
        histogram.observe(value)
    found = monitor.check()
    assert (found.status, found.wasserstein) == ("critical", None)


def test_a_baseline_is_saved_and_loaded(registry: CollectorRegistry, tmp_path: Path) -> None:
    histogram = Histogram("h", "help", ["model"], registry=registry).labels("ranker")
    for value in (0, -1, 0.5, 1e-300, 3, 3, float("inf"), 1e300):
        histogram.observe(value)
    baseline = Baseline.of(histogram)
    assert baseline.count == 8
    baseline.save(tmp_path / "baseline.json")
    assert Baseline.load(tmp_path / "baseline.json") == baseline
    assert [path.name for path in tmp_path.iterdir()] == ["baseline.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"version": 2},
            "has version 2 with 128 bins an octave; this is version 1 with 128",
        ),
        ({"bins_per_octave": 8}, "with 8 bins an octave"),
        ({"format": "other"}, "is no drift baseline: save one"),
        ({"bins": [[1, -1]]}, "counts above 0"),
        ({"bins": [[2, 1], [1, 1]]}, "must ascend"),
        ({"bins": [[1]]}, "pairs of whole numbers"),
        ({"bins": None}, "pairs of whole numbers"),
        ({"bins": [[2**40, 1]]}, "must ascend"),
    ],
)
def test_other_baselines_are_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    about = {"format": "ferrometer drift baseline", "version": 1, "bins_per_octave": 128, "bins": [[1, 1]]}
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({**about, **change}))
    with pytest.raises(ValueError, match=words):
        Baseline.load(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="is no drift baseline"):
        Baseline.load(path)


def test_impossible_thresholds_are_refused(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "help", registry=registry)
    with pytest.raises(ValueError, match=r"below critical, not 0\.3 and 0\.2"):
        DriftMonitor("model", histogram, warning=0.3, critical=0.2)
    with pytest.raises(ValueError, match="minimum_values must be at least 1"):
        DriftMonitor("model", histogram, minimum_values=0)


def test_values_of_all_workers_count_and_those_of_a_killed_one(tmp_path: Path) -> None:
    program = """
        import os, random, signal, sys
        import ferrometer
        from ferrometer.drift import Baseline, DriftMonitor
        ferrometer.share(sys.argv[1])
        histogram = ferrometer.Histogram("scores", "help")
        if sys.argv[2] == "check":
            found = DriftMonitor("model", histogram, Baseline.load(sys.argv[3]))
            # A worker that checks what the others recorded before it began.
            found._before = ferrometer._core.HistogramBins(())
            print(found.check().values)
        elif sys.argv[2] == "save":
            Baseline.of(histogram).save(sys.argv[3])
        else:
            for _ in range(1000):
                histogram.observe(random.random())
            if sys.argv[2] == "die":
                os.kill(os.getpid(), signal.SIGKILL)
    """

    def run(word: str) -> str:
        arguments = [str(tmp_path), word, str(tmp_path / "baseline.json")]
        command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=word != "die"
        ).stdout

    run("record")
    run("die")
    run("save")
    assert Baseline.load(tmp_path / "baseline.json").count == 2000
    run("die")
    assert run("check").strip() == "3000"
