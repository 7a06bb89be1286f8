"""``ferrometer rules``: rule files are checked, and their unit tests run, as promtool does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferrometer.alerts.rule import Group
    from ferrometer.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    rules = commands.add_parser("rules", help="check rule files, and run their unit tests")
    actions = rules.add_subparsers(metavar="action", required=True)
    check = actions.add_parser("check", help="read rule files as Prometheus does")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    check.set_defaults(run=_check)
    test = actions.add_parser("test", help="run promtool's unit tests of rules on this engine")
    test.add_argument("files", nargs="+", type=Path, metavar="FILE")
    test.set_defaults(run=_test)
    shown = actions.add_parser("print", help="print ready-made rules as a file for Prometheus")
    shown.add_argument(
        "pack",
        help="service, gateway, platform, staging, jobs, providers, ferrometer, capacity; or slo, from [slo]",
    )
    shown.add_argument("--runbooks", default="", metavar="URL", help="where docs/runbooks can be read")
    shown.set_defaults(run=_print)


def _check(options: argparse.Namespace) -> int:
    from ferrometer.alerts import rule_file

    wrong = 0
    for file in options.files:
        try:
            groups, faults = rule_file.read(file)
        except (OSError, UnicodeDecodeError, ModuleNotFoundError) as error:
            print(f"ferrometer rules: {error}", file=sys.stderr)
            return 2
        for fault in faults:
            print(fault, file=sys.stderr)
        wrong += len(faults)
        if not faults:
            print(f"{file}: {sum(len(group.rules) for group in groups)} rules found")
    return 1 if wrong else 0


def _print(options: argparse.Namespace) -> int:
    from ferrometer.alerts import to_yaml
    from ferrometer.alerts.packs import pack

    try:
        if options.pack == "slo":
            print(to_yaml(_objectives(options.runbooks)), end="")
        else:
            print(to_yaml([pack(options.pack, options.runbooks)]), end="")
    except ValueError as error:
        print(f"ferrometer rules: {error}", file=sys.stderr)
        return 2
    return 0


def _objectives(runbooks: str) -> list[Group]:
    """Those of the section [slo] of the configuration."""
    from ferrometer._runtime.settings import Sources
    from ferrometer.http.feature import HttpSettings
    from ferrometer.slo.feature import SloSettings, objectives_of

    sources = Sources()
    chosen = sources.read("slo", SloSettings)
    service = chosen.service or sources.read("metrics", HttpSettings).namespace or "application"
    made = [group for one in objectives_of(chosen) for group in one.groups(service, runbooks)]
    if not made:
        raise ValueError("[slo] names no objective: set availability or latency")
    return made


def _test(options: argparse.Namespace) -> int:
    from ferrometer.alerts import rule_test

    failed = False
    for file in options.files:
        try:
            failures = rule_test.run(file)
        except (OSError, ModuleNotFoundError) as error:
            print(f"ferrometer rules: {error}", file=sys.stderr)
            return 2
        except (ValueError, KeyError, TypeError) as error:
            failures = [str(error) if isinstance(error, ValueError) else f"{file}: malformed: {error!r}"]
        print(f"Unit Testing:  {file}\n" + ("  FAILED:\n" if failures else "  SUCCESS"))
        for failure in failures:
            print(f"    {failure}")
        failed |= bool(failures)
    return 1 if failed else 0
