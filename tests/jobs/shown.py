"""What a directory's workers have done with their jobs, as a process of its own shows it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.workers import talking

SCRAPER = """
import json, sys
import ferrometer
from ferrometer.jobs.feature import expose
from prometheus_client.parser import text_string_to_metric_families
ferrometer.share(sys.argv[1])
expose(namespace="hub", stuck_seconds=float(sys.argv[2]))
for line in sys.stdin:
    found = {}
    for family in text_string_to_metric_families(ferrometer.generate_latest().decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    print(json.dumps(found), flush=True)
"""


class Shown:
    """A process that scrapes."""

    def __init__(self, directory: Path, stuck_seconds: float = 7200) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRAPER, str(directory), str(stuck_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def all(self) -> dict[str, float]:
        """Every sample of a scrape, by name and labels."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        assert isinstance(found, dict)
        return found

    def counts(self, job_type: str) -> dict[str, float]:
        """The counts of a type that are not 0, by their name without prefix and suffix."""
        end = f"{{job_type={job_type}}}"
        found = {}
        for name, value in self.all().items():
            if name.endswith(end) and name.startswith("hub_job_") and "seconds" not in name and value:
                found[name.removesuffix(end).removeprefix("hub_job_").removesuffix("_total")] = value
        return found

    def wait_for(self, job_type: str, seconds: float = 60, **expected: float) -> None:
        """Scrapes until the type has exactly these counts."""
        deadline = time.monotonic() + seconds
        while (found := self.counts(job_type)) != expected:
            assert time.monotonic() < deadline, f"{job_type}: {found}, not {expected}"
            time.sleep(0.05)

    def wait_until(
        self, job_type: str, holds: Callable[[dict[str, float]], bool], seconds: float = 60
    ) -> None:
        """Scrapes until something holds of the counts."""
        deadline = time.monotonic() + seconds
        while not holds(found := self.counts(job_type)):
            assert time.monotonic() < deadline, f"{job_type}: {found}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait(60)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def showing(directory: Path, stuck_seconds: float = 7200) -> Iterator[Shown]:
    """A scraper of a directory."""
    shown = Shown(directory, stuck_seconds)
    try:
        yield shown
    finally:
        shown.stop()


BEGIN = """
import asyncio, json, os, signal, sys, time
import ferrometer
from ferrometer.jobs import job, submitted
ferrometer.share(sys.argv[1])
def say(value): print(json.dumps(value), flush=True)
def listen(): return sys.stdin.readline().strip()
"""

workers = partial(talking.workers, BEGIN)
