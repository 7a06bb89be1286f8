"""Compares every GPU family with what ``nvidia-smi`` says, at rest and under a load: `make gpu`.

Needs an NVIDIA GPU with its driver, and nothing else: the load is the driver's own ``cuMemsetD32`` in a loop.
Takes about a minute, and writes a transcript into docs/gpu.md. Where there is no GPU it says so, and what it
would run; with REQUIRE_REAL=1 that fails. ``--transcript FILE``: another page.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import math
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ferrometer import CollectorRegistry
from ferrometer.collectors.gpu import GpuCollector

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- transcript of make gpu -->", "<!-- end of the transcript -->"
MIB = 1 << 20
#: Seconds of load before the second comparison.
LOAD_SECONDS = 10.0


#: Where drivers of now and of before tell of power.
POWER = ("gpu_power_readings", "power_readings")


class Check(NamedTuple):
    """A series, and where ``nvidia-smi -q -x`` has the same number."""

    family: str
    labels: dict[str, str]
    #: Paths below <gpu>, of which drivers have one or another.
    paths: tuple[str, ...]
    #: What one of nvidia-smi's units is in ours.
    unit: float = 1.0
    #: How far off ours may be, in nvidia-smi's units: the two do not read at the same moment.
    slack: float = 0.0


def checks() -> Iterator[Check]:
    """Every family that nvidia-smi has a counterpart of."""
    yield Check("gpu_utilization_percent", {}, ("utilization/gpu_util",), slack=30)
    yield Check("gpu_utilization_ratio", {}, ("utilization/gpu_util",), 0.01, slack=30)
    yield Check("gpu_memory_activity_ratio", {}, ("utilization/memory_util",), 0.01, slack=30)
    for what, slack in (("used", 64), ("free", 64), ("reserved", 16), ("total", 1)):
        yield Check(f"gpu_memory_{what}_bytes", {}, (f"fb_memory_usage/{what}",), MIB, slack)
    yield Check("gpu_temperature_celsius", {}, ("temperature/gpu_temp",), slack=5)
    yield Check("gpu_memory_temperature_celsius", {}, ("temperature/memory_temp",), slack=5)
    for limit, path in (
        ("shutdown", "gpu_temp_max_threshold"),
        ("slowdown", "gpu_temp_slow_threshold"),
        ("memory", "gpu_temp_max_mem_threshold"),
        ("gpu", "gpu_temp_max_gpu_threshold"),
    ):
        yield Check("gpu_temperature_limit_celsius", {"limit": limit}, (f"temperature/{path}",))
    drawn = ("instant_power_draw", "average_power_draw", "power_draw")
    yield Check(
        "gpu_power_watts", {}, tuple(f"{where}/{name}" for where in POWER for name in drawn), slack=80
    )
    limits = ("current_power_limit", "enforced_power_limit")
    yield Check("gpu_power_limit_watts", {}, tuple(f"{where}/{name}" for where in POWER for name in limits))
    for clock, path in (("graphics", "graphics"), ("sm", "sm"), ("memory", "mem"), ("video", "video")):
        yield Check("gpu_clock_hertz", {"clock": clock}, (f"clocks/{path}_clock",), 1e6, slack=300)
        yield Check("gpu_clock_max_hertz", {"clock": clock}, (f"max_clocks/{path}_clock",), 1e6)
    for reason, path in (
        ("idle", "gpu_idle"),
        ("application_setting", "applications_clocks_setting"),
        ("software_power_cap", "sw_power_cap"),
        ("hardware_slowdown", "hw_slowdown"),
        ("sync_boost", "sync_boost"),
        ("software_thermal", "sw_thermal_slowdown"),
        ("hardware_thermal", "hw_thermal_slowdown"),
        ("hardware_power_brake", "hw_power_brake_slowdown"),
        ("display_setting", "display_clocks_setting"),
    ):
        named = (
            f"clocks_event_reasons/clocks_event_reason_{path}",
            f"clocks_throttle_reasons/clocks_throttle_reason_{path}",
        )
        yield Check("gpu_clock_limited", {"reason": reason}, named)
    # Newer drivers count SRAM and DRAM apart; ours is the sum.
    kinds = {"corrected": r"(?!.*uncorrectable).*correctable.*", "uncorrected": ".*uncorrectable.*"}
    for kind, names in kinds.items():
        yield Check("gpu_ecc_errors_total", {"kind": kind}, (f"ecc_errors/volatile/{names}",))
        yield Check("gpu_ecc_lifetime_errors_total", {"kind": kind}, (f"ecc_errors/aggregate/{names}",))
    for cause, name in (("correctable", "corr"), ("uncorrectable", "unc")):
        yield Check("gpu_remapped_rows", {"cause": cause}, (f"remapped_rows/remapped_row_{name}",))
    yield Check("gpu_row_remapping_pending", {}, ("remapped_rows/remapped_row_pending",))
    yield Check("gpu_row_remapping_failed", {}, ("remapped_rows/remapped_row_failure",))
    for direction, path in (("transmit", "tx_util"), ("receive", "rx_util")):
        # Each is what 20 ms of their own saw: that both say something is all that can be compared.
        labels = {"direction": direction}
        yield Check("gpu_pcie_throughput_bytes_per_second", labels, (f"pci/{path}",), 1000, slack=math.inf)
    yield Check("gpu_pcie_replays_total", {}, ("pci/replay_counter",), slack=2)
    yield Check("gpu_mig_enabled", {}, ("mig_mode/current_mig",))


def number(gpu: ET.Element, paths: tuple[str, ...]) -> float | None:
    """What nvidia-smi says there, in its units; None where it says nothing, or that there is nothing."""
    for path in paths:
        folder, _, pattern = path.rpartition("/")
        elements = [found for found in gpu.findall(f"{folder}/*") if re.fullmatch(pattern, found.tag)]
        told = [value for found in elements if (value := _value(found.text or "")) is not None]
        if told:
            return sum(told)
    return None


def _value(text: str) -> float | None:
    word = text.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    try:
        return float(word.split()[0])
    except (IndexError, ValueError):  # N/A, Not Supported, Insufficient Permissions
        return None


_WORDS = {"active": 1.0, "enabled": 1.0, "yes": 1.0, "not active": 0.0, "disabled": 0.0, "no": 0.0}


def smi() -> list[ET.Element]:
    """The GPUs as nvidia-smi tells of them, in its order."""
    done = subprocess.run(["nvidia-smi", "-q", "-x"], capture_output=True, text=True, timeout=60, check=True)
    root = ET.fromstring(done.stdout)
    for gpu in root.findall("gpu"):
        ET.SubElement(gpu, "driver").text = root.findtext("driver_version")
    return root.findall("gpu")


class Compared(NamedTuple):
    """One line of the transcript."""

    series: str
    ours: float | None
    theirs: str
    agrees: bool


def compare(registry: CollectorRegistry, collector: GpuCollector) -> list[Compared]:
    """Reads the GPUs between two readings of nvidia-smi; ours must lie between them, or near."""
    before = smi()
    collector.collect()
    after = smi()
    lines: list[Compared] = []
    for index, (earlier, later) in enumerate(zip(before, after, strict=True)):
        gpu = {"gpu_id": str(index)}
        about = {name: (earlier.findtext(path) or "").strip() for name, path in INFO.items()}
        found = registry.get_sample_value("gpu_info", gpu | about)
        lines.append(Compared(f"gpu_info{{{_text(gpu | about)}}}", found, "1", found == 1))
        for check in checks():
            ours = registry.get_sample_value(check.family, gpu | check.labels)
            told = [value for one in (earlier, later) if (value := number(one, check.paths)) is not None]
            series = f"{check.family}{{{_text(gpu | check.labels)}}}"
            if not told:  # what one of the two does not tell is no contradiction
                lines.append(Compared(series, ours, "says nothing", agrees=True))
                continue
            low, high = (min(told) - check.slack) * check.unit, (max(told) + check.slack) * check.unit
            near = ours is not None and low - 1e-6 * abs(low) <= ours <= high + 1e-6 * abs(high)
            shown = " to ".join(f"{value * check.unit:g}" for value in sorted(set(told)))
            lines.append(Compared(series, ours, shown, near))
        lines.extend(_processes(registry, gpu, earlier, later))
        lines.extend(_instances(registry, gpu, later))
    return lines


INFO = {"uuid": "uuid", "name": "product_name", "driver_version": "driver"}


def _processes(
    registry: CollectorRegistry, gpu: dict[str, str], before: ET.Element, after: ET.Element
) -> Iterator[Compared]:
    """How many use it for computing, and the memory of those that are there before and after."""
    known = [
        {one.findtext("pid"): one.findtext("used_memory") for one in told.findall("processes/process_info")
         if "C" in (one.findtext("type") or "")}
        for told in (before, after)
    ]  # fmt: skip
    counts = sorted(len(one) for one in known)
    ours = registry.get_sample_value("gpu_processes", gpu | {"type": "compute"})
    near = ours is not None and counts[0] <= ours <= counts[1]
    yield Compared(f'gpu_processes{{{_text(gpu)},type="compute"}}', ours, f"{counts[0]} to {counts[1]}", near)
    for pid in sorted(filter(None, known[0].keys() & known[1].keys())):
        labels = gpu | {"pid": pid}
        found = registry.get_sample_value("gpu_process_memory_used_bytes", labels)
        told = [value for one in known if (value := _value(one[pid] or "")) is not None]
        theirs = " to ".join(f"{value * MIB:g}" for value in sorted(set(told))) or "says nothing"
        agrees = not told or (found is not None and (min(told) - 64) * MIB <= found <= (max(told) + 64) * MIB)
        yield Compared(f"gpu_process_memory_used_bytes{{{_text(labels)}}}", found, theirs, agrees)


def _instances(registry: CollectorRegistry, gpu: dict[str, str], told: ET.Element) -> Iterator[Compared]:
    """The MIG instances: how many, and the memory of each."""
    there = told.findall("mig_devices/mig_device")
    infos = [
        sample.labels
        for family in registry.collect()
        if family.name == "gpu_mig_info"
        for sample in family.samples
        if sample.labels["gpu_id"] == gpu["gpu_id"]
    ]
    yield Compared(
        f"gpu_mig_info{{{_text(gpu)}}}: instances", len(infos), str(len(there)), len(infos) == len(there)
    )
    for one in there:
        ids = {
            name: (one.findtext(name) or "").strip() for name in ("gpu_instance_id", "compute_instance_id")
        }
        for what in ("used", "total"):
            family, size = f"gpu_mig_memory_{what}_bytes", number(one, (f"fb_memory_usage/{what}",))
            found = registry.get_sample_value(family, gpu | ids)
            near = size is None or (found is not None and abs(found - size * MIB) <= 64 * MIB)
            yield Compared(f"{family}{{{_text(gpu | ids)}}}", found, f"{(size or 0) * MIB:g}", near)


def _text(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


@contextmanager
def load() -> Iterator[None]:
    """Writes to the memory of GPU 0 without end, by the driver's own functions: no toolkit is needed."""
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name: str, *arguments: object) -> None:
        if code := getattr(cuda, name)(*arguments):
            raise SystemExit(f"make gpu: {name} failed with {code}: the GPU cannot be put under a load")

    context, memory = ctypes.c_void_p(), ctypes.c_uint64()
    size = 1 << 30
    call("cuInit", 0)
    device = ctypes.c_int()
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(size))
    over = threading.Event()

    def work() -> None:
        call("cuCtxSetCurrent", context)
        while not over.is_set():
            for value in range(200):
                call("cuMemsetD32_v2", memory, ctypes.c_uint(value), ctypes.c_size_t(size // 4))
            call("cuCtxSynchronize")

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()
        call("cuMemFree_v2", memory)
        call("cuDevicePrimaryCtxRelease_v2", device)


def energy(registry: CollectorRegistry, collector: GpuCollector, seconds: float) -> Compared:
    """The joules of some seconds of load, beside nvidia-smi's watts: within a factor of 1.5."""

    def joules() -> float | None:
        return registry.get_sample_value("gpu_energy_joules_total", {"gpu_id": "0"})

    collector.collect()
    power = next(check for check in checks() if check.family == "gpu_power_watts")
    begun, before = time.monotonic(), joules()
    watts = []
    while time.monotonic() - begun < seconds:
        watts.append(number(smi()[0], power.paths) or 0.0)
        time.sleep(0.5)
    collector.collect()
    used, after = time.monotonic() - begun, joules()
    if before is None or after is None:
        return Compared('gpu_energy_joules_total{gpu_id="0"}', None, "says nothing", agrees=True)
    expected = sum(watts) / len(watts) * used
    near = expected / 1.5 <= after - before <= expected * 1.5
    series = f'gpu_energy_joules_total{{gpu_id="0"}} in {used:.0f} s'
    return Compared(series, after - before, f"{expected:.0f} J by its watts", near)


def transcript(parts: dict[str, list[Compared]], gpus: list[ET.Element], seconds: float) -> str:
    """The page's part, in Markdown."""
    names = ", ".join(f"{gpu.findtext('product_name')} (driver {gpu.findtext('driver')})" for gpu in gpus)
    today = datetime.datetime.now(datetime.UTC).date()
    rows = [f"`make gpu` on {today}: {names}; {seconds:.0f} s.\n"]
    for title, lines in parts.items():
        rows += [f"{title}:\n", "| series | ferrometer | nvidia-smi |", "|---|---|---|"]
        for line in lines:
            series = line.series.replace("|", r"\|")
            rows.append(
                f"| `{series}` | {'absent' if line.ours is None else f'{line.ours:g}'} | {line.theirs}"
                f"{'' if line.agrees else ' **differs**'} |"
            )
        rows.append("")
    return "\n".join(rows)


def reason() -> str | None:
    """Why there is no GPU to compare with."""
    if shutil.which("nvidia-smi") is None:
        return "nvidia-smi is not here"
    for library in ("libnvidia-ml.so.1", "libcuda.so.1"):
        try:
            ctypes.CDLL(library)
        except OSError as error:
            return f"the driver's library is not here: {error}"
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    if listed.returncode or "GPU 0" not in listed.stdout:
        return f"nvidia-smi lists none: {(listed.stdout or listed.stderr).strip()}"
    return None


def main() -> int:
    """Compares, prints and writes the transcript; 1 where a value differs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--transcript", type=Path, default=PAGE)
    arguments.add_argument("--load-seconds", type=float, default=LOAD_SECONDS)
    chosen = arguments.parse_args()
    if (missing := reason()) is not None:
        families = sorted({check.family for check in checks()} | FURTHER)
        print(f"make gpu: there is no NVIDIA GPU on this machine ({missing}): nothing was compared.")
        print("On a machine with one, it would, in about a minute:")
        print(f"  compare these {len(families)} families with nvidia-smi -q -x, at rest and under a load:")
        print(f"    {textwrap.fill(', '.join(families), 100, subsequent_indent=' ' * 4)}")
        print(
            f"  write to the memory of GPU 0 for about {2 * LOAD_SECONDS:.0f} s (cuMemsetD32 of the driver)"
        )
        print("  run the tests that need a real GPU: pytest tests/collectors -k real_gpu")
        print(f"  write the transcript into {os.path.relpath(chosen.transcript)}")
        return 1 if os.environ.get("REQUIRE_REAL") == "1" else 0
    begun = time.monotonic()
    registry = CollectorRegistry()
    collector = GpuCollector(registry=registry)
    parts = {"At rest": compare(registry, collector)}
    with load():
        time.sleep(chosen.load_seconds)
        parts["Under a load of GPU 0"] = compare(registry, collector)
        busy = registry.get_sample_value("gpu_utilization_ratio", {"gpu_id": "0"})
        parts["Under a load of GPU 0"].append(
            Compared('gpu_utilization_ratio{gpu_id="0"} under the load', busy, "above 0.5", (busy or 0) > 0.5)
        )
        parts["Under a load of GPU 0"].append(energy(registry, collector, chosen.load_seconds))
    told = transcript(parts, smi(), time.monotonic() - begun)
    print(told)
    page = chosen.transcript.read_text()
    head, _, rest = page.partition(BEGIN)
    chosen.transcript.write_text(f"{head}{BEGIN}\n\n{told}\n{END}{rest.partition(END)[2]}")
    differs = [line.series for lines in parts.values() for line in lines if not line.agrees]
    if differs:
        print(f"make gpu: {len(differs)} series differ: {', '.join(differs)}")
    return 1 if differs else 0


#: Families that are compared otherwise than number by number.
FURTHER = {
    "gpu_info",
    "gpu_energy_joules_total",
    "gpu_processes",
    "gpu_process_memory_used_bytes",
    "gpu_mig_info",
    "gpu_mig_memory_used_bytes",
    "gpu_mig_memory_total_bytes",
}

if __name__ == "__main__":
    sys.exit(main())
