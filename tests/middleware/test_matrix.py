"""The templates under other versions of Starlette and FastAPI, each installed into an environment of its own.

The environments stay in `.matrix/`. They are installed where asked for: `make matrix`, REQUIRE_REAL=1.
The newest versions are those of requirements-dev.txt, under which the suite itself runs. What is tested is
the installed package, through a link.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import ferrometer
from tests.real.component import LEDGER

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".matrix"

# Where the contents of scopes changed: FastAPI 0.137 (inclusions), Starlette 1.7 (scope["route"]).
VERSIONS = {
    "starlette-0.35": ["starlette==0.35.1"],
    "starlette-0.52": ["starlette==0.52.1"],
    "starlette-1.6": ["starlette==1.6.0"],
    "starlette-1.7": ["starlette==1.7.0"],
    "fastapi-0.128": ["fastapi==0.128.0"],
    "fastapi-0.136-starlette-1.6": ["fastapi==0.136.0", "starlette==1.6.0"],
    "fastapi-0.136": ["fastapi==0.136.0", "starlette==1.10.0"],
    "fastapi-0.137": ["fastapi==0.137.0", "starlette==1.10.0"],
    "fastapi-0.150": ["fastapi==0.150.0", "starlette==1.10.0"],
}
TOOLS = ["pytest==9.2.0", "prometheus_client==0.26.0", "anyio==4.16.0"]


def environment(name: str, requirements: list[str]) -> Path:
    """The Python of an environment with these packages, made if it is not there."""
    home = HOME / f"{name}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = home / "installed"
    wanted = "\n".join([*requirements, *TOOLS])
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    if not {"1"} & {os.environ.get("MATRIX"), os.environ.get("REQUIRE_REAL")}:
        words = f"needs {home.relative_to(ROOT)}, which `make matrix` installs"
        LEDGER.missing[name] = words
        pytest.skip(words)
    LEDGER.say(f"installs {' '.join(requirements)} into {home.relative_to(ROOT)}, once")
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    command = [
        str(python),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        *requirements,
        *TOOLS,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        words = f"needs {' '.join(requirements)}: {' '.join(command)}\n{done.stderr[-500:]}"
        LEDGER.missing[name] = words
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(words, pytrace=False)
        pytest.skip(words)
    stamp.write_text(wanted)
    return python


@pytest.mark.parametrize("name", VERSIONS)
def test_templates(name: str, tmp_path: Path) -> None:
    python = environment(name, VERSIONS[name])
    (tmp_path / "ferrometer").symlink_to(Path(ferrometer.__file__).parent, target_is_directory=True)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        "--import-mode=importlib",
    ]
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [str(python), "-m", "pytest", *options, str(ROOT / "tests/middleware/test_templates.py")],
        cwd=tmp_path,
        env={**clean, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
    LEDGER.exercised[name] = str(python.parent.parent.relative_to(ROOT))
