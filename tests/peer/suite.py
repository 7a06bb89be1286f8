"""prometheus_client's own tests, with ferrometer in its place: `python -m tests.peer.suite [pytest options]`.

They are unpacked from its source distribution into .cache, never into the repository, and rewritten there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.peer.differences import NOT_ASKED

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "peer"
VERSION = "0.26.0"


class Unavailable(Exception):
    """The source distribution cannot be had."""


def fetch() -> Path:
    """The folder of the rewritten tests. Raises Unavailable without a network and without a cache."""
    archive = CACHE / f"prometheus_client-{VERSION}.tar.gz"
    if not archive.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        command = [*pip, "--dest", str(CACHE), f"prometheus-client=={VERSION}"]
        got = subprocess.run(command, capture_output=True, text=True)
        if got.returncode:
            raise Unavailable(got.stderr.strip())
    with tarfile.open(archive) as tar:
        tar.extractall(CACHE, filter="data")
    folder = CACHE / f"prometheus_client-{VERSION}" / "tests"
    for file in folder.glob("*.py"):
        file.write_text(re.sub(r"\bprometheus_client\b", "ferrometer", file.read_text()))
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs them."""
    folder = fetch()
    pytest = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(folder)]
    options = ["-p", "no:cacheprovider", "-rfE", "--tb=short", *(f"--deselect={name}" for name in NOT_ASKED)]
    command = [*pytest, *options, *arguments, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def failed(output: str) -> set[str]:
    """The tests that did not pass."""
    return set(re.findall(r"^(?:FAILED|ERROR) (\S+)", output, flags=re.MULTILINE))


if __name__ == "__main__":
    done = run(*sys.argv[1:])
    print(done.stdout, done.stderr, sep="\n")
    raise SystemExit(done.returncode)
