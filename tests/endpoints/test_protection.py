"""One setting protects every way to serve the endpoints; a second ``instrument()`` cannot undo it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ferrometer import CollectorRegistry, instrument, observability_app, serve_metrics
from ferrometer._runtime.feature import Feature
from ferrometer.endpoints import observability_routes

TOKEN = "a-long-random-token"


def asked(url: str, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def by_instrument(token: str | None, **given: Any) -> int:
    app = Starlette()
    instrument(app, registry=CollectorRegistry(), default_collectors=False, **given)
    return through(app, token)


def through(app: Any, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    client = TestClient(app, client=("10.0.0.1", 1))
    return int(client.get("/metrics", headers=headers).status_code)


def by_app(token: str | None, **given: Any) -> int:
    return through(observability_app(registry=CollectorRegistry(), **given), token)


def by_routes(token: str | None, **given: Any) -> int:
    return through(Starlette(routes=observability_routes(registry=CollectorRegistry(), **given)), token)


def by_own_port(token: str | None, **given: Any) -> int:
    with serve_metrics(0, registry=CollectorRegistry(), **given) as server:
        return asked(f"{server.url}/metrics", token)


WAYS: list[Callable[..., int]] = [by_instrument, by_app, by_routes, by_own_port]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FERROMETER_CONFIG", "")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_setting_they_are_open(way: Callable[..., int]) -> None:
    assert way(None) == 200


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["FERROMETER_AUTH_TOKEN", "FERROMETER_ENDPOINTS_AUTH_TOKEN"])
def test_the_environment_protects(
    way: Callable[..., int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, TOKEN)
    assert [way(None), way("wrong"), way(TOKEN)] == [401, 401, 200]
    assert [way(TOKEN, auth="another-long-token"), way("another-long-token", auth="another-long-token")] == [
        401,
        200,
    ]


@pytest.mark.parametrize("way", WAYS)
def test_the_file_protects(way: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'[endpoints]\nauth_token = "{TOKEN}"\n')
    monkeypatch.setenv("FERROMETER_CONFIG", str(file))
    assert [way(None), way(TOKEN)] == [401, 200]


@pytest.mark.parametrize("way", WAYS)
def test_addresses_are_limited(way: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERROMETER_ALLOW", "192.0.2.0/24")
    assert way(None) == 403


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_token_opens_nothing(way: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERROMETER_AUTH_TOKEN", "")
    with pytest.raises(ValueError, match="FERROMETER_AUTH_TOKEN is set but empty"):
        way(None)


def test_a_second_instrument_that_asks_for_more_raises() -> None:
    app = Starlette()
    registry = CollectorRegistry()
    first = instrument(app, registry=registry, skip_paths=["/a"], default_collectors=False)
    assert instrument(app) is first
    assert instrument(app, registry=registry, skip_paths=["/a"]) is first
    for other in (
        {"auth": TOKEN},
        {"namespace": "gw"},
        {"registry": CollectorRegistry()},
        {"skip_paths": ["/a", "/b"]},
        {"health_checks": {"a": lambda: True}},
    ):
        with pytest.raises(ValueError, match=f"other values of: {next(iter(other))}\\.") as caught:
            instrument(app, **other)
        assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(first)


def test_a_second_instrument_with_a_feature_raises() -> None:
    app = Starlette()
    instrument(app, registry=CollectorRegistry(), default_collectors=False)

    class Mine(Feature):
        section = "mine"

    with pytest.raises(ValueError, match="other values of: features"):
        instrument(app, Mine())
