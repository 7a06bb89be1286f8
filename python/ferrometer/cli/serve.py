"""``ferrometer serve``: shared metrics on a port, without the processes that wrote them."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ferrometer import _core
from ferrometer._runtime.settings import Sources
from ferrometer.cli.arguments import no_directory, port, shared_directory, token_variable, words
from ferrometer.endpoints.own_port import is_loopback, serve_directory
from ferrometer.endpoints.protection import protection
from ferrometer.http.feature import HttpSettings
from ferrometer.live.files import live_page
from ferrometer.logs.feature import Logs, LogsSettings, configured_sinks
from ferrometer.logs.pipeline import FORMATS
from ferrometer.logs.ship import DEADLINE, configuration
from ferrometer.logs.sinks import Sink, parse

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands

#: Seconds in which a worker may take over the shipping of logs before this process does.
PATIENCE = 2.0


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser("serve", help="shared metrics on a port, without the application")
    command.add_argument("--dir", help="what the workers share ($FERROMETER_DIR)", **shared_directory())
    command.add_argument("--port", type=port, default=9090, help="0 takes any free one (%(default)s)")
    command.add_argument("--addr", default="127.0.0.1", help="address to listen on (%(default)s)")
    command.add_argument("--token-file", type=Path, help="bearer tokens, one per line")
    token_variable(command)
    command.add_argument("--allow", action="append", default=[], metavar="NETWORK", help="who may read")
    command.add_argument("--namespace", help="prefix of the service's own families")
    command.add_argument(
        "--logs",
        action="append",
        default=[],
        metavar="SINK",
        help="ship log lines there while no worker does; config: to the sinks of [logging]",
    )
    command.add_argument("--service", default="", help="the name that shipped lines have")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.dir is None:
        return no_directory("serve --dir DIR")
    return serve(
        options.dir,
        port=options.port,
        addr=options.addr,
        token_file=options.token_file,
        token=options.token,
        allow=options.allow,
        namespace=options.namespace,
        logs=options.logs,
        service=options.service,
    )


def serve(
    directory: Path,
    *,
    port: int,
    addr: str,
    token_file: Path | None = None,
    token: str | None = None,
    allow: Sequence[str] = (),
    namespace: str | None = None,
    logs: Sequence[str] = (),
    service: str = "",
) -> int:
    """Serves a directory until SIGTERM or SIGINT; 2 for what the user can mend.

    Log lines go to the sinks in ``logs`` while no worker ships them: when all are dead, above all.
    ``config`` among them are those of the section ``[logging]``.

    What is not given is taken from the environment and ``config.toml``, as ``instrument()`` does.
    """
    try:
        sources = Sources()
        auth = _secret(token_file, token)
        chosen = protection(auth=auth, allow=_split(allow) or None, sources=sources)
        namespace = sources.read("metrics", HttpSettings, {"namespace": namespace}).namespace
        # Blocked first: the server's thread must have none, and sigwait wants them blocked.
        stops = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        server = serve_directory(
            directory,
            port,
            addr,
            auth=chosen.auth_token,
            allow=chosen.allow,
            namespace=namespace,
            native_histograms=chosen.native_histograms,
            page=live_page(namespace or service or None),
        )
        shipper = _shipper(directory, logs, service, namespace, sources)
    except (OSError, TypeError, ValueError) as error:
        print(f"ferrometer serve: {words(error)}", file=sys.stderr)
        return 2
    if chosen.auth_token is None and chosen.allow is None and not is_loopback(addr):
        print(
            "ferrometer serve: everybody may read this: --token-file, --token-env, --allow", file=sys.stderr
        )
    with server:
        print(f"serving {directory} at {server.url}/metrics, the page at {server.url}/ferrometer", flush=True)
        if not directory.is_dir() or not _core.inspect(directory):
            print(
                f"ferrometer serve: no process has shared anything in {directory} yet",
                file=sys.stderr,
                flush=True,
            )
        signal.sigwait(stops)
    if shipper is not None:
        shipper.stop(DEADLINE)
    return 0


def _shipper(
    directory: Path, logs: Sequence[str], service: str, namespace: str | None, sources: Sources
) -> _core.DirectoryShipper | None:
    if not logs:
        return None
    chosen: LogsSettings = sources.read(Logs.section, LogsSettings, {"service": service or None})
    sinks: list[Sink] = []
    for text in logs:
        sinks += configured_sinks(chosen) if text == "config" else [parse(text)]
    config = configuration(
        sinks,
        directory=directory,
        service=chosen.service,
        environment=chosen.environment,
        namespace=namespace or "",
        keys=_core.log_format_keys(chosen.format or FORMATS[0]),
        patience=PATIENCE,
    )
    return _core.DirectoryShipper(config)


def _secret(token_file: Path | None, token: str | None) -> list[str] | None:
    """The tokens; an option that gives none is an error, and never an open port."""
    if token_file is not None and token is not None:
        raise ValueError("--token-file or --token-env, not both")
    if token_file is not None:
        tokens = token_file.read_text("utf-8").split()
        if not tokens:
            raise ValueError(f"{token_file} holds no token")
        return tokens
    return None if token is None else token.split()


def _split(allow: Iterable[str]) -> list[str]:
    return [part.strip() for entry in allow for part in entry.split(",") if part.strip()]
