"""Alerts, silences and objectives on the page, in a real Chromium."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live.conftest import Open
from tests.live.test_page import until, wait_until_it_answers
from tests.real.chromium import axe
from tests.real.uvicorn import uvicorn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the history is there on Linux only")

APPLICATION = """
import ferrometer
from ferrometer.alerts import Rule
from starlette.applications import Starlette

app = Starlette()
hostile = '<img src=x onerror=alert(1)>'
rules = [
    Rule(alert="Loud", expr="vector(7)", labels={"severity": "page", "evil": hostile},
         annotations={"summary": hostile, "runbook_url": "javascript:alert(1)"}),
    Rule(alert="Soon", expr="vector(1)", wait="1h"),
]
ferrometer.instrument(
    app,
    ferrometer.Page(),
    ferrometer.Objectives(availability=99.9),
    ferrometer.Alerts(rules=rules, notify=CONFIG, interval=0.5),
)
"""


def test_an_alert_is_silenced_and_heard_again(tmp_path: Path, open_page: Open) -> None:
    source = axe()
    config = tmp_path / "am.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with uvicorn(APPLICATION.replace("CONFIG", repr(str(config))), tmp_path) as base:
        wait_until_it_answers(base)
        page = open_page(f"{base}/ferrometer")
        title = page.get_by_role("heading", name="Alerts:")
        title.filter(has_text="1 firing, 1 pending").wait_for()
        row = page.locator("tr", has_text="Loud")
        assert "<img src=x onerror=alert(1)>" in row.inner_text(), "a label is text"
        assert row.get_by_role("link").count() == 0, "javascript: is no address"
        page.evaluate(source)
        found = page.evaluate("axe.run()")
        assert [violation["id"] for violation in found["violations"]] == []
        row.get_by_role("button", name="Silence Loud").press("Enter")
        title.filter(has_text="0 firing, 1 pending, 1 silenced").wait_for()
        assert "silenced" in row.inner_text()
        row.get_by_role("button", name="End the silence of Loud").click()
        title.filter(has_text="1 firing, 1 pending").wait_for()
        page.get_by_role("link", name="Objectives").click()
        page.get_by_role("heading", name="Objectives").first.wait_for()
        until(page, "() => document.body.innerText.includes('99.9')")
        until(page, "() => document.documentElement.scrollWidth <= innerWidth")
