"""Health of the providers that an application calls, as all of its workers know it."""

from ferrometer.providers.record import record, track

__all__ = ["record", "track"]
