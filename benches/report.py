"""The comparison as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benches.row import CONTROL, FLOOR, OURS, Figure, Result, Verdict
from ferrometer.bench.peers import PEERS

PACKAGES = (
    "ferrometer",
    "prometheus-client",
    "starlette-exporter",
    "prometheus-fastapi-instrumentator",
    "opentelemetry-instrumentation-asgi",
    "opentelemetry-instrumentation-asyncpg",
    "opentelemetry-instrumentation-redis",
    "pytheus",
    "asyncpg",
    "redis",
    "starlette",
    "uvicorn",
)
WIDTHS = (30, 22, 26, 8)


def heading() -> str:
    cells = ("what (median, quartiles)", "floor", "ferrometer", "ratio")
    return _columns(cells) + "aim, reached (95 % interval)\n" + "-" * 124


def table(result: Result, *, judge: bool) -> str:
    """The lines of one row: the figures, each aim with what was reached, then the peers."""
    row, names = result.row, result.names()
    unit = row.unit
    floor = _spread(result.figure(FLOOR), unit) if FLOOR in names else "-"
    ours = _spread(result.figure(OURS), unit) if OURS in names else "-"
    ratio = f"{result.ratio(OURS, FLOOR):.2f}" if FLOOR in names and OURS in names else "-"
    aims = [_verdict(verdict, judge=judge) for verdict in result.verdicts()] or [""]
    lines = [_columns((row.title, floor, ours, ratio)) + aims[0]]
    lines += [_columns(("", "", "", "")) + aim for aim in aims[1:]]
    lines += [f"{'':32}{line}" for line in _others(result)]
    if row.note:
        lines.append(f"{'':32}({row.note})")
    if result.spurious() and judge:
        lines.append(f"{'':32}SPURIOUS: the control, which must be slower, was not. Do not trust this row.")
    return "\n".join(line.rstrip() for line in lines)


def _others(result: Result) -> list[str]:
    lines, line = [], ""
    for name in result.names():
        if name in (FLOOR, OURS):
            continue
        text = f"{name} {amount(result.figure(name).median, result.row.unit)}"
        if OURS in result.net and name in PEERS:
            text += f" ({_times(result.ratio(name, OURS))} ours)"
        if name == CONTROL:
            text = f"[{text}]"
        if line and len(line) + len(text) > 84:
            lines.append(line)
            line = ""
        line += (" · " if line else "") + text
    return [*lines, line] if line else lines


def _columns(cells: Sequence[str]) -> str:
    first, *rest = cells
    return (
        f"{first:<{WIDTHS[0]}}" + "".join(f"{c:>{w}}" for c, w in zip(rest, WIDTHS[1:], strict=True)) + "  "
    )


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} x" if ratio >= 10 else f"{ratio:.2f} x"


def _spread(figure: Figure, unit: str) -> str:
    """`12.3 ns (12.1-12.9)`"""
    thousands = 1000 if unit == "req/s" else 1
    low, high = _number(figure.low / thousands), _number(figure.high / thousands)
    return f"{amount(figure.median, unit)} ({low}-{high})"


def amount(value: float, unit: str) -> str:
    if unit == "% lost":
        return f"{value:.2f} %" if abs(value) < 0.1 else f"{value:.1f} %"
    if unit == "files":
        return f"{value:,.0f} files"
    if unit == "req/s":
        return f"{value / 1000:.2f} k/s"
    if unit == "ns" and abs(value) >= 1e6:
        return f"{_number(value / 1e6)} ms"
    if unit == "ns" and abs(value) >= 1e4:
        return f"{_number(value / 1e3)} us"
    return f"{_number(value)} {'B' if unit == 'bytes' else unit}"


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _verdict(verdict: Verdict, *, judge: bool) -> str:
    digits = 0 if verdict.value >= 10 else 2
    reached = f"{verdict.value:,.{digits}f} ({verdict.low:,.{digits}f}-{verdict.high:,.{digits}f})"
    word = ("met" if verdict.met else "MISSED") if judge else "not judged"
    return f"{verdict.aim.text}: {reached} {word}"


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    found = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def write_json(path: Path, results: Sequence[Result], missing: Mapping[str, str], *, quick: bool) -> None:
    """Everything the table shows, and the samples it was made from."""
    document = {
        "command": " ".join(["python -m benches", *sys.argv[1:]]),
        "quick": quick,
        "machine": machine(),
        "missing": dict(missing),
        "rows": [_as_json(result) for result in results],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _as_json(result: Result) -> dict[str, Any]:
    row = result.row
    return {
        "key": row.key,
        "title": row.title.strip(),
        "unit": row.unit,
        "baseline": row.baseline,
        "note": row.note,
        "spurious": result.spurious(),
        "figures": {
            name: {
                "median": figure.median,
                "low": figure.low,
                "high": figure.high,
                "raw": result.raw(name).median,
            }
            for name in result.names()
            for figure in [result.figure(name)]
        },
        "aims": [
            {
                "aim": v.aim.text,
                "of": v.aim.of,
                "over": v.aim.over,
                "value": v.value,
                "low": v.low,
                "high": v.high,
            }
            | {"met": v.met}
            for v in result.verdicts()
        ],
        "samples": result.samples,
    }
