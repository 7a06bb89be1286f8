"""KIND loki: one Loki with its files on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ferrometer.alerts.duration import milliseconds
from ferrometer.generate.deployment import Deployment
from ferrometer.generate.file import File
from ferrometer.generate.yaml_text import to_text

_DAY = 86_400_000


def files(deployment: Deployment) -> Iterator[File]:
    """``loki.yml``. Raises ValueError for a retention that Loki refuses."""
    yield File(
        "loki.yml",
        "loki",
        to_text(configuration(deployment)),
        (
            "Loki has no login: let only the monitoring's own network reach it. Logs come by OTLP at /otlp,"
            " or by /loki/api/v1/push from Promtail and from the application itself.",
        ),
    )


def configuration(deployment: Deployment) -> dict[str, Any]:
    """The whole of it."""
    kept = milliseconds(deployment.chosen.retention)
    if kept < _DAY:
        raise ValueError(
            f"[generate] retention: Loki keeps a day at least, not {deployment.chosen.retention!r}"
        )
    return {
        "auth_enabled": False,
        "server": {"http_listen_port": 3100, "log_level": "warn"},
        "common": {
            "instance_addr": "127.0.0.1",
            "path_prefix": "/loki",
            "replication_factor": 1,
            "ring": {"kvstore": {"store": "inmemory"}},
            "storage": {"filesystem": {"chunks_directory": "/loki/chunks", "rules_directory": "/loki/rules"}},
        },
        "schema_config": {
            "configs": [
                {
                    "from": "2024-04-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "limits_config": {
            "retention_period": f"{kept // 3_600_000}h",
            "ingestion_rate_mb": 16,
            "ingestion_burst_size_mb": 32,
            "max_streams_per_user": 10_000,
            "max_query_parallelism": 32,
            "allow_structured_metadata": True,
        },
        "compactor": {
            "working_directory": "/loki/compactor",
            "compaction_interval": "10m",
            "retention_enabled": True,
            "delete_request_store": "filesystem",
        },
        "analytics": {"reporting_enabled": False},
    }
