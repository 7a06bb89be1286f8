"""Redis and Valkey, from the client's side and the server's, and the job queues that live there.

| file      | noun                                                          |
|-----------|---------------------------------------------------------------|
| client    | one client object: its commands and round trips                |
| pool      | that client's connections                                      |
| collector | a server: INFO, lengths of lists, streams and sorted sets      |
| jobs      | RQ's and Celery's queues                                       |
| session   | one connection of a collector, and why there is none           |
| check     | a health check for the application's own client                |
"""

from ferrometer.collectors.redis.check import redis_check
from ferrometer.collectors.redis.client import RedisInstrumentation, instrument_redis
from ferrometer.collectors.redis.collector import RedisCollector
from ferrometer.collectors.redis.jobs import CeleryCollector, RQCollector

__all__ = [
    "CeleryCollector",
    "RQCollector",
    "RedisCollector",
    "RedisInstrumentation",
    "instrument_redis",
    "redis_check",
]
