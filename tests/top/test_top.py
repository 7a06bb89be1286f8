"""`ferrometer top` in textual's pilot and in a real terminal, of a living application and of a dead one."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ferrometer.cli.main import main
from ferrometer.history.source import Http, open_source
from ferrometer.top import views
from ferrometer.top.screen import Top
from tests.real.component import LEDGER, TMUX
from tests.real.uvicorn import uvicorn

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the history is there on Linux only")

TOKEN = "the-token"
APP = """
import asyncio, ferrometer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def answer(request):
    await asyncio.sleep(float(request.query_params.get("wait", 0)))
    return PlainTextResponse("done", int(request.path_params["status"]))

paths = ("/v1/fast/{status}", "/v1/slow/{status}", "/health-of-it/{status}")
app = Starlette(routes=[Route(path, answer) for path in paths])
registry = ferrometer.CollectorRegistry()
ferrometer.instrument(app, ferrometer.History(), auth="the-token", shared="shared", registry=registry)
"""


def request(base: str, path: str) -> None:
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(base + path, timeout=30).close()


def drive(base: str) -> None:
    """Six fast ones, three of which fail, two slow ones, one of another kind."""
    for path in [*["/v1/fast/200", "/v1/fast/500"] * 3, *["/v1/slow/200?wait=0.3"] * 2, "/health-of-it/204"]:
        request(base, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("top")


@pytest.fixture(scope="module")
def living(folder: Path) -> Iterator[str]:
    with uvicorn(APP, folder) as base:
        drive(base)
        yield base


def until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


async def waited(true: Callable[[], bool], pilot: object, what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        await pilot.pause(0.1)  # type: ignore[attr-defined]


def shown(app: Top) -> list[list[str]]:
    from textual.widgets import DataTable

    grid = app.query_one(DataTable)
    return [[str(cell) for cell in grid.get_row_at(number)] for number in range(grid.row_count)]


def said(app: Top, name: str) -> str:
    from textual.widgets import Static

    return str(app.query_one(f"#{name}", Static).render())


def endpoints(app: Top) -> list[str]:
    return [row[1] for row in shown(app)]


def test_it_is_sorted_filtered_and_turned_by_keys(living: str) -> None:
    async def look() -> None:
        app = Top(open_source(living, TOKEN), living, 0.5)
        async with app.run_test(size=(140, 40)) as pilot:
            # One driving may end before a tick: rates need two.
            def has_rates() -> bool:
                drive(living)
                return len(shown(app)) == 3 and all(row[2] for row in shown(app)) and len(app._tables) > 1

            await waited(has_rates, pilot, "three routes with their rates")
            await pilot.press("p")
            await pilot.pause(1)
            assert "paused" in said(app, "state")
            # By the rate, the busiest first.
            assert endpoints(app) == ["/v1/fast/{status}", "/v1/slow/{status}", "/health-of-it/{status}"]
            await pilot.press("2")
            assert endpoints(app) == ["/health-of-it/{status}", "/v1/fast/{status}", "/v1/slow/{status}"]
            await pilot.press("r")
            assert endpoints(app)[0] == "/v1/slow/{status}"
            await pilot.press("6")  # p95
            assert endpoints(app)[0] == "/v1/slow/{status}"
            await pilot.press("6")
            assert endpoints(app)[-1] == "/v1/slow/{status}"
            await pilot.press("4")  # errors
            assert endpoints(app)[0] == "/v1/fast/{status}"
            assert shown(app)[0][3] == "50 %"
            await pilot.press("slash", *"V1 fast", "enter")
            assert endpoints(app) == ["/v1/fast/{status}"]
            assert "1 of 3 rows" in said(app, "state")
            await pilot.press("escape")
            assert len(endpoints(app)) == 3
            assert re.search(r"Requests \S+ /s +Errors .* %", said(app, "summary"))
            await pilot.press("p", "n")
            await waited(lambda: app.table is not views.ROUTES and bool(shown(app)), pilot, "another table")
            await pilot.press("b")
            await waited(lambda: len(shown(app)) == 3, pilot, "the routes again")

    asyncio.run(look())


def test_figures_are_what_happened(living: str) -> None:
    source = open_source(living, TOKEN)
    drive(living)
    until(lambda: len(views.rows(source, views.ROUTES, None)) == 3, "three routes")
    names = [column.title for column in views.ROUTES.columns]
    rows = {
        row.labels[1]: dict(zip(names, row.values, strict=True))
        for row in views.read(source, views.ROUTES).rows
    }
    assert 0.3 <= (rows["/v1/slow/{status}"]["p95"] or 0) < 1
    assert (rows["/v1/fast/{status}"]["p95"] or 1) < 0.3
    assert rows["/v1/fast/{status}"]["Errors"] == pytest.approx(0.5)
    assert rows["/health-of-it/{status}"]["Errors"] == 0
    assert views.ended(source) is None


def test_a_server_that_is_away_is_told_and_the_figures_stay(living: str) -> None:
    async def look() -> None:
        source = Http(living, TOKEN)
        app = Top(source, living, 0.3)
        async with app.run_test(size=(140, 40)) as pilot:
            await waited(lambda: len(shown(app)) == 3, pilot, "three routes")
            source._base = "http://127.0.0.1:1"
            await waited(lambda: "no answer" in said(app, "state"), pilot, "told")
            assert len(shown(app)) == 3

    asyncio.run(look())


def test_a_dead_applications_directory_shows_its_end(folder: Path, tmp_path: Path) -> None:
    with uvicorn(APP, tmp_path) as base:
        source = open_source(base, TOKEN)

        def is_there() -> bool:
            drive(base)
            found = views.rows(source, views.ROUTES, None)
            return len(found) == 3 and all(row.values[0] for row in found)

        until(is_there, "rates of all routes")
    dead = open_source(str(tmp_path / "shared"))
    until(lambda: views.ended(dead) is not None, "too old to be of now")
    found = views.read(dead, views.ROUTES)
    assert found.ended is not None
    assert found.ended < time.time()
    assert {row.labels[1] for row in found.rows} == {
        *("/v1/fast/{status}", "/v1/slow/{status}", "/health-of-it/{status}")
    }
    assert all(row.values[0] for row in found.rows)


def test_in_a_real_terminal(living: str, short_folder: Path) -> None:
    tmux = [str(TMUX.require()), "-S", str(short_folder / "tmux"), "-f", "/dev/null"]
    command = f"{sys.executable} -m ferrometer top {living} --token-env T --every 0.5"
    environment = {
        **TMUX.environment(),
        "T": TOKEN,
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "COLORTERM": "",
    }

    def run(*words: str) -> str:
        done = subprocess.run([*tmux, *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen() -> str:
        return run("capture-pane", "-p", "-t", "s")

    run("new-session", "-d", "-s", "s", "-x", "130", "-y", "30", command)
    try:
        until(lambda: "/v1/slow/{status}" in screen(), "the routes on the screen", 90)
        LEDGER.exercised["tmux"] = tmux[0]
        assert "Quit" in screen()
        run("send-keys", "-t", "s", "/")
        run("send-keys", "-t", "s", "slow", "Enter")
        until(lambda: "/v1/fast" not in screen() and "/v1/slow" in screen(), "filtered")
        run("resize-window", "-t", "s", "-x", "60", "-y", "15")
        until(lambda: "/v1/slow" in screen(), "shown in a small one")
        run("send-keys", "-t", "s", "q")
        gone = [*tmux, "has-session", "-t", "s"]
        until(lambda: subprocess.run(gone, capture_output=True).returncode != 0, "gone")
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0123, "s", "12.3 ms"),
        (2.5, "s", "2.5 s"),
        (4e-7, "s", "0.4 µs"),
        (0.0, "s", "0 µs"),
        (0.051, "ratio", "5.1 %"),
        (3 * 2**20, "B", "3 MiB"),
        (512.0, "B", "512 B"),
        (2048.0, "B/s", "2 KiB/s"),
        (17.0, "/s", "17 /s"),
        (1.0, "bool", "yes"),
        (None, "s", ""),
        (float("nan"), "s", ""),
        (float("inf"), "", "inf"),
    ],
)
def test_numbers_are_for_people(value: float | None, unit: str, shown: str) -> None:
    assert views.text(None if value is None else float(value), unit) == shown


def test_what_is_unknown_is_last_whichever_way_and_labels_cannot_command_a_terminal() -> None:
    rows = [views.Row((str(n), "\x1b[2J"), (float(n) if n else None,) * 7) for n in range(3)]
    for down, order in ((True, "210"), (False, "120")):
        found = views.ordered(rows, 2, down=down, sought="", table=views.ROUTES)
        assert "".join(row.labels[0] for row in found) == order
    assert next(iter(list(views.cells(rows[0], views.ROUTES))[1:])) == "\\x1b[2J"


def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["top", str(tmp_path)]) == 2
    assert "has no history" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["top", "http://127.0.0.1:1", "--token-env", "NO_SUCH_VARIABLE"])
    assert "NO_SUCH_VARIABLE is not set" in capsys.readouterr().err


def test_without_textual_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ferrometer.top.screen", raising=False)
    monkeypatch.setitem(sys.modules, "textual.app", None)
    assert main(["top", "http://127.0.0.1:1"]) == 2
    assert 'pip install "ferrometer[top]"' in capsys.readouterr().err
