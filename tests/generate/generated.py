"""`ferrometer generate` as a user runs it, and the real programs that read what it wrote."""

from __future__ import annotations

import io
import os
import subprocess
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import yaml

from ferrometer.cli.main import main
from tests.real.component import LEDGER


class Done(NamedTuple):
    """What the command said."""

    returncode: int
    stdout: str
    stderr: str


def ferrometer(*words: str | Path, folder: Path, configuration: str = "") -> Done:
    """The command, in a folder with this configuration and without variables of ours."""
    (folder / "ferrometer.toml").write_text(configuration)
    ours = [name for name in os.environ if name.startswith(("FERROMETER_", "OTEL_", "LOG_LEVEL"))]
    out, wrong = io.StringIO(), io.StringIO()
    with patch.dict(os.environ), chdir(folder), redirect_stdout(out), redirect_stderr(wrong):
        for name in ours:
            del os.environ[name]
        try:
            status = main(["generate", *map(str, words)])
        except SystemExit as ended:  # argparse's way
            status = int(ended.code or 0)
    return Done(status, out.getvalue(), wrong.getvalue())


def generate(
    kind: str, folder: Path, configuration: str = "", namespace: str = "ai_platform", out: str = "out"
) -> Path:
    """Generates a kind, and returns the folder that has it."""
    words = [kind, "--namespace", namespace, "--out", out]
    done = ferrometer(*words, folder=folder, configuration=configuration)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder / out


def check(*command: str | Path, folder: Path, env: dict[str, str] | None = None) -> str:
    """What a checker says of a file that it accepts."""
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )
    words = done.stdout + done.stderr
    assert done.returncode == 0, words
    LEDGER.exercised[Path(command[0]).name] = "generated files"
    return words


def tree(file: Path) -> Any:
    """A YAML file's one document."""
    return yaml.safe_load(file.read_text())
