"""``ferrometer bench``: what measuring costs an application of yours, beside an empty middleware."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from ferrometer.cli.arguments import positive

if TYPE_CHECKING:
    from ferrometer.bench.application import Report
    from ferrometer.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser(
        "bench", help="what measuring costs an application of yours, for each request"
    )
    command.add_argument(
        "application", metavar="MODULE:NAME", help="an ASGI application, as a server is told it"
    )
    command.add_argument("--path", default="/", help="what is requested (%(default)s)")
    command.add_argument("--method", default="GET", help="how (%(default)s)")
    command.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="NAME:VALUE",
        help="sent with it; repeatable",
    )
    command.add_argument(
        "--rounds", type=positive, default=60, help="how often each is measured (%(default)s)"
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ferrometer.bench.application import measure

    try:
        app = load(options.application)
        report = asyncio.run(
            measure(
                app, options.path, method=options.method, headers=tuple(options.header), rounds=options.rounds
            )
        )
    except (ImportError, AttributeError, RuntimeError, ValueError) as error:
        print(f"ferrometer bench: {error}", file=sys.stderr)
        return 2
    _show(report, options)
    return 0


def load(name: str) -> Any:
    """The application that ``module:name`` means, seen from the working directory.

    Raises ImportError, AttributeError or ValueError with words that say what is missing.
    """
    module, separator, attribute = name.partition(":")
    if not separator:
        raise ValueError(f"{name!r} names no application: write module:name, as for uvicorn")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _show(report: Report, options: argparse.Namespace) -> None:
    asked = f"{options.method} {options.path} answers {report.status}"
    print(f"{asked} in {_time(report.bare)} without a middleware of metrics.")
    print("Each of these adds to that (median; quartiles; share of a request):\n")
    width = max(len(cost.name) for cost in report.costs)
    for cost in report.costs:
        share = 100 * cost.median / report.bare
        between = f"{_time(cost.low)} to {_time(cost.high)}"
        print(f"  {cost.name:<{width}}  {_time(cost.median):>9}  {between:>22}  {share:6.1f} %")
    if not report.is_clear:
        print("\nTwo empty middlewares did not cost more than one: the request is too slow, or this machine")
        print("too busy, for differences of this size. Give a quicker --path, or more --rounds.")


def _time(seconds: float) -> str:
    size = abs(seconds)
    if size < 1e-6:
        return f"{seconds * 1e9:.0f} ns"
    return f"{seconds * 1e6:.1f} us" if size < 1e-3 else f"{seconds * 1e3:.2f} ms"


def _header(text: str) -> tuple[bytes, bytes]:
    name, separator, value = text.partition(":")
    if not separator or not name.strip():
        raise argparse.ArgumentTypeError("a header is NAME:VALUE")
    return name.strip().lower().encode("latin-1"), value.strip().encode("latin-1")
