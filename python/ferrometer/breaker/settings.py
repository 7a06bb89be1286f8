"""What a breaker may be told, and what is impossible."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, fields

from ferrometer.breaker.outcome import CALLER_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a breaker opens, for how long, and what closes it. Durations are in seconds, rates from 0 to 1."""

    #: So many failures in a row open it; 0: never.
    consecutive_failures: int = 5
    #: This share of failures among the calls of the window opens it; None: never.
    failure_rate: float | None = 0.5
    #: This share of slow calls among them opens it; None: never.
    slow_rate: float | None = None
    #: A call that took so long is slow.
    slow_seconds: float = 60.0
    #: So long the rates look back.
    window: float = 60.0
    #: The rates say nothing before the window has so many calls.
    minimum_calls: int = 20
    #: So long it stays open at first.
    open_seconds: float = 30.0
    #: And at most, however often its trials fail. A provider's Retry-After may be longer, up to a day.
    longest_open_seconds: float = 300.0
    #: Each failed trial makes the open time so many times longer.
    backoff: float = 2.0
    #: Up to this share of the open time is added at random.
    jitter: float = 0.1
    #: Trial calls that may be under way at one time while it is half-open, 1 to 16.
    trials: int = 1
    #: So many trials must succeed to close it.
    trials_needed: int = 1
    #: A trial that has not ended by then counts no more.
    trial_seconds: float = 60.0
    #: Whether it opens even where all others of its group are open.
    opens_last: bool = False
    #: Whether the callers bring the provider's key: then 401 and 403 are their fault.
    callers_key: bool = False
    #: Statuses of HTTP that say nothing about the provider.
    caller_statuses: Collection[int] = field(default=CALLER_STATUSES)

    def __post_init__(self) -> None:
        for name in ("consecutive_failures", "minimum_calls", "trials", "trials_needed"):
            low, high = _WHOLE[name]
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
        for name in ("failure_rate", "slow_rate"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value <= 1):
                raise ValueError(f"{name} must be above 0 and at most 1, or None for never, not {value!r}")
        for name in ("slow_seconds", "window", "open_seconds", "longest_open_seconds", "trial_seconds"):
            value = getattr(self, name)
            low_seconds = 0.1 if name == "window" else 0.0
            if not _is_number(value) or not low_seconds <= value <= 86_400 or value == 0:
                raise ValueError(
                    f"{name} must be seconds above {low_seconds:g} and at most 86400, not {value!r}"
                )
        if not _is_number(self.backoff) or not 1 <= self.backoff <= 100:
            raise ValueError(f"backoff must be from 1 to 100, not {self.backoff!r}")
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, not {self.jitter!r}")
        if self.longest_open_seconds < self.open_seconds:
            raise ValueError(
                f"longest_open_seconds must be at least open_seconds ({self.open_seconds:g}), "
                f"not {self.longest_open_seconds:g}"
            )
        if not self.consecutive_failures and self.failure_rate is None and self.slow_rate is None:
            raise ValueError(
                "nothing would ever open it: set consecutive_failures, failure_rate or slow_rate"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BreakerSettings):
            return NotImplemented
        return all(getattr(self, one.name) == getattr(other, one.name) for one in fields(self))

    __hash__ = None  # type: ignore[assignment]


_WHOLE = {
    "consecutive_failures": (0, 1_000_000),
    "minimum_calls": (1, 1_000_000),
    "trials": (1, 16),
    "trials_needed": (1, 1_000_000),
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
