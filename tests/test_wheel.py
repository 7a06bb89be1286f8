"""The built wheel, in an environment that holds nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ONE_LINER = """
from ferrometer import CollectorRegistry, Counter, generate_latest
registry = CollectorRegistry()
Counter("answers", "Answers given", ["kind"], registry=registry).labels("true").inc(2)
print(generate_latest(registry).decode())
"""


def _sources_changed() -> float:
    """When the newest file that goes into the wheel was last touched."""
    kinds = {".rs", ".py", ".pyi", ".toml", ".typed"}
    files = [f for top in ("rust", "python") for f in (ROOT / top).rglob("*") if f.suffix in kinds]
    return max(f.stat().st_mtime for f in [*files, ROOT / "Cargo.toml", ROOT / "pyproject.toml"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel `make` has built, if it is not older than its sources; else one built now."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    for built in (ROOT / "dist").glob(f"ferrometer-*-{python}-*.whl"):
        if built.stat().st_mtime >= _sources_changed():
            return built
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "maturin", "build", "--release", "--locked", "--out", str(folder)]
    subprocess.run([*command, "--interpreter", sys.executable], cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the wheel and its dependencies, no extras."""
    home = tmp_path_factory.mktemp("clean")
    venv.create(home, with_pip=True)
    bin_folder = home / ("Scripts" if os.name == "nt" else "bin")
    pip = [bin_folder / "python", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*map(str, pip), "install", "--quiet", str(wheel)], check=True, cwd=home, env=_environment()
    )
    return bin_folder


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, text=True, timeout=60)


def test_wheel_carries_types_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
        licence = archive.read(next(name for name in names if name.endswith("/licenses/LICENSE"))).decode()
    assert {
        "ferrometer/py.typed",
        "ferrometer/_core.pyi",
        "ferrometer-stubs/_core.pyi",
        "ferrometer/__init__.py",
    } <= names
    assert "License-Expression: Apache-2.0" in lines
    assert "Version 2.0, January 2004" in licence
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in licence


def test_wheel_is_for_this_python_alone(wheel: Path) -> None:
    """The raw slots are compiled against one CPython; an abi3 tag would promise what they cannot keep."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{tag}-{tag}-" in wheel.name


def test_wheel_leaves_the_sources_behind(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        strays = [
            n for n in archive.namelist() if n.endswith((".rs", "Cargo.toml")) or n.startswith("tests/")
        ]
    assert strays == []


def test_installed_wheel_counts(clean: Path, tmp_path: Path) -> None:
    done = _run(clean / "python", "-W", "error", "-c", ONE_LINER, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'answers_total{kind="true"} 2.0' in done.stdout.splitlines()


def test_command_is_installed(clean: Path, tmp_path: Path) -> None:
    done = _run(clean / "ferrometer", "version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ferrometer 0.")


def test_demo_without_its_extra_names_it(clean: Path, tmp_path: Path) -> None:
    done = _run(clean / "python", "-m", "ferrometer", "demo", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "ferrometer demo needs fastapi, uvicorn, websockets: pip install 'ferrometer[demo]'\n"
    )
