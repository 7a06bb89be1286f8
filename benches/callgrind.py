"""Reads callgrind's output: how many instructions each function executed itself."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

NAMED = re.compile(r"(fn|ob|cfn|cob)=\((\d+)\)(?: (.*))?")


class Place(NamedTuple):
    """A function and the file of the program or library it is in."""

    file: str
    function: str


def self_costs(path: Path) -> Counter[Place]:
    """Instructions executed by each function itself, without those that it called."""
    names: dict[tuple[str, str], str] = {}
    costs: Counter[Place] = Counter()
    file = function = ""
    called = False
    with path.open() as lines:
        for line in lines:
            if named := NAMED.match(line):
                kind, number, name = named.groups()
                # Names are written once and numbered; callers and callees share the numbers.
                key = (kind.removeprefix("c"), number)
                if name is not None:
                    names[key] = name.strip()
                if kind == "ob":
                    file = names[key]
                elif kind == "fn":
                    function = names[key]
            elif line.startswith("calls="):
                called = True  # the next line is the callee's cost, which its own lines tell
            elif line[:1].isdigit() or line[:1] in "+-*":
                if called:
                    called = False
                else:
                    costs[Place(file, function)] += int(line.split()[1])
    return costs
