"""The GPU collector: the real pynvml on a fake libnvidia-ml.so.1, and on a real GPU where there is one."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ferrometer.collectors.gpu import GpuCollector
from ferrometer.testing import PedanticRegistry, collect, examine, samples, value
from tests.collectors.fake_gpu import GIB, build, run
from tests.real.component import LEDGER

ALLOWED = ("gpu_utilization_percent", "gpuproxy_gpu_requests_failed")  # names that contracts gave


def has_driver() -> bool:
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def test_fake_everything_is_read_in_base_units(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
tell(gpus())
GpuCollector(registry=registry, namespace="gpuproxy")  # the service's families outlive a failure
examine(lambda: GpuCollector(registry=registry, namespace="gpuproxy"), registry)
def seen(family, /, **labels):
    return value(registry, family, gpu_id="0", **labels)
assert seen("gpu_info", uuid="GPU-fake-0", name="Fake H100", driver_version="580.95.05") == 1
assert seen("gpu_utilization_percent") == 87
assert seen("gpu_utilization_ratio") == 0.87
assert seen("gpu_memory_activity_ratio") == 0.41
memory = [seen(f"gpu_memory_{what}_bytes") / GIB for what in ("total", "reserved", "free", "used")]
assert memory == [80, 1, 30, 49], memory
assert seen("gpu_temperature_celsius") == 64
assert seen("gpu_memory_temperature_celsius") == 71
assert seen("gpu_temperature_limit_celsius", limit="slowdown") == 92
assert seen("gpu_power_watts") == 412.5
assert seen("gpu_power_limit_watts") == 700
assert seen("gpu_energy_joules_total") == 123456.789
assert seen("gpu_clock_hertz", clock="sm") == 1.41e9
assert seen("gpu_clock_max_hertz", clock="memory") == 1.98e9
held = {dict(labels)["reason"] for labels, on in shown("gpu_clock_limited").items() if on}
assert held == {"software_power_cap", "software_thermal"}, held
assert seen("gpu_ecc_errors_total", kind="corrected") == 3
assert seen("gpu_ecc_errors_total", kind="uncorrected") == 1
assert seen("gpu_ecc_lifetime_errors_total", kind="uncorrected") == 10
assert seen("gpu_remapped_rows", cause="correctable") == 2
assert seen("gpu_row_remapping_pending") == 1
assert seen("gpu_row_remapping_failed") == 0
assert seen("gpu_pcie_throughput_bytes_per_second", direction="transmit") == 1.5e6
assert seen("gpu_pcie_throughput_bytes_per_second", direction="receive") == 2.5e6
assert seen("gpu_pcie_replays_total") == 7
assert seen("gpu_processes", type="compute") == 2
assert seen("gpu_process_memory_used_bytes", pid="4242") == 20 * GIB  # in both lists, counted once
assert seen("gpu_mig_enabled") == 0
assert value(registry, "gpuproxy_gpu_instances_active") == 1
""",
        fake_library,
        tmp_path,
    )


def test_fake_an_unsupported_field_leaves_only_its_series_out(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
FIELDS = {
    "utilization": {"gpu_utilization_percent", "gpu_utilization_ratio", "gpu_memory_activity_ratio"},
    "memory": {f"gpu_memory_{what}_bytes" for what in ("used", "free", "reserved", "total")},
    "temperature": {"gpu_temperature_celsius"},
    "field82": {"gpu_memory_temperature_celsius"},
    "power": {"gpu_power_watts"},
    "power_limit": {"gpu_power_limit_watts"},
    "energy": {"gpu_energy_joules_total"},
    "clock1": set(),  # the other clocks are there
    "reasons": {"gpu_clock_limited"},
    "ecc": {"gpu_ecc_errors_total"},
    "ecc_lifetime": {"gpu_ecc_lifetime_errors_total"},
    "rows": {"gpu_remapped_rows", "gpu_row_remapping_pending", "gpu_row_remapping_failed"},
    "pcie0": set(),
    "replays": {"gpu_pcie_replays_total"},
    "compute": set(),  # the graphics processes are there
    "mig": {"gpu_mig_enabled"},
}
collector = GpuCollector(registry=registry)
tell(gpus())
collect(collector)
everything = names()
for error in (None, "!3", "!4", "!13", "!999"):  # absent, unsupported, no permission, no function, unknown
    for field, families in FIELDS.items():
        tell(gpus(**{field: error}))
        collect(collector)
        assert everything - names() == families, (field, error, everything - names())
        assert names() <= everything
tell(gpus(clock1=None))
collect(collector)
assert {dict(labels)["clock"] for labels in shown("gpu_clock_hertz")} == {"graphics", "memory", "video"}
tell(gpus())
collect(collector)
assert names() == everything
assert not lines, lines
""",
        fake_library,
        tmp_path,
    )


def test_fake_an_older_driver_is_asked_in_older_ways(tmp_path: Path) -> None:
    library = build(
        tmp_path / "old",
        without=[
            "nvmlDeviceGetMemoryInfo_v2",
            "nvmlDeviceGetTemperatureV",
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetComputeRunningProcesses_v3",  # pynvml: NVMLLibraryMismatchError, no NVMLError
            "nvmlDeviceGetRemappedRows",
            "nvmlDeviceGetFieldValues",
            "nvmlDeviceGetMigMode",
        ],
    )
    run(
        """
tell(gpus())
import pynvml
pynvml.nvmlInit()
try:
    pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(0))
