"""Code in a fresh interpreter: for what a process can do once only, and for its memory."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

PRELUDE = """
import gc, resource, sys
import ferrometer
from ferrometer import *

registry = CollectorRegistry()

def kilobytes():
    \"\"\"The memory in use now; the most ever in use where the system does not say.\"\"\"
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() // 1024
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most // 1024 if sys.platform == "darwin" else most

"""


def python(
    code: str, *arguments: str, check: bool = True, dev: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs code after the prelude; its failure is the caller's.

    In development mode freed memory is overwritten, so that whoever still reads it shows.
    """
    options = ["-X", "dev" if dev else "faulthandler"]
    command = [sys.executable, *options, "-c", PRELUDE + dedent(code), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if check:
        assert done.returncode == 0, done.stderr
    return done
