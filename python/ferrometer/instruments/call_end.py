"""How an inference ended: plain data for whoever wants to know it, such as provider health."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

Status: TypeAlias = Literal["success", "error", "cancelled", "abandoned"]


class CallEnd(NamedTuple):
    """A logical call with all of its attempts. What is not known is None."""

    provider: str
    model: str
    operation: str
    status: Status
    #: The kind of error: timeout, connection, rate_limit, authentication, bad_request, server, other.
    error_type: str | None
    http_status: int | None
    seconds: float
    first_token_seconds: float | None
    #: With cached ones and reasoning.
    input_tokens: int | None
    output_tokens: int | None
    #: Seconds that the provider asked to wait.
    retry_after: float | None
    #: Seconds of ``time.perf_counter()``.
    started: float
    #: What the call raised, where it failed.
    error: BaseException | None = None


Observer: TypeAlias = Callable[[CallEnd], object]
OBSERVERS: list[Observer] = []


def observe(observer: Observer) -> Callable[[], None]:
    """Calls ``observer`` at the end of every inference, in its thread; returns what ends that.

    An observer must not block. What it raises is counted in ``ferrometer_inference_refused_total``.
    """
    OBSERVERS.append(observer)

    def forget() -> None:
        if observer in OBSERVERS:
            OBSERVERS.remove(observer)

    return forget


def kind_of(error: BaseException) -> str:
    """Which kind of error it is, of seven: the words of ``inference_errors_total{type}``."""
    status = http_status(error)
    name = type(error).__name__
    if isinstance(error, TimeoutError) or "Timeout" in name or status in (408, 504):
        return "timeout"
    if status is None:
        return "connection" if isinstance(error, ConnectionError) or "Connect" in name else "other"
    if status == 429:
        return "rate_limit"
    if status in (401, 403):
        return "authentication"
    return "bad_request" if status < 500 else "server"


def http_status(error: BaseException) -> int | None:
    """The status that the provider answered with, where the exception says it."""
    status = getattr(error, "status_code", None)
    return (
        status if isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 600 else None
    )


def retry_after(error: BaseException) -> float | None:
    """The seconds of a Retry-After header in the exception's response; a date is not looked at."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    try:
        seconds = float(headers.get("retry-after", "")) if headers is not None else -1.0
    except (TypeError, ValueError, AttributeError):
        return None
    return seconds if 0 <= seconds < 86_400 else None
