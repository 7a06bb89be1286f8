"""A worker beside the gateway that resizes images, and is killed in the middle of one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import ferrometer
from ferrometer.demo.scrape import Seen
from ferrometer.jobs import job, submitted

TYPE = "resize"
_JOBS = 12
_FAILING = 5
_SECONDS = 0.005
_LONGEST_SECONDS = 20.0


class Jobs:
    """What the worker does, which shares its counts with the gateway."""

    async def run(self) -> None:
        """Puts some jobs into a queue, which is imagined, and waits until the worker is dead."""
        directory = ferrometer.share()
        if directory is None:
            return
        submitted(TYPE, _JOBS)
        environment = {**os.environ, "FERROMETER_DIR": directory}
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ferrometer.demo.jobs", repr(time.time())), env=environment
        )
        try:
            await asyncio.wait_for(worker.wait(), _LONGEST_SECONDS)
        except TimeoutError:
            worker.kill()
            await worker.wait()

    def rows(self, seen: Seen, namespace: str) -> list[tuple[str, ...]]:
        """A table of what `/metrics` says of them."""
        names = ("submitted", "started", "completed", "failed", "lost", "in flight")
        suffixes = (
            "submitted_total",
            "started_total",
            "completed_total",
            "failed_total",
            "lost_total",
            "in_flight",
        )
        values = (f"{seen.total(f'{namespace}_job_{suffix}', job_type=TYPE):.0f}" for suffix in suffixes)
        return [("jobs", *names), (TYPE, *values)]


def work(submitted_at: float) -> None:
    """Resizes, fails once, and is killed within the last job but one, like a process without memory."""
    for number in range(_JOBS - 1):
        try:
            with job(TYPE, f"image-{number}", submitted_at=submitted_at):
                time.sleep(_SECONDS)
                if number == _FAILING:
                    raise ValueError("no image")
                if number == _JOBS - 2:
                    os.kill(os.getpid(), signal.SIGKILL)
        except ValueError:
            continue


if __name__ == "__main__":
    work(float(sys.argv[1]))
