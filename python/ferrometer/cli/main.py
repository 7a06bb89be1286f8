"""The `ferrometer` command."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: From the least to the most severe.
LEVELS = ("debug", "info", "warn", "error", "fatal")
_DEMO_NEEDS = ("fastapi", "uvicorn", "websockets")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status, 2 for what the user can mend."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="ferrometer", description="Everything measured, nothing noticed.")
    commands = root.add_subparsers(metavar="command", required=True)

    demo = commands.add_parser("demo", help="a small GPU gateway under traffic, and what was seen of it")
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    demo.add_argument("--port", type=_port, default=8000, help="0 takes any free one (%(default)s)")
    demo.add_argument("--requests", type=_positive, default=2000, help="before the table (%(default)s)")
    demo.add_argument(
        "--rate", type=_rate, default=5.0, help="requests a second after it; 0 for none (%(default)s)"
    )
    demo.add_argument("--once", action="store_true", help="end after the table")
    demo.add_argument("--sqlite", action="store_true", help="start no PostgreSQL and no Valkey beside it")
    demo.set_defaults(run=_demo)

    run = commands.add_parser("run", help="a program whose prometheus_client makes native metrics")
    run.add_argument("program", help="a script, a module after -m, or a command", nargs=argparse.REMAINDER)
    run.set_defaults(run=_run)

    serve = commands.add_parser("serve", help="shared metrics on a port, without the application")
    serve.add_argument("--dir", help="what the workers share ($FERROMETER_DIR)", **_directory())
    serve.add_argument("--port", type=_port, default=9090, help="0 takes any free one (%(default)s)")
    serve.add_argument("--addr", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--token-file", type=Path, help="bearer tokens, one per line")
    serve.add_argument("--auth-env", metavar="NAME", help="the variable that holds the bearer token")
    serve.add_argument("--allow", action="append", default=[], metavar="NETWORK", help="who may read")
    serve.add_argument("--namespace", help="prefix of the service's own families")
    serve.add_argument(
        "--logs",
        action="append",
        default=[],
        metavar="SINK",
        help="ship log lines there while no worker does",
    )
    serve.add_argument("--service", default="", help="the name that shipped lines have")
    serve.set_defaults(run=_serve)

    inspect = commands.add_parser("inspect", help="the files of a directory of shared metrics")
    inspect.add_argument("directory", nargs="?", help="($FERROMETER_DIR)", **_directory())
    inspect.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    inspect.set_defaults(run=_inspect)

    logs = commands.add_parser("logs", help="what the workers of a directory log, in order")
    logs.add_argument(
        "source",
        nargs="?",
        metavar="DIR|URL",
        default=os.environ.get("FERROMETER_DIR"),
        help="what the workers share ($FERROMETER_DIR), or the application's address",
    )
    logs.add_argument("--auth-env", metavar="NAME", help="the variable that holds the URL's bearer token")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    logs.add_argument("-n", "--lines", type=_positive, help="only the last so many of those that there are")
    logs.add_argument("--level", choices=LEVELS, default="debug", help="this level and above (%(default)s)")
    logs.add_argument("--request-id", metavar="ID", help="of one request")
    logs.add_argument("--trace-id", metavar="ID", help="of one trace")
    logs.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        type=_field,
        help="with this field; repeatable",
    )
    logs.add_argument("--json", action="store_true", help="the lines as they are, also on a terminal")
    logs.set_defaults(run=_logs)

    query = commands.add_parser("query", help="a PromQL expression, asked of a URL or of a shared directory")
    query.add_argument("where", metavar="URL|DIR", help="the endpoints, a Prometheus, or what workers share")
    query.add_argument("expression", help="such as 'sum by (endpoint) (rate(http_requests_total[5m]))'")
    query.add_argument("--time", metavar="SECONDS", help="seconds since 1970 (now)")
    query.add_argument("--since", metavar="DURATION", help="a line of so long until then: 15m, 1h30m")
    query.add_argument("--step", type=float, metavar="SECONDS", help="from one point of it to the next")
    query.add_argument("--json", action="store_true", help="the value as Prometheus writes it")
    query.add_argument("--token-env", metavar="NAME", help="the variable that holds the bearer token")
    query.set_defaults(run=_query)

    about = commands.add_parser("version", help="the versions of Ferrometer and Python")
    about.set_defaults(run=_version)
    return root


def _directory() -> dict[str, Any]:
    named = os.environ.get("FERROMETER_DIR")
    return {"type": Path, "default": Path(named) if named else None}


def _demo(options: argparse.Namespace) -> int:
    missing = [name for name in _DEMO_NEEDS if find_spec(name) is None]
    if missing:
        print(f"ferrometer demo needs {', '.join(missing)}: pip install 'ferrometer[demo]'", file=sys.stderr)
        return 2
    from ferrometer.demo.runner import Options, run

    return run(
        Options(options.host, options.port, options.requests, options.rate, options.once, options.sqlite)
    )


def _run(options: argparse.Namespace) -> int:
    words = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not words:
        print("ferrometer run needs a program: ferrometer run -- uvicorn app:app", file=sys.stderr)
        return 2
    if words[0] == "-m" or words[0].endswith(".py"):
        words = [sys.executable, *words]
    # The program's own processes inherit it: workers, reloaders.
    paths = [
        str(Path(__file__).parents[1] / "drop_in" / "startup"),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    sys.stdout.flush()
    try:
        os.execvpe(words[0], words, environment)
    except OSError as error:
        print(f"ferrometer run: {words[0]}: {error.strerror}", file=sys.stderr)
        return 127


def _serve(options: argparse.Namespace) -> int:
    if options.dir is None:
        return _no_directory("serve --dir DIR")
    from ferrometer.cli.sidecar import serve

    return serve(
        options.dir,
        port=options.port,
        addr=options.addr,
        token_file=options.token_file,
        auth_env=options.auth_env,
        allow=options.allow,
        namespace=options.namespace,
        logs=options.logs,
        service=options.service,
    )


def _inspect(options: argparse.Namespace) -> int:
    if options.directory is None:
        return _no_directory("inspect DIR")
    from ferrometer.cli.sidecar import inspect

    return inspect(options.directory, as_json=options.json)


def _logs(options: argparse.Namespace) -> int:
    if options.source is None:
        return _no_directory("logs DIR")
    from ferrometer.cli.logs import Filter, tail

    wanted = Filter(options.level, options.request_id, options.trace_id, tuple(options.field))
    is_url = options.source.startswith(("http://", "https://"))
    return tail(
        options.source if is_url else Path(options.source),
        wanted,
        follow=options.follow,
        last=options.lines,
        as_json=options.json or None,
        token=os.environ.get(options.auth_env) if options.auth_env else None,
    )


def _query(options: argparse.Namespace) -> int:
    from ferrometer.cli.query import run

    token = None
    if options.token_env is not None:
        token = os.environ.get(options.token_env)
        if not token:
            print(f"ferrometer query: {options.token_env} is not set", file=sys.stderr)
            return 2
    return run(
        options.where,
        options.expression,
        at=options.time,
        since=options.since,
        step=options.step,
        as_json=options.json,
        token=token,
    )


def _field(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError("a field is KEY=VALUE")
    return key, value


def _no_directory(usage: str) -> int:
    print(f"which directory? ferrometer {usage}, or FERROMETER_DIR in the environment", file=sys.stderr)
    return 2


def _version(_: argparse.Namespace) -> int:
    print(
        f"ferrometer {version('ferrometer')} ({platform.python_implementation()} {platform.python_version()})"
    )
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 1000:
        raise argparse.ArgumentTypeError("a rate is a number from 0 to 1000")
    return rate
