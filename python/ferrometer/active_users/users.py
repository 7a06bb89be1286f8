"""``ActiveUsers``: distinct subjects in windows of 5 minutes, an hour and a day."""

from __future__ import annotations

import hashlib
import os
from functools import partial

from ferrometer import _core
from ferrometer.metrics.exposed import expose_once
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.sharing.troubles import tell_troubles

#: The variable that holds the application's secret.
SECRET_VARIABLE = "FERROMETER_ACTIVE_USERS_SECRET"  # its name


class ActiveUsers:
    """Counts the distinct subjects of a kind, of all workers that share a directory.

    A subject is hashed with a key and raises at most one register of a byte in each of three sketches; it is
    not kept, nor is its hash. ``secret`` is the key, of 16 bytes or more, the same in all workers. Without
    one, and without ``FERROMETER_ACTIVE_USERS_SECRET``, the first worker makes a random key, which lasts as
    long as the counts. A table has room for four kinds, 784 KiB each. Raises ValueError for a fifth, for a
    kind whose name has no byte or more than 48, and for a short secret.
    """

    def __init__(self, kind: str = "user", *, secret: str | bytes | None = None) -> None:
        given = secret if secret is not None else os.environ.get(SECRET_VARIABLE)
        self.kind = kind
        self._native = _core.DistinctSubjects(kind, None if given is None else _key(given))
        tell_troubles()
        #: Counts a subject, a str or bytes. Raises TypeError for anything else.
        self.seen = self._native.seen

    def __repr__(self) -> str:
        return f"ActiveUsers({self.kind!r})"

    def counts(self) -> dict[str, float]:
        """About how many distinct subjects each window has seen: ``{"5m": ..., "1h": ..., "1d": ...}``.

        The error is 0.8 % (one standard deviation). A window reaches back for its length, and for up to a
        tenth more.
        """
        return dict(self._native.counts())


def _key(secret: str | bytes) -> tuple[int, int]:
    data = secret.encode() if isinstance(secret, str) else secret
    if len(data) < 16:
        raise ValueError(f"the secret of active users has at least 16 bytes; this one has {len(data)}")
    digest = hashlib.sha256(b"ferrometer active users\0" + data).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")


def expose(registry: CollectorRegistry = REGISTRY, *, namespace: str = "") -> None:
    """Shows the counts of all workers in a registry; ``CountActiveUsers`` does it by itself."""
    register = partial(_core.register_distinct_metrics, registry._native, namespace)
    expose_once(registry, "active users", namespace, register)
