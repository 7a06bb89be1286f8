"""`docs/segment-format.md` is true: a reader that knows nothing but its tables finds what a scrape shows."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from ferrometer import _core
from tests import segment_example
from tests.segment_example import PAGE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sharing is Linux's")

GRAIN = 16
CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "f64": "d"}
ROW = re.compile(r"^\| (\d+) \| (\w+)(?:\[(\w*)\])? \| (\w+) \| (.*) \|$")


@dataclass(frozen=True)
class Field:
    """A row of a table."""

    offset: int
    type: str
    count: str | None
    what: str


def tables() -> dict[str, dict[str, Field]]:
    """By heading, and by name."""
    found: dict[str, dict[str, Field]] = {}
    heading = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("### "):
            heading = line[4:]
        elif row := ROW.match(line):
            offset, kind, count, name, what = row.groups()
            found.setdefault(heading, {})[name] = Field(int(offset), kind, count, what)
    return found


TABLES = tables()
KINDS = dict(re.findall(r"(\d) (\w+(?: set)?)", TABLES["Family record"]["kind"].what))
TYPES = dict(re.findall(r"(\d) (\w+)", TABLES["Record"]["type"].what))
WIDTHS = "BHIQ"


class Reader:
    """A file by the tables of the page."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.families: dict[int, dict[str, object]] = {}
        self.lines: dict[str, float] = {}
        self.exemplars: dict[str, tuple[str, float]] = {}
        self.times: list[int] = []
        self.header()
        extent = (self.get("Header", "log", 0) & 0xFFFF_FFFF) * GRAIN
        while extent:
            start = extent + TABLES["Extent"]["records"].offset
            self.records(start, start + self.get("Extent", "used", extent))
            extent = self.get("Extent", "next", extent) * GRAIN

    def get(self, table: str, name: str, base: int) -> int:
        """A number."""
        value = self.word(table, name, base)
        assert isinstance(value, int)
        return value

    def word(self, table: str, name: str, base: int, index: int = 0) -> int | float:
        field = TABLES[table][name]
        code = CODES[field.type]
        at = base + field.offset + index * struct.calcsize(code)
        (value,) = struct.unpack_from(f"<{code}", self.data, at)
        assert isinstance(value, int | float)
        return value

    def bytes(self, table: str, name: str, base: int, length: int) -> bytes:
        start = base + TABLES[table][name].offset
        return self.data[start : start + length]

    def header(self) -> None:
        assert f"`{self.bytes('Header', 'magic', 0, 8).decode()}`" == TABLES["Header"]["magic"].what
        assert str(self.get("Header", "version", 0)) == TABLES["Header"]["version"].what
        assert self.get("Header", "order", 0) == int(TABLES["Header"]["order"].what, 16)
        checked = TABLES["Header"]["checksum"].offset
        assert self.get("Header", "checksum", 0) == zlib.crc32(self.data[:checked])

    def records(self, at: int, end: int) -> None:
        while at < end:
            length = self.get("Record", "length", at)
            behind = TABLES["Record"]["type"].offset
            assert self.get("Record", "checksum", at) == zlib.crc32(self.data[at + behind : at + length])
            kind = TYPES[str(self.get("Record", "type", at))]
            if kind == "family":
                self.family(at)
            elif kind == "series":
                self.series(at)
            at += length

    def texts(self, at: int, count: int) -> tuple[list[str], int]:
        found = []
        for _ in range(count):
            (length,) = struct.unpack_from("<I", self.data, at)
            found.append(self.data[at + 4 : at + 4 + length].decode())
            at += 4 + length
        return found, at

    def family(self, at: int) -> None:
        block = self.get("Family record", "block", at) * GRAIN
        if self.get("Family block", "generation", block) != self.get("Family record", "generation", at):
            return
        labels = self.get("Family record", "labels", at)
        texts, behind = self.texts(at + TABLES["Family record"]["texts"].offset, 4 + labels)
        kind = KINDS[str(self.get("Family record", "kind", at))]
        count = self.get("Family record", "details", at)
        details: list[object] = []
        if kind in ("histogram", "summary"):
            details = list(struct.unpack_from(f"<{count}d", self.data, behind))
        elif kind == "state set":
            details = list(self.texts(behind, count)[0])
        self.families[self.get("Family record", "id", at)] = {
            "scope": texts[0],
            "name": texts[1],
            "help": texts[2],
            "labels": texts[4:],
            "kind": kind,
            "details": details,
        }

    def series(self, at: int) -> None:
        family = self.families.get(self.get("Series record", "family", at))
        block = self.get("Series record", "block", at) * GRAIN
        expected = self.get("Series record", "generation", at)
        if family is None or self.get("Series block", "generation", block) != expected:
            return
        self.times.append(block + TABLES["Series block"]["created"].offset)
        text = self.bytes("Series record", "text", at, self.get("Series record", "length", at)).decode()
        name, kind, details = str(family["name"]), family["kind"], family["details"]
        labels = f"{{{text}}}" if text else ""
        slots = 1
        if kind == "counter":
            total = self.word("Counter block", "whole", block) + self.word("Counter block", "fraction", block)
            self.lines[f"{name}_total{labels}"] = total
        elif kind == "gauge":
            self.lines[f"{name}{labels}"] = self.word("Gauge block", "value", block)
        elif kind == "state set":
            assert isinstance(details, list)
            self.times.append(block + TABLES["Gauge block"]["set"].offset)
            for index, state in enumerate(details):
                value = float(self.word("Gauge block", "value", block) == index)
                self.lines[f'{name}{{{name}="{state}"}}'] = value
        elif kind == "info":
            place = self.get("Info block", "text", block) * GRAIN
            rendered = self.data[place : place + self.get("Info block", "length", block)].decode()
            self.lines[f"{name}_info{{{rendered}}}"] = 1
        else:
            assert isinstance(details, list)
            bounds = details if kind == "histogram" else [float("inf")]
            slots = len(bounds)
            self.histogram(name, bounds, block, self.get("Series record", "buckets", at) * GRAIN, text)
        self.slots(name, self.get("Series block", "exemplars", block) * GRAIN, slots)

    def histogram(self, name: str, bounds: list[float], block: int, buckets: int, text: str) -> None:
        assert self.get("Histogram block", "sequence", block) % 2 == 0
        counts = list(struct.unpack_from(f"<{len(bounds)}Q", self.data, buckets))
        held = self.word("Histogram block", "held", block)
        latest = self.word("Histogram block", "latest", block)
        total = self.word("Histogram block", "sum", block)
        if held and latest == latest:
            counts[next(n for n, bound in enumerate(bounds) if latest <= bound)] += int(held)
            total += held * latest
        running = 0
        for bound, count in zip(bounds, counts, strict=True):
            running += count
            shown = "+Inf" if bound == float("inf") else repr(bound)
            self.lines[f'{name}_bucket{{{text}{"," if text else ""}le="{shown}"}}'] = running
        self.lines[f"{name}_sum"], self.lines[f"{name}_count"] = total, running
        tails = sum(self.get("Histogram block", tail, block) for tail in ("below", "zero", "above"))
        values = self.bins(block)
        assert sum(values.values()) + tails + held == running
        self.lines[f"{name}_quantile_0.5"] = self.middle(values, running)

    def bins(self, block: int) -> dict[int, int]:
        """Counts by 128 times the binary logarithm of the upper bound."""
        found: dict[int, int] = {}
        octaves = int(TABLES["Histogram block"]["octaves"].count or 0)
        for octave in range(octaves):
            tagged = int(self.word("Histogram block", "octaves", block, octave))
            if tagged:
                counts = struct.unpack_from(f"<128{WIDTHS[tagged & 3]}", self.data, (tagged >> 2) * GRAIN)
                for b, count in enumerate(counts):
                    if count:
                        found[128 * (octave - 30) + b + 1] = count
        far = self.get("Histogram block", "far", block) * GRAIN
        while far:
            exponent = self.get("Far octave block", "exponent", far) - 1023
            for b in range(128):
                if count := int(self.word("Far octave block", "bins", far, b)):
                    found[128 * exponent + b + 1] = count
            far = self.get("Far octave block", "next", far) * GRAIN
        return found

    @staticmethod
    def middle(values: dict[int, int], total: int) -> float:
        running = 0
        for index in sorted(values):
            running += values[index]
            if 2 * running >= total:
                return float(2 ** (index / 128))
        return float("nan")

    def slots(self, name: str, place: int, count: int) -> None:
        for at in range(place, place + 256 * count, 256) if place else ():
            if self.word("Exemplar slot", "timestamp", at):
                assert self.get("Exemplar slot", "sequence", at) % 2 == 0
                self.times.append(at + TABLES["Exemplar slot"]["timestamp"].offset)
                text = self.bytes("Exemplar slot", "text", at, self.get("Exemplar slot", "length", at))
                self.exemplars[name] = text.decode(), self.word("Exemplar slot", "value", at)


