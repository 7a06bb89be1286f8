"""GPUs and drivers that go and come back: the real pynvml against a fake libnvidia-ml.so.1."""

from __future__ import annotations

from pathlib import Path

from tests.collectors.fake_gpu import run


def test_fake_one_of_two_gpus_is_lost_and_comes_back(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
import pynvml
collector = GpuCollector(registry=registry, namespace="gpuproxy")
def present():
    return {dict(labels)["gpu_id"] for labels in shown("gpu_power_watts")}
def parts():
    return {dict(labels)["part"]: v for labels, v in shown("ferrometer_collector_part_success").items()}
tell(gpus(2))
collect(collector)
assert present() == {"0", "1"} and parts() == {"0": 1, "1": 1}
for lost in (15, 16):  # lost, reset required
    tell(gpus(2, lost=lost))
    collect(collector)
    collect(collector)
    assert present() == {"1"} and parts() == {"0": 0, "1": 1}
    assert {dict(labels).get("gpu_id") for _, labels in samples(registry)} == {None, "1"}
    assert value(registry, "gpuproxy_gpu_instances_active") == 1
    tell(gpus(2))
    collect(collector)
    assert present() == {"0", "1"} and parts() == {"0": 1, "1": 1}
    assert value(registry, "gpuproxy_gpu_instances_active") == 2
    assert len(lines) == 2, lines
    assert lines[0].startswith("WARNING collector 'gpu' goes without 0: GPU 0: no answer: "), lines
    assert lines[1] == "INFO collector 'gpu' has 0 again"
    lines.clear()
reasons = {dict(labels)["reason"]: v for labels, v in shown("ferrometer_collector_errors_total").items()}
assert reasons == {"gpu_is_lost": 2, "reset_required": 2}, reasons

# The driver lists it no more, or gives no handle.
for values in (gpus(1), {**gpus(2), "1.handle": 15}, {**gpus(2), "1.handle": 999}):
    tell(values)
    collect(collector)  # the session still has the old handles
    tell({**values, "0.lost": 15})
    try:
        collect(collector)
    except CollectError:
        collector.clear()
    tell(values)
    collect(collector)
    assert present() == {"0"} and parts() == {"0": 1, "1": 0}, (present(), parts())
    tell(gpus(2))
    collect(collector)
    assert present() == {"0", "1"}
""",
        fake_library,
        tmp_path,
    )


def test_fake_the_only_gpu_is_lost_and_comes_back_under_the_scheduler(
    fake_library: Path, tmp_path: Path
) -> None:
    run(
        """
collector = GpuCollector(registry=registry, namespace="gpuproxy", interval=0.02)
def success(wanted):
    until(lambda: ("ferrometer_collector_success", (("collector", "gpu"),)) in samples(registry))
    until(lambda: value(registry, "ferrometer_collector_success", collector="gpu") == wanted)
tell(gpus())
with CollectorScheduler([collector], registry=registry, application="test"):
    success(1)
    for code, reason in ((15, "gpu_is_lost"), (16, "reset_required"), (1, "uninitialized")):
        tell(gpus(lost=code))
        success(0)
        until(lambda: not any(name.startswith("gpu_") for name in names()))
        assert value(registry, "ferrometer_collector_errors_total", collector="gpu", reason=reason) >= 1
        assert value(registry, "gpuproxy_gpu_instances_active") == 0
        tell(gpus())
        success(1)
        until(lambda: ("gpu_power_watts", (("gpu_id", "0"),)) in samples(registry))
        until(lambda: len(lines) == 2)
        assert [line.split()[0] for line in lines] == ["WARNING", "INFO"], lines
        assert lines[1] == "INFO collector 'gpu' recovered"
        lines.clear()
    # The driver is unloaded while it runs: a failure, not a machine without a driver.
    tell({**gpus(lost=15), "init": 9})
    success(0)
    counted = (("collector", "gpu"), ("reason", "no driver"))
    until(lambda: counted in shown("ferrometer_collector_errors_total"))
    tell(gpus())
    success(1)
""",
        fake_library,
        tmp_path,
    )


def test_fake_totals_that_begin_anew_and_a_forked_child(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
import os
collector = GpuCollector(registry=registry)
tell(gpus(energy=5000))
collect(collector)
tell(gpus(energy=1000))  # the driver was loaded anew
collect(collector)
assert value(registry, "gpu_energy_joules_total", gpu_id="0") == 1
from ferrometer.collectors import gpu_device
parent = gpu_device._shared.session
assert parent is not None
child = os.fork()
if child == 0:
    collect(collector)
    os._exit(0 if gpu_device._shared.session not in (None, parent) else 1)
assert os.waitpid(child, 0)[1] == 0
collect(collector)
assert gpu_device._shared.session is parent
collector.close()
collector.close()
collect(collector)
assert value(registry, "gpu_energy_joules_total", gpu_id="0") == 1
""",
        fake_library,
        tmp_path,
    )


