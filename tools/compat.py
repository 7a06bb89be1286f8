"""Runs other programs' own tests with prometheus_client as it is, and under ``ferrometer run``.

The programs come from PyPI as source distributions that hold their tests, each into an environment of its
own below ``.cache/compat``. Every test must have the same outcome both times. Prints the table of
docs/drop-in.md, and exits with 1 where an outcome differs or no test passed. Arguments name some of the
programs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    """A program on PyPI, what its tests need, and how they are called."""

    name: str
    version: str
    needs: tuple[str, ...] = ()
    tests: tuple[str, ...] = ("tests",)
    options: tuple[str, ...] = ()
    #: Files that the tests read and the distribution left out.
    missing: tuple[str, ...] = ()


PROGRAMS = (
    # Not maintained since 2020: its tests are for the versions of then. Some ask google.com.
    Program(
        "aiohttp_prometheus_exporter",
        "0.2.4",
        ("aiohttp<3.9", "pytest<8", "pytest-aiohttp<1", "pytest-mock"),
    ),
    Program(
        "django_prometheus",
        "2.5.0",
        ("django", "pytest-django", "psycopg[binary]"),
        ("django_prometheus/tests",),
    ),
    Program("flower", "2.2.0", (), ("tests/unit",)),
    Program(
        "ironic_prometheus_exporter",
        "4.10.0",
        ("fixtures", "oslotest"),
        ("ironic_prometheus_exporter/tests",),
    ),
    Program(
        "jupyter_server",
        "2.21.1",
        ("jupyter_server[test]",),
        ("tests/test_log.py", "tests/base", "tests/auth", "tests/services/api", "tests/services/config"),
        ("-W", "ignore"),  # else what its dependencies warn of is an error
    ),
    Program("opentelemetry_exporter_prometheus", "0.66b2", ("opentelemetry-test-utils==0.66b2",)),
    Program("oslo.metrics", "0.17.0", ("oslotest",), ("oslo_metrics/tests",)),
    Program("prometheus_async", "26.1.0", ("pytest-asyncio", "aiohttp", "twisted")),
    Program("prometheus_summary", "0.1.6"),
    Program(
        "starlette_exporter",
        "0.24.0",
        ("fastapi", "httpx2", "requests", "aiofiles"),
        missing=("tests/static/test.txt",),
    ),
)
ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "compat"
PYTEST = ("-m", "pytest", "-rA", "-q", "--color=no", "-p", "no:cacheprovider", "-o", "addopts=")
#: Fails where a program's metrics are not native ones, so that the comparison would compare nothing.
NATIVE = """
import prometheus_client, ferrometer._core
assert isinstance(prometheus_client.Counter("a", "b", registry=None), ferrometer._core.Metric)
"""
INSTRUMENTED = """
import prometheus_client, ferrometer._core
from opentelemetry import trace
print(isinstance(prometheus_client.Counter("a", "b", registry=None), ferrometer._core.Metric))
print(type(trace.get_tracer_provider()).__name__)
"""
#: A line of `pytest -rA`.
OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|XFAIL|XPASS) (\S+::.+?)(?: - .*)?$", re.MULTILINE)
#: So long may one run of the tests of a program take, in seconds.
TIMEOUT = 900


def main() -> int:
    """Runs the programs that are named, else all."""
    wanted = set(sys.argv[1:])
    if unknown := wanted - {program.name for program in PROGRAMS}:
        known = ", ".join(program.name for program in PROGRAMS)
        print(f"compat: no program {', '.join(sorted(unknown))}; there are: {known}")
        return 2
    same = instrumented() if not wanted else True
    print("| program | tests that pass without | and under `ferrometer run` | other outcomes |")
    print("|---|---|---|---|")
    for program in PROGRAMS:
        if not wanted or program.name in wanted:
            same = compare(program) and same
    return 0 if same else 1


def instrumented() -> bool:
    """Whether ``opentelemetry-instrument``, which brings a sitecustomize of its own, works too."""
    place = CACHE / "opentelemetry-instrument"
    python = environment(place, ["opentelemetry-distro", "prometheus_client"])
    told = subprocess.run(
        [python, "-m", "ferrometer", "run", "--", "opentelemetry-instrument", python, "-c", INSTRUMENTED],
        env=os.environ | {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")},
        capture_output=True,
        text=True,
        check=False,
    )
    both = told.stdout.split() == ["True", "TracerProvider"]
    answer = "native metrics, and its tracer provider" if both else f"{told.stdout}{told.stderr}"
    print(f"`ferrometer run -- opentelemetry-instrument python ...`: {answer}\n", flush=True)
    return both


def environment(place: Path, wanted: Sequence[str]) -> Path:
    """An environment of its own with these packages and this build of ferrometer; its Python."""
    python = place / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    if not (place / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place / "venv"], check=True)
        subprocess.run([*pip, *wanted], check=True)
        (place / "installed").touch()
    (wheel,) = (ROOT / "dist").glob("*.whl")
    subprocess.run([*pip, "--force-reinstall", "--no-deps", str(wheel)], check=True)
    return python


def compare(program: Program) -> bool:
    """Prints the program's row; whether all outcomes are the same."""
    python, folder = prepare(program)
    run = [str(python), "-m", "ferrometer", "run", "--", str(python)]
    subprocess.run([*run, "-c", NATIVE], check=True)
    without = outcomes([str(python)], folder, program)
    within = outcomes(run, folder, program)
    changed = sorted(test for test in without.keys() | within.keys() if without.get(test) != within.get(test))
    passed = [list(found.values()).count("PASSED") for found in (without, within)]
    told = ", ".join(changed) or "none" if without else "no test ran"
    first, second = (f"{n} of {len(found)}" for n, found in zip(passed, (without, within), strict=True))
    print(f"| {program.name} {program.version} | {first} | {second} | {told} |", flush=True)
    return bool(passed[0]) and not changed


def prepare(program: Program) -> tuple[Path, Path]:
    """An environment with the program, its tests' needs and this build of ferrometer; and its sources."""
    place = CACHE / f"{program.name}-{program.version}"
    wanted = f"{program.name}=={program.version}"
    python = environment(place, ["pytest", wanted, *program.needs])
    if not (place / "complete").exists():
        download = [
            str(python),
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "download",
            "--no-deps",
        ]
        subprocess.run([*download, "--no-binary", program.name, "--dest", str(place), wanted], check=True)
        (archive,) = place.glob("*.tar.gz")
        with tarfile.open(archive) as sources:
            sources.extractall(place / "source", filter="data")
        (place / "source" / "pytest.ini").touch()  # a program without settings of its own must not get ours
        (folder,) = (path for path in (place / "source").iterdir() if path.is_dir())
        for file in program.missing:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        (place / "complete").touch()
    (folder,) = (path for path in (place / "source").iterdir() if path.is_dir())
    return python, folder


def outcomes(command: list[str], folder: Path, program: Program) -> dict[str, str]:
    """The outcome of each test that was not skipped."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FERROMETER_")}
    done = subprocess.run(
        [*command, *PYTEST, *program.options, *program.tests],
        cwd=folder,
        env=plain,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    (folder.parent.parent / f"{'run' if 'ferrometer' in command else 'plain'}.log").write_text(done.stdout)
    return {test: outcome for outcome, test in OUTCOME.findall(done.stdout)}


if __name__ == "__main__":
    sys.exit(main())
