"""One application behind uvicorn, pinned to a core, for `served.py`.

    python -m benches.server ferrometer plain 0

Middleware, application, core. It prints the port when it listens and, when told to end, how many requests
the middleware says it saw.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from ferrometer.bench import wrapped

APPLICATIONS: dict[str, Callable[[], ASGIApp]] = {"plain": wrapped.plain, "starlette": wrapped.starlette}


def main(middleware: str, application: str, core: int) -> None:
    os.sched_setaffinity(0, {core})
    it = wrapped.MAKERS[middleware](APPLICATIONS[application]())
    assert it is not None, f"{middleware} is not installed"
    # Alike for every middleware and for none.
    app = wrapped.as_starlette(it.app)
    # uvicorn raises the signal that ended it once more; this process still has its count to print.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(app, access_log=False, log_level="error", lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])
    print(it.seen() if it.seen else -1, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
