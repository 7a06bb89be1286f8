"""Processes that share their metrics in one directory, and live until they are told otherwise.

    python -m benches.crew 32 1000 ferrometer /dev/shm/of/mine/metrics

Processes, routes, library, directory. The first process forks the others, as a supervisor does, and answers
commands, one a line, with the seconds they took: `scrape N` (the text of the last one is left beside the
directory), `work N` (the same, in seconds of a processor), `recycle N` (so many more processes record the same
and are killed). It ends with its input.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benches.record import BUCKETS, LABELS, latencies

CLIENT = "prometheus_client"
EVENTS = 8  # in each route, by each process
TOGETHER = 4  # processes that are recycled at a time
SEEN_EVERY = 48  # deaths between two scrapes


def load(name: str, directory: Path) -> Any:
    """The library. prometheus_client records into the directory from its import on, told by its variable."""
    directory.mkdir(mode=0o700, exist_ok=True)
    assert name != CLIENT or os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(directory)
    return importlib.import_module(name)


def join(library: Any, directory: Path) -> None:
    """From now on, this process records into the directory."""
    if library.__name__ == "ferrometer":
        assert library.share(directory) == os.path.realpath(directory), "it does not share its metrics"


def define(library: Any, routes: int) -> Any:
    """The family that all processes have."""
    more = {"max_series": routes} if library.__name__ == "ferrometer" else {}
    name, text = "http_request_duration_seconds", "Request latency."
    return library.Histogram(name, text, LABELS, buckets=BUCKETS, **more)


def fill(family: Any, routes: int) -> None:
    """What a process records: the same in each, so that the totals are known."""
    values = latencies(1000)
    for i in range(routes):
        child = family.labels("GET", f"/v1/models/{i}/infer", "200")
        for k in range(EVENTS):
            child.observe(values[(i * EVENTS + k) % 1000])


def scraper(library: Any, directory: Path) -> Callable[[], bytes]:
    """What a process of the application does when it is scraped."""
    if library.__name__ == "ferrometer":
        # Looked up here, because both are imported when they are asked for.
        generate_latest, registry = library.generate_latest, library.REGISTRY
        return lambda: bytes(generate_latest(registry))
    from prometheus_client import multiprocess

    def scrape() -> bytes:
        # A registry for each scrape, as its documentation says.
        registry = library.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, str(directory))
        return bytes(library.generate_latest(registry))

    return scrape


class Crew:
    """The processes, as the first of them sees them."""

    def __init__(self, name: str, directory: Path, processes: int, routes: int) -> None:
        self.library = load(name, directory)
        self.directory = directory
        self.family, self.routes = define(self.library, routes), routes
        self.others = [self._fork(self._stay) for _ in range(processes - 1)]
        for _, said in self.others:
            assert os.read(said, 1) == b"!", "a process of the crew died"
        join(self.library, directory)
        fill(self.family, routes)
        self.scrape = scraper(self.library, directory)

    def _fork(self, then: Callable[[], None]) -> tuple[int, int]:
        """A process that records, says `!` through a pipe, and then does something else."""
        reads, writes = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writes)
            return pid, reads
        try:
            join(self.library, self.directory)
            fill(self.family, self.routes)
            os.write(writes, b"!")
            then()
        finally:
            os._exit(1)

    def _stay(self) -> None:
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(1)

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def recycle(self, deaths: int) -> None:
        """So many processes record and are killed; somebody scrapes now and then, as in life."""
        for done in range(0, deaths, TOGETHER):
            for pid, said in [self._fork(self._die) for _ in range(min(TOGETHER, deaths - done))]:
                assert os.read(said, 1) == b"!", "a process did not record"
                os.close(said)
                os.waitpid(pid, 0)
            if done % SEEN_EVERY == 0 and self.library.__name__ == "ferrometer":
                self.scrape()

    def end(self) -> None:
        for pid, _ in self.others:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def main(name: str, directory: Path, processes: int, routes: int) -> None:
    crew = Crew(name, directory, processes, routes)
    print("ready", flush=True)
    try:
        for line in sys.stdin:
            command, count = line.split()
            text = b""
            clock = time.process_time if command == "work" else time.perf_counter
            began = clock()
            if command == "recycle":
                crew.recycle(int(count))
            else:
                for _ in range(int(count)):
                    text = crew.scrape()
            took = clock() - began
            (directory.parent / "text").write_bytes(text)
            print(took, flush=True)
    finally:
        crew.end()


if __name__ == "__main__":
    main(sys.argv[3], Path(sys.argv[4]), int(sys.argv[1]), int(sys.argv[2]))
