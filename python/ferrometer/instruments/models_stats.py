"""What is known of each model: the JSON of ``/models/stats``, from the same cells as the scrape."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from ferrometer.instruments.family import families_of
from ferrometer.instruments.recorder import recorder_of
from ferrometer.metrics.registry import CollectorRegistry


def models_stats(registry: CollectorRegistry) -> dict[str, Any]:
    """The models, by name, with the totals of all workers. What is not known is None.

    Times are in seconds, costs in USD; the error rate is errors over all that ended.
    """
    recorder = recorder_of(registry, "client")
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for suffix, _, value, (model, status), _ in recorder.inference_requests_total._rows():
        if suffix == "_total":  # not _created
            found[model][f"status {status}"] = value
    for suffix, _, value, (model, kind), _ in recorder.inference_tokens_total._rows():
        if suffix == "_total":
            found[model][f"tokens {kind}"] = value
    for name, histogram in (
        ("duration", recorder.inference_duration_seconds),
        ("first token", recorder.inference_time_to_first_token_seconds),
    ):
        for suffix, _, value, labels, _ in histogram._rows():
            if suffix in ("_sum", "_count"):
                found[labels[0]][f"{name}{suffix}"] = value
    for _, _, value, (model,), _ in recorder.inference_in_flight._rows():
        found[model]["in flight"] = value
    costs = families_of(registry).costs
    if costs is not None:
        for _, _, value, (model,), _ in costs.cost_by_model._rows():
            found[model]["cost"] = value
    models = [_model(name, told) for name, told in sorted(found.items())]
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "models": models,
        "summary": {
            "models": len(models),
            "requests": sum(model["requests"] for model in models),
            "errors": sum(model["errors"] for model in models),
            "total_tokens": sum(model["tokens"]["total"] for model in models),
            "cost_usd": None if costs is None else math.fsum(model["cost_usd"] or 0.0 for model in models),
        },
    }


def _model(name: str, told: dict[str, float]) -> dict[str, Any]:
    ended = {key.partition(" ")[2]: int(value) for key, value in told.items() if key.startswith("status ")}
    requests, errors = sum(ended.values()), ended.get("error", 0)
    prompt, completion = (int(told.get(f"tokens {kind}", 0)) for kind in ("prompt", "completion"))
    return {
        "model": name,
        "requests": requests,
        "errors": errors,
        "error_rate": errors / requests if requests else None,
        "by_status": ended,
        "in_flight": max(0, int(told.get("in flight", 0))),
        "tokens": {"prompt": prompt, "completion": completion, "total": prompt + completion},
        "average_duration_seconds": _mean(told, "duration"),
        "average_first_token_seconds": _mean(told, "first token"),
        "cost_usd": told.get("cost"),
    }


def _mean(told: dict[str, float], name: str) -> float | None:
    count = told.get(f"{name}_count", 0)
    return told[f"{name}_sum"] / count if count else None
