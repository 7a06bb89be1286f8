"""The demo's servers as the demo sees them: started, and ended with it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec

_STOP_SECONDS = 25.0

# What the gateway needs to talk to each.
_DRIVERS = {"postgres": ("psycopg", "psycopg_pool"), "valkey": ("redis",)}
_TITLES = {"postgres": "PostgreSQL", "valkey": "Valkey"}


@dataclass(frozen=True)
class Store:
    """A server to talk to."""

    name: str
    version: str
    address: str


@dataclass(frozen=True)
class Stores:
    """What could be started; None where something else has to do."""

    database: Store | None = None
    cache: Store | None = None
    remarks: tuple[str, ...] = ()
    """Why something else has to do; one line each."""


@asynccontextmanager
async def stores(wanted: bool = True) -> AsyncIterator[Stores]:
    """PostgreSQL and Valkey while the block runs, as far as they are installed."""
    if not wanted:
        yield Stores()
        return
    problems = {name: _missing(name) for name in _DRIVERS}
    names = [name for name, problem in problems.items() if not problem]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ferrometer.demo.servers", *names),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Its own session: Ctrl-C is for the demo, which ends its servers last.
        start_new_session=True,
    )
    assert process.stdin is not None  # it was opened with a pipe, like the other
    assert process.stdout is not None
    try:
        found: dict[str, Store] = {}
        for name in names:
            said = json.loads(await process.stdout.readline() or b'{"problem": "it ended early"}')
            problems[name] = said.pop("problem")
            if not problems[name]:
                found[name] = Store(**said)
        remembered = "nothing is cached" if "postgres" in found else "the cache is this process's memory"
        instead = {"postgres": "the ledger is SQLite", "valkey": remembered}
        remarks = [
            f"{_TITLES[name]} is not here ({problem}): {instead[name]}."
            for name, problem in problems.items()
            if problem
        ]
        yield Stores(found.get("postgres"), found.get("valkey"), tuple(remarks))
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _missing(name: str) -> str:
    if os.name != "posix":
        return "it is started on Unix only"
    missing = [module for module in _DRIVERS[name] if find_spec(module) is None]
    return f"no {' and no '.join(missing)}; pip install 'ferrometer[demo]'" if missing else ""
