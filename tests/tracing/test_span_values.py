"""What a span holds: values of any type, limits, and no secrets."""

from __future__ import annotations

import pytest

import ferrometer
from ferrometer.tracing import Limits
from tests.tracing.received import Spans


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_values_of_any_type(spans: Spans) -> None:
    cyclic: list[object] = [1]
    cyclic.append(cyclic)
    wide: list[object] = []
    wide.extend([wide] * 50)
    with ferrometer.span("values") as span:
        span.set(
            text="ä\ud800",
            great=1 << 80,
            negative=-(1 << 63),
            infinite=float("inf"),
            raw=b"\0\xff",
            nested={"list": [1, "a", None, {"deep": True}], 3: "number"},
            broken=Broken(),
            cyclic=cyclic,
            wide=wide,
            exception=ValueError("v"),
        )
        span.set_attribute("replaced", 1)
        span.set_attribute("replaced", "two")
        span.set_attribute("", "no name")
        span.add_event("broken", 7)  # type: ignore[arg-type]
    told = spans.one()
    assert told.attributes["text"].rstrip("\ufffd") == "ä"
    assert told.attributes["great"] == str(1 << 80)
    assert told.attributes["negative"] == -(1 << 63)
    assert told.attributes["infinite"] == float("inf")
    assert told.attributes["raw"] == b"\0\xff"
    assert told.attributes["nested"] == {"list": [1, "a", None, {"deep": True}], "3": "number"}
    assert "RuntimeError" in told.attributes["broken"]
    assert told.attributes["exception"] == "v"
    assert told.attributes["replaced"] == "two"
    assert told.attributes["cyclic"][0] == 1
    # Too long as a whole; one attribute without a name.
    assert "wide" not in told.attributes
    assert told.dropped == (2, 0, 0)
    assert [(event.name, event.dropped) for event in told.events] == [("broken", 1)]


def test_limits(spans: Spans) -> None:
    with ferrometer.span("much", **{f"a{number}": number for number in range(10_000)}) as span:
        span.set_attribute("a3", "still replaced")
        for _ in range(200):
            span.add_event("e", {f"k{key}": 1 for key in range(200)})
            span.add_link(span)
        span.set_attribute("a0", "x" * 1_000_000)
    told = spans.one()
    assert len(told.attributes) == 128
    assert told.attributes["a3"] == "still replaced"
    assert told.attributes["a0"] == "x" * 8192
    assert told.dropped[0] == 10_000 - 128
    assert (len(told.events) + told.dropped[1], len(told.links) + told.dropped[2]) == (200, 200)
    assert 50 < len(told.events) <= 128
    assert (len(told.events[0].attributes), told.events[0].dropped) == (128, 72)


def test_limits_of_ones_own(spans: Spans) -> None:
    spans.setup(limits=Limits(attributes=2, text=5, events=1, links=0, event_attributes=1))
    with ferrometer.span("little", a="äöüßäö", b=1, c=2) as span:
        span.add_event("e", {"x": 1, "y": 2})
        span.add_event("f")
        span.add_link(span)
    told = spans.one()
    assert told.attributes == {"a": "äöüßä", "b": 1}
    assert told.dropped == (1, 1, 1)
    assert (told.events[0].attributes, told.events[0].dropped) == ({"x": 1}, 1)
    with pytest.raises(ValueError, match="limit of events must be from 0"):
        Limits(events=-1)


SECRETS = {
    "password": "hunter2",
    "api_key": "0123456789",
    "url": "https://me:hunter2@host/path",
    "text": "Authorization: Bearer abcdefghij0123456789",
    "nested": {"db_password": "hunter2", "list": ["token=abcdef0123456789"]},
}


def test_secrets_are_taken_out_everywhere(spans: Spans) -> None:
    spans.setup(hash_key="a key")
    with ferrometer.span("secret", **SECRETS) as span:
        span.set_attribute("session.token", "abcdefgh")
        span.add_event("e", SECRETS)
        span.add_link(span, SECRETS)
        span.set_status("error", "password=hunter2")
        span.record_exception(ValueError("password=hunter2"), SECRETS)
    told = spans.one()
    for secret in ("hunter2", "0123456789", "abcdefgh"):
        assert secret not in str(told)
    assert told.attributes["password"] == "[redacted]"
    assert told.attributes["api_key"].startswith("sha256:")
    assert told.attributes["url"] == "https://me:[redacted]@host/path"


def test_a_secret_at_the_cut_is_not_cut_in_two(spans: Spans) -> None:
    key = "sk-" + "a1B2" * 10
    for before in range(8192 - len(key) - 2, 8192 + 2):
        with ferrometer.span("cut", text="x" * (before - 1) + " " + key):
            pass
    for told in spans.all():
        assert "sk-a1" not in told.attributes["text"]
