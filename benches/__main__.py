"""`python -m benches`: measure the floor, ours and the peers in one run, and print the comparison."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path

from benches import report
from benches.row import Result, Row
from ferrometer.bench.peers import MissingPeer, absent, missing
from ferrometer.bench.rounds import Effort, Samples


def rows() -> list[Row]:
    """Every row, in the order of the table."""
    from benches import (
        clients,
        collectors,
        encoders,
        exposition,
        footprint,
        gil,
        history,
        idle,
        instruments,
        log_line,
        middleware,
        own_port,
        page,
        record,
        served,
        shared,
        shared_record,
        shared_state,
        shipper,
        stall,
    )

    return [
        *record.ROWS,
        *middleware.ROWS,
        *clients.ROWS,
        *exposition.ROWS,
        *encoders.ROWS,
        *gil.ROWS,
        *instruments.ROWS,
        *footprint.ROWS,
        *collectors.ROWS,
        *served.ROWS,
        *own_port.ROWS,
        *shared_record.ROWS,
        *shared.ROWS,
        *log_line.ROWS,
        *shared_state.ROWS,
        *shipper.ROWS,
        *page.ROWS,
        *history.ROWS,
        *idle.ROWS,
        *stall.ROWS,
    ]


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if importlib.util.find_spec("ferrometer") is None:
        print("benches: ferrometer is not installed: run `make build` or `pip install .`", file=sys.stderr)
        return 2
    effort = Effort(quick=options.quick)
    chosen = [
        row for row in rows() if not options.only or any(row.key.startswith(key) for key in options.only)
    ]
    if not chosen:
        print(
            f"benches: no row is called {options.only}; there are {[r.key for r in rows()]}", file=sys.stderr
        )
        return 2
    began = time.monotonic()
    print(_preamble(quick=options.quick), report.heading(), sep="\n", flush=True)
    results: list[Result] = []
    try:
        for row in chosen:
            samples = _measured(row, effort)
            if samples:  # a row without its tool is named under "left out"
                results.append(Result(row, samples))
                print(report.table(results[-1], judge=not options.quick), flush=True)
    except MissingPeer as error:
        print(f"benches: {error}", file=sys.stderr)
        return 2
    finally:
        if options.json:  # also what was measured before a row failed
            report.write_json(options.json, results, missing, quick=options.quick)
    print(_closing(results, time.monotonic() - began, quick=options.quick))
    return 0


def _measured(row: Row, effort: Effort) -> Samples:
    """The row's samples; none when a package that it stands on is not installed."""
    try:
        return row.measure(effort)
    except ModuleNotFoundError as error:
        if (error.name or "ferrometer").startswith("ferrometer"):
            raise
        absent(row.title.strip(), f"pip install -r requirements-dev.txt  ({error})")
        return {}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short: assert the answers, judge no times")
    parser.add_argument(
        "--only", action="append", metavar="KEY", help="rows whose key starts so (repeatable)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and samples to FILE")
    return parser.parse_args(arguments)


def _preamble(*, quick: bool) -> str:
    facts = report.machine()
    where = f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}"
    how = "answers asserted, times not judged" if quick else "medians over interleaved rounds"
    return f"Ferrometer against the floor and its peers: {where}; {how}\n"


def _closing(results: list[Result], seconds: float, *, quick: bool) -> str:
    lines = ["", f"{len(results)} rows in {seconds:.0f} s; every answer was checked."]
    if not quick:
        verdicts = [(result.row.title.strip(), v) for result in results for v in result.verdicts()]
        met = sum(v.met for _, v in verdicts)
        lines.append(f"{met} of {len(verdicts)} aims met.")
        lines += [
            f"MISSED: {title}: {v.aim.text}, reached {v.value:.2f}" for title, v in verdicts if not v.met
        ]
    lines += [f"left out: {name}: {how}" for name, how in missing.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
