"""The first keyword of a text, which is all that is ever read of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrometer import CollectorRegistry
from ferrometer.collectors.sql.metrics import ClientMetrics
from ferrometer.collectors.sql.operation import operation
from ferrometer.testing import samples


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT 1", "SELECT"),
        ("select*from t", "SELECT"),
        ("\n    Insert INTO t VALUES (1)", "INSERT"),
        ("-- why\n/* and\nhow */ UPDATE t SET n = 1", "UPDATE"),
        ("((SELECT 1) UNION (SELECT 2))", "SELECT"),
        ("WITH x AS (SELECT 1) DELETE FROM t", "WITH"),
        ("begin;", "BEGIN"),
        ("COMMIT", "COMMIT"),
        ("COMMENT ON TABLE t IS 'x'", "COMMENT"),
        ("frobnicate", "OTHER"),
        ("42", "OTHER"),
        ("--", None),
        (" ; ", None),
        ("", None),
        ("/* never closed SELECT", "OTHER"),
        ("-- a comment as long as this: " + "x" * 5000 + "\nSELECT 1", "OTHER"),
    ],
)
def test_operation(text: str, name: str | None) -> None:
    assert operation(text) == name


@given(st.text(max_size=60))
def test_any_text_has_a_known_label(text: str) -> None:
    found = operation(text)
    assert found is None or (found.isascii() and found.isupper())


@given(st.lists(st.text(alphabet="SELCTINR -/*(;x\n", max_size=12), max_size=20))
def test_what_was_learnt_changes_no_answer(texts: list[str]) -> None:
    registry = CollectorRegistry()
    metrics = ClientMetrics("p", registry=registry)
    expected: dict[str, int] = {}
    for text in texts * 2:
        metrics.done(text, 0.001)
        if name := operation(text):
            expected[name] = expected.get(name, 0) + 1
    found = {
        dict(labels)["operation"]: value
        for (name, labels), value in samples(registry).items()
        if name == "db_queries_total"
    }
    assert found == expected


def test_no_text_takes_long() -> None:
    began = time.perf_counter()
    for text in ("(" * 100_000, " " * 100_000 + "!", "/*" * 50_000, "-- \n" * 30_000 + "?", "/**/" * 30_000):
        operation(text)
    assert time.perf_counter() - began < 0.1


def test_many_different_texts_are_not_remembered() -> None:
    registry = CollectorRegistry()
    metrics = ClientMetrics("p", registry=registry)
    for number in range(5000):
        metrics.done(f"A{number} secret", 0.001)
    labels = {dict(pairs).get("operation") for _, pairs in samples(registry)}
    assert labels == {"OTHER"}
    (learnt,) = [
        cell.cell_contents for cell in metrics.done.__closure__ or () if isinstance(cell.cell_contents, dict)
    ]
    assert len(learnt) <= 256
    assert all(len(start) <= 6 for start in learnt)
