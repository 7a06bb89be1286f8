"""The tables against what the services' documents say, word by word."""

from __future__ import annotations

import re

import pytest

from ferrometer import CollectorRegistry, generate_latest
from ferrometer.instruments.family import Family, families_of
from ferrometer.instruments.tables import DOMAINS, FAMILIES

#: Copied from the documents; families that other parts of the library record are left out.
DOCUMENTS = """
http_requests_total{method, endpoint, status}
http_request_duration_seconds{method, endpoint}
inference_requests_total{model, status}
inference_duration_seconds{model}
inference_tokens_total{model, type}
inference_batch_size{model}
mcp_requests_total{server, operation, status}
mcp_operation_duration_seconds{server, operation}
memory_operations_total{operation, status}
memory_operation_duration_seconds{operation}
memory_items_total{user_id}
memory_search_results
memory_budget_total_bytes{session_id}
memory_budget_used_bytes{session_id}
memory_budget_utilization{session_id}
drift_score{model}
drift_checks_total{model, status}
drift_detection_duration_seconds
router_decisions_total{model, reason}
router_decision_duration_seconds
request_queue_depth{service}
request_queue_wait_seconds{service}
cache_hits_total{cache_type}
cache_misses_total{cache_type}
"""
#: Names that a document gives without labels.
NAMES = {
    "jwt_validation_failures_total",
    "s3_presign_operations_total",
    "redis_enqueue_operations_total",
    "replicate_api_calls_total",
    "s3_operations_total",
    "image_processing_errors_total",
}
SPELT = re.findall(r"^(\w+)(?:\{(.*)\})?$", DOCUMENTS, flags=re.MULTILINE)


@pytest.mark.parametrize(("name", "labels"), SPELT, ids=[name for name, _ in SPELT])
def test_names_and_labels_are_those_of_the_documents(name: str, labels: str) -> None:
    family = FAMILIES[name]
    assert ", ".join(family.labels) == labels
    kind = "histogram" if name.endswith(("_duration_seconds", "_wait_seconds")) else family.kind
    kind = "counter" if name.endswith("_total") and name != "memory_items_total" else kind
    assert family.kind == kind


def test_names_without_labels_are_there() -> None:
    assert FAMILIES.keys() >= NAMES
    assert all(FAMILIES[name].kind == "counter" for name in NAMES)


def test_what_a_label_means_is_left_open_by_no_gauge() -> None:
    modes = {family.mode for family in FAMILIES.values() if family.kind == "gauge"}
    assert modes == {"mostrecent", "livesum", "sum"}
    assert sum(map(len, DOMAINS.values())) == len(FAMILIES), "a name stands twice"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_known_series_are_shown_from_the_beginning(family: Family, registry: CollectorRegistry) -> None:
    families_of(registry).make(family)
    text = generate_latest(registry).decode()
    for values in family.known:
        labels = ",".join(f'{name}="{value}"' for name, value in zip(family.labels, values, strict=True))
        assert f"\n{family.name}{{{labels}}} 0.0\n" in text
    assert all(len(values) == len(family.labels) for values in family.known)


def test_both_are_one_declaration_with_what_else_records_them(registry: CollectorRegistry) -> None:
    """The middleware, caches and queues declare the same families, before or after."""
    import queue

    from ferrometer import HttpMetrics, track_cache, track_queue

    second = CollectorRegistry()
    for here, ours_first in ((registry, True), (second, False)):

        def ours(here: CollectorRegistry = here) -> None:
            for family in FAMILIES.values():
                families_of(here).make(family)

        if ours_first:
            ours()
        HttpMetrics(here)
        track_cache("prompts", registry=here).hit()
        tracked: queue.Queue[int] = track_queue("jobs", queue.Queue(), service="gateway", registry=here)
        tracked.put(1)
        if not ours_first:
            ours()
        text = generate_latest(here).decode()
        assert 'cache_hits_total{cache_type="prompts"} 1.0' in text
        assert 'request_queue_depth{service="gateway"} 1.0' in text
