"""What the gateway writes down: its models and who used them, in SQLite, with a cache before it."""

from __future__ import annotations

import functools
from uuid import uuid4

from ferrometer.collectors.sql import SQLitePool

_TABLES = """
CREATE TABLE models (name TEXT PRIMARY KEY, context INTEGER NOT NULL);
CREATE TABLE usage (model TEXT NOT NULL, tokens INTEGER NOT NULL);
"""
_CONTEXT = 8192


class Ledger:
    """A database in memory: nothing is left of it when the demo ends."""

    def __init__(self, models: tuple[str, ...]) -> None:
        self.pool = SQLitePool(f"file:ferrometer-demo-{uuid4().hex}?mode=memory&cache=shared", uri=True)
        with self.pool.connection() as connection:
            connection.executescript(_TABLES)
            connection.executemany("INSERT INTO models VALUES (?, ?)", [(name, _CONTEXT) for name in models])
        self.context = functools.lru_cache(maxsize=16)(self._context)
        """The longest prompt of a model, in tokens; None where there is no such model."""

    def write(self, model: str, tokens: int) -> None:
        """Note what a prompt got."""
        with self.pool.connection() as connection:
            connection.execute("INSERT INTO usage VALUES (?, ?)", (model, tokens))

    def _context(self, name: str) -> int | None:
        with self.pool.connection() as connection:
            found = connection.execute("SELECT context FROM models WHERE name = ?", (name,)).fetchone()
        return None if found is None else int(found[0])
