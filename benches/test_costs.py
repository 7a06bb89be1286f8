"""Scrapes, the GIL, memory, import, and requests behind uvicorn: short runs that assert what is no time."""

from __future__ import annotations

from functools import partial

import pytest

import ferrometer
from benches import exposition, footprint, gil, own_port, served, shared, shared_record
from benches.fixture import Benchmark
from benches.row import CONTROL, OURS, Result, Row
from ferrometer.bench.rounds import Effort

QUICK = Effort(quick=True)
[SCRAPE] = exposition.ROWS


def test_ten_thousand_histograms(benchmark: Benchmark) -> None:
    registry = exposition.filled(ferrometer, exposition.CHILDREN)
    text = benchmark.pedantic(ferrometer.generate_latest, (registry,), rounds=5, warmup_rounds=1)
    assert text.count(b"\n") == 180_004
    exposition.check_text(text, exposition.CHILDREN)


def test_control_twice_the_children_take_clearly_longer() -> None:
    assert not Result(SCRAPE, SCRAPE.measure(QUICK)).spurious()


def test_a_thread_runs_on_beside_a_scrape() -> None:
    # A scrape that held the GIL would take half of the time and more; other programs' noise stays below.
    registry = exposition.filled(ferrometer, exposition.CHILDREN)
    scrape = partial(gil.repeat, partial(ferrometer.generate_latest, registry))
    lost = min(gil.lost(scrape, 0.1).loops for _ in range(5))
    assert lost < 30, f"{lost:.0f} % of a spinning thread's loops were lost beside a scrape"


@pytest.mark.parametrize(
    "row", [r for r in footprint.ROWS if r.unit == "bytes" and r.aims], ids=lambda r: r.key
)
def test_memory(row: Row) -> None:
    """Bytes are no times: the aim holds on any machine, at the full number of children."""
    result = Result(row, row.measure(Effort()))
    [verdict] = result.verdicts()
    assert verdict.met, f"{verdict.value:.0f} bytes; the aim is {verdict.aim.text}"
    assert result.figure(CONTROL).median > 8192


def test_import_is_far_cheaper_than_that_of_prometheus_client() -> None:
    row = next(row for row in footprint.ROWS if row.key == "import")
    result = Result(row, row.measure(QUICK))
    assert result.ratio(OURS, "prometheus_client") < 0.6
    assert not result.spurious()


@pytest.mark.parametrize("row", served.ROWS, ids=lambda row: row.key)
def test_behind_uvicorn(row: Row) -> None:
    """The servers themselves say at their end that they counted what wrk was answered."""
    samples = row.measure(QUICK)
    if not samples:
        pytest.skip("wrk is not installed: apt-get install wrk")
    assert Result(row, samples).figure(OURS).median > 0


def test_requests_beside_scrapes_of_an_own_port() -> None:
    """Every request and every scrape is answered."""
    [row] = own_port.ROWS
    samples = row.measure(QUICK)
    if not samples:
        pytest.skip("a machine with two cores and uvicorn is needed")
    assert Result(row, samples).figure(OURS).median > 0


@pytest.mark.parametrize("row", [*shared_record.ROWS, *shared.ROWS], ids=lambda row: row.key)
def test_many_processes(row: Row) -> None:
    """They record what and where they are told to, and scrapes show all of it: the rows check that."""
    samples = row.measure(QUICK)
    assert len(samples[OURS]) >= 1
    assert len(samples) > 1
    if row.key == "shared_files":
        # No time, so it holds anywhere: as many files as live processes, and a few.
        assert samples[OURS] == [shared.QUICK_PROCESSES + shared.CONSTANT]
    if row.key == "shared_memory":
        assert Result(row, samples).ratio(OURS, shared.CLIENT) < 1
