"""NVIDIA GPUs, as NVML tells about them (``pip install 'ferrometer[gpu]'``)."""

from __future__ import annotations

from ferrometer.background.collector import CollectError, Collector, Scope, UnavailableError
from ferrometer.background.partial import Parts
from ferrometer.collectors.gpu.cost import Charge, GpuCost, ServiceGpu
from ferrometer.collectors.gpu.device import InvisibleError, LostError, Session, session, shut_down
from ferrometer.collectors.gpu.readings import Families, families, read
from ferrometer.collectors.rows import Table
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.stats.gpu import GpuStats


class GpuCollector(Collector):
    """``gpu_utilization_percent{gpu_id}``, ``gpu_memory_used_bytes{gpu_id}`` and some thirty more.

    ``namespace``, or ``stats`` (``ServiceStats.gpu``): keep ``{namespace}_gpu_instances_active`` and,
    from ``price_per_hour`` (USD per GPU-hour), ``{namespace}_gpu_cost_total``. ``charge="clock"``: each
    GPU costs while it is read; ``"requests"``: the GPU-seconds given to ``record_gpu_request`` cost.

    What a GPU, a driver or a pynvml does not support leaves out that one series. A GPU for which this process
    has no permission, as in a container that was given others, is not seen. A GPU that is lost
    loses its series, and ``ferrometer_collector_part_success{collector="gpu",part="<gpu_id>"}`` is 0;
    the others are read on, and NVML is initialised anew before each run until it is back.
    """

    name = "gpu"
    scope: Scope = "machine"

    def __init__(
        self,
        *,
        registry: CollectorRegistry = REGISTRY,
        namespace: str | None = None,
        stats: ServiceGpu | None = None,
        interval: float = 10.0,
        price_per_hour: float = 0.0,
        charge: Charge = "clock",
    ) -> None:
        self.interval = interval
        service = stats if stats is not None else GpuStats(f"{namespace}_", registry) if namespace else None
        if service is None and price_per_hour:
            raise ValueError("price_per_hour needs namespace= or stats=, where the cost is to be shown")
        # The service's metrics stay behind an object: they outlive a run that failed.
        self._service = service
        # Without a service nobody sees this one's numbers.
        self._cost = GpuCost(service or GpuStats("", CollectorRegistry()), price_per_hour, charge)
        self.metrics: Families = families(registry)
        self._parts = Parts(self.name, registry, fatal=lambda _: False)
        self._tables: dict[str, Table] = {}
        self._active = 0

    def record_gpu_request(
        self, *, failed: bool = False, gpu_seconds: float = 0.0, cost_usd: float | None = None
    ) -> None:
        """Count one request to a GPU in ``{namespace}_gpu_requests_total`` and ``_failed``; any thread.

        ``cost_usd`` is added to the cost. Without it, ``gpu_seconds`` cost the price where
        ``charge="requests"``, and nothing more where the clock is charged.
        """
        self._cost.request(failed=failed, gpu_seconds=gpu_seconds, cost_usd=cost_usd)

    def collect(self) -> None:
        """Read all GPUs; in a thread, since NVML blocks."""
        instances: dict[str, int] = {}
        lost: dict[str, LostError] = {}
        invisible: InvisibleError | None = None
        try:
            with session() as nvml:
                # One that the driver listed once and lists no more is lost too.
                for gpu_id in sorted(self._tables.keys() | {str(index) for index in range(nvml.count)}):
                    try:
                        instances[gpu_id] = self._read(nvml, gpu_id)
                    except LostError as error:
                        lost[gpu_id] = error
                    except InvisibleError as error:
                        invisible = error
                        if table := self._tables.pop(gpu_id, None):
                            table.clear()
                            self._parts.forget(gpu_id)
                nvml.spent = bool(lost) or not nvml.count
        except UnavailableError as error:
            if not self._tables:
                raise
            # There were GPUs: that the driver is gone now is a failure, no way to be.
            raise CollectError(str(error), reason=error.reason) from None
        if not self._tables:
            raise invisible or UnavailableError("the NVIDIA driver sees no GPU", reason="no gpu")
        if not instances:
            raise next(iter(lost.values()))
        for gpu_id, table in self._tables.items():
            with self._parts(gpu_id, table.clear):
                if gpu_id in lost:
                    raise lost[gpu_id]
                table.sweep()
        self._cost.seen(instances)
        self._show(sum(instances.values()))

    def clear(self) -> None:
        """Drop the values of all GPUs."""
        for table in self._tables.values():
            table.clear()
        self._parts.clear()
        self._cost.forget()
        if self._active:
            self._show(0)

    def close(self) -> None:
        """Shut NVML down."""
        shut_down()

    def _read(self, nvml: Session, gpu_id: str) -> int:
        try:
            device = nvml.device(int(gpu_id))
        except LostError as error:
            self._tables.setdefault(gpu_id, Table(gpu_id, self.metrics))  # known, so that its loss is told
            raise LostError(f"GPU {gpu_id}: {error}", reason=error.reason) from None
        table = self._tables.setdefault(gpu_id, Table(gpu_id, self.metrics))
        try:
            instances = read(device, table, nvml.driver_version)
        except LostError as error:
            raise LostError(f"GPU {gpu_id}: {error}", reason=error.reason) from None
        if not device.answers:
            raise LostError(f"GPU {gpu_id} answers nothing", reason="silent")
        return instances

    def _show(self, active: int) -> None:
        self._active = active
        if self._service is not None:
            self._service.instances(active)


__all__ = ["GpuCollector"]
