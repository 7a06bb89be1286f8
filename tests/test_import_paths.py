"""Import paths that stay valid are the very modules of the package's rooms."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ferrometer
from ferrometer._prometheus_client import ALIASES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED = sorted(
    {name for page in PAGES for name in re.findall(r"(?:from|import) (ferrometer[.\w]*)", page.read_text())}
)


@pytest.mark.parametrize(("path", "home"), sorted(ALIASES.items()))
def test_an_alias_is_the_module(path: str, home: str) -> None:
    module = importlib.import_module(f"ferrometer.{path}")
    assert module is importlib.import_module(f"ferrometer.{home}")
    assert module.__name__ == f"ferrometer.{home}"


@pytest.mark.parametrize("path", sorted(ALIASES))
def test_an_alias_may_be_imported_first(path: str) -> None:
    program = f"import ferrometer.{path} as module; assert module.__name__ == 'ferrometer.{ALIASES[path]}'"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("path", NAMED)
def test_what_the_documentation_imports_is_there(path: str) -> None:
    assert len(NAMED) > 10
    importlib.import_module(path)


def test_importing_the_package_imports_little() -> None:
    """No file of the standard library that takes longer to import than all of the package."""
    program = "import sys; import ferrometer; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"asyncio", "hashlib", "logging", "pathlib", "shutil", "starlette", "tempfile", "typing"}
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert heavy & (set(done.stdout.split()) - set(bare.stdout.split())) == set()


def test_a_misspelt_name_is_answered_with_a_near_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import ferrometer; ferrometer.instrumnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Did you mean: 'instrument'" in done.stderr
    assert {"instrument", "History", "serve_metrics"} <= set(dir(ferrometer))
