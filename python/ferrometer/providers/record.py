"""How the end of a call becomes a part of its provider's health."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ferrometer import _core
from ferrometer.breaker.outcome import CALLER_STATUSES, Outcome, judge, judge_status, status_of
from ferrometer.instruments.call_end import CallEnd, observe


def record(
    provider: str,
    model: str = "",
    *,
    error: BaseException | None = None,
    status: int | None = None,
    seconds: float | None = None,
    first_token_seconds: float | None = None,
    output_tokens: int | None = None,
    callers_key: bool = False,
    caller_statuses: Collection[int] = CALLER_STATUSES,
) -> None:
    """Records a call of a provider that ended.

    ``error`` is what it raised, ``status`` the answer's status of HTTP where nothing was raised; without
    either it went well. Times are in seconds. What was cancelled is not recorded; ``callers_key`` and
    ``caller_statuses`` as for a circuit breaker. Calls of more than 512 pairs of provider and model are
    counted in ``ferrometer_providers_without_room_total`` and in no health.

    Raises ValueError for a provider's name that is empty or longer than 128 bytes, a model's that is longer
    than 256, and for times that are negative or not finite.
    """
    outcome = Outcome.SUCCESS
    if error is not None:
        outcome = judge(error, caller_statuses=caller_statuses, callers_key=callers_key).outcome
        if outcome is Outcome.NOTHING and status_of(error) is None:
            return  # cancelled, or another's breaker: the provider said nothing
    elif status is not None:
        outcome = judge_status(status, caller_statuses=caller_statuses, callers_key=callers_key)
    _core.record_provider_call(provider, model, _WORDS[outcome], seconds, first_token_seconds, output_tokens)


_WORDS = {Outcome.SUCCESS: "success", Outcome.FAILURE: "failure", Outcome.NOTHING: "caller"}


def track(
    *, callers_key: bool = False, caller_statuses: Collection[int] = CALLER_STATUSES
) -> Callable[[], None]:
    """Records the end of every call that ``inference()`` or a watched client measures; returns what ends it.

    ``instrument(app, Providers())`` does it by itself. Where two of a process do, a call is recorded once, by
    the statuses of the latter. What cannot be recorded, such as a provider's name of 10 kB, is counted in
    ``ferrometer_inference_refused_total``; a call without a provider's name is nobody's.
    """
    rules = (callers_key, frozenset(caller_statuses))
    if not _RULES:
        _FORGET.append(observe(_ended))
    _RULES.append(rules)

    def forget() -> None:
        if rules in _RULES:
            _RULES.remove(rules)
            if not _RULES:
                _FORGET.pop()()

    return forget


_RULES: list[tuple[bool, frozenset[int]]] = []
_FORGET: list[Callable[[], None]] = []


def _ended(end: CallEnd) -> None:
    if not end.provider or end.status in ("cancelled", "abandoned"):
        return
    callers_key, caller_statuses = _RULES[-1]
    record(
        end.provider,
        end.model,
        error=end.error,
        status=end.http_status or (500 if end.status == "error" else None),
        seconds=end.seconds,
        first_token_seconds=end.first_token_seconds,
        output_tokens=end.output_tokens,
        callers_key=callers_key,
        caller_statuses=caller_statuses,
    )
