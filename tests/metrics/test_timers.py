"""time(), track_inprogress() and count_exceptions() as context managers, and on what runs without a loop."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from ferrometer import CollectorRegistry, Counter, Gauge, Histogram, Summary
from tests.metrics.clock import Clock, Watched, recorded
from tests.metrics.reading import value


def test_a_block_is_timed(clock: Clock, seconds: Histogram, registry: CollectorRegistry) -> None:
    with seconds.time() as timer:
        before = timer.duration
        clock.pass_(2.5)
    assert (before, timer.duration) == (None, 2.5)
    assert recorded(seconds) == (1, 2.5)
    assert (value(registry, "seconds_bucket", le="1.0"), value(registry, "seconds_bucket", le="10.0")) == (
        0,
        1,
    )


def test_every_kind_of_timer(clock: Clock) -> None:
    summary, gauge = Summary("s", "h", registry=None), Gauge("g", "h", registry=None)
    with summary.time(), gauge.time():
        clock.pass_(3)
    assert recorded(summary) == (1, 3)
    assert gauge._value.get() == 3


def test_a_block_that_raises_is_timed_and_raises(clock: Clock, seconds: Histogram) -> None:
    def work() -> None:
        clock.pass_(1)
        raise LookupError

    with pytest.raises(LookupError), seconds.time():
        work()
    assert recorded(seconds) == (1, 1)


def test_a_clock_that_goes_back_gives_zero(clock: Clock, seconds: Histogram) -> None:
    with seconds.time() as timer:
        clock.pass_(-5)
    assert timer.duration == 0
    assert recorded(seconds) == (1, 0)


def test_the_child_may_be_chosen_within(clock: Clock, registry: CollectorRegistry) -> None:
    family = Histogram("h", "h", ["status"], registry=registry)
    with family.time() as timer:
        clock.pass_(1)
        timer.labels("200")
    with family.time() as timer:
        timer.labels(status="500")
    assert value(registry, "h_sum", status="200") == 1
    assert value(registry, "h_count", status="500") == 1
    with pytest.raises(ValueError, match="histogram metric is missing label values"), family.time():
        pass


def test_a_timer_may_be_used_again(clock: Clock, seconds: Histogram) -> None:
    timer = seconds.time()
    for _ in range(3):
        with timer:
            clock.pass_(1)
    assert recorded(seconds) == (3, 3)


def test_events_that_are_not_sampled_read_no_clock(clock: Clock) -> None:
    histogram = Histogram("h", "h", registry=None, sample=0.1)

    @histogram.time()
    def work() -> None:
        clock.pass_(1)

    unsampled = 0
    for _ in range(1000):
        with histogram.time() as timer:
            clock.pass_(1)
        unsampled += timer.duration is None
        work()
    # Each is sampled with the chance 0.1, independently: within seven standard deviations of 200 and of 900.
    assert clock.reads % 2 == 0
    assert abs(clock.reads / 2 - 200) < 7 * (2000 * 0.1 * 0.9) ** 0.5
    assert abs(unsampled - 900) < 7 * (1000 * 0.1 * 0.9) ** 0.5
    assert recorded(histogram) == (2000, 2000)


def test_in_progress(busy: Gauge) -> None:
    with busy.track_inprogress():
        assert busy._value.get() == 1
        with busy.track_inprogress():
            assert busy._value.get() == 2
    with pytest.raises(LookupError), busy.track_inprogress():
        raise LookupError
    assert busy._value.get() == 0


def test_exceptions_are_counted_and_pass(failed: Counter) -> None:
    error = KeyError("the very one")
    with pytest.raises(KeyError) as caught, failed.count_exceptions():
        raise error
    assert caught.value is error
    with failed.count_exceptions():
        pass
    with pytest.raises(ValueError, match="other"), failed.count_exceptions(KeyError):
        raise ValueError("other")
    with pytest.raises(KeyError), failed.count_exceptions((LookupError, OSError)):
        raise KeyError
    # Not an Exception, so not counted unless it is asked for.
    with pytest.raises(KeyboardInterrupt), failed.count_exceptions():
        raise KeyboardInterrupt
    assert failed._value.get() == 2
    with pytest.raises(KeyboardInterrupt), failed.count_exceptions(BaseException):
        raise KeyboardInterrupt
    assert failed._value.get() == 3


def test_label_values_must_be_there(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="gauge metric is missing label values"):
        Gauge("g", "h", ["l"], registry=registry).track_inprogress()
    with pytest.raises(ValueError, match="counter metric is missing label values"):
        Counter("c", "h", ["l"], registry=registry).count_exceptions()


def test_a_function(clock: Clock, watched: Watched) -> None:
    @watched
    def divide(a: int, b: int = 1, *, pause: float = 1) -> float:
        """Divides."""
        assert watched.busy._value.get() == 1
        clock.pass_(pause)
        return a / b

    assert divide(6, 3) == 2
    assert divide(a=6, pause=2) == 6
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)
    assert recorded(watched.seconds) == (3, 4)
    assert (watched.busy._value.get(), watched.failed._value.get()) == (0, 1)
    assert (divide.__name__, divide.__doc__) == ("divide", "Divides.")
    assert list(inspect.signature(divide).parameters) == ["a", "b", "pause"]


def test_a_recursive_function(clock: Clock, watched: Watched) -> None:
    @watched
    def down(n: int) -> int:
        clock.pass_(1)
        return n if n == 0 else down(n - 1)

    assert down(3) == 0
    assert recorded(watched.seconds) == (4, 1 + 2 + 3 + 4)
    assert watched.busy._value.get() == 0


def test_methods_of_all_kinds(clock: Clock, watched: Watched) -> None:
    class Service:
        @watched
        def bound(self) -> Service:
            return self

        @classmethod
        @watched
        def of_class(cls) -> type[Service]:
            return cls

        @staticmethod
        @watched
        def static(number: int) -> int:
            return number

        @watched
        @staticmethod
        def static_inside(number: int) -> int:
            return number

        @watched
        @classmethod
        def of_class_inside(cls) -> type[Service]:
            return cls

        @property
        @watched
        def looked_up(self) -> int:
            return 7

    service = Service()
    assert service.bound() is service
    assert Service.bound(service) is service
    assert service.of_class() is Service.of_class() is Service
    assert (service.static(1), Service.static(2), service.static_inside(3), Service.static_inside(4)) == (
        1,
        2,
        3,
        4,
    )
    assert service.of_class_inside() is Service
    assert service.looked_up == 7
    assert recorded(watched.seconds)[0] == 10


def test_other_callables(clock: Clock, watched: Watched) -> None:
    class Adder:
        def __init__(self, more: int = 0) -> None:
            self.more = more

        def __call__(self, number: int) -> int:
            return number + self.more

    assert watched(Adder(1))(2) == 3
    assert watched(functools.partial(pow, 2))(5) == 32
    assert watched(len)("four") == 4
    assert watched(lambda: 5)() == 5
    assert watched(Adder)(2)(3) == 5  # the making of an instance
    assert recorded(watched.seconds)[0] == 5


def test_a_generator_is_timed_while_it_runs(clock: Clock, watched: Watched) -> None:
    @watched
    def echo(first: int) -> Generator[int, int | None, str]:
        got = yield first
        while got:
            clock.pass_(1)
            got = yield got * 2
        return "done"

    assert inspect.isgeneratorfunction(echo)
    running = echo(1)
    assert recorded(watched.seconds)[0] == watched.busy._value.get() == 0  # not before it is asked
    assert next(running) == 1
    assert watched.busy._value.get() == 1
    assert running.send(5) == 10
    with pytest.raises(StopIteration) as stop:
        running.send(None)
    assert stop.value.value == "done"
    assert recorded(watched.seconds) == (1, 1)
    assert list(echo(0)) == [0]
    assert watched.busy._value.get() == 0


def test_a_generator_that_is_closed_or_thrown_into(watched: Watched) -> None:
    caught: list[BaseException] = []

    @watched
    def stubborn() -> Generator[str, None, None]:
        try:
            yield "one"
        except KeyError as error:
            caught.append(error)
            yield "two"
        except GeneratorExit as error:
            caught.append(error)
            raise

    running = stubborn()
    next(running)
    error = KeyError()
    assert running.throw(error) == "two"
    assert caught == [error]
    with pytest.raises(OSError, match="out"):
        running.throw(OSError("out"))
    assert watched.failed._value.get() == 1
    running = stubborn()
    next(running)
    running.close()
    assert isinstance(caught[-1], GeneratorExit)
    assert watched.failed._value.get() == 1  # closing is no failure
    assert recorded(watched.seconds)[0] == 2
    assert watched.busy._value.get() == 0


def test_under_contextmanager(clock: Clock, watched: Watched) -> None:
    @contextmanager
    @watched
    def lent(thing: str) -> Generator[str]:
        yield thing

    with lent("x") as thing:
        clock.pass_(1)
        assert (thing, watched.busy._value.get()) == ("x", 1)
    assert recorded(watched.seconds) == (1, 1)
    assert watched.busy._value.get() == 0


def test_in_many_threads_at_once(watched: Watched) -> None:
    barrier = threading.Barrier(8)
    most: list[float] = []

    @watched
    def meet() -> None:
        barrier.wait()
        most.append(watched.busy._value.get())
        barrier.wait()

    threads = [threading.Thread(target=lambda: [meet() for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == min(most) == 8
    assert watched.busy._value.get() == 0
    assert recorded(watched.seconds)[0] == 400
