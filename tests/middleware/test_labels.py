"""Which labels the middleware's families have: one more is one change here, and in no other test."""

from __future__ import annotations

import pytest

from ferrometer import CollectorRegistry, Counter
from tests.docs_tables import of_requests
from tests.middleware.asgi import series, value
from tests.middleware.labels import LABELS

pytestmark = pytest.mark.usefixtures("dicts")


def test_labels() -> None:
    seen: dict[str, set[tuple[str, ...]]] = {}
    for family in of_requests().collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name.startswith(("http_", "websocket_")):
            seen[name] = {tuple(sorted(sample.labels.keys() - {"le"})) for sample in family.samples}
    assert seen == {name: {labels} for name, labels in LABELS.items()}


def test_a_further_label_leaves_other_tests_alone(registry: CollectorRegistry) -> None:
    labels = ["method", "endpoint", "status", "tenant"]
    counter = Counter("http_requests", "h", labels, registry=registry)
    counter.labels("GET", "/", "200", "a").inc(2)
    counter.labels("GET", "/", "200", "b").inc(3)
    counter.labels("GET", "/", "500", "b").inc()
    assert series(registry, "http_requests_total") == {("/", "GET", "200"): 5, ("/", "GET", "500"): 1}
    assert value(registry, "http_requests_total", method="GET", endpoint="/", status="200") == 5
