"""PostgreSQL and PgBouncer, seen from the server's side.

| file      | noun                                                     |
|-----------|----------------------------------------------------------|
| collector | a PostgreSQL server's statistics views                   |
| parts     | the questions, and the families that hold the answers    |
| pgbouncer | a PgBouncer's console                                    |
| session   | one connection, and why there is none                    |
| check     | a health check for the application's own pool            |
"""

from ferrometer.collectors.postgres.check import postgres_check
from ferrometer.collectors.postgres.collector import PostgresCollector
from ferrometer.collectors.postgres.pgbouncer import PgBouncerCollector

__all__ = ["PgBouncerCollector", "PostgresCollector", "postgres_check"]
