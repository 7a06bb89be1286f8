"""The servers that these tests share, started once; and registries that nobody else writes to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferrometer.testing import PedanticRegistry
from tests.real.component import OLD_POSTGRES
from tests.real.pgbouncer import PgBouncer, pgbouncer
from tests.real.postgres import Postgres, postgres
from tests.real.redis import RedisServer, redis_server, valkey


@pytest.fixture(scope="session")
def blank() -> Iterator[Path]:
    """The data of a cluster that has run once, to be copied: making one takes seconds."""
    with postgres() as server:
        server.start()  # from now on its files know of its settings, which a standby compares
        server.stop()
        yield server.data


@pytest.fixture(scope="session")
def database(blank: Path) -> Iterator[Postgres]:
    """A running PostgreSQL with pg_stat_statements and a table of a hundred `things`."""
    with postgres(copy_of=blank) as server:
        server.start()
        server.sql("CREATE EXTENSION pg_stat_statements")
        server.sql("CREATE TABLE things (id int PRIMARY KEY, name text)")
        server.sql("INSERT INTO things SELECT n, 'thing ' || n FROM generate_series(1, 100) n")
        yield server


@pytest.fixture(scope="session")
def old_database() -> Iterator[Postgres]:
    """A running PostgreSQL 12, as old as is still met."""
    with postgres(OLD_POSTGRES) as server:
        server.start()
        server.sql("CREATE EXTENSION pg_stat_statements")
        yield server


@pytest.fixture
def own_database(blank: Path) -> Iterator[Postgres]:
    """A cluster for one test to break, running."""
    with postgres(copy_of=blank) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def bouncer(database: Postgres) -> Iterator[PgBouncer]:
    """A running PgBouncer in front of `database`."""
    with pgbouncer(database) as server:
        yield server


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Valkey."""
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis of the distribution."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_store() -> Iterator[RedisServer]:
    """A Valkey for one test to break, running."""
    with tempfile.TemporaryDirectory(prefix="fm-") as name, valkey(Path(name)) as server:
        yield server


@pytest.fixture
def registry() -> PedanticRegistry:
    """Strict about names, but for those that others have chosen before."""
    return PedanticRegistry(allow=CONTRACT)


CONTRACT = frozenset(
    f"gpuproxy_{name}"
    for name in ("db_query_duration_milliseconds", "memory_heap_alloc_mb", "gpu_cost", "cache_hit_rate", "gc")
)
