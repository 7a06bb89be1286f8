"""What is read of one GPU, and the families it fills. NVML's units become base units here."""

from __future__ import annotations

from typing import Any

from ferrometer.collectors.gpu.device import Device
from ferrometer.collectors.rows import Table
from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge

_MEMORY_V2 = 0x02000028  # nvmlMemory_v2, which an older pynvml lacks
_MEMORY_TEMPERATURE = 82  # NVML_FI_DEV_MEMORY_TEMP
_TEMPERATURE_LIMITS = {"shutdown": 0, "slowdown": 1, "memory": 2, "gpu": 3}
_CLOCKS = {"graphics": 0, "sm": 1, "memory": 2, "video": 3}
_CLOCK_REASONS = {
    "idle": 0x1,
    "application_setting": 0x2,
    "software_power_cap": 0x4,
    "hardware_slowdown": 0x8,
    "sync_boost": 0x10,
    "software_thermal": 0x20,
    "hardware_thermal": 0x40,
    "hardware_power_brake": 0x80,
    "display_setting": 0x100,
}
_ECC = {"corrected": 0, "uncorrected": 1}
_PCIE = {"transmit": 0, "receive": 1}

Families = tuple[Counter | Gauge, ...]


def families(registry: CollectorRegistry) -> Families:
    """All families; the first label is ``gpu_id``, the index that NVML gives."""

    def gauge(name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(
            name, documentation, ["gpu_id", *labels], registry=registry, multiprocess_mode="livemostrecent"
        )

    def counter(name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, ["gpu_id", *labels], registry=registry)

    mig = ("gpu_instance_id", "compute_instance_id")
    return (
        gauge("gpu_info", "The GPU and its driver", "uuid", "name", "driver_version"),
        gauge("gpu_utilization_percent", "Share of the time in which a kernel ran, in percent"),
        gauge("gpu_utilization_ratio", "Share of the time in which a kernel ran"),
        gauge("gpu_memory_activity_ratio", "Share of the time in which memory was read or written"),
        gauge("gpu_memory_used_bytes", "Used memory"),
        gauge("gpu_memory_free_bytes", "Free memory"),
        gauge("gpu_memory_reserved_bytes", "Memory that the driver keeps"),
        gauge("gpu_memory_total_bytes", "Size of the memory"),
        gauge("gpu_temperature_celsius", "Temperature of the chip"),
        gauge("gpu_memory_temperature_celsius", "Temperature of the memory"),
        gauge("gpu_temperature_limit_celsius", "Where the GPU slows down or shuts down", "limit"),
        gauge("gpu_power_watts", "Power drawn"),
        gauge("gpu_power_limit_watts", "Power that the GPU may draw"),
        counter("gpu_energy_joules", "Energy used since the driver was loaded"),
        gauge("gpu_clock_hertz", "Clock frequency", "clock"),
        gauge("gpu_clock_max_hertz", "Highest clock frequency", "clock"),
        gauge("gpu_clock_limited", "Whether this holds the clocks down now", "reason"),
        counter("gpu_ecc_errors", "Memory errors since the driver was loaded", "kind"),
        counter("gpu_ecc_lifetime_errors", "Memory errors of the GPU's life", "kind"),
        gauge("gpu_remapped_rows", "Memory rows that were replaced", "cause"),
        gauge("gpu_row_remapping_pending", "Whether rows are replaced at the next reset"),
        gauge("gpu_row_remapping_failed", "Whether a row could not be replaced"),
        gauge("gpu_pcie_throughput_bytes_per_second", "PCIe traffic over some 20 ms", "direction"),
        counter("gpu_pcie_replays", "PCIe packets that were sent again"),
        gauge("gpu_processes", "Processes that use the GPU", "type"),
        gauge("gpu_process_memory_used_bytes", "GPU memory of a process", "pid"),
        gauge("gpu_mig_enabled", "Whether the GPU is divided into MIG instances"),
        gauge("gpu_mig_info", "A MIG instance", *mig, "uuid", "name"),
        gauge("gpu_mig_memory_used_bytes", "Used memory of a MIG instance", *mig),
        gauge("gpu_mig_memory_total_bytes", "Memory of a MIG instance", *mig),
    )


def read(device: Device, table: Table, driver_version: str) -> int:
    """Read all there is of a GPU; returns how many instances it is: 1, or those of MIG.

    Raises LostError when the GPU is lost.
    """
    name, uuid = device.ask("nvmlDeviceGetName"), device.ask("nvmlDeviceGetUUID")
    if name is not None or uuid is not None:
        table["gpu_info"].set(1, _text(uuid), _text(name), driver_version)
    for part in (_load, _temperature, _power, _clocks, _faults, _pcie, _processes):
        part(device, table)
    return _mig(device, table)


def _load(device: Device, table: Table) -> None:
    used = device.ask("nvmlDeviceGetUtilizationRates")
    if used is not None:
        table["gpu_utilization_percent"].set(used.gpu)
        table["gpu_utilization_ratio"].set(used.gpu / 100)
        table["gpu_memory_activity_ratio"].set(used.memory / 100)
    memory = _memory(device)
    if memory is not None:
        for what in ("used", "free", "reserved", "total"):  # version 1 counts what is reserved as used
            table[f"gpu_memory_{what}_bytes"].set(getattr(memory, what, None))


def _memory(device: Device) -> Any:
    found = device.ask("nvmlDeviceGetMemoryInfo", _MEMORY_V2)
    return found if found is not None else device.ask("nvmlDeviceGetMemoryInfo")


def _temperature(device: Device, table: Table) -> None:
    celsius = device.ask("nvmlDeviceGetTemperatureV", 0)
    if celsius is None:
        celsius = device.ask("nvmlDeviceGetTemperature", 0)
    table["gpu_temperature_celsius"].set(celsius)
    table["gpu_memory_temperature_celsius"].set(device.field(_MEMORY_TEMPERATURE))
    for limit, number in _TEMPERATURE_LIMITS.items():
        celsius = device.ask("nvmlDeviceGetTemperatureThreshold", number)
        table["gpu_temperature_limit_celsius"].set(celsius, limit)


def _power(device: Device, table: Table) -> None:
    table["gpu_power_watts"].set(_thousandths(device.ask("nvmlDeviceGetPowerUsage")))
    table["gpu_power_limit_watts"].set(_thousandths(device.ask("nvmlDeviceGetEnforcedPowerLimit")))
    table["gpu_energy_joules"].set(_thousandths(device.ask("nvmlDeviceGetTotalEnergyConsumption")))


def _clocks(device: Device, table: Table) -> None:
    for clock, number in _CLOCKS.items():
        for family, function in (
            ("gpu_clock_hertz", "nvmlDeviceGetClockInfo"),
            ("gpu_clock_max_hertz", "nvmlDeviceGetMaxClockInfo"),
        ):
            mhz = device.ask(function, number)
            table[family].set(None if mhz is None else mhz * 1_000_000, clock)
    reasons = device.ask("nvmlDeviceGetCurrentClocksEventReasons")
    if reasons is None:  # before driver 535 it had another name
        reasons = device.ask("nvmlDeviceGetCurrentClocksThrottleReasons")
    if reasons is not None:
        for reason, bit in _CLOCK_REASONS.items():
            table["gpu_clock_limited"].set(bool(reasons & bit), reason)


def _faults(device: Device, table: Table) -> None:
    for kind, number in _ECC.items():
        for since, family in enumerate(("gpu_ecc_errors", "gpu_ecc_lifetime_errors")):
            table[family].set(device.ask("nvmlDeviceGetTotalEccErrors", number, since), kind)
    rows = device.ask("nvmlDeviceGetRemappedRows")
    if rows is not None:
        correctable, uncorrectable, pending, failed = rows
        table["gpu_remapped_rows"].set(correctable, "correctable")
        table["gpu_remapped_rows"].set(uncorrectable, "uncorrectable")
        table["gpu_row_remapping_pending"].set(pending)
        table["gpu_row_remapping_failed"].set(failed)


def _pcie(device: Device, table: Table) -> None:
    for direction, number in _PCIE.items():  # each measures for some 20 ms, asleep
        kilobytes = device.ask("nvmlDeviceGetPcieThroughput", number)
        table["gpu_pcie_throughput_bytes_per_second"].set(
            None if kilobytes is None else kilobytes * 1000, direction
        )
    table["gpu_pcie_replays"].set(device.ask("nvmlDeviceGetPcieReplayCounter"))


def _processes(device: Device, table: Table) -> None:
    memory: dict[int, int] = {}
    for kind in ("Compute", "Graphics"):
        running = device.ask(f"nvmlDeviceGet{kind}RunningProcesses")
        if running is None:
            continue
        table["gpu_processes"].set(len(running), kind.lower())
        for process in running:
            if process.usedGpuMemory is not None:  # one process may be in both lists, with the same memory
                memory[process.pid] = max(process.usedGpuMemory, memory.get(process.pid, 0))
    for pid, used in memory.items():
        table["gpu_process_memory_used_bytes"].set(used, str(pid))


def _mig(device: Device, table: Table) -> int:
    mode = device.ask("nvmlDeviceGetMigMode")
    if mode is None:
        return 1
    enabled = mode[0] == 1
    table["gpu_mig_enabled"].set(enabled)
    if not enabled:
        return 1
    count = 0
    for place, instance in device.instances():
        count += 1
        ids = (
            # Without an id, the place tells instances apart.
            _text(instance.ask("nvmlDeviceGetGpuInstanceId")) or f"place {place}",
            _text(instance.ask("nvmlDeviceGetComputeInstanceId")),
        )
        uuid, name = instance.ask("nvmlDeviceGetUUID"), instance.ask("nvmlDeviceGetName")
        table["gpu_mig_info"].set(1, *ids, _text(uuid), _text(name))
        memory = _memory(instance)
        if memory is not None:
            table["gpu_mig_memory_used_bytes"].set(memory.used, *ids)
            table["gpu_mig_memory_total_bytes"].set(memory.total, *ids)
    return count


def _thousandths(value: int | None) -> float | None:
    """Milliwatts as watts, millijoules as joules."""
    return None if value is None else value / 1000


def _text(value: object) -> str:
    if isinstance(value, bytes):  # pynvml before 11
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


__all__ = ["Families", "families", "read"]
