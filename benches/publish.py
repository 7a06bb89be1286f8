"""Puts the figures of a full run where readers see them: `docs/overhead.svg` and the table in the README.

python -m benches --json run.json && python -m benches.publish run.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benches import plot
from benches.report import amount
from benches.row import FLOOR, OURS

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- figures: python -m benches.publish -->", "<!-- end of figures -->"
CLIENT, EXPORTER = "prometheus_client", "starlette_exporter"

# What readers are told, the subject that stands for the peers, and what the floor is called.
LINES = {
    "inc": ("`counter.inc()`", CLIENT),
    "labels": ("`family.labels(a, b, c).inc()`", CLIENT),
    "observe": ("`histogram.observe(x)`", CLIENT),
    "middleware": ("middleware, everything on, per request", EXPORTER),
    "middleware_sampled": ("the same at `sample=0.01`", EXPORTER),
    "scrape": ("scrape of 10 000 histograms", CLIENT),
    "gil_asleep": ("what a Python thread loses beside it", "control"),
    "memory_histogram": ("memory of a histogram's child", CLIENT),
    "memory_counter": ("memory of a counter's child", CLIENT),
    "import": ("`import`", CLIENT),
    "shared_inc": ("`counter.inc()` that other processes see; floor: private", CLIENT),
    "shared_labels": ("`family.labels(a, b, c).inc()`, likewise", CLIENT),
    "shared_observe": ("`histogram.observe(x)`, likewise", CLIENT),
    "shared_middleware": ("middleware, likewise", ""),
    "shared_scrape": ("scrape of 32 processes with 1 000 routes", CLIENT),
    "shared_first": ("a process's first of these", CLIENT),
    "shared_recycled": ("the same after 1 000 deaths; floor: after none", ""),
    "shared_files": ("files in the directory then; floor: before", CLIENT),
    "shared_memory": ("directory, each process with 1 000 routes", CLIENT),
    "wrk_plain": ("uvicorn, requests a second", EXPORTER),
}
PEERS = {"control": CLIENT}


def table(run: Mapping[str, Any]) -> str:
    """The figures as a Markdown table. An aim that was missed says so."""
    rows = {row["key"]: row for row in run["rows"]}
    lines = ["| | the floor | Ferrometer | a peer | aims |", "|---|--:|--:|--:|---|"]
    for key, (title, peer) in LINES.items():
        if key not in rows:
            continue
        figures, unit = rows[key]["figures"], rows[key]["unit"]
        floor = figures.get(FLOOR) if key != "wrk_plain" else figures["no middleware"]

        def cell(figure: Mapping[str, float] | None, unit: str = unit) -> str:
            return amount(figure["median"], unit) if figure else ""

        other = f"{PEERS.get(peer, peer)} {cell(figures[peer])}" if peer in figures else ""
        lines.append(f"| {title} | {cell(floor)} | {cell(figures[OURS])} | {other} | {_aims(rows[key])} |")
    return "\n".join(lines)


def _aims(row: Mapping[str, Any]) -> str:
    return "; ".join(f"{aim['aim']}: {'met' if aim['met'] else '**missed**'}" for aim in row["aims"])


def insert(readme: str, run: Mapping[str, Any]) -> str:
    """The README with these figures between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the README has no lines {BEGIN!r} and {END!r} to write between")
    machine = run["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}"
    return f"{before}{BEGIN}\n{table(run)}\n\nMedians on {where}.\n{END}{after}"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m benches.publish RUN.json", file=sys.stderr)
        return 2
    run = json.loads(Path(arguments[0]).read_text())
    if run["quick"]:
        print("benches: the figures of a --quick run are not worth publishing", file=sys.stderr)
        return 2
    readme = ROOT / "README.md"
    readme.write_text(insert(readme.read_text(), run))
    (ROOT / "docs" / "overhead.svg").write_text(plot.draw(run))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
