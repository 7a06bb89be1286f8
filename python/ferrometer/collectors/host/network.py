"""Traffic of each network interface: the container's own, where there is one.

Linux: one read of ``/proc/net/dev``. Elsewhere by psutil (``pip install 'ferrometer[system]'``).
"""

from __future__ import annotations

import sys
from collections.abc import Collection

from ferrometer.background.collector import Collector, Scope, UnavailableError, set_total
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter

_WHAT = ("bytes", "packets", "errors", "drops")


class NetworkCollector(Collector):
    """``network_receive_bytes_total{device}``, ``network_transmit_bytes_total``; packets, errors, drops.

    ``devices``: only these; by default all but the loopback.
    """

    name = "network"
    scope: Scope = "machine"

    def __init__(
        self,
        *,
        devices: Collection[str] | None = None,
        registry: CollectorRegistry = REGISTRY,
        interval: float = 10.0,
    ) -> None:
        if isinstance(devices, str):
            raise TypeError(f"devices must be a list of names; write [{devices!r}]")
        self.devices = devices
        self.interval = interval
        self.counters: tuple[Counter, ...] = tuple(
            Counter(f"network_{way}_{what}", f"{what.capitalize()} {done}", ["device"], registry=registry)
            for way, done in (("receive", "received"), ("transmit", "sent"))
            for what in _WHAT
        )
        self._shown: set[str] = set()

    def collect(self) -> None:
        """Read the interfaces; one that is gone loses its series."""
        seen = read_interfaces()
        wanted = {
            device
            for device in seen
            if (device not in _LOOPBACKS if self.devices is None else device in self.devices)
        }
        for device in wanted:
            for counter, total in zip(self.counters, seen[device], strict=True):
                set_total(counter.labels(device), total)
        for device in self._shown - wanted:
            for counter in self.counters:
                counter.remove(device)
        self._shown = wanted


_LOOPBACKS = frozenset({"lo", "lo0", "Loopback Pseudo-Interface 1"})

Totals = tuple[int, int, int, int, int, int, int, int]


def read_interfaces() -> dict[str, Totals]:
    """Bytes, packets, errors and drops received, then the same sent, by interface."""
    return _by_proc() if sys.platform == "linux" else by_psutil()


def _by_proc() -> dict[str, Totals]:
    found: dict[str, Totals] = {}
    with open("/proc/net/dev", "rb") as file:
        for line in file.readlines()[2:]:
            device, _, rest = line.decode().partition(":")
            n = [int(word) for word in rest.split()]
            found[device.strip()] = (n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11])
    return found


def by_psutil() -> dict[str, Totals]:
    """The same by psutil, for platforms without ``/proc``."""
    try:
        import psutil
    except ImportError:
        raise UnavailableError(
            "reading the network needs psutil here: pip install 'ferrometer[system]'", reason="no psutil"
        ) from None
    return {
        device: (
            *(io.bytes_recv, io.packets_recv, io.errin, io.dropin),
            *(io.bytes_sent, io.packets_sent, io.errout, io.dropout),
        )
        for device, io in psutil.net_io_counters(pernic=True).items()
    }
