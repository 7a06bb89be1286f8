"""An application behind uvicorn with a large registry on a port of its own, for `own_port.py`.

    python -m benches.own_port_server ferrometer 100000 0

Library, series, core of the application's thread. It prints both ports when it listens.
"""

from __future__ import annotations

import os
import socket
import sys

import uvicorn

from ferrometer.bench import wrapped
from ferrometer.bench.peers import peer


def main(library: str, series: int, core: int) -> None:
    metrics = peer(library)
    registry = metrics.CollectorRegistry()
    more = {"max_series": series} if library == "ferrometer" else {}
    family = metrics.Counter("routes", "Requests by route", ["route"], registry=registry, **more)
    for number in range(series):
        family.labels(f"/v1/models/{number}/infer").inc(number)
    if library == "ferrometer":
        scraped = metrics.serve_metrics(0, registry=registry).port
    else:
        server, _ = metrics.start_http_server(0, "127.0.0.1", registry)
        scraped = server.server_port
    # The thread that runs the application; the server's was there before, and goes where there is room.
    os.sched_setaffinity(0, {core})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], scraped, flush=True)
        config = uvicorn.Config(wrapped.starlette(), access_log=False, log_level="error", lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
