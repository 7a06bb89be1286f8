"""Real workers of task queues, and their producers, in environments of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ferrometer
from tests.middleware.test_matrix import environment
from tests.real.component import LEDGER

#: arq wants redis before 6, Celery's kombu from 6.1 on.
ENVIRONMENTS = {
    "jobs-arq": ["arq==0.28.0"],
    "jobs-queues": [
        *("celery==5.7.0", "redis==8.1.0", "rq==3.0.0", "dramatiq==2.2.1"),
        *("taskiq==0.13.0", "taskiq-redis==1.2.4"),
    ],
}
PROGRAMS = Path(__file__).parent / "programs"


class Programs:
    """Programs of one environment that share a directory and a broker."""

    def __init__(self, python: Path, folder: Path, broker: str) -> None:
        self.python = python
        self.folder = folder
        self.broker = broker
        self.directory = folder / "shared"
        self._links = folder / "links"
        self._links.mkdir()
        (self._links / "ferrometer").symlink_to(Path(ferrometer.__file__).parent, target_is_directory=True)
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))
        }
        self._environment = {
            **clean,
            "PYTHONPATH": os.pathsep.join([str(self._links), str(PROGRAMS)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FERROMETER_DIR": str(self.directory),
            "BROKER": broker,
        }

    def run(self, source: str) -> None:
        """A program that ends by itself, such as a producer."""
        command = [str(self.python), "-c", source]
        ended = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 0, ended.stderr[-3000:]

    @contextmanager
    def worker(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker, in a process group of its own; the group is killed at the end."""
        log = self.folder / f"worker-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(self.python), "-m", *arguments],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        except BaseException:
            print(log.read_text()[-6000:])
            raise
        finally:
            kill_group(process)

    def started(self, file: Path) -> int:
        """The process of a job that writes its number into a file."""
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text()):
            assert time.monotonic() < deadline, f"no job wrote {file}"
            time.sleep(0.02)
        return int(file.read_text())


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a worker and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)


@contextmanager
def programs(name: str, folder: Path, broker: str) -> Iterator[Programs]:
    """Programs of the environment of that name; `here` is that of the tests."""
    python = Path(sys.executable) if name == "here" else environment(name, ENVIRONMENTS[name])
    yield Programs(python, folder, broker)
    LEDGER.exercised["rq of requirements-dev.txt" if name == "here" else name] = str(python)
