"""What a call's end says about the provider: the one place where that is decided.

400, 413 and 422 are the caller's fault. 401, 403, 404, 408, 429 and 5xx are the provider's: with the key and
the model names of the gateway, a revoked key fails every call.
Where callers bring the key, 401 and 403 are theirs.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, NamedTuple

from ferrometer.breaker.open_error import CircuitOpenError

#: Statuses that say nothing about the provider.
CALLER_STATUSES = frozenset({400, 413, 422})
#: Those that are the caller's, too, where the caller brought the key.
KEY_STATUSES = frozenset({401, 403})


class Outcome(Enum):
    """What a call says about its provider."""

    SUCCESS = "success"
    FAILURE = "failure"
    #: Cancelled, or the caller's fault.
    NOTHING = "nothing"


class Judgement(NamedTuple):
    """An outcome, and the seconds after which the provider wants to be asked again; 0: it did not say."""

    outcome: Outcome
    retry_after: float = 0.0


def judge_status(
    status: int, *, caller_statuses: Collection[int] = CALLER_STATUSES, callers_key: bool = False
) -> Outcome:
    """What a status of HTTP says about who answered with it."""
    if status < 400:
        return Outcome.SUCCESS
    if status in caller_statuses or (callers_key and status in KEY_STATUSES):
        return Outcome.NOTHING
    if status >= 500 or status in (401, 403, 404, 408, 429):
        return Outcome.FAILURE
    return Outcome.NOTHING


def judge(
    error: BaseException, *, caller_statuses: Collection[int] = CALLER_STATUSES, callers_key: bool = False
) -> Judgement:
    """What an exception says about the provider whose call ended with it.

    A status is taken from the exception (``status_code``, ``status``, ``code``) or from its ``response``, as
    the clients of HTTP and the SDKs of providers have it.
    """
    if isinstance(error, asyncio.CancelledError | GeneratorExit | KeyboardInterrupt | SystemExit):
        return Judgement(Outcome.NOTHING)
    if isinstance(error, CircuitOpenError):  # of another breaker: this one's provider was not asked
        return Judgement(Outcome.NOTHING)
    if type(error).__name__ in (
        "Cancelled",
        "ClientDisconnect",
    ):  # trio's; Starlette's: the client left
        return Judgement(Outcome.NOTHING)
    status = status_of(error)
    if status is None:
        return Judgement(Outcome.FAILURE, retry_after_of(error))
    outcome = judge_status(status, caller_statuses=caller_statuses, callers_key=callers_key)
    return Judgement(outcome, retry_after_of(error) if outcome is Outcome.FAILURE else 0.0)


def status_of(error: BaseException) -> int | None:
    """The status of HTTP that an exception was made from, if one was."""
    for source in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            status = getattr(source, name, None)
            if isinstance(status, int) and 100 <= status <= 599:
                return int(status)
    return None


def retry_after_of(error: BaseException) -> float:
    """The seconds of its Retry-After, which is a number or a date; 0 when there is none."""
    given = getattr(error, "retry_after", None)
    if isinstance(given, int | float):
        return _bounded(given)
    for source in (getattr(error, "response", None), error):
        headers = getattr(source, "headers", None)
        try:
            text: Any = headers and (headers.get("retry-after") or headers.get("Retry-After"))
            if text:
                return seconds_of(str(text))
        except (AttributeError, TypeError, ValueError):
            continue
    return 0.0


def seconds_of(text: str) -> float:
    """The seconds of a Retry-After header; raises ValueError for what is neither a number nor a date."""
    try:
        return _bounded(float(text))
    except ValueError:
        return _bounded(parsedate_to_datetime(text).timestamp() - time.time())


def _bounded(seconds: float) -> float:
    return max(0.0, float(seconds)) if math.isfinite(seconds) else 0.0