def test_fake_a_check_beside_the_collector_keeps_no_lost_gpu_lost(fake_library: Path, tmp_path: Path) -> None:
    """NVML counts its users: one that sat on an old session would keep the others from recovering."""
    run(
        """
from ferrometer.collectors.checks import gpu_check
collector, check = GpuCollector(registry=registry), gpu_check()
tell(gpus())
collect(collector)
assert check()["healthy"]
tell(gpus(lost=15))
try:
    collect(collector)
except CollectError as error:
    assert error.reason == "gpu_is_lost"
else:
    raise AssertionError("not lost")
tell(gpus())
collect(collector)
assert value(registry, "gpu_power_watts", gpu_id="0") == 412.5
assert check()["healthy"]
""",
        fake_library,
        tmp_path,
    )


def test_fake_a_gpu_without_permission_is_not_seen(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
from ferrometer.collectors.checks import gpu_check
collector = GpuCollector(registry=registry, namespace="gpuproxy")
hidden = {**gpus(3), "0.handle": 4, "2.handle": 4}  # no permission
tell(hidden)
for _ in range(5):
    collect(collector)
assert starts() == 1, starts()
assert {dict(labels).get("gpu_id") for name, labels in samples(registry) if name.startswith("gpu_")} == {"1"}
parts = shown("ferrometer_collector_part_success")
assert {dict(labels)["part"]: v for labels, v in parts.items()} == {"1": 1}
assert not shown("ferrometer_collector_errors_total")
assert value(registry, "gpuproxy_gpu_instances_active") == 1
check = gpu_check()
assert check() == {"healthy": True, "gpus": 1, "lost_gpus": 0}, check()
assert check() and starts() == 1

# A permission that is taken away while it runs, and given back.
tell({**hidden, "1.handle": 4})
for _ in range(3):
    try:
        collect(collector)
    except UnavailableError as error:
        assert error.reason == "no_permission", error.reason
    else:
        raise AssertionError("all are hidden")
    collector.clear()
assert starts() == 1, starts()
assert not shown("gpu_power_watts") and not shown("ferrometer_collector_part_success")
tell(gpus(3))
collect(collector)
assert {dict(labels)["gpu_id"] for labels in shown("gpu_power_watts")} == {"0", "1", "2"}
assert starts() == 1 and lines == [], lines

# No permission for a single reading leaves that reading out.
tell({**gpus(3), "0.power": "!4"})
collect(collector)
assert {dict(labels)["gpu_id"] for labels in shown("gpu_power_watts")} == {"1", "2"}
assert starts() == 1
""",
        fake_library,
        tmp_path,
    )


def test_fake_mig_instances_without_ids_are_told_apart(fake_library: Path, tmp_path: Path) -> None:
    run(
        """
def instance(place, used):
    memory = f"{10 * GIB} 0 {(10 - used) * GIB} {used * GIB}"
    return {f"{place}.uuid": f"MIG-{place}", f"{place}.memory": memory}
collector = GpuCollector(registry=registry)
tell({**gpus(1, mig=1), **instance("0/1", 3), **instance("0/4", 5)})
collect(collector)
used = {dict(labels)["gpu_instance_id"]: v / GIB for labels, v in shown("gpu_mig_memory_used_bytes").items()}
assert used == {"place 1": 3, "place 4": 5}, used
assert len(shown("gpu_mig_info")) == 2
""",
        fake_library,
        tmp_path,
    )
