"""What the GPUs cost: by the clock, from a price per GPU-hour, or request by request."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

Charge: TypeAlias = Literal["clock", "requests"]


class ServiceGpu(Protocol):
    """The ``{namespace}_gpu_*`` families of a service: ``ServiceStats.gpu`` is one."""

    def instances(self, active: int) -> None:
        """Set how many are active."""

    def request(self, *, failed: bool = False, cost_usd: float = 0.0) -> None:
        """Count a request."""

    def cost(self, usd: float) -> None:
        """Add a cost."""


class GpuCost:
    """Adds to ``{namespace}_gpu_cost_total``. The price is in USD per GPU-hour, not negative.

    ``charge="clock"``: every GPU costs from the reading that first saw it to the latest one.
    ``charge="requests"``: only the GPU-seconds of ``request`` cost.
    """

    def __init__(self, service: ServiceGpu, price_per_hour: float, charge: Charge) -> None:
        if isinstance(price_per_hour, bool) or not isinstance(price_per_hour, int | float):
            raise TypeError(f"price_per_hour must be a number, not {type(price_per_hour).__name__}")
        if not 0 <= price_per_hour < math.inf:
            raise ValueError(f"price_per_hour must be finite and not negative, not {price_per_hour!r}")
        if charge not in ("clock", "requests"):
            raise ValueError(f"charge must be 'clock' or 'requests', not {charge!r}")
        self._service = service
        self._per_second = price_per_hour / 3600
        self._charge = charge
        self._read: dict[str, float] = {}

    def request(self, *, failed: bool, gpu_seconds: float, cost_usd: float | None) -> None:
        """Count one request; ``cost_usd`` stands in for what its GPU-seconds would cost."""
        if not 0 <= gpu_seconds < math.inf:
            raise ValueError(f"gpu_seconds must be finite and not negative, not {gpu_seconds!r}")
        if cost_usd is None:
            cost_usd = gpu_seconds * self._per_second if self._charge == "requests" else 0.0
        elif not 0 <= cost_usd < math.inf:
            raise ValueError(f"cost_usd must be finite and not negative, not {cost_usd!r}")
        self._service.request(failed=failed, cost_usd=cost_usd)

    def seen(self, gpu_ids: Iterable[str], now: float | None = None) -> None:
        """These GPUs were read now (seconds of the monotonic clock); the others are forgotten."""
        now = time.monotonic() if now is None else now
        before, self._read = self._read, dict.fromkeys(gpu_ids, now)
        if self._charge == "clock":
            seconds = sum(now - before[gpu_id] for gpu_id in self._read.keys() & before.keys())
            self._service.cost(max(seconds, 0.0) * self._per_second)

    def forget(self) -> None:
        """Nothing is read now: the time until the next reading is not charged."""
        self._read.clear()


__all__ = ["Charge", "GpuCost", "ServiceGpu"]
