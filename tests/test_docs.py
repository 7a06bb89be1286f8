"""The documentation is true: its Python runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from ferrometer.cli.main import parser
from tests.docs_tables import Family, families, printed, with_metrics

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README_LINES = 150

# `python` is executed and `console` is checked for commands that exist; the others are only shown.
SHOWN = {"toml", "text", "yaml", "json", "promql", "rust"}


@dataclass(frozen=True)
class Fence:
    """A code block of a page."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def fences(page: Path) -> list[Fence]:
    found: list[Fence] = []
    opened: tuple[int, str] | None = None
    code: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if opened is None and line.startswith("```"):
            opened, code = (number, line[3:].strip()), []
        elif opened is not None and line.startswith("```"):
            found.append(Fence(page, *opened, "\n".join(code)))
            opened = None
        else:
            code.append(line)
    assert opened is None, f"{page.name}:{opened} is never closed"
    return found


FENCES = [fence for page in PAGES for fence in fences(page)]


@pytest.mark.parametrize("fence", [f for f in FENCES if f.language == "python"], ids=str)
def test_python_runs(fence: Fence, tmp_path: Path) -> None:
    """In a process of its own, as a reader would paste it: a fresh registry, nothing defined before."""
    command = [sys.executable, "-W", "error", "-c", fence.code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{fence}\n{done.stderr}"


@pytest.mark.parametrize("fence", [f for f in FENCES if f.language == "console"], ids=str)
def test_commands_exist(fence: Fence, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for line in fence.code.splitlines():
        assert line.startswith("$ "), f"{fence}: a command begins with `$ `: {line}"
        words = shlex.split(line[2:], comments=True)
        match words:
            case ["make", *arguments]:
                assert {a for a in arguments if "=" not in a} <= targets, f"{fence}: {line}"
            case ["ferrometer", *arguments]:
                for option, name in itertools.pairwise(arguments):
                    if option == "--token-env":
                        monkeypatch.setenv(name, "a token")
                parser().parse_args(arguments)
            case ["pip", "install", package]:
                named = re.search(r"ferrometer\[(\w+)\]", package)
                assert package.strip("'") == "." or (named and named[1] in extras), f"{fence}: {line}"
            case ["pytest", "--pyargs", package, "--benchmark-only"]:
                assert find_spec(package), f"{fence}: {line}"
            case [".venv/bin/python", "-m", module, *_]:
                place = ROOT / module.replace(".", "/")
                assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), (
                    f"{fence}: {line}"
                )
            case [program, *_] if program.startswith(".venv/bin/"):
                assert program.removeprefix(".venv/bin/") in _pinned(), f"{fence}: {line}"
            case _:
                # amtool sets silences in tests/alerts/test_notify.py.
                assert words[0] in {"git", "cd", "curl", "uvicorn", "amtool"}, f"{fence}: who checks {line}?"


def _pinned() -> set[str]:
    return set(re.findall(r"^([\w-]+)==", (ROOT / "requirements-dev.txt").read_text(), flags=re.MULTILINE))


def test_tables_are_those_of_the_definitions() -> None:
    """Types and labels of metrics, settings, commands; ``python -m tests.docs_tables`` prints them."""
    stale = [file.name for file, text in printed().items() if file.read_text() != text]
    assert stale == [], "python -m tests.docs_tables"


def test_every_metric_has_a_row() -> None:
    pages = "\n".join(page.read_text() for page in PAGES)
    rows = set(re.findall(r"^\| `(\w+)` \|", pages, flags=re.MULTILINE))
    known = families()
    assert len(known) > 150
    assert known.keys() - rows == set()


@pytest.mark.parametrize(
    ("row", "right"),
    [
        (
            "| `http_requests_total` | gauge | method | what |",
            "| `http_requests_total` | counter | method, endpoint, status | what |",
        ),
        ("| `http_requests_in_flight` | counter | x | |", "| `http_requests_in_flight` | gauge | | |"),
    ],
)
def test_a_wrong_row_is_noticed(row: str, right: str) -> None:
    known = {
        "http_requests_total": Family("counter", ("method", "endpoint", "status")),
        "http_requests_in_flight": Family("gauge", ()),
    }
    head = "| metric | type | labels | what |\n|---|---|---|---|\n"
    assert with_metrics(head + row, known) == head + right
    with pytest.raises(KeyError, match="gone_total"):
        with_metrics(head + "| `gone_total` | counter | | |", known)


def test_every_fence_says_what_it_is() -> None:
    assert [str(f) for f in FENCES if f.language not in SHOWN | {"python", "console"}] == []


def test_there_is_something_to_check() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "CHANGELOG.md"}
    assert sum(f.language == "python" for f in FENCES) >= 3


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in _anchors(file), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    """A path in backticks is one from the root of the repository: prose must not outlive its code."""
    named = re.findall(r"`((?:rust|python|tests|benches|docs)/[\w./-]+)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_site_has_every_page() -> None:
    named = set(re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE))
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert pages - named == set()
