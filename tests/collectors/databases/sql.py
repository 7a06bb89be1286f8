"""What the tests of database clients ask of the metrics."""

from __future__ import annotations

from ferrometer.testing import PedanticRegistry, samples


def queries(registry: PedanticRegistry, pool: str) -> dict[str, float]:
    """Queries counted, by operation."""
    return _by(registry, "db_queries_total", pool, "operation")


def timed(registry: PedanticRegistry, pool: str) -> dict[str, float]:
    """Queries timed, by operation: the same number."""
    return _by(registry, "db_query_duration_seconds_count", pool, "operation")


def seconds(registry: PedanticRegistry, pool: str) -> dict[str, float]:
    """The time that queries took together, by operation."""
    return _by(registry, "db_query_duration_seconds_sum", pool, "operation")


def errors(registry: PedanticRegistry, pool: str) -> dict[tuple[str, str], float]:
    """Queries that raised, by operation and type."""
    return {
        (labels["operation"], labels["error"]): value
        for labels, value in _rows(registry, "db_query_errors_total", pool)
    }


def connections(registry: PedanticRegistry, pool: str) -> dict[str, float]:
    """The pool's connections, by state."""
    return _by(registry, "db_pool_connections", pool, "state")


def acquired(registry: PedanticRegistry, pool: str) -> float:
    """How often a connection was acquired."""
    return next((value for _, value in _rows(registry, "db_pool_acquire_duration_seconds_count", pool)), 0)


def refused(registry: PedanticRegistry, pool: str) -> dict[str, float]:
    """Acquisitions that raised, by type."""
    return _by(registry, "db_pool_acquire_errors_total", pool, "error")


def _by(registry: PedanticRegistry, name: str, pool: str, label: str) -> dict[str, float]:
    return {labels[label]: value for labels, value in _rows(registry, name, pool)}


def _rows(registry: PedanticRegistry, name: str, pool: str) -> list[tuple[dict[str, str], float]]:
    return [
        (dict(labels), value)
        for (found, labels), value in samples(registry).items()
        if found == name and ("pool", pool) in labels
    ]
