"""Where an expression is asked: the history of this process, that of a directory, or an HTTP API."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ferrometer import _core

Pairs = Sequence[tuple[str, str]]


class QueryError(ValueError):
    """An expression that has no answer: ``kind`` is Prometheus's word for why, such as ``bad_data``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Source(Protocol):
    """Answers requests to the API."""

    def get(self, path: str, parameters: Pairs) -> dict[str, Any]:
        """The JSON of an answer, error or not; OSError when nobody answers."""


class Native:
    """A history in this process, or in files."""

    def __init__(self, native: _core.History) -> None:
        self._native = native

    def get(self, path: str, parameters: Pairs) -> dict[str, Any]:
        """Asks it directly."""
        _, _, body = self._native.respond("GET", path, list(parameters), "here")
        return _read(body)


class Http:
    """An API by its URL: an application's endpoints, a port of its own, or a Prometheus."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 30.0) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must be one like 'http://127.0.0.1:8000/observability', not {url!r}")
        host = parts.netloc.rpartition("@")[2]
        self._base = urllib.parse.urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self._base = self._base.removesuffix("/api/v1")
        self._headers = {"Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        elif parts.username is not None or parts.password is not None:
            user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
            self._headers["Authorization"] = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._timeout = timeout

    def get(self, path: str, parameters: Pairs) -> dict[str, Any]:
        """Asks it over HTTP."""
        url = f"{self._base}/api/v1/{path}?{urllib.parse.urlencode(list(parameters))}"
        request = urllib.request.Request(url, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                return _read(response.read())
        except urllib.error.HTTPError as error:
            body = error.read()
            try:
                return _read(body)
            except ValueError:
                raise OSError(f"{self._base}/api/v1/{path} answers {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            raise OSError(f"{self._base} cannot be reached: {error.reason}") from None


def _read(body: bytes) -> dict[str, Any]:
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("the answer is not Prometheus's")
    return answer


_current: list[_core.History] = []


def set_current(native: _core.History) -> None:
    """Makes it the history that ``ferrometer.query`` asks."""
    _current.append(native)


def forget(native: _core.History) -> None:
    """The opposite."""
    while native in _current:
        _current.remove(native)


def open_source(where: str | os.PathLike[str] | None, token: str | None = None) -> Source:
    """What answers for a URL, a directory, or this process.

    Raises FileNotFoundError for a directory without a history, and RuntimeError when this process has none.
    """
    if where is None:
        if not _current:
            raise RuntimeError(
                "no history in this process: instrument(app, ferrometer.History()) makes one when the"
                " application starts; or name a URL or a directory"
            )
        return Native(_current[-1])
    if isinstance(where, str) and "://" in where:
        return Http(where, token)
    directory = Path(where)
    if not (directory / "history").is_dir():
        raise FileNotFoundError(f"{directory} has no history: no application with History() recorded there")
    return Native(_core.History(directory))
