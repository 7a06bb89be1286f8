"""The background readings: on time, and never longer than what they are for."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest

from ferrometer.stats.process import Every, gc_runs, heap_mb, live_tasks

NAME = "ferrometer-system"


class Reader:
    def __init__(self, seconds: float) -> None:
        self.calls = 0
        self.called = threading.Event()
        self.every = Every(seconds, self.read)

    def read(self) -> None:
        self.calls += 1
        if self.calls >= 3:
            self.called.set()
        raise RuntimeError("a reading may fail")


def background() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def wait_for_none() -> None:
    for thread in background():
        thread.join(10)
        assert not thread.is_alive()


def test_it_goes_on_after_a_reading_that_fails() -> None:
    reader = Reader(0.001)
    reader.every.start()
    assert reader.called.wait(10)
    reader.every.stop()
    wait_for_none()


def test_starting_twice_is_one_thread_and_stopping_ends_it() -> None:
    reader = Reader(3600)
    reader.every.start()
    reader.every.start()
    assert len(background()) == 1
    assert all(thread.daemon for thread in background())
    reader.every.stop()
    wait_for_none()
    reader.every.start()
    assert len(background()) == 1
    reader.every.stop()
    wait_for_none()


def test_it_ends_with_its_object() -> None:
    reader = Reader(3600)
    reader.every.start()
    gone = weakref.ref(reader)
    del reader
    gc.collect()
    assert gone() is None
    wait_for_none()


def test_a_forked_child_may_start_its_own() -> None:
    reader = Reader(0.001)
    reader.every.start()
    assert reader.called.wait(10)
    reader.every.stop()
    wait_for_none()  # forking with threads running is what Python warns about
    child = os.fork()
    if child == 0:
        reader.called.clear()
        reader.calls = 0
        reader.every.start()
        os._exit(0 if reader.called.wait(10) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0


def test_only_a_bound_method_can_be_called_every_so_often() -> None:
    with pytest.raises(TypeError, match="bound method"):
        Every(1, lambda: None)


def test_the_readings_without_anything_to_read() -> None:
    assert live_tasks(None) == 0
    assert heap_mb() > 1
    assert gc_runs() > 0


def test_the_readings_are_cheap() -> None:
    """The bound is a hundred times what they take: it notices a walk over the heap, not a busy machine."""
    started = time.perf_counter()
    for _ in range(100):
        heap_mb()
        gc_runs()
    assert (time.perf_counter() - started) / 100 < 0.005
