"""``serve_metrics()``: a port of its own, served by a native thread that never takes the GIL.

Requests to the application and scrapes do not wait for each other: a scrape is answered while Python code
computes, and no Python code runs for it.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from ferrometer import _core
from ferrometer.endpoints.access import Access, Network
from ferrometer.endpoints.protection import EndpointsSettings, protection
from ferrometer.metrics.names import is_plain_name
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.sharing.lease import Lease
from ferrometer.stats.process import Every
from ferrometer.stats.service import SYSTEM_SECONDS, ServiceStats

_log = logging.getLogger("ferrometer")

# How often a worker that stands by looks whether the port is free.
_TURN_SECONDS = 1.0
_LOOPBACK = ("127.", "::1", "localhost")

Auth: TypeAlias = "str | Sequence[str]"

# A server goes on until it is stopped, whether or not anybody keeps it.
_serving: set[MetricsServer] = set()


def serve_metrics(
    port: int = 9090,
    addr: str = "127.0.0.1",
    *,
    registry: CollectorRegistry = REGISTRY,
    auth: Auth | None = None,
    allow: str | Iterable[str | Network] | None = None,
    stats: ServiceStats | None = None,
    refresh: float | None = SYSTEM_SECONDS,
) -> MetricsServer:
    """Serves a registry on a port of its own, until ``stop()`` or the end of the process.

    ``/metrics`` answers as the application's own endpoint does: text, OpenMetrics or protobuf, gzip,
    ``name[]``. ``/stats``, ``/polling`` and ``/monitor`` tell the numbers, without the health, and ``/live``
    says that the process is there. HEAD works everywhere.

    The thread never takes the GIL, so collectors written in Python are not shown (``process_*``, ``python_*``
    and whatever was given to ``registry.register``), nor are ``target_info`` and metrics whose names need
    quotes. Ferrometer's own background collectors write to metrics and are shown. Functions of
    ``set_function`` run in the background, every ``refresh`` seconds, and scrapes tell what they told last;
    ``None`` leaves that to the scrapes of the application's own endpoint.

    A fork closes the port in the child; the parent goes on. A child may serve on a port of its own.

    Where workers share their metrics, all of them may call this with one port: one serves what all have
    recorded, the others stand by (``running`` is false), and when it is gone another takes the port over
    within a second or two.

    :param port: 0 takes any free one; see ``MetricsServer.port``.
    :param addr: the address to listen on. Only this machine reaches the default; ``"0.0.0.0"`` and ``"::"``
        are all addresses, and then ``auth`` or ``allow`` should be given.
    What is None of ``auth`` and ``allow`` is taken from the environment and the configuration file, as
    ``instrument()`` does.

    :param auth: a bearer token, a list of them, or a tuple ``(user, password)``. Not a callable, which
        would be Python code.
    :param allow: networks such as ``["10.0.0.0/8", "127.0.0.1"]``; None is everybody.
    :param stats: whose GPU, database, cache and system numbers the JSON tells: ``instrument(app).stats``.
    :param refresh: seconds, greater than 0.

    Raises OSError when the port is taken or may not be used, ValueError and TypeError for wrong arguments.
    """
    native = getattr(registry, "_native", None)
    if not isinstance(native, _core.Registry):
        raise TypeError(
            f"registry must be a ferrometer.CollectorRegistry, not {type(registry).__name__};"
            f" for others there is ferrometer.start_http_server"
        )
    _check_place(addr, port)
    if refresh is not None and not refresh > 0:
        raise ValueError(f"refresh must be greater than 0 seconds, or None, not {refresh!r}")
    chosen = protection(auth=auth, allow=allow)
    access = Access(chosen.auth_token, chosen.allow).native()
    figures, prefix = stats.figures() if stats is not None else (registry, "")
    shared = _core.shared_directory()
    start = partial(
        _core.MetricsServer,
        native,
        addr,
        port,
        access=access,
        figures=figures._native,
        prefix=prefix,
        native=chosen.native_histograms,
        routes=_routes(shared, addr, chosen, access) if sys.platform == "linux" else None,
    )
    turn = Lease(shared / "leases", f"serve {addr} {port}") if shared is not None and port else None
    return MetricsServer(_Port(addr, port, start, turn), _Readings(registry, stats, refresh))


def serve_directory(
    directory: str | os.PathLike[str],
    port: int = 9090,
    addr: str = "127.0.0.1",
    *,
    auth: Auth | None = None,
    allow: str | Iterable[str | Network] | None = None,
    namespace: str | None = None,
    native_histograms: bool = False,
    page: _core.LivePage | None = None,
) -> MetricsServer:
    """The same for what other processes recorded into a directory that they share, living and dead ones.

    Nothing is asked of them, and nothing of this process is shown. ``namespace`` is that of
    ``instrument()``; with it the ``{namespace}_requests_*`` families are told, and the JSON's numbers.
    ``page`` is the live page, at ``/ferrometer``. Linux only.

    Raises OSError when the port is taken, or others can write the directory.
    """
    _check_place(addr, port)
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "metrics are shared between processes on Linux only")
    if namespace and not is_plain_name(namespace):
        raise ValueError(f"invalid namespace {namespace!r}: letters, digits, '_' and ':' only")
    access = Access(auth, allow).native()
    routes = [*(page.routes(access) if page is not None else ()), *_core.History(directory).routes()]
    is_guarded = auth is not None or allow is not None
    if is_guarded or is_loopback(addr):
        routes.append(_core.log_route(directory))
    routes += [_core.dashboard_route(directory), _core.breaker_route(directory, may_change=is_guarded)]
    start = partial(
        _core.MetricsServer.of_directory,
        directory,
        addr,
        port,
        access=access,
        namespace=namespace,
        native=native_histograms,
        routes=routes,
    )
    return MetricsServer(_Port(addr, port, start, None), None)


def _routes(
    directory: Path | None, addr: str, chosen: EndpointsSettings, access: _core.Access
) -> list[_core.NativeRoute]:
    routes = [*_core.LivePage.latest_routes(access), *_core.History.latest_routes()]
    # Lines are nobody else's business: without credentials or an address list, for this machine only.
    is_guarded = chosen.auth_token is not None or chosen.allow is not None
    if is_guarded or is_loopback(addr):
        routes.append(_core.log_route(directory))
    routes += [_core.dashboard_route(directory), _core.breaker_route(directory, may_change=is_guarded)]
    return routes


def is_loopback(addr: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    return addr.startswith(_LOOPBACK)


def _check_place(addr: object, port: object) -> None:
    if not isinstance(addr, str):
        raise TypeError(f"addr must be a string such as '127.0.0.1', not {addr!r}")
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port must be an int, not {type(port).__name__}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, not {port}")


class MetricsServer:
    """What ``serve_metrics()`` started; leaving a ``with`` block stops it."""

    __slots__ = ("__weakref__", "_port", "_process", "_readings")

    def __init__(self, port: _Port, readings: _Readings | None) -> None:
        self._port = port
        self._readings = readings
        self._process = os.getpid()
        port.start()
        _serving.add(self)
        if readings is not None:
            readings.start()

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return self._port.number

    @property
    def url(self) -> str:
        """The address for a browser on this machine, without a path: ``http://127.0.0.1:9090``."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._port.host, self._port.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether it serves: not after ``stop()``, nor in a forked child, nor while another worker does."""
        return self._port.served

    def stop(self) -> None:
        """Closes the port and waits for the thread to end; half a second for answers on their way.

        Nothing happens the second time, nor in a forked child.
        """
        if self._process != os.getpid():
            return  # a lock may have been held in the parent by a thread that is not here
        if self._readings is not None:
            self._readings.stop()
        self._port.stop()
        _serving.discard(self)

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<MetricsServer {self.url}{'' if self.running else ', not serving'}>"


