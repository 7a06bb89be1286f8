"""``ferrometer doctor``: is it measured, is it shared, with which settings from where, and what is wrong."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from ferrometer import _core
from ferrometer._runtime.sections import feature_class, sections
from ferrometer._runtime.settings import Sources
from ferrometer.cli.arguments import command_line, is_url, token_variable, words
from ferrometer.cli.version import text as versions
from ferrometer.sharing.directory import candidates

if TYPE_CHECKING:
    from ferrometer.cli.arguments import Commands

#: What the names of our own counters of faults end with; each should be 0.
_FAULTS = (
    *("_errors_total", "_lost_total", "_dropped_total", "_refused_total", "_overflow_total"),
    *("_conflicts_total", "_failures_total", "_damaged", "_unreadable"),
)
#: 1 is well, 0 is not.
_SUCCESSES = ("ferrometer_collector_success", "ferrometer_collector_part_success", "ferrometer_health_check")


class Sample(NamedTuple):
    """A sample of what a service exposes, with the help of its family."""

    name: str
    labels: dict[str, str]
    value: float
    help: str


class Line(NamedTuple):
    """A line of the report."""

    about: str
    text: str
    #: Whether somebody should do something.
    is_wrong: bool = False


def add(commands: Commands) -> None:
    """Adds it to the command line."""
    command = commands.add_parser(
        "doctor", help="what is measured and shared, by which settings, and what is wrong"
    )
    command.add_argument(
        "where", nargs="?", metavar="URL|DIR", help="a running application, or what its workers share"
    )
    token_variable(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    lines = list(here())
    if options.where is not None:
        try:
            lines += service(options.where, options.token)
        except (OSError, ValueError) as error:
            lines.append(Line(options.where, words(error), is_wrong=True))
    width = max(len(line.about) for line in lines)
    mark = "\033[31m!\033[0m" if sys.stdout.isatty() else "!"
    before = None
    for line in lines:
        about = line.about if line.about != before else ""
        print(f"{mark if line.is_wrong else ' '} {about:<{width}}  {line.text}")
        before = line.about
    return 1 if any(line.is_wrong for line in lines) else 0


def here() -> Iterator[Line]:
    """About this environment: versions, extras, settings, and the directories of running applications."""
    yield Line("version", f"{versions()}, {platform.platform()}")
    yield from _extras()
    yield from _settings()
    shared = os.environ.get("FERROMETER_DIR")
    if shared:
        yield Line("directory", f"{shared}, named by FERROMETER_DIR")
    for pid, path in candidates():
        yield Line("directory", f"{path} of process {pid}: {command_line(pid)}")


def _extras() -> Iterator[Line]:
    wanted: dict[str, list[str]] = {}
    for requirement in requires("ferrometer") or ():
        if match := re.match(r"([\w.-]+).*extra == ['\"](\w+)['\"]", requirement):
            wanted.setdefault(match[2], []).append(match[1])
    for extra, names in wanted.items():
        missing = [name for name in names if not _is_installed(name)]
        yield Line(
            "extras",
            f"{extra}: "
            + (f"off, without {', '.join(missing)}: pip install 'ferrometer[{extra}]'" if missing else "on"),
        )


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _settings() -> Iterator[Line]:
    try:
        sources = Sources()
    except (OSError, TypeError, ValueError) as error:
        yield Line("settings", words(error), is_wrong=True)
        return
    yield Line(
        "settings",
        f"from {sources.file}" if sources.file else "no file here: ferrometer.toml or [tool.ferrometer]",
    )
    for section in sections():
        try:
            made = sources.origins(section, feature_class(section).Settings)
        except (ImportError, TypeError, ValueError) as error:
            yield Line(f"[{section}]", words(error), is_wrong=True)
            continue
        for one in made:
            yield Line(f"[{section}]", f"{one.name} = {one.value}, by {one.source}")


def service(where: str, token: str | None = None) -> Iterator[Line]:
    """About an application, by its URL, or by the directory that its workers share.

    Raises OSError when it does not answer, ValueError when what it answers is no exposition.
    """
    samples = list(_scraped(where, token) if is_url(where) else _recorded(Path(where)))
    yield from measured(where, samples)
    yield from faults(samples)


def measured(where: str, samples: Sequence[Sample]) -> Iterator[Line]:
    """What there is, and by whom it is shared."""
    requests = [sample.value for sample in samples if sample.name == "http_requests_total"]
    yield Line(where, f"{len(samples)} samples")
    if requests:
        yield Line(
            where,
            f"measured: {sum(requests):.0f} requests, {len(requests)} series of route, method, status",
        )
    else:
        yield Line(where, "no request was measured yet; is the application wrapped, and did it get one?")
    living = [
        sample.value
        for sample in samples
        if sample.name == "ferrometer_segments" and sample.labels["state"] == "live"
    ]
    if living:
        yield Line(where, f"shared by {living[0]:.0f} living process{'es' if living[0] != 1 else ''}")
    else:
        yield Line(where, "not shared: each worker shows its own numbers (docs/workers.md)")
    if any(sample.name == "ferrometer_history_bytes" for sample in samples):
        yield Line(where, "history is on")


def faults(samples: Iterable[Sample]) -> Iterator[Line]:
    """What our own metrics say is wrong."""
    well = True
    for sample in samples:
        labels = ", ".join(f"{name}={value}" for name, value in sample.labels.items())
        named = f"{sample.name}{{{labels}}}" if labels else sample.name
        if not sample.name.startswith("ferrometer_"):
            continue
        if (sample.name.endswith(_FAULTS) and sample.value > 0) or (
            sample.name in _SUCCESSES and sample.value == 0
        ):
            well = False
            yield Line("wrong", f"{named} is {sample.value:g}: {sample.help}", is_wrong=True)
    if well:
        yield Line("wrong", "nothing that our own metrics know of")


def _scraped(url: str, token: str | None) -> Iterator[Sample]:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    address = url if url.rstrip("/").endswith("/metrics") else url.rstrip("/") + "/metrics"
    request = Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
    except HTTPError as error:
        closed = "; it is closed: --token-env NAME" if error.code in (401, 403) else ""
        raise ValueError(f"{address} answers {error.code}{closed}") from None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield Sample(sample.name, sample.labels, sample.value, family.documentation)


def _recorded(directory: Path) -> Iterator[Sample]:
    segments = _core.inspect(directory)
    live = sum(segment["state"] == "live" for segment in segments)
    yield Sample("ferrometer_segments", {"state": "live"}, live, "")
    for segment in segments:
        if segment["damage"]:
            yield Sample("ferrometer_segments_damaged", {"file": segment["file"]}, 1, segment["damage"])
    for name, documentation, _, _, rows in _core.read_directory(directory):
        for suffix, labels, value in rows:
            yield Sample(name + suffix, labels, value, documentation)
