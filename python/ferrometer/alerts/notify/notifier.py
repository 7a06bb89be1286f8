"""Everything together: what fires, what is silenced, who is told, and the threads that tell."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ferrometer._runtime.delivery import LaterError
from ferrometer.alerts.api import moment
from ferrometer.alerts.evaluate import GroupState
from ferrometer.alerts.notify.dispatch import Dispatcher, Entry, Notification
from ferrometer.alerts.notify.message import fingerprint
from ferrometer.alerts.notify.receivers import Integration, integration, latest
from ferrometer.alerts.notify.route import Configuration
from ferrometer.alerts.notify.silence import Silence
from ferrometer.alerts.notify.silences import Silences

if TYPE_CHECKING:
    from ferrometer._runtime.delivery import Delivery
    from ferrometer._runtime.runtime import Runtime

_log = logging.getLogger("ferrometer")

#: Notifications that may wait for one receiver, and how many are looked at together.
QUEUE, BATCH = 1000, 100
_STATE, _ALERTS = "notify-state", "notify-alerts"


class Documents(Protocol):
    """Texts that all processes of the application read."""

    def document(self, name: str) -> str | None:
        """One by its name."""

    def put_document(self, name: str, text: str) -> None:
        """Replaces it."""


class Notifier:
    """One application's; made before the fork, used by the worker that evaluates.

    Raises ValueError for a receiver that cannot be.
    """

    def __init__(
        self, configuration: Configuration, source: str, runtime: Runtime, silences: Silences
    ) -> None:
        self._configuration, self._silences = configuration, silences
        self._deliveries: dict[str, Delivery] = {}
        self._confirmed: deque[Notification] = deque()
        self._tells_end: dict[str, dict[str, bool]] = {}
        for receiver, kinds in configuration.receivers.items():
            self._tells_end[receiver] = {}
            for number, (kind, node) in enumerate(kinds):
                made = integration(kind, node, configuration.defaults, f"{source}: receiver {receiver!r}")
                name = f"{receiver}/{kind}" + (f"/{number}" if number else "")
                self._tells_end[receiver][name] = made.send_resolved
                self._deliveries[name] = runtime.deliver(
                    f"notify {name}", self._sending(made), queue=QUEUE, batch=BATCH
                )
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forgets what this process knew: another one has told since."""
        self._dispatcher = Dispatcher(self._configuration, self._tells_end)
        self._confirmed.clear()
        self._active: frozenset[str] = frozenset()

    def _sending(self, target: Integration) -> Any:
        def send(items: Sequence[Notification]) -> None:
            failure: Exception | None = None
            for told in latest(items):
                try:
                    target.send(told)
                except LaterError:
                    raise
                except Exception as error:
                    failure = error
                else:
                    self._confirmed.append(told)
            if failure is not None:
                raise failure

        return send

    def go_on(self, documents: Documents) -> None:
        """Takes over from another process, or from before a restart."""
        self.begin_anew()
        told = documents.document(_STATE)
        if told is not None:
            try:
                self._dispatcher.restore(json.loads(told))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                _log.warning("who was told of what cannot be read: %s", type(error).__name__)

    def take(self, groups: Iterable[GroupState], now: float) -> None:
        """What the rules found."""
        self._dispatcher.take(list(_entries(groups)), now)

    def turn(self, documents: Documents, now: float, *, has_news: bool) -> bool:
        """Tells what is due; ``has_news`` when alerts were evaluated. Whether what is shown has changed."""
        while self._confirmed:
            self._dispatcher.confirm(self._confirmed.popleft())
        silences = self._silences.read(now)
        for told in self._dispatcher.due(now, silences):
            self._deliveries[told.integration].put(told)
        if self._dispatcher.is_changed:
            documents.put_document(_STATE, json.dumps(self._dispatcher.state()))
        active = frozenset(one.id for one in silences if one.state(now) == "active")
        if not has_news and active == self._active:
            return False
        self._active = active
        documents.put_document(_ALERTS, json.dumps(self._shown(now, silences)))
        return True

    def suppressed(self, labels: tuple[tuple[str, str], ...], now: float) -> tuple[bool, list[str]]:
        """Whether such an alert is inhibited, and the ids of silences that mute it."""
        inhibitors, ids = self._dispatcher.suppressed(labels, now, self._silences.known)
        return bool(inhibitors), ids

    def _shown(self, now: float, silences: Sequence[Silence]) -> list[Mapping[str, Any]]:
        return [
            self._alert(entry, now, silences) for entry in self._dispatcher.entries() if not entry.ends_at
        ]

    def _alert(self, entry: Entry, now: float, silences: Sequence[Silence]) -> Mapping[str, Any]:
        """As Alertmanager's API tells one."""
        inhibitors, muted = self._dispatcher.suppressed(entry.labels, now, silences)
        routes = self._configuration.route.of(dict(entry.labels))
        return {
            "annotations": dict(entry.annotations),
            "endsAt": moment(entry.ends_at or now + 240),
            "fingerprint": fingerprint(entry.labels),
            "receivers": [{"name": route.receiver} for route in routes],
            "startsAt": moment(entry.starts_at),
            "status": {
                "inhibitedBy": [fingerprint(labels) for labels in inhibitors],
                "silencedBy": muted,
                "state": "suppressed" if inhibitors or muted else "active",
            },
            "updatedAt": moment(now),
            "generatorURL": "",
            "labels": dict(entry.labels),
        }


def _entries(groups: Iterable[GroupState]) -> Iterable[Entry]:
    for group in groups:
        for rule in group.rules:
            for alert in rule.active.values():
                if alert.state == "firing":
                    yield Entry(alert.labels, dict(alert.annotations), alert.fired_at)
                elif alert.state == "inactive":
                    yield Entry(alert.labels, dict(alert.annotations), alert.fired_at, alert.resolved_at)