class _Port:
    """A port that is served at once, or as soon as it is this worker's turn."""

    def __init__(
        self, host: str, number: int, start: Callable[[], _core.MetricsServer], turn: Lease | None
    ) -> None:
        self.host: str = host
        self.number: int = number
        self._start = start
        self._turn = turn
        self._server: _core.MetricsServer | None = None
        self._waiting: Every | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._told = False

    def start(self) -> None:
        """Serves, or stands by. Raises OSError."""
        if self._turn is not None and not self._turn.hold():
            self._waiting = Every(_TURN_SECONDS, self._take_over)
            self._waiting.start()
            return
        try:
            self._serve()
        except OSError:
            if self._turn is not None:
                self._turn.release()
            raise

    def _serve(self) -> None:
        self._server = self._start()
        self.host = self._server.host
        self.number = self._server.port

    def _take_over(self) -> None:
        with self._lock:
            if self._stopped or self._turn is None or not self._turn.hold():
                return
            try:
                self._serve()
            except OSError as error:
                # The next look may find it given back; but who stays away for ever should have been heard of.
                _log.log(logging.DEBUG if self._told else logging.WARNING, "%s", error)
                self._told = True
                return
        _log.info("metrics are served on port %d by this worker now: the one that did is gone", self.number)
        if self._waiting is not None:
            self._waiting.stop()

    @property
    def served(self) -> bool:
        """Whether it is, by this process."""
        return self._server is not None and self._server.running

    def stop(self) -> None:
        """Closes the port, and lets another worker have it."""
        if self._waiting is not None:
            self._waiting.stop()
        with self._lock:
            self._stopped = True
            if self._server is not None:
                self._server.stop()
            if self._turn is not None:
                self._turn.release()


class _Readings:
    """What only Python can tell, told to the metrics again and again."""

    def __init__(
        self, registry: CollectorRegistry, stats: ServiceStats | None, seconds: float | None
    ) -> None:
        self._registry = registry
        self._stats = stats
        self._background = Every(seconds, self.read) if seconds is not None else None

    def start(self) -> None:
        if self._background is not None:
            self.read()  # nothing is to be zero until the first time has come
            self._background.start()

    def stop(self) -> None:
        if self._background is not None:
            self._background.stop()

    def read(self) -> None:
        if self._stats is not None:
            self._stats.system.read()
        self._registry._refresh()


@atexit.register
def _stop_all() -> None:
    for server in list(_serving):
        server.stop()
