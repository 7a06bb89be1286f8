"""The inner loop, generated as `timeit` does: operations unrolled, everything they name bound to a local.

The loop around the operations is measured too, as the same code with `pass` for a body, and subtracted
within the same round. Unrolled, it is a fraction of a nanosecond for each operation; where values rotate it
also holds their unpacking, which no subject should be charged for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, cycle, islice, repeat
from string import Template
from time import perf_counter

UNROLL = 25

Row = tuple[object, ...]
Rows = Iterable[Row | None]
Inner = Callable[[Rows], float]


def generate(statement: str, names: Mapping[str, object], rotate: Sequence[str] = ()) -> Inner:
    """A function that runs `statement` UNROLL times for each row it is given and returns the seconds.

    `names` become parameters, so they are locals in the loop. A name in `rotate`, written `$name` in the
    statement, is a new value for each operation, unpacked from the row.
    """
    template = Template(statement)
    body = [template.substitute({name: f"{name}{i}" for name in rotate}) for i in range(UNROLL)]
    target = ", ".join(f"{name}{i}" for i in range(UNROLL) for name in rotate) or "_"
    lines = [
        f"def inner(rows, clock, {', '.join(names)}):",
        "    began = clock()",
        f"    for {target} in rows:",
        *(f"        {line}" for line in body),
        "    return clock() - began",
    ]
    space: dict[str, Callable[..., float]] = {}
    exec("\n".join(lines), space)
    inner = space["inner"]
    values = tuple(names.values())
    return lambda rows: inner(rows, perf_counter, *values)


def blank(operations: int) -> Rows:
    """Rows for a statement without rotating values: `operations` is rounded down to whole rows."""
    return repeat(None, operations // UNROLL)


def pack(values: Sequence[Row]) -> list[Row]:
    """One flat row for every UNROLL operations, each of which takes one tuple of `values`."""
    if len(values) % UNROLL:
        raise ValueError(f"{len(values)} operations do not fill whole rows of {UNROLL}")
    return [tuple(chain.from_iterable(values[i : i + UNROLL])) for i in range(0, len(values), UNROLL)]


class Stream:
    """The same rows again and again, going on where the last sample stopped."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = cycle(rows)

    def take(self, operations: int) -> Rows:
        """So many operations, rounded down to whole rows."""
        return islice(self._rows, operations // UNROLL)
