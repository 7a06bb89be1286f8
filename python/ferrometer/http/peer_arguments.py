"""What other middlewares call an argument, and what it is called here: for errors that teach."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ALWAYS_TEMPLATES = "paths are always grouped by route template, and those that match none are one series"
#: Of starlette_exporter, prometheus-fastapi-instrumentator, OpenTelemetry, pytheus and aioprometheus.
_ARGUMENTS = {
    "prefix": "namespace=",
    "app_name": "namespace=",
    "metrics_prefix": "namespace=",
    "metric_namespace": "namespace=",
    "excluded_handlers": "skip_paths=",
    "excluded_urls": "skip_paths=",
    "exclude_paths": "skip_paths=",
    "excluded_paths": "skip_paths=",
    "group_paths": _ALWAYS_TEMPLATES,
    "filter_unhandled_paths": _ALWAYS_TEMPLATES,
    "should_group_untemplated": _ALWAYS_TEMPLATES,
    "should_ignore_untemplated": _ALWAYS_TEMPLATES,
    "should_group_status_codes": "statuses are never grouped; sum by (status) in a query",
    "group_status_codes": "statuses are never grouped; sum by (status) in a query",
    "always_use_int_status": "statuses are always numbers",
    "should_instrument_requests_inprogress": "requests in flight are always counted: http_requests_in_flight",
    "should_round_latency_decimals": "durations are recorded as they are",
    "metrics_path": "path=, below which all endpoints lie",
    "endpoint": "path=, below which all endpoints lie",
    "meter_provider": "metrics are recorded natively",
    "tracer_provider": "metrics are recorded natively",
    "labels": "a metric of your own beside it: Counter(name, help, labels)",
}


def explain(function: str, given: Iterable[str], known: Iterable[str]) -> str | None:
    """What to say of the first argument that the function does not have; None when it has them all."""
    known = list(known)
    name = next((name for name in given if name not in known), None)
    if name is None:
        return None
    words = f"{function}() got an unexpected keyword argument {name!r}"
    meant = _ARGUMENTS.get(name)
    if meant is not None:
        ours = meant.partition("=")[0]
        return f"{words}; here: {meant}" if ours == meant or ours in known else words
    near = difflib.get_close_matches(name, known, n=1)
    return f"{words}; did you mean {near[0]}=?" if near else f"{words}; it takes {', '.join(known)}"
