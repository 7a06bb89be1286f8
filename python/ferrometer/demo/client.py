"""The client process as the demo sees it: started, listened to, ended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


class TrafficError(Exception):
    """The client process ended before its plan did."""


@dataclass(frozen=True)
class Totals:
    """What the client counted while it worked through its plan."""

    answers: dict[tuple[str, str, int], int]
    """Answers by method, route and status."""
    conversations: int
    messages: int
    hung_up: int

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Totals:
        """From the line that ends the plan."""
        answers = {(method, route, status): n for method, route, status, n in fields.pop("answers")}
        return cls(answers=answers, **fields)


class Traffic:
    """The lines the client process writes, as numbers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.totals: Totals | None = None
        """Known once `progress` has ended."""

    async def progress(self) -> AsyncIterator[int]:
        """Steps done so far, several times a second, until the plan is done."""
        assert self._process.stdout is not None  # it was opened with a pipe
        async for line in self._process.stdout:
            fields = json.loads(line)
            if "done" not in fields:
                self.totals = Totals.from_json(fields)
                return
            yield fields["done"]
        raise TrafficError(f"the client process ended early, with status {await self._process.wait()}")

    def stroll(self) -> None:
        """Lets the client go on with light traffic, after its plan, until the end."""
        assert self._process.stdin is not None  # it was opened with a pipe
        self._process.stdin.write(b"go on\n")


@asynccontextmanager
async def traffic(url: str, requests: int, rate: float) -> AsyncIterator[Traffic]:
    """The client process, driving `url` while the block runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ferrometer.demo.traffic", url, str(requests), str(rate)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Its own session: Ctrl-C is for the demo, which then ends the client quietly.
        start_new_session=True,
    )
    try:
        yield Traffic(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
