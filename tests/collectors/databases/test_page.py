"""The page about databases names every family that they make, with type and labels, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import celery
import redis

from ferrometer.collectors.postgres import PgBouncerCollector, PostgresCollector
from ferrometer.collectors.redis import CeleryCollector, RedisCollector, RQCollector, instrument_redis
from ferrometer.collectors.sql import SQLitePool, instrument_sqlite
from ferrometer.testing import PedanticRegistry

PAGE = Path(__file__).resolve().parents[3] / "docs" / "collectors-databases.md"
INFO = {"postgres": "version", "redis_instance": "version, server_name, role"}


def test_the_page_is_complete(registry: PedanticRegistry, tmp_path: Path) -> None:
    with SQLitePool(str(tmp_path / "data.db")) as pool, redis.Redis() as client:
        instrument_sqlite(pool, namespace="gpuproxy", registry=registry)
        instrument_redis(client, registry=registry)
        PostgresCollector("", registry=registry)
        PgBouncerCollector("", registry=registry)
        RedisCollector("redis://", queues=["jobs"], registry=registry)
        RQCollector("redis://", registry=registry)
        CeleryCollector(celery.Celery(), registry=registry)
        made = {}
        for metric in registry._collector_to_names:
            meta = metric._meta  # type: ignore[attr-defined]  # all are metrics of ours
            name, kind, labels = metric._name, metric._type, ", ".join(meta["labelnames"])  # type: ignore[attr-defined]
            if kind == "info":
                made[f"{name}_info"] = ("gauge", f"{labels}, {INFO[name]}")
            else:
                made[f"{name}_total" if kind == "counter" else name] = (kind, labels)
    del made["ferrometer_collector_errors_total"]  # of the page on collectors
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\|", PAGE.read_text(), flags=re.MULTILINE)
    assert {name: (kind, labels) for name, kind, labels in rows} == made
