"""Database clients: what the application asks of its databases, and its pools of connections.

| file       | noun                                                           |
|------------|----------------------------------------------------------------|
| operation  | the first keyword of a query                                    |
| metrics    | the families, and one pool's series in them                     |
| asyncpg, psycopg, sqlalchemy, sqlite | how each driver is instrumented       |
"""

from ferrometer.collectors.sql.asyncpg import instrument_asyncpg
from ferrometer.collectors.sql.metrics import Instrumentation
from ferrometer.collectors.sql.psycopg import instrument_psycopg
from ferrometer.collectors.sql.sqlalchemy import instrument_sqlalchemy
from ferrometer.collectors.sql.sqlite import SQLiteConnection, SQLitePool, instrument_sqlite

__all__ = [
    "Instrumentation",
    "SQLiteConnection",
    "SQLitePool",
    "instrument_asyncpg",
    "instrument_psycopg",
    "instrument_sqlalchemy",
    "instrument_sqlite",
]