except pynvml.NVMLLibraryMismatchError:
    pass
else:
    raise AssertionError("the fake has the function")
pynvml.nvmlShutdown()
collector = GpuCollector(registry=registry, namespace="gpuproxy")
collect(collector)
assert value(registry, "gpu_memory_used_bytes", gpu_id="0") == 50 * GIB  # version 1: with the reserve
assert value(registry, "gpu_temperature_celsius", gpu_id="0") == 64
assert value(registry, "gpu_clock_limited", gpu_id="0", reason="software_thermal") == 1
assert value(registry, "gpu_power_watts", gpu_id="0") == 412.5
assert [dict(labels)["type"] for labels in shown("gpu_processes")] == ["graphics"]
assert value(registry, "gpuproxy_gpu_instances_active") == 1
for missing in ("memory_reserved_bytes", "remapped_rows", "memory_temperature_celsius", "mig_enabled"):
    assert f"gpu_{missing}" not in names()
""",
        library,
        tmp_path,
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"init": 9}, "no NVIDIA driver: Driver Not Loaded"),
        ({"init": 12}, "no NVIDIA driver: NVML Shared Library Not Found"),
        ({"count": 0}, "the NVIDIA driver sees no GPU"),
    ],
)
def test_fake_without_a_driver_there_is_one_line_and_nothing_else(
    fake_library: Path, tmp_path: Path, values: dict[str, int], words: str
) -> None:
    run(NOTHING.format(values=values, words=words), fake_library, tmp_path)


NOTHING = """
tell({values!r})
collector = GpuCollector(registry=registry, namespace="gpuproxy", interval=0.02)
before = names()
with CollectorScheduler([collector], registry=registry, application="test"):
    until(lambda: ("ferrometer_collector_success", (("collector", "gpu"),)) in samples(registry))
    until(lambda: value(registry, "ferrometer_collector_duration_seconds", collector="gpu") > 0)
    import time
    time.sleep(0.3)  # several runs
    assert value(registry, "ferrometer_collector_success", collector="gpu") == 0
    assert names() - before == {{"ferrometer_collector_success", "ferrometer_collector_duration_seconds"}}
assert lines == ["INFO collector 'gpu' unavailable: {words}"], lines
assert value(registry, "gpuproxy_gpu_instances_active") == 0
"""


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_without_the_library_there_is_one_line_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run(
        NOTHING.format(values={}, words="no NVIDIA driver: NVML Shared Library Not Found"),
        tmp_path / "empty",
        tmp_path,
    )


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    words = "reading GPUs needs nvidia-ml-py: pip install 'ferrometer[gpu]'"
    run(
        "import sys\nsys.modules['pynvml'] = None\n" + NOTHING.format(values={}, words=words),
        tmp_path,
        tmp_path,
    )


def test_fake_mig_instances_come_and_go(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
def instance(place, gpu_instance):
    return {
        f"{place}.uuid": f"MIG-fake-{place}",
        f"{place}.name": "Fake H100 MIG 1g.10gb",
        f"{place}.gpu_instance": gpu_instance,
        f"{place}.compute_instance": 0,
        f"{place}.memory": f"{10 * GIB} 0 {7 * GIB} {3 * GIB}",
    }
collector = GpuCollector(registry=registry, namespace="gpuproxy")
divided = gpus(2, mig=1, utilization=None)  # which a divided GPU does not tell
tell({**divided, **instance("0/1", 7), **instance("0/4", 9)})
collect(collector)
ids = {"gpu_id": "0", "gpu_instance_id": "7", "compute_instance_id": "0"}
assert value(registry, "gpu_mig_enabled", gpu_id="0") == 1
assert value(registry, "gpu_mig_enabled", gpu_id="1") == 0
assert value(registry, "gpu_mig_memory_used_bytes", **ids) == 3 * GIB
assert value(registry, "gpu_mig_memory_total_bytes", **ids) == 10 * GIB
assert value(registry, "gpu_mig_info", **ids, uuid="MIG-fake-0/1", name="Fake H100 MIG 1g.10gb") == 1
assert value(registry, "gpuproxy_gpu_instances_active") == 3  # two of the GPU 0, and the GPU 1
assert {dict(labels)["gpu_id"] for labels in shown("gpu_utilization_percent")} == {"1"}
assert lint(registry) == []
tell({**divided, **instance("0/4", 9)})
collect(collector)
assert {dict(labels)["gpu_instance_id"] for labels in shown("gpu_mig_info")} == {"9"}
assert value(registry, "gpuproxy_gpu_instances_active") == 2
tell(divided)
collect(collector)
assert not shown("gpu_mig_info")
assert value(registry, "gpuproxy_gpu_instances_active") == 1
""",
        fake_library,
        tmp_path,
    )


