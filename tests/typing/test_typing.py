"""What type checkers say about code that uses ferrometer; and the stub against the module itself."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real.npm import npm_package

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

pytest.importorskip("mypy", reason="pip install mypy")


def mypy(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", tool, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_right_code_passes_and_wrong_code_does_not(tmp_path: Path) -> None:
    """Of each wrong line the file says which error it expects; without these words they are errors."""
    done = mypy("mypy", "--strict", "--config-file=", str(HERE / "right.py"), str(HERE / "wrong.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (HERE / "wrong.py").read_text().splitlines()
    bare = tmp_path / "bare.py"
    bare.write_text("\n".join(line.partition("  # type: ignore")[0] for line in lines))
    done = mypy("mypy", "--strict", "--config-file=", str(bare))
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert found == {number for number, line in enumerate(lines, 1) if "# type: ignore" in line}


def test_right_code_runs() -> None:
    runpy.run_path(str(HERE / "right.py"))


def test_the_stub_tells_the_truth() -> None:
    done = mypy("mypy.stubtest", "--mypy-config-file", "pyproject.toml", "ferrometer._core")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_native_name_is_documented() -> None:
    """Whatever a user can call has words, in the stub and at run time."""
    from ferrometer import _core

    for name in _core.__all__:
        thing = getattr(_core, name)
        if isinstance(thing, type):
            assert thing.__doc__, name
            for attribute, member in vars(thing).items():
                if not attribute.startswith("__"):
                    assert member.__doc__, f"{name}.{attribute}"


def pyright(folder: Path, *arguments: str) -> dict[str, Any]:
    """What pyright says, in JSON, of the wheel that is installed here, and not of the sources."""
    program = npm_package("pyright", "1.1.414") / "node_modules" / "pyright" / "index.js"
    place = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(place.parent),
    }
    command = ["node", str(program), "--outputjson", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_pyright_knows_the_types_of_the_wheel(tmp_path: Path) -> None:
    """Beside the partial stubs of old import paths, pyright sees no stub of a native module but theirs."""
    (tmp_path / "user.py").write_text(
        "import ferrometer\n"
        "reveal_type(ferrometer.Counter('a', 'b').inc)\n"
        "reveal_type(ferrometer.Histogram('c', 'd').labels)\n"
        "ferrometer.Counter('e', 'f').increment()\n"
    )
    said = [each["message"] for each in pyright(tmp_path, "user.py")["generalDiagnostics"]]
    assert len(said) == 3
    assert not any("Unknown" in each for each in said), said
    assert "increment" in said[2]


def test_the_types_are_complete(tmp_path: Path) -> None:
    complete = pyright(tmp_path, "--verifytypes", "ferrometer", "--ignoreexternal")["typeCompleteness"]
    assert complete["exportedSymbolCounts"]["withKnownType"] > 3000
    assert complete["completenessScore"] >= 0.98
