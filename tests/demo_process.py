"""The demo as a user starts it, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest


class Demo:
    """A running demo that has printed its table and serves."""

    def __init__(self, process: subprocess.Popen[str], output: str) -> None:
        self.process = process
        self.output = output
        match = re.search(r"http://127\.0\.0\.1:\d+", output)
        assert match, output
        self.base = match[0]

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.base}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def rows(self) -> dict[str, list[str]]:
        """The table's lines, by their first column."""
        lines = [re.split(r"\s{2,}", line.strip()) for line in self.output.splitlines()]
        return {line[0]: line[1:] for line in lines if len(line) > 1}


@contextmanager
def demo(tmp_path: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Demo]:
    """A demo that has printed its table and serves; killed at the end."""
    with (tmp_path / "stderr").open("w+") as errors:
        command = [sys.executable, "-m", "ferrometer", "demo", "--port", "0", *options]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
        )
        assert process.stdout is not None
        try:
            output = ""
            for line in process.stdout:
                output += line
                if "/polling" in line:
                    break
            else:
                pytest.fail(
                    f"the demo ended with {process.wait()}:\n{output}{(tmp_path / 'stderr').read_text()}"
                )
            yield Demo(process, output)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
