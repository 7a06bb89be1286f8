"""The page's files, who may read them, signing in, and every front that shows it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

import ferrometer
from ferrometer.live import Chart, Line, Page, Panel, Tile
from tests.live.applications import STEADY, WORKING
from tests.live.conftest import Open
from tests.real.uvicorn import uvicorn

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the history is there on Linux only")

WEB = files("ferrometer.live") / "web"


@contextmanager
def served(*features: Any, **options: Any) -> Iterator[TestClient]:
    app = Starlette()
    registry = ferrometer.CollectorRegistry()
    ferrometer.instrument(app, *(features or (Page(),)), registry=registry, **options)
    with TestClient(app, client=("127.0.0.1", 1), follow_redirects=False) as client:
        yield client


def test_the_files_are_small_and_from_nowhere_else() -> None:
    texts = {file.name: file.read_text(encoding="utf-8") for file in WEB.iterdir()}
    assert sum(len(text.encode()) for text in texts.values()) <= 100_000
    assert {"index.html", "page.css", "page.js", "icon.svg"} <= texts.keys()
    for name, text in texts.items():
        addresses = set(re.findall(r"https?://[\w./]+", text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set(), name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text
        ), name
        assert not re.search(r"\son\w+=|style=\"|javascript:", text), f"{name}: the policy forbids it"


def test_the_page_and_its_policy() -> None:
    with served() as client:
        page = client.get("/ferrometer")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        for part in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
            assert part in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        linked = re.findall(r'(?:href|src)="(ferrometer/[^"]+)"', page.text)
        assert {name.rpartition(".")[2] for name in linked} == {"svg", "css", "js"}
        for name in [
            *linked,
            *(f"ferrometer/{file.name}" for file in WEB.iterdir() if file.name != "index.html"),
        ]:
            assert client.get(f"/{name}").status_code == 200, name
        assert client.get("/ferrometer/").headers["location"] == "../ferrometer"
        assert client.head("/ferrometer").content == b""
        for missing in ("index.html", "../page.css", "%2e%2e/x", "page.js/x", "nothing"):
            assert client.get(f"/ferrometer/{missing}").status_code == 404, missing
        assert client.put("/ferrometer").status_code == 405
        assert client.post("/ferrometer/page.js").status_code == 405


def test_it_brings_the_history_along() -> None:
    with served() as client:
        assert client.get("/api/v1/query", params={"query": "1+1"}).json()["data"]["result"][1] == "2"
    with served(Page(), ferrometer.History(seconds_1s=60)) as client:
        assert client.get("/api/v1/query", params={"query": "1+1"}).status_code == 200


def test_a_section_of_the_file_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ferrometer.toml").write_text('[page]\ntitle = "Shop"\n[endpoints]\npath = "/watch"\n')
    monkeypatch.chdir(tmp_path)
    app = Starlette()
    ferrometer.instrument(app, registry=ferrometer.CollectorRegistry())
    with TestClient(app) as client:
        assert client.get("/watch/ferrometer/page.json").json()["title"] == "Shop"
        assert client.get("/watch/api/v1/labels").status_code == 200


def test_views_of_ones_own() -> None:
    mine = Panel(
        "orders",
        "Orders",
        "orders_total",
        (Tile("Orders", "sum(orders_total)"),),
        (Chart("Rate", "/s", (Line("1", "x"),)),),
    )
    with served(Page(panels=[mine])) as client:
        names = [panel["name"] for panel in client.get("/ferrometer/page.json").json()["panels"]]
        assert names[-1] == "orders"
        assert {"gpu", "database", "cache", "queues", "machine", "collectors"} <= {*names}
    with (
        pytest.raises(ValueError, match="two panels called 'orders'"),
        served(Page(panels=[mine, Panel("orders", "x", "x")])),
    ):
        pass
    with pytest.raises(ValueError, match="unknown unit 'miles'"):
        Panel("far", "Far", "far", (Tile("Far", "far", "miles"),))
    with pytest.raises(ValueError, match="letters, digits"):
        Panel("<b>", "x", "x")


def test_a_token_signs_in(caplog: pytest.LogCaptureFixture) -> None:
    with served(auth=["old-token", "new-token"]) as client:
        assert client.get("/ferrometer").status_code == 200, "the page holds no figures"
        assert client.get("/api/v1/labels").status_code == 401
        told = client.get("/ferrometer/session").json()
        assert told == {"needs": "token", "signed_in": False, "expires": None}
        refused = client.post("/ferrometer", data={"secret": "wrong"})
        assert (refused.status_code, refused.headers["location"]) == (303, "ferrometer?signin=refused")
        assert "set-cookie" not in refused.headers
        done = client.post(
            "/ferrometer", data={"secret": "new-token"}, headers={"Origin": "https://shop.example"}
        )
        assert (done.status_code, done.headers["location"]) == (303, "ferrometer")
        cookie = done.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Secure" in cookie
        assert "new-token" not in cookie
        assert "path" not in cookie.lower(), "it counts where the endpoints are"
        name, _, value = cookie.partition(";")[0].partition("=")
        signed = {"Cookie": f"other=1; {name}={value}"}
        assert client.get("/api/v1/labels", headers=signed).status_code == 200
        assert client.get("/metrics", headers=signed).status_code == 200
        told = client.get("/ferrometer/session", headers=signed).json()
        assert told["signed_in"]
        assert 0 < told["expires"] - time.time() <= 12 * 3600
        forged = {"Cookie": f"{name}={int(told['expires']) + 9}.{value.partition('.')[2]}"}
        assert client.get("/api/v1/labels", headers=forged).status_code == 401
        left = client.post("/ferrometer", data={"leave": "1"}, headers=signed)
        assert any("Max-Age=0" in text for text in left.headers.get_list("set-cookie"))
        assert (
            client.post(
                "/ferrometer", data={"secret": "new-token"}, headers={"Sec-Fetch-Site": "cross-site"}
            ).status_code
            == 403
        )
    with served(auth="another-token") as client:
        assert client.get("/api/v1/labels", headers=signed).status_code == 401, "a secret that is replaced"
    assert "new-token" not in caplog.text


def test_a_user_and_a_password_sign_in() -> None:
    with served(auth=("ann", "pass:word")) as client:
        assert client.get("/ferrometer/session").json()["needs"] == "password"
        for user, secret in (("bob", "pass:word"), ("ann", "word"), ("ann", "")):
            assert (
                "set-cookie" not in client.post("/ferrometer", data={"user": user, "secret": secret}).headers
            )
        cookie = client.post("/ferrometer", data={"user": "ann", "secret": "pass:word"}).headers["set-cookie"]
        assert client.get("/stats", headers={"Cookie": cookie.partition(";")[0]}).status_code == 200
        assert client.get("/stats", auth=("ann", "pass:word")).status_code == 200, "Basic as before"


def test_addresses_and_callables() -> None:
    with served(allow=["10.0.0.0/8"]) as client:
        for path in ("/ferrometer", "/ferrometer/page.js", "/ferrometer/session"):
            assert client.get(path).status_code == 403, path

    def decide(request: Request) -> bool:
        return request.cookies.get("sso") == "yes"

    with served(auth=decide) as client:
        assert client.get("/ferrometer").status_code == 401
        signed = {"Cookie": "sso=yes"}
        assert client.get("/ferrometer", headers=signed).status_code == 200
        assert client.get("/ferrometer/session", headers=signed).json()["needs"] == "nothing"


def test_a_port_of_its_own_shows_it() -> None:
    with served() as client:
        assert client.get("/ferrometer").status_code == 200
        with ferrometer.serve_metrics(0, registry=ferrometer.CollectorRegistry(), auth="the-token") as server:
            page = urllib.request.urlopen(server.url + "/ferrometer", timeout=30)
            assert page.headers["content-security-policy"]
            page.close()
            form = urllib.request.Request(server.url + "/ferrometer", b"secret=the-token", method="POST")
            opener = urllib.request.build_opener(_Stay, urllib.request.HTTPCookieProcessor())
            with pytest.raises(urllib.error.HTTPError) as seen:
                opener.open(form, timeout=30)
            assert seen.value.code == 303
            seen.value.close()
            with opener.open(server.url + "/metrics", timeout=30) as answer:
                assert answer.status == 200


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def test_several_requests_in_one() -> None:
    with served() as client:
        gets = ["query?query=1%2B1", "query?query=(", "labels", "nothing", "batch?get=labels", "alerts"]
        for answer in (
            client.post("/api/v1/batch", data={"get": gets}),
            client.get("/api/v1/batch", params={"get": gets}),
        ):
            data = answer.json()["data"]
            assert [one["status"] for one in data] == [
                "success",
                "error",
                "success",
                "error",
                "error",
                "success",
            ]
            assert data[0]["data"]["result"][1] == "2"
        many = client.post("/api/v1/batch", data={"get": ["labels"] * 201})
        assert many.status_code == 400
        assert "200 are the most" in many.json()["error"]


def test_the_form_in_a_browser(tmp_path: Path, open_page: Open) -> None:
    with uvicorn(STEADY.replace("AUTH", "'a-long-token'"), tmp_path) as base:
        page = open_page(base + "/ferrometer", quiet=False, viewport={"width": 360, "height": 700})
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=That is not right")
        page.get_by_label("Token").fill("a-long-token")
        page.keyboard.press("Enter")
        page.wait_for_selector('text="/orders/{id}"')
        cookies = page.context.cookies()
        flags = [(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies]
        assert flags == [(True, "Strict")]
        # Another reader is not signed in, and without its cookie the page asks anew.
        other = open_page(base + "/ferrometer")
        other.wait_for_selector("text=Sign in")
        page.context.clear_cookies()
        page.wait_for_selector("text=Your session has ended")


DEAD = WORKING.replace('namespace="shop")', 'namespace="shop", shared=SHARED)')


def test_a_directory_shows_the_dead_application(tmp_path: Path, open_page: Open) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o700)
    with uvicorn(DEAD.replace("SHARED", repr(str(shared))), tmp_path) as base:
        until = time.monotonic() + 60
        while not _values(base, "rate(http_requests_total[15s])"):
            urllib.request.urlopen(base + "/hello", timeout=30).read()
            assert time.monotonic() < until, "nothing was recorded"
            time.sleep(0.2)
    command = [sys.executable, "-m", "ferrometer", "serve", "--dir", str(shared), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"the page at (\S+)", process.stdout.readline())
        assert address is not None
        page = open_page(address[1])
        page.wait_for_selector("text=No process records; the last one did at")
        page.wait_for_selector('text="/hello"')
        assert page.locator("tbody tr").first.locator("td").nth(1).inner_text() != "–"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def _values(base: str, expression: str) -> list[Mapping[str, Any]]:
    url = f"{base}/api/v1/query?query={urllib.parse.quote(expression)}"
    found: list[Mapping[str, Any]] = json.load(urllib.request.urlopen(url, timeout=30))["data"]["result"]
    return found
