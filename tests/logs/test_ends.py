"""Lines at odd moments: at the interpreter's end, in signal handlers, destructors and foreign threads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEADER = """
import atexit, logging, os, signal, sys, threading, time
import ferrometer
from ferrometer import get_logger, logs
logs.setup("s", to=sys.argv[1], level="debug")
log = get_logger("x")
std = logging.getLogger("std")
"""

PROGRAMS = {
    "at the end": (
        """
@atexit.register
def last():
    log.info("atexit"); std.warning("atexit std")
log.info("first")
""",
        {"first", "atexit", "atexit std"},
    ),
    "after the module's globals are gone": (
        """
class Late:
    def __del__(self, log=log): log.info("late")
keep = Late()
sys.modules["keeper"] = keep
log.info("first")
""",
        {"first"},
    ),
    "from a destructor": (
        """
class Thing:
    def __del__(self): log.info("gone"); std.error("gone std")
thing = Thing()
del thing
class Cycle:
    def __init__(self): self.me = self
    def __del__(self): log.info("collected")
Cycle()
import gc; gc.collect()
""",
        {"gone", "gone std", "collected"},
    ),
    "from a signal handler": (
        """
count = 0
def handler(*_):
    global count
    count += 1
    log.warning("signal"); std.warning("signal std")
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
end = time.monotonic() + 30
number = 0
# In the middle of lines of its own, of every kind.
while count < 50 and time.monotonic() < end:
    number += 1
    log.info("own", number=number, value={"a": [1, 2, {"b": "c"}]}); std.info("own %d", number)
signal.setitimer(signal.ITIMER_REAL, 0)
assert count >= 50
log.info("done")
assert logs.flush(60)
""",
        {"own", "signal", "signal std", "done"},
    ),
    "from threads, one of them after the main one": (
        """
def work():
    log.info("thread")
    threading.main_thread().join(30)
    log.info("after main")
thread = threading.Thread(target=work)
thread.start()
""",
        {"thread", "after main"},
    ),
    "from a daemon thread while it ends": (
        """
def work():
    while True: log.info("again", value=[1, 2, 3])
for _ in range(3): threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
log.info("end")
assert logs.flush(60)
""",
        {"again"},
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_breaks_and_all_is_there(tmp_path: Path, name: str) -> None:
    body, wanted = PROGRAMS[name]
    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", HEADER + body, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    errors = [line for line in done.stderr.splitlines() if "ResourceWarning" not in line]
    assert not errors, done.stderr
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert wanted <= {row["message"] for row in rows}
