"""A row of the comparison: what is measured, against what, and what was aimed at."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ferrometer.bench.rounds import Effort, Samples

OURS = "ferrometer"
FLOOR = "floor"
CONTROL = "control"
CLEARLY = 1.3  # every control does at least twice the work

Unit = Literal["ns", "ms", "bytes", "files", "req/s", "% lost", "/s"]
# Samples are in seconds wherever the unit is a time.
TIMES: Mapping[Unit, float] = {"ns": 1e9, "ms": 1e3}
ONE: tuple[Unit, ...] = ("bytes", "files", "req/s", "% lost", "/s")
SCALE: Mapping[Unit, float] = {**TIMES, **dict.fromkeys(ONE, 1.0)}


@dataclass(frozen=True)
class Aim:
    """`of / over <= at_most`, or `>= at_least`. Without `over` the figure itself is judged."""

    of: str
    over: str | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def text(self) -> str:
        sign, limit = ("<=", self.at_most) if self.at_most is not None else (">=", self.at_least)
        return f"{sign} {limit:g}" + (" x " if self.over else " ") + (self._against() if self.over else "")

    def _against(self) -> str:
        # "at least 20 x" is said about a peer's cost over ours, "at most 1.3 x" about ours over the floor.
        return self.over or "" if self.of == OURS else self.of

    def met(self, value: float) -> bool:
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is not None and value >= self.at_least


@dataclass(frozen=True)
class Row:
    """One measurement of the comparison."""

    key: str
    title: str
    unit: Unit
    measure: Callable[[Effort], Samples]
    aims: tuple[Aim, ...] = ()
    baseline: str | None = None
    """This subject is subtracted from the others in the same round (an empty loop, the bare app)."""
    faster_than_control: str | None = None
    """This subject must clearly beat the one named `control`; if not, the measurements are spurious."""
    higher_is_better: bool = False
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """The median over rounds, with the quartiles."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """An aim, what was reached (with a 95 % bootstrap interval), and whether that is enough."""

    aim: Aim
    value: float
    low: float
    high: float
    met: bool


class Result:
    """The samples of a row and what follows from them."""

    def __init__(self, row: Row, samples: Samples) -> None:
        self.row = row
        self.samples = samples
        self.net = _subtract(samples, row.baseline)

    def names(self) -> list[str]:
        return [name for name in self.net if any(v is not None for v in self.net[name])]

    def figure(self, name: str) -> Figure:
        scale = SCALE[self.row.unit]
        return _figure([v * scale for v in self.net[name] if v is not None])

    def raw(self, name: str) -> Figure:
        """Before the baseline was subtracted."""
        scale = SCALE[self.row.unit]
        return _figure([v * scale for v in self.samples[name] if v is not None])

    def ratio(self, of: str, over: str) -> float:
        return self._ratio(of, over, range(len(self.net[of])))

    def verdicts(self) -> list[Verdict]:
        """Aims whose subjects were measured; an absent peer leaves its aim out."""
        return [
            self._judge(aim) for aim in self.row.aims if {aim.of, aim.over or aim.of} <= set(self.names())
        ]

    def spurious(self) -> bool:
        """Whether the control, which must be slower, was not."""
        name = self.row.faster_than_control
        return name is not None and self.figure(CONTROL).median < CLEARLY * self.figure(name).median

    def _judge(self, aim: Aim) -> Verdict:
        rounds = len(self.net[aim.of])
        value = self._value(aim, range(rounds))
        chance = random.Random(29)
        again = sorted(self._value(aim, chance.choices(range(rounds), k=rounds)) for _ in range(400))
        return Verdict(aim, value, again[10], again[389], aim.met(value))

    def _value(self, aim: Aim, rounds: Sequence[int]) -> float:
        if aim.over is None:
            return self._median(aim.of, rounds) * SCALE[self.row.unit]
        return self._ratio(aim.of, aim.over, rounds)

    def _ratio(self, of: str, over: str, rounds: Sequence[int]) -> float:
        below = self._median(over, rounds)
        return self._median(of, rounds) / below if below else float("inf")

    def _median(self, name: str, rounds: Sequence[int]) -> float:
        chosen = [v for v in (self.net[name][i] for i in rounds) if v is not None]
        # A resample may hold no round of a subject that is sampled seldom: then all of its rounds stand in.
        return statistics.median(chosen or [v for v in self.net[name] if v is not None])


def _subtract(samples: Samples, baseline: str | None) -> Samples:
    if baseline is None:
        return dict(samples)
    base = samples[baseline]
    return {
        name: [None if v is None or b is None else v - b for v, b in zip(values, base, strict=True)]
        for name, values in samples.items()
        if name != baseline
    }


def _figure(values: list[float]) -> Figure:
    if len(values) < 2:
        return Figure(values[0], values[0], values[0])
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(statistics.median(values), low, high)
