"""What a service tells about itself besides its requests."""

from __future__ import annotations

from ferrometer.stats.database import DatabaseStats
from ferrometer.stats.service import SYSTEM_SECONDS, CacheStats, ServiceStats, SystemStats

__all__ = ["SYSTEM_SECONDS", "CacheStats", "DatabaseStats", "ServiceStats", "SystemStats"]
