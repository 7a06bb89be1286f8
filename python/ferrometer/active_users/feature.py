"""Active users of an application: the section ``[active_users]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.active_users.users import ActiveUsers, expose

if TYPE_CHECKING:
    from ferrometer._runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class ActiveUsersSettings:
    """How active users are counted."""

    secret: str | None = option(
        None, "Key of the hash, 16 bytes or more; a random one without it.", secret=True
    )


class CountActiveUsers(Feature):
    """Shows ``{ns}_active_users``; its ``seen(user_id)`` counts a user."""

    section = "active_users"
    Settings = ActiveUsersSettings

    def __init__(self, *, secret: str | None = None) -> None:
        super().__init__(secret=secret)
        self._users: ActiveUsers | None = None

    def open(self, runtime: Runtime) -> None:
        """Registers the metric."""
        chosen: ActiveUsersSettings = runtime.settings(self)
        self._users = ActiveUsers(secret=chosen.secret)
        #: Counts a user by a str or bytes that identifies it.
        self.seen = self._users.seen
        expose(runtime.registry, namespace=runtime.namespace or "")

    def counts(self) -> dict[str, float]:
        """About how many users each window has seen, in all workers; nothing before ``open``."""
        return {} if self._users is None else self._users.counts()


FEATURE = CountActiveUsers
