"""The one HTTP client of what sends in Python: a POST whose failures say whether another try has a point."""

from __future__ import annotations

import email.utils
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING

from ferrometer._runtime.delivery import LaterError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, and its success mean nothing."""

    def redirect_request(self, *arguments: Any, **keywords: Any) -> None:
        """None: it is an error."""


_opener = urllib.request.build_opener(_NoRedirect)


def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> bytes:
    """The first 64 KiB of the answer to a POST.

    Raises LaterError for what may pass (no connection, 429, 5xx), with the seconds of Retry-After, and
    RefusedError for every other status.
    """
    request = urllib.request.Request(url, body, dict(headers), method="POST")
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return bytes(answer.read(1 << 16))
    except urllib.error.HTTPError as error:
        with suppress(OSError):
            error.close()
        words = f"{error.code} {error.reason}"
        if error.code < 500 and error.code != 429:
            raise RefusedError(words) from error
        raise LaterError(words, after=_retry_after(error.headers.get("Retry-After"))) from error
    except (OSError, HTTPException) as error:
        raise LaterError(f"{type(error).__name__}: {error}") from error


def _retry_after(header: str | None) -> float:
    """Seconds that the receiver asks us to wait, which it says as a number or as a date."""
    if not header:
        return 0.0
    with suppress(ValueError):
        return max(0.0, float(header))
    with suppress(TypeError, ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    return 0.0
