"""Events of ``logging`` without a record: the same lines, and a record wherever others would see it."""

from __future__ import annotations

import logging
import random
from collections import UserDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ferrometer import _core, logs
from ferrometer.logs import handler
from tests.logs.written import Written

FACTORY = logging.getLogRecordFactory()


@pytest.fixture
def taken() -> Iterator[Written]:
    """`logging` is taken over; no other handler hangs on the logger `direct` or above it."""
    written = Written(service="svc")
    top = logging.getLogger("direct")
    top.handlers, top.propagate = [logs.Handler()], False
    top.setLevel(logging.DEBUG)
    handler.take_over(logging.DEBUG, access=False)
    yield written
    top.handlers, top.propagate = [], True
    handler.give_back()
    written.end()


def alone() -> None:
    """Only ours hangs there: pytest hangs handlers of its own on loggers that do not propagate."""
    top = logging.getLogger("direct")
    top.handlers[:] = [one for one in top.handlers if isinstance(one, logs.Handler)]


def made(monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    """The records that are made from now on, seen where they are made."""
    alone()
    found: list[logging.LogRecord] = []
    init = logging.LogRecord.__init__

    def watched(self: logging.LogRecord, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        found.append(self)

    monkeypatch.setattr(logging.LogRecord, "__init__", watched)
    return found


def failing() -> BaseException:
    try:
        raise ValueError("bad")
    except ValueError as error:
        return error


EVENTS: dict[str, Callable[[logging.Logger], None]] = {
    "plain": lambda log: log.info("served"),
    "arguments": lambda log: log.info("%s of %d", "one", 2),
    "a dict": lambda log: log.warning("%(a)s", {"a": 1}),
    "an empty dict": lambda log: log.warning("%s", {}),
    "another mapping": lambda log: log.warning("%(a)s", UserDict(a=1)),
    "arguments that do not fit": lambda log: log.warning("%d", "x"),
    "no text": lambda log: log.warning(KeyError("k")),
    "extra": lambda log: log.info("served", extra={"model": "llama", "tokens": 17, "password": "hunter2"}),
    "no extra": lambda log: log.info("served", extra=None),
    "an exception": lambda log: log.error("failed", exc_info=failing()),
    "no exception": lambda log: log.error("failed", exc_info=True),
    "a triple": lambda log: log.error("failed", exc_info=(ValueError, failing(), None)),
    "a number": lambda log: log.log(35, "thirty-five"),
    "fatal": lambda log: log.critical("end", stacklevel=2),
    "an adapter": lambda log: logging.LoggerAdapter(log, {"tenant": "t"}).info("adapted"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_the_line_is_the_one_of_a_record(taken: Written, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records = made(monkeypatch)
    log = logging.getLogger("direct.child")
    EVENTS[name](log)
    assert not records
    _core.log_directly(False, logs.Handler)
    EVENTS[name](log)
    assert len(records) == 1
    first, second = taken.lines()
    for line in (first, second):
        line.pop("timestamp")
        line.pop("stack_trace", None)
    assert first == second


def test_an_exception_that_is_handled(taken: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    records = made(monkeypatch)
    try:
        raise ValueError("here")
    except ValueError:
        logging.getLogger("direct").exception("failed")
    (line,) = taken.lines()
    assert line["error"] == "ValueError: here"
    assert "test_direct.py" in line["stack_trace"]
    assert not records


def _filter_of_logger(log: logging.Logger) -> None:
    log.addFilter(lambda record: True)


def _filter_of_handler(log: logging.Logger) -> None:
    logging.getLogger("direct").handlers[0].addFilter(lambda record: True)


class _Mine(logs.Handler):
    """A handler of somebody else's, though it is derived from ours."""


def _another_handler(log: logging.Logger) -> None:
    logging.getLogger("direct").addHandler(logging.NullHandler())


def _derived_handler(log: logging.Logger) -> None:
    logging.getLogger("direct").handlers[:] = [_Mine()]


@pytest.mark.parametrize(
    "change",
    [_filter_of_logger, _filter_of_handler, _another_handler, _derived_handler],
    ids=lambda f: f.__name__,
)
def test_who_would_see_the_record_gets_it(
    taken: Written, change: Callable[[logging.Logger], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = made(monkeypatch)
    log = logging.getLogger(f"direct.{change.__name__}")
    change(log)
    log.info("served %d", 1, extra={"model": "llama"})
    assert [record.getMessage() for record in records] == ["served 1"]
    assert records[0].funcName == "test_who_would_see_the_record_gets_it"
    assert [line["model"] for line in taken.lines()] == ["llama"]


@pytest.mark.parametrize("name", ["handle", "callHandlers", "makeRecord"])
def test_a_patch_of_logging_sees_it(taken: Written, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alone()
    seen = []
    stock = getattr(logging.Logger, name)

    def patched(self: logging.Logger, *args: Any, **kwargs: Any) -> Any:
        seen.append(self.name)
        return stock(self, *args, **kwargs)

    monkeypatch.setattr(logging.Logger, name, patched)
    logging.getLogger("direct").info("served")
    assert seen == ["direct"]
    assert len(taken.lines()) == 1


def test_a_record_factory_is_asked(taken: Written) -> None:
    alone()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = FACTORY(*args, **kwargs)
        record.tenant = "acme"
        return record

    logging.setLogRecordFactory(factory)
    try:
        logging.getLogger("direct").info("served")
    finally:
        logging.setLogRecordFactory(FACTORY)
    assert taken.lines()[0]["tenant"] == "acme"


def test_names_that_a_record_has_are_refused_as_ever(taken: Written) -> None:
    alone()
    for name in ("message", "name", "lineno"):
        with pytest.raises(KeyError, match=name):
            logging.getLogger("direct").info("served", extra={name: 1})
    with pytest.raises(TypeError):
        logging.getLogger("direct").info("served", extra=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        logging.getLogger("direct").info("served", nonsense=5)  # type: ignore[call-arg]
    assert taken.lines() == []


def test_levels_and_disabled_loggers(taken: Written) -> None:
    alone()
    log = logging.getLogger("direct.levels")
    logging.getLogger("direct").handlers[0].setLevel(logging.ERROR)
    log.warning("too low for the handler")
    log.error("high enough")
    log.disabled = True
    log.error("of a disabled one")
    log.disabled = False
    logging.getLogger("direct").handlers.append(logs.Handler())
    log.error("twice")
    assert [line["message"] for line in taken.lines()] == ["high enough", "twice", "twice"]


def test_it_is_given_back() -> None:
    stock = logging.Logger.__dict__["_log"]
    handler.take_over(logging.INFO, access=False)
    assert logging.Logger.__dict__["_log"] is not stock
    handler.take_over(logging.INFO, access=False)
    handler.give_back()
    assert logging.Logger.__dict__["_log"] is stock


def test_any_mixture_is_the_same_with_and_without(taken: Written) -> None:
    alone()
    chance = random.Random(7)
    log = logging.getLogger("direct")
    for _ in range(200):
        extra = {
            chance.choice("abcdefgh"): chance.choice([1, "x", None, 2.5, ["y"]])
            for _ in range(chance.randrange(5))
        }
        arguments = tuple(chance.choice([1, "x", {}, {"k": 2}, None]) for _ in range(chance.randrange(3)))
        message = chance.choice(["it", "%s", "%s %s", "%(k)s", "100 %"])
        number = chance.choice([10, 15, 20, 25, 30, 40, 50, 60])
        log.log(number, message, *arguments, extra=extra)
        _core.log_directly(False, logs.Handler)
        log.log(number, message, *arguments, extra=extra)
        _core.log_directly(True, logs.Handler)
    lines = taken.lines()
    assert len(lines) == 400
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        assert {**first, "timestamp": ""} == {**second, "timestamp": ""}
