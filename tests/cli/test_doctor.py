"""`ferrometer doctor`, run as a user runs it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

APPLICATION = """
from fastapi import FastAPI
import ferrometer

app = FastAPI()

@app.get("/work")
def work() -> int:
    return 1

def broken() -> float:
    raise RuntimeError("no value")

ferrometer.Gauge("broken_gauge", "Raises").set_function(broken)
ferrometer.instrument(app, auth="a-long-random-token")
"""


def doctor(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs it in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FERROMETER_")}
    return subprocess.run(
        [sys.executable, "-m", "ferrometer", "doctor", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment | variables,
        timeout=60,
        check=False,
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Two workers of an application, and the process id of their supervisor."""
    (tmp_path / "application.py").write_text(APPLICATION)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--workers",
        "2",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen([*command, "application:app"], cwd=tmp_path)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/work", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def test_the_environment_is_told(tmp_path: Path) -> None:
    (tmp_path / "ferrometer.toml").write_text(
        '[metrics]\nnamespace = "shop"\n[endpoints]\nauth_token = "s3cret-token-of-the-file"\n'
    )
    done = doctor(folder=tmp_path, FERROMETER_METRICS_SAMPLE="0.25")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"namespace = 'shop', by .*ferrometer\.toml", done.stdout)
    assert "sample = 0.25, by FERROMETER_METRICS_SAMPLE" in done.stdout
    assert "auth_token = (secret), by" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_a_setting_that_is_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "ferrometer.toml").write_text('[metrics]\nnamespce = "shop"\n')
    done = doctor(folder=tmp_path)
    assert done.returncode == 1
    assert re.search(r"! +\[metrics\].*'namespce'.*namespace", done.stdout), done.stdout


def test_an_application_is_examined_from_outside(served: tuple[str, int], tmp_path: Path) -> None:
    url, pid = served
    closed = doctor(url, folder=tmp_path)
    assert closed.returncode == 1
    assert "answers 401; it is closed: --token-env NAME" in closed.stdout

    done = doctor(url, "--token-env", "TOKEN", folder=tmp_path, TOKEN="a-long-random-token")
    assert "shared by 2 living processes" in done.stdout
    assert re.search(r"measured: \d+ requests", done.stdout)
    # Its one fault is told, with the status that a script sees.
    assert re.search(r"! .*ferrometer_scrape_errors_total\{source=broken_gauge\}", done.stdout), done.stdout
    assert done.returncode == 1
    # Without a word, it finds the directory of the running workers; and from that all the same.
    (directory,) = re.findall(rf"(\S+) of process {pid}: .*uvicorn", doctor(folder=tmp_path).stdout)
    assert "shared by 2 living processes" in doctor(directory, folder=tmp_path).stdout


@pytest.mark.parametrize("command", [["inspect"], ["serve"], ["logs"]])
def test_commands_without_a_directory_list_those_that_there_are(
    command: list[str], served: tuple[str, int], tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "FERROMETER_DIR"}
    done = subprocess.run(
        [sys.executable, "-m", "ferrometer", *command],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"of process {served[1]}:" in done.stderr


@pytest.mark.parametrize("where", ["http://127.0.0.1:1", "/no/such/directory"])
def test_what_is_not_there_is_told(where: str, tmp_path: Path) -> None:
    done = doctor(where, folder=tmp_path)
    assert done.returncode == 1
    assert f"! {where}" in re.sub(" +", " ", done.stdout)
    assert "Traceback" not in done.stderr


def test_a_server_of_nothing_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ferrometer", "serve", "--dir", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "/metrics" in process.stdout.readline()
        assert (
            process.stderr.readline()
            == f"ferrometer serve: no process has shared anything in {tmp_path} yet\n"
        )
        process.terminate()
        assert process.wait(30) == 0
