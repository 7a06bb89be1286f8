"""Rounds: every subject a little, in another order each time, again and again.

A machine that slows down for a second then slows down all of them, and medians over rounds leave it out.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

Samples = dict[str, list[float | None]]


@dataclass
class Subject:
    """One thing to be timed, and the proof that it did the work."""

    name: str
    sample: Callable[[int], float]
    """Run so many operations; the seconds they took."""
    check: Callable[[int], None] = field(default=lambda done: None)
    """Assert the answer after so many operations in all."""
    step: int = 1
    """Operations come in multiples of this."""
    every: int = 1
    """Sampled in each so-manieth round: slow peers need fewer."""


@dataclass(frozen=True)
class Effort:
    """How long to measure. `quick` is for continuous integration: answers count, times do not."""

    quick: bool = False

    def rounds(self, full: int, quick: int = 3) -> int:
        """How many."""
        return quick if self.quick else full

    def seconds(self, full: float, quick: float = 0.0005) -> float:
        """How long each of them."""
        return quick if self.quick else full


def interleave(
    make: Callable[[], Sequence[Subject]], *, rounds: int, seconds: float, title: str, builds: int = 1
) -> Samples:
    """Seconds per operation for each subject, one figure (or None: not sampled) for each round.

    Each sample lasts about `seconds`. Subjects are made anew `builds` times, so that where objects and code
    happen to lie in memory favours none of them throughout. Answers are checked whatever the times were.
    """
    samples: Samples = {}
    for build in range(builds):
        part = _build(
            make(), -(-rounds // builds), seconds, f"{title.strip()}, build {build + 1} of {builds}"
        )
        for name, values in part.items():
            samples.setdefault(name, []).extend(values)
    return samples


def _build(subjects: Sequence[Subject], rounds: int, seconds: float, title: str) -> Samples:
    done = dict.fromkeys((s.name for s in subjects), 0)
    operations: dict[str, int] = {}
    samples: Samples = {s.name: [] for s in subjects}
    order = list(subjects)
    shuffle = random.Random(17).shuffle
    with quiet():
        for subject in subjects:
            operations[subject.name] = _calibrate(subject, seconds, done)
        for number in range(rounds):
            shuffle(order)
            gc.collect()
            progress(title, number + 1, rounds)
            for subject in order:
                if number % subject.every:
                    samples[subject.name].append(None)
                    continue
                count = operations[subject.name]
                samples[subject.name].append(subject.sample(count) / count)
                done[subject.name] += count
    for subject in subjects:
        subject.check(done[subject.name])
    return samples


def _calibrate(subject: Subject, seconds: float, done: dict[str, int]) -> int:
    """How many operations last about `seconds`. Also warms up caches, code specialisation and children."""
    best = float("inf")
    for _ in range(3):
        best = min(best, subject.sample(subject.step))
        done[subject.name] += subject.step
    return subject.step * max(1, round(seconds / max(best, 1e-9)))


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection while timing, as in `timeit`: it would bill one subject for another's garbage."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()  # what lives already is not looked through again when garbage is collected between rounds
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


_last_shown = 0.0


def progress(title: str, number: int, total: int) -> None:
    """One line on standard error that says how far the run is; nothing when that is not a terminal."""
    global _last_shown
    if not title or not sys.stderr.isatty():
        return
    now = time.monotonic()
    if number < total and now - _last_shown < 0.1:
        return
    _last_shown = now
    sys.stderr.write(f"\r\x1b[K  {title}: round {number} of {total}")
    if number == total:
        sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
