"""Values of other libraries, ids of other tracers, and the forms of ids in a line."""

from __future__ import annotations

from collections import deque
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

import pytest

from ferrometer import get_logger, logs
from ferrometer.logs import set_trace_context
from tests.logs.written import FILE, Lines, Written

log = get_logger("values")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_mappings_and_deques(lines: Lines) -> None:
    log.info(
        "it", a=MappingProxyType({"x": 1, "password": "p"}), b=deque([1, (2,)], maxlen=5), c=bytearray(b"abc")
    )
    line = lines()[-1]
    assert (line["a"], line["b"], line["c"]) == ({"x": 1, "password": "[redacted]"}, [1, [2]], "abc")


def test_a_mock_is_its_text(lines: Lines) -> None:
    log.info("it", value=Mock(name="m"))
    assert "Mock" in str(lines()[-1]["value"]) or lines()[-1]["value"]


def test_pydantic(lines: Lines) -> None:
    pydantic = pytest.importorskip("pydantic", reason="pip install pydantic")

    class Inner(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        tokens: int = 3

    class User(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        name: str
        password: str
        key: pydantic.SecretStr  # type: ignore[name-defined]
        inner: Inner = Inner()

    log.info("it", user=User(name="ann", password="hunter2", key="abcdefgh"))
    user = lines()[-1]["user"]
    assert user["name"] == "ann"
    assert user["inner"] == {"tokens": 3}
    assert user["password"] == "[redacted]"
    assert "abcdefgh" not in str(user)


def test_attrs(lines: Lines) -> None:
    attr = pytest.importorskip("attr", reason="pip install attrs")
    point = attr.make_class("Point", ["x", "token"])
    log.info("it", point=point(1, "t-12345"))
    told = lines()[-1]["point"]
    assert told["x"] == 1
    assert told["token"].startswith("sha256:")


def test_numpy(lines: Lines) -> None:
    numpy = pytest.importorskip("numpy", reason="pip install numpy")
    values: dict[str, Any] = {
        "whole": numpy.int64(7),
        "float": numpy.float32(0.5),
        "truth": numpy.bool_(True),
        "array": numpy.array([[1, 2], [3, 4]]),
        "many": numpy.zeros(100_000),
        "nan": numpy.array([numpy.nan]),
    }
    log.info("it", **values)
    line = lines()[-1]
    assert [line[name] for name in ("whole", "float", "truth", "array")] == [7, 0.5, True, [[1, 2], [3, 4]]]
    assert line["nan"] == ["NaN"]
    assert "..." in line["many"]
    assert len(line["many"]) < 200


class Told:
    """What numpy's arrays look like to who asks their type."""

    dtype, size = "int8", 2

    def tolist(self) -> list[int]:
        return [1, 2]


class Endless:
    """Says that it is an array, of itself."""

    dtype, size = "int8", 1

    def tolist(self) -> object:
        return Endless()


def test_arrays_by_their_shape(lines: Lines) -> None:
    log.info("it", told=Told(), endless=Endless())
    line = lines()[-1]
    assert line["told"] == [1, 2]
    assert line["truncated"] is True


def test_the_span_of_opentelemetry(written: Written) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace", reason="pip install opentelemetry-sdk")
    tracer = trace.TracerProvider().get_tracer("t")
    log.info("outside")
    with tracer.start_as_current_span("outer") as span:
        log.info("inside")
        log.info("by hand", trace_id="mine")
        set_trace_context(TRACE, SPAN)
        log.info("ours")
        set_trace_context()
    outside, inside, by_hand, ours = written.lines()
    context = span.get_span_context()
    assert "trace_id" not in outside
    assert (inside["trace_id"], inside["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert (by_hand["trace_id"], by_hand.get("span_id")) == ("mine", None)
    assert (ours["trace_id"], ours["span_id"]) == (TRACE, SPAN)


def test_googles_project(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "logging.googleapis.com/trace"
    written = Written(format="gcp", project="shop-7")
    set_trace_context(TRACE, SPAN)
    log.info("context")
    set_trace_context()
    log.info("field", trace_id=TRACE)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "env-8")
    logs.setup("svc", format="gcp", to=FILE, stdlib=False)
    log.info("env", trace_id=TRACE)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    logs.setup("svc", format="gcp", to=FILE, stdlib=False)
    log.info("none", trace_id=TRACE)
    found = [line[key] for line in written.lines()]
    assert found == [f"projects/{name}/traces/{TRACE}" for name in ("shop-7", "shop-7", "env-8")] + [TRACE]
    assert Written(format="ecs", project="shop-7") is not None
    log.info("other", trace_id=TRACE)
    assert written.lines()[-1]["trace.id"] == TRACE
