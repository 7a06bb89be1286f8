"""Every Python value has a form in a line, and none of them raises."""

from __future__ import annotations

import datetime
import decimal
import enum
import logging
import math
import pathlib
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferrometer import get_logger, logs
from tests.logs.written import Lines

log = get_logger("values")


@dataclass
class Point:
    x: int
    secret: str = "s3cr3t-text"
    inner: dict[str, int] = field(default_factory=lambda: {"a": 1})


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Liar:
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class Chatty:
    """Logs when it is logged."""

    def __str__(self) -> str:
        log.info("within")
        return "chatty"


VALUES: list[tuple[str, Any, Any]] = [
    ("text", 'ä\u2028\x00"\\', 'ä\u2028\x00"\\'),
    ("truth", True, True),
    ("nothing", None, None),
    ("whole", 17, 17),
    ("negative", -(2**63), -(2**63)),
    ("large", 2**70, str(2**70)),
    ("float", 0.1, 0.1),
    ("tiny", 5e-324, 5e-324),
    ("nan", math.nan, "NaN"),
    ("infinity", math.inf, "Infinity"),
    ("minus infinity", -math.inf, "-Infinity"),
    ("bytes", b"abc", "abc"),
    ("uuid", uuid.UUID(int=7), str(uuid.UUID(int=7))),
    ("decimal", decimal.Decimal("1.10"), "1.10"),
    ("path", pathlib.PurePosixPath("/a/b"), "/a/b"),
    ("time", datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00+00:00"),
    ("date", datetime.date(2026, 1, 2), "2026-01-02"),
    ("enum", Colour.RED, "red"),
    ("int enum", Number.ONE, 1),
    ("list", [1, [2, (3,)]], [1, [2, [3]]]),
    ("dict", {"a": {"b": 1}, 5: 6, None: 7}, {"a": {"b": 1}, "5": 6, "None": 7}),
    ("ordered dict", OrderedDict(a=1), {"a": 1}),
    ("frozen set", frozenset({1}), [1]),
    ("set", {1}, [1]),
    ("dataclass", Point(1), {"x": 1, "secret": "[redacted]", "inner": {"a": 1}}),
    ("exception", ValueError("bad"), "ValueError: bad"),
    ("group", ExceptionGroup("many", [ValueError("a")]), "ExceptionGroup: many (1 sub-exception)"),
]


@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES])
def test_a_value_in_a_line(lines: Lines, value: Any, expected: Any) -> None:
    log.info("it", value=value)
    assert lines()[-1]["value"] == expected


@pytest.mark.parametrize("value", [Broken(), Liar(), 10**5000], ids=["raises", "no text", "too many digits"])
def test_what_has_no_text_says_so(lines: Lines, value: object) -> None:
    log.info("it", value=value)
    told = lines()[-1]["value"]
    assert type(value).__name__ in told
    assert "no text" not in told


def test_lone_surrogates_are_replaced(lines: Lines) -> None:
    log.info("a\ud800b", **{"na\udc00me": "x\udc80y"})
    line = lines()[-1]
    assert line["message"].startswith("a")
    assert next(value for key, value in line.items() if key.startswith("na")).startswith("x")


def test_a_cycle_ends(lines: Lines) -> None:
    around: list[Any] = []
    around.append({"again": around})
    log.info("it", around=around)
    assert lines()[-1]["truncated"] is True


def test_deep_nesting_ends(lines: Lines) -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    log.info("it", deep=deep)
    assert lines()[-1]["truncated"] is True


def test_a_value_that_logs(lines: Lines) -> None:
    log.info("outer", value=Chatty())
    assert [(line["message"], line.get("value")) for line in lines()] == [
        ("within", None),
        ("outer", "chatty"),
    ]


def test_keys_of_the_line_are_not_replaced(lines: Lines) -> None:
    log.info("it", message="mine", level="mine", timestamp="mine", service="mine", logger="mine")
    line = lines()[-1]
    assert (line["message"], line["level"], line["service"], line["logger"]) == (
        "it",
        "INFO",
        "svc",
        "values",
    )
    assert {line[f"{key}_"] for key in ("message", "level", "timestamp", "service", "logger")} == {"mine"}


