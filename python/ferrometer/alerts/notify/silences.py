"""Where silences are kept, and the part of Alertmanager's API v2 that sets and shows them."""

from __future__ import annotations

import fcntl
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferrometer.alerts.notify.silence import Silence, kept, read

if TYPE_CHECKING:
    from ferrometer.alerts.notify.notifier import Documents

_DOCUMENT = "silences"
#: Silences that may be at a time.
MOST = 10_000


class Silences:
    """Those of the application: any worker sets one, and the worker that evaluates heeds it.

    ``documents`` finds where texts are kept, None before the start; ``folder`` is where workers lock.
    """

    def __init__(self, documents: Callable[[], Documents | None], folder: Callable[[], Path | None]) -> None:
        self._documents, self._folder = documents, folder
        self._lock = threading.Lock()
        self._text: str | None = None
        #: As they were read last.
        self.known: list[Silence] = []

    def after_fork(self) -> None:
        """In a child: the parent's lock may be held."""
        self._lock = threading.Lock()

    def read(self, now: float) -> list[Silence]:
        """All of them."""
        documents = self._documents()
        text = None if documents is None else documents.document(_DOCUMENT)
        if text != self._text:
            try:
                self.known = [read(one, now) for one in json.loads(text or "[]")]
            except (ValueError, KeyError, TypeError, AttributeError):
                return self.known
            self._text = text
        return self.known

    def put(self, told: Mapping[str, Any], now: float) -> str:
        """Sets one, or changes the one whose id it has; its id. Raises ValueError, and LookupError for an id
        that none has.
        """
        fresh = replace(read({**told, "updatedAt": _moment(now)}, now))
        if fresh.ends_at < now:
            raise ValueError("a silence must end after now")
        with self._changing(now) as silences:
            if told.get("id"):
                before = next((one for one in silences if one.id == told["id"]), None)
                if before is None:
                    raise LookupError(f"there is no silence {told['id']!r}")
                if before.ends_at <= now or before.matchers != fresh.matchers:
                    # What it was stays known: it ends, and another one begins.
                    fresh = replace(fresh, id=str(uuid.uuid4()))
                    if before.ends_at > now:
                        silences[silences.index(before)] = replace(before, ends_at=now, updated_at=now)
                else:
                    silences.remove(before)
            if sum(one.ends_at > now for one in silences) >= MOST:
                raise ValueError(f"there are {MOST} silences already")
            silences.append(fresh)
        return fresh.id

    def expire(self, identity: str, now: float) -> None:
        """Ends one. Raises LookupError for an id that none has."""
        with self._changing(now) as silences:
            one = next((one for one in silences if one.id == identity), None)
            if one is None:
                raise LookupError(f"there is no silence {identity!r}")
            if one.ends_at > now:
                starts = min(one.starts_at, now)
                silences[silences.index(one)] = replace(one, starts_at=starts, ends_at=now, updated_at=now)

    @contextmanager
    def _changing(self, now: float) -> Iterator[list[Silence]]:
        documents = self._documents()
        if documents is None:
            raise ValueError("the application has not started")
        with self._lock, self._locked():
            silences = kept(self.read(now), now)
            yield silences
            documents.put_document(_DOCUMENT, json.dumps([one.told(now) for one in silences]))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self._folder()
        if folder is None:
            yield
            return
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".silences.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _moment(now: float) -> str:
    from ferrometer.alerts.api import moment

    return moment(now)


def answer(
    silences: Silences, alerts: str | None, method: str, path: str, body: bytes, content: str
) -> tuple[int, Any]:
    """The API: status, and what is told as JSON. ``path`` follows ``/api/v2/``."""
    now = time.time()
    parts = path.strip("/").split("/")
    try:
        if parts == ["silences"] and method == "GET":
            return 200, [one.told(now) for one in silences.read(now)]
        if parts == ["silences"] and method == "POST":
            if content != "application/json":
                # A form of another site must not be able to silence anything.
                return 415, "send application/json"
            return 200, {"silenceID": silences.put(json.loads(body), now)}
        if parts[0] == "silence" and len(parts) == 2 and method == "DELETE":
            silences.expire(parts[1], now)
            return 200, None
        if parts[0] == "silence" and len(parts) == 2 and method == "GET":
            found = next((one for one in silences.read(now) if one.id == parts[1]), None)
            return (404, "there is no such silence") if found is None else (200, found.told(now))
        if parts == ["alerts"] and method == "GET":
            return 200, json.loads(alerts or "[]")
    except LookupError as error:
        return 404, str(error.args[0])
    except (ValueError, TypeError, AttributeError) as error:
        return 400, str(error)
    return 404, "there is no such path"