def test_fake_processes_go_with_their_series(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
collector = GpuCollector(registry=registry)
tell(gpus())
collect(collector)
assert len(shown("gpu_process_memory_used_bytes")) == 2
tell(gpus(compute="1 4343 1024", graphics="0"))
collect(collector)
assert shown("gpu_process_memory_used_bytes") == {(("gpu_id", "0"), ("pid", "4343")): 1024}
assert value(registry, "gpu_processes", gpu_id="0", type="graphics") == 0
tell(gpus(compute=f"1 4343 {2**64 - 1}", graphics="0"))  # "not available"
collect(collector)
assert not shown("gpu_process_memory_used_bytes")
""",
        fake_library,
        tmp_path,
    )


def test_real_gpu_says_what_nvidia_smi_says() -> None:
    """Where there is an NVIDIA GPU; else a skip, under REQUIRE_REAL=1 too: no package can bring one."""
    smi = shutil.which("nvidia-smi")
    if smi is None or not has_driver():
        words = "needs a real NVIDIA GPU with its driver: run pytest -k real_gpu on a machine that has one"
        LEDGER.missing["nvidia-gpu"] = words
        pytest.skip(words)
    asked = (
        "index,uuid,name,driver_version,memory.total,memory.used,temperature.gpu,power.limit,clocks.max.sm"
    )
    table = subprocess.run(
        [smi, f"--query-gpu={asked}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    registry = PedanticRegistry(allow=ALLOWED)
    collector = examine(lambda: GpuCollector(registry=registry), registry)
    collect(collector)
    found = samples(registry)
    for line in table.splitlines():
        gpu_id, uuid, name, driver, total, used, celsius, limit, clock = (
            cell.strip() for cell in line.split(",")
        )
        LEDGER.exercised[f"nvidia-gpu {gpu_id}"] = f"{name}, driver {driver}, {uuid}"
        assert value(registry, "gpu_info", gpu_id=gpu_id, uuid=uuid, name=name, driver_version=driver) == 1
        expected = {
            ("gpu_memory_total_bytes", ()): (total, 1 << 20, 1 << 20),
            ("gpu_memory_used_bytes", ()): (used, 1 << 20, GIB),
            ("gpu_temperature_celsius", ()): (celsius, 1, 10),
            ("gpu_power_limit_watts", ()): (limit, 1, 0.01),
            ("gpu_clock_max_hertz", (("clock", "sm"),)): (clock, 1_000_000, 0),
        }
        for (family, labels), (told, unit, slack) in expected.items():
            key = (family, tuple(sorted((*labels, ("gpu_id", gpu_id)))))
            if told.startswith("["):  # [N/A], [Not Supported]
                assert key not in found
            else:
                assert found[key] == pytest.approx(float(told) * unit, abs=slack)
    collector.close()


def test_fake_the_page_holds_what_the_exposition_shows(fake_library: Path, tmp_path: Path) -> None:
    shown = json.loads(
        run(
            """
import json
from ferrometer import generate_latest
from prometheus_client.parser import text_string_to_metric_families
instance = {"uuid": "MIG-fake", "name": "MIG", "gpu_instance": 7, "compute_instance": 0, "memory": "1 0 1 0"}
tell({**gpus(2, mig=1), **{f"0/1.{key}": told for key, told in instance.items()}})
collect(GpuCollector(registry=registry, namespace="gpuproxy"))
print(json.dumps({
    sample.name: [family.type, sorted(sample.labels)]
    for family in text_string_to_metric_families(generate_latest(registry).decode())
    for sample in family.samples
    if "gpu_" in sample.name and not sample.name.endswith("_created")
}))
""",
            fake_library,
            tmp_path,
        )
    )
    page = (Path(__file__).resolve().parents[2] / "docs" / "gpu.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\|", page, flags=re.MULTILINE)
    assert {
        name: [kind, sorted([*filter(None, labels.split(", ")), *(["gpu_id"] * name.startswith("gpu_"))])]
        for name, kind, labels in rows
    } == shown
