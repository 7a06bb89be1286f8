"""``/logs`` of an instrumented application, of an own port and of the sidecar, and who may read it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.logs.programs import program, wait_for
from tests.real.prometheus import free_port

SERVER = """
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.responses import JSONResponse
import ferrometer
log = ferrometer.get_logger("app")
def work(request):
    log.info("inside", item=request.query_params["item"])
    return JSONResponse({})
app = Starlette(routes=[Route("/work", work)])
told_auth = {"auth": sys.argv[3]} if sys.argv[3] else {}
ferrometer.instrument(app, ferrometer.Logs(service="s", to=sys.argv[2]), request_id=True, **told_auth)
if len(sys.argv) > 4:
    ferrometer.serve_metrics(int(sys.argv[4]), **told_auth)
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def tail(*arguments: object, **env: str) -> tuple[int, list[dict[str, object]], str]:
    command = [sys.executable, "-m", "ferrometer", "logs", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | env)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("secret", ["", "s3cret-token"])
def test_an_applications_lines_on_both_fronts(tmp_path: Path, secret: str) -> None:
    port, own = free_port(), free_port()
    server = program(SERVER, port, tmp_path / "log", secret, own)
    try:
        wait_for(lambda: get(f"http://127.0.0.1:{port}/live")[0] == 200, "an answer")
        for item in range(5):
            assert get(f"http://127.0.0.1:{port}/work?item={item}", **{"X-Request-ID": f"r{item}"})[0] == 200
        for url in (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{own}"):
            options = ["--auth-env", "TOKEN"] if secret else []
            code, rows, error = tail(url, "--field", "logger=app", *options, TOKEN=secret)
            assert code == 0, error
            assert [row["item"] for row in rows] == [str(item) for item in range(5)]
            code, rows, _ = tail(url, "--request-id", "r3", *options, TOKEN=secret)
            assert {row["message"] for row in rows} == {"inside", "Request completed"}
            bearer = {"Authorization": f"Bearer {secret}"} if secret else {}
            assert get(f"{url}/logs?after=x", **bearer)[0] == 400
            if secret:
                assert get(f"{url}/logs")[0] == 401
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        if not secret:
            # Behind a proxy everybody comes from this machine.
            assert get(f"http://127.0.0.1:{port}/logs", **forwarded)[0] == 403
    finally:
        server.terminate()
        server.wait(30)


def test_the_sidecar_and_the_configured_sinks(tmp_path: Path) -> None:
    body = """
share(sys.argv[1])
ship.start([Syslog("127.0.0.1:1", name="away")], service="s")
for number in range(50): log(number)
os._exit(0)
"""
    assert program(body, tmp_path / "d", stderr=subprocess.DEVNULL).wait(60) == 0
    (tmp_path / "config.toml").write_text(f'[logging]\nservice = "s"\nto = ["{tmp_path / "log"}"]\n')
    sidecar = subprocess.Popen(
        [
            *(sys.executable, "-m", "ferrometer", "serve", "--dir", str(tmp_path / "d"), "--port", "0"),
            *("--logs", "config"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"FERROMETER_CONFIG": str(tmp_path / "config.toml")},
    )
    try:
        assert sidecar.stdout is not None
        (url,) = re.findall(r"(http://\S+)/metrics", sidecar.stdout.readline())
        code, rows, error = tail(url)
        assert code == 0, error
        assert [row["number"] for row in rows] == list(range(50))[-len(rows) :]
        log = tmp_path / "log"
        wait_for(lambda: log.exists() and len(log.read_text().splitlines()) == 50, "all lines")
    finally:
        sidecar.terminate()
        sidecar.communicate(timeout=30)


def test_a_port_for_everybody_does_not_show_lines(tmp_path: Path) -> None:
    body = """
import ferrometer, urllib.request, urllib.error
from ferrometer import logs
logs.setup("s", to=sys.argv[1], stdlib=False)
ferrometer.get_logger("x").info("line")
def status(**protection):
    with ferrometer.serve_metrics(0, "0.0.0.0", **protection) as server:
        try:
            headers = {"Authorization": "Bearer secret-token"}
            request = urllib.request.Request(f"http://127.0.0.1:{server.port}/logs", headers=headers)
            return urllib.request.urlopen(request, timeout=30).status
        except urllib.error.HTTPError as error:
            return error.code
print(json.dumps([status(), status(auth="secret-token"), status(allow=["127.0.0.1"])]))
"""
    from tests.logs.programs import run

    out, _ = run(body, tmp_path / "log")
    assert json.loads(out) == [404, 200, 200]
