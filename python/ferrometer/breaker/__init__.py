"""Circuit breakers whose state all workers share."""

from ferrometer.breaker.breaker import CircuitBreaker, breaker, breakers
from ferrometer.breaker.open_error import CircuitOpenError
from ferrometer.breaker.outcome import CALLER_STATUSES, Outcome, judge, judge_status

__all__ = [
    "CALLER_STATUSES",
    "CircuitBreaker",
    "CircuitOpenError",
    "Outcome",
    "breaker",
    "breakers",
    "judge",
    "judge_status",
]
