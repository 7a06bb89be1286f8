"""GPUs: utilisation, memory, power and what they cost."""

from __future__ import annotations

from ferrometer.collectors.gpu.collector import GpuCollector

__all__ = ["GpuCollector"]