def test_a_long_message_is_cut_between_characters(lines: Lines) -> None:
    log.info("ä" * 5_000_000)
    line = lines()[-1]
    assert line["truncated"] is True
    assert line["message"] == "ä" * (16 * 1024) + "…[truncated]"


@pytest.mark.parametrize("before", range(4))
def test_ten_megabytes_are_cut_between_characters(lines: Lines, before: int) -> None:
    text = "a" * before + "🎉" * (10 * 1024 * 1024 // 4)
    log.info(text)
    log.info("field", text=text)
    log.info("%s", text)
    logs.Handler().handle(logging.makeLogRecord({"msg": text, "levelno": logging.INFO, "levelname": "INFO"}))
    told, field, formatted, record = lines()
    # Of the four bytes of a character the limit leaves all or none.
    cut = "a" * before + "🎉" * ((32 * 1024 - before) // 4) + "…[truncated]"
    assert [told["message"], field["text"], formatted["message"], record["message"]] == [cut] * 4
    assert [line["truncated"] for line in (told, field, formatted, record)] == [True] * 4


def test_ten_thousand_fields(lines: Lines) -> None:
    log.info("it", **{f"field_{number}": "x" * 20 for number in range(10_000)})
    line = lines()[-1]
    assert line["truncated"] is True
    assert line["field_0"] == "x" * 20
    assert 100 < len(line) < 10_000


def test_messages_with_arguments(lines: Lines) -> None:
    log.info("%s is %d", "x", 5)
    log.info("%(name)s", {"name": "y"})
    log.info("%d", "no number")
    log.info("100%")
    log.info(ValueError("an object"))
    log.info()
    assert [line["message"] for line in lines()] == [
        "x is 5",
        "y",
        "%d ('no number',)",
        "100%",
        "an object",
        "",
    ]


def test_an_exception_and_its_trace(lines: Lines) -> None:
    def fails() -> None:
        hidden = "local-variable-value"
        raise ValueError(f"bad{len(hidden)}")

    try:
        fails()
    except ValueError as caught:
        log.exception("failed")
        log.error("told", exc_info=caught)
        log.error("asked", exc_info=True)
    log.error("none", exc_info=True)
    failed, told, asked, none = lines()
    for line in (failed, told, asked):
        assert line["error"] == "ValueError: bad20"
        assert line["stack_trace"].startswith("Traceback (most recent call last):\n")
        assert line["stack_trace"].endswith("ValueError: bad20")
        assert "local-variable-value" not in line["stack_trace"]
    assert "error" not in none


def test_a_group_of_exceptions_and_all_of_their_traces(lines: Lines) -> None:
    try:
        raise ExceptionGroup("many", [ValueError("first"), ExceptionGroup("more", [KeyError("second")])])
    except ExceptionGroup:
        log.exception("failed")
    (line,) = lines()
    assert line["error"] == "ExceptionGroup: many (2 sub-exceptions)"
    for part in ("ExceptionGroup: many", "ValueError: first", "ExceptionGroup: more", "KeyError: 'second'"):
        assert part in line["stack_trace"]


def test_lines_within_lines_are_not_injected(lines: Lines) -> None:
    log.info('x"\n{"level":"FATAL"}\r\n', path='/a"\n{"message":"forged"}')
    (line,) = lines()
    assert line["level"] == "INFO"
    assert line["path"] == '/a"\n{"message":"forged"}'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Texts in which no rule finds anything: the next test file is about those.
    | st.text(st.characters(exclude_categories=["Cs", "Nd"], exclude_characters="-=:")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.sampled_from("abcdef"), min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values)
def test_what_json_has_comes_back(lines: Lines, value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and 10**12 <= abs(value) < 10**19:
        value = 1  # might be a card's number
    log.info("it", value=value)
    assert lines()[-1]["value"] == value or _has_card(value)


def _has_card(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_card, value.values()))
    if isinstance(value, list):
        return any(map(_has_card, value))
    return isinstance(value, int) and 10**12 <= abs(value) < 10**19
