"""Real clients of httpx and httpx2: what is recorded of requests through each of their transports."""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ferrometer import CollectorRegistry
from ferrometer.instruments import watch
from tests.instruments.provider import serving
from tests.instruments.test_inference import shown


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param, reason=f"pip install {request.param}")
    return importlib.import_module(request.param)


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def asked(host: str, status: str, method: str = "GET", times: int = 1) -> dict[str, float]:
    return {
        f"http_client_requests_total{{{method},{host},{status}}}": times,
        f"http_client_request_duration_seconds_count{{{method},{host}}}": times,
    }


def test_an_answer(library: Any, url: str, registry: CollectorRegistry) -> None:
    with watch(watch(library.Client(), registry=registry), registry=registry) as client:
        assert type(client) is library.Client
        client.get(f"{url}/v1/models?key=secret", headers={"authorization": "secret"})
        with client.stream("POST", f"{url}/v1/chat/completions", json={"model": "down"}) as answer:
            answer.read()
    assert shown(registry) == asked("127.0.0.1", "200") | asked("127.0.0.1", "500", "POST")


def test_no_answer(library: Any, silent: str, registry: CollectorRegistry) -> None:
    with watch(library.Client(), registry=registry) as client:
        with pytest.raises(library.ConnectError):
            client.get("http://127.0.0.1:1/")
        with pytest.raises(library.ReadTimeout):
            client.get(f"{silent}/", timeout=0.05)
    found = shown(registry)
    assert found["http_client_requests_total{GET,127.0.0.1,connection}"] == 1
    assert found["http_client_requests_total{GET,127.0.0.1,timeout}"] == 1
    assert found["http_client_request_duration_seconds_count{GET,127.0.0.1}"] == 2


@pytest.mark.parametrize("way", ["proxy", "mounts", "environment"])
def test_all_transports_are_seen(
    way: str, library: Any, url: str, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider plays the proxy: it answers whatever it is asked for."""
    settings: dict[str, Any] = {}
    if way == "proxy":
        settings["proxy"] = url
    elif way == "mounts":
        settings["mounts"] = {"http://": library.HTTPTransport(proxy=url), "all://direct.test": None}
    else:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("NO_PROXY", "direct.test")
    with watch(library.Client(**settings), registry=registry) as client:
        assert client.get("http://models.test/").status_code == 200
    assert shown(registry) == asked("models.test", "200")


def test_asynchronous(library: Any, url: str, silent: str, registry: CollectorRegistry) -> None:
    async def main() -> None:
        async with watch(library.AsyncClient(), registry=registry) as client:
            await client.get(url)
            with pytest.raises(library.ConnectError):
                await client.get("http://127.0.0.1:1/")
            async with asyncio.timeout(30):
                task = asyncio.create_task(client.get(silent, timeout=60))
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())
    found = shown(registry)
    for status in ("200", "connection", "cancelled"):
        assert found[f"http_client_requests_total{{GET,127.0.0.1,{status}}}"] == 1
    assert found["http_client_request_duration_seconds_count{GET,127.0.0.1}"] == 3


def test_many_hosts_end_in_one_series(library: Any, registry: CollectorRegistry) -> None:
    transport = library.MockTransport(lambda request: library.Response(204))
    with watch(library.Client(transport=transport), registry=registry) as client:
        for number in range(1_100):
            client.get(f"http://h{number}.test/")
    found = shown(registry)
    assert found["http_client_requests_total{__overflow__,__overflow__,__overflow__}"] == 100
    assert found["http_client_request_duration_seconds_count{__overflow__,__overflow__}"] == 100


def test_the_client_of_a_watched_sdk(url: str, registry: CollectorRegistry) -> None:
    """Both wrap the transport, and each does so once."""
    openai = pytest.importorskip("openai", reason="pip install openai")
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1") as client:
        for _ in range(2):
            watch(client, registry=registry)
            watch(client._client, registry=registry)
        client.embeddings.create(model="m", input="a")
    found = shown(registry)
    assert found["http_client_requests_total{POST,127.0.0.1,200}"] == 1
    assert found["inference_attempts_total{m}"] == 1