EVERYTHING = """
import os, sys
from ferrometer import REGISTRY, Counter, Enum, Gauge, Histogram, Info, generate_latest, share

share(sys.argv[1])
jobs = Counter("jobs", "Jobs", ["queue", "a"])
for n in range(300):
    jobs.labels(f"q{n}", 'with "quotes"').inc(n + 0.25)
jobs.remove("q7", 'with "quotes"')
jobs.labels("q8", 'with "quotes"').inc(1, {"trace_id": "abc"})
Gauge("depth", "Depth", multiprocess_mode="sum").set(-1.5)
Gauge("gone", "Gone", multiprocess_mode="sum").set(1)
Info("build", "Build").info({"version": "1"})
Enum("state", "State", states=["up", "down"]).state("down")
latency = Histogram("latency", "Latency", buckets=(0.1, 1, 10))
for n in range(70_000):
    latency.observe(0.7)
for value in (0.0, -3.0, 1e-300, 1e300, float("inf"), 5.0):
    latency.observe(value)
print(latency.quantile(0.5))
print(generate_latest().decode())
sys.stdout.flush()
os._exit(0)
"""


def test_the_page_says_how_a_file_is_read(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EVERYTHING, str(tmp_path / "shared")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    quantile, _, page = done.stdout.partition("\n")
    (segment,) = (tmp_path / "shared").glob("*.seg")
    read = Reader(segment.read_bytes())
    median = read.lines.pop("latency_quantile_0.5")
    assert median == pytest.approx(float(quantile), rel=0.006)
    shown = {}
    for line in page.splitlines():
        if line and line[0] != "#" and not line.startswith(("ferrometer_", "process_", "python_")):
            name, value = line.rsplit(" ", 1)
            if "_created" not in name:
                shown[name] = float(value)
    assert len(shown) > 300
    assert {name: read.lines.get(name) for name in shown} == shown
    assert 'jobs_total{a="with \\"quotes\\"",queue="q7"}' not in read.lines
    assert read.exemplars == {"jobs": ('trace_id="abc"', 1.0)}
    (told,) = (file for file in _core.inspect(str(tmp_path / "shared")) if file["file"] == segment.name)
    assert (told["pid"], told["uuid"]) == (read.get("Header", "pid", 0), segment.stem)


def test_the_hexdump_is_that_of_the_example(tmp_path: Path) -> None:
    data = segment_example.make(tmp_path / "shared").read_bytes()
    calmed = segment_example.calm(data, Reader(data).times)
    real = [f"{offset}  {line}" for offset, line in segment_example.dump(calmed)]
    fence = PAGE.read_text().rpartition("```text\n")[2].partition("```")[0]
    shown = [line.partition("  ←")[0].rstrip() for line in fence.splitlines()]
    assert [line for line in shown if line] == [line.rstrip() for line in real]
    read = Reader(calmed)
    assert read.lines['jobs_total{queue="mail"}'] == 3
    assert read.lines["latency_seconds_sum"] == 2.55
    assert read.exemplars == {"jobs": ('trace_id="4bf92f35"', 3.0)}
