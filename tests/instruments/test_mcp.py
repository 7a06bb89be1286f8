"""A server and clients of the package mcp: both sides of each operation, and what is a failure."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from ferrometer import CollectorRegistry
from ferrometer.instruments import watch
from tests.instruments.test_inference import shown

mcp = pytest.importorskip("mcp", reason="pip install mcp")
mcpserver = pytest.importorskip("mcp.server.mcpserver")


def made() -> Any:
    server = mcpserver.MCPServer("github")

    @server.tool()  # type: ignore[untyped-decorator]
    def search(query: str) -> str:
        return query

    @server.tool()  # type: ignore[untyped-decorator]
    def broken() -> str:
        raise RuntimeError("the text of an error")

    @server.tool()  # type: ignore[untyped-decorator]
    async def endless() -> str:
        await asyncio.Event().wait()
        return ""

    return server


def operations(registry: CollectorRegistry) -> dict[str, float]:
    """How many of which, without what a client asks for by itself."""
    found = shown(registry)
    for name, value in found.items():
        if name.startswith("mcp_operation_duration_seconds_count{"):
            labels = name.partition("{")[2].rstrip("}")
            total = sum(v for n, v in found.items() if n.startswith(f"mcp_requests_total{{{labels},"))
            assert value == total
    return {
        name.partition("{")[2].rstrip("}"): value
        for name, value in found.items()
        if name.startswith("mcp_requests_total{")
        and not any(word in name for word in (",server/", ",initialize", ",tools/list"))
    }


def ask(server: Any, calls: Callable[[Any], Awaitable[object]], before: Callable[[Any], object]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), mcp.Client(server) as client:
            before(client)
            await calls(client)

    asyncio.run(main())


async def _calls(client: Any) -> None:
    await client.call_tool("search", {"query": "secret"})
    assert (await client.call_tool("broken", {})).is_error
    await client.list_prompts()
    with pytest.raises(mcp.MCPError):
        await client.read_resource("nowhere://at-all")


async def _unknown(client: Any) -> None:
    with suppress(mcp.MCPError):
        assert (await client.call_tool("no-such-tool", {})).is_error


async def _cancelled(client: Any) -> None:
    task = asyncio.create_task(client.call_tool("endless", {}))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


EXPECTED = {
    "github,search,success": 1,
    "github,broken,error": 1,
    "github,prompts/list,success": 1,
    "github,resources/read,error": 1,
}


@pytest.mark.parametrize("kind", ["MCPServer", "Server"])
def test_a_server(kind: str, registry: CollectorRegistry) -> None:
    server = made()
    watched = server if kind == "MCPServer" else server._lowlevel_server
    watch(watch(watched, registry=registry), registry=registry)
    ask(server, _calls, lambda client: None)
    assert operations(registry) == EXPECTED


@pytest.mark.parametrize("way", ["client", "session"])
def test_a_client(way: str, registry: CollectorRegistry) -> None:
    def before(client: Any) -> None:
        for _ in range(2):
            watch(client if way == "client" else client.session, registry=registry)

    ask(made(), _calls, before)
    assert operations(registry) == EXPECTED


def test_the_name_of_the_server_can_be_told(registry: CollectorRegistry) -> None:
    ask(made(), _calls, lambda client: watch(client, provider="gh", registry=registry))
    assert operations(registry)["gh,search,success"] == 1


@pytest.mark.parametrize("side", ["server", "client"])
def test_a_cancelled_call_is_no_error(side: str, registry: CollectorRegistry) -> None:
    server = made()
    if side == "server":
        watch(server, registry=registry)
    ask(server, _cancelled, lambda client: side == "server" or watch(client, registry=registry))
    assert operations(registry) == {"github,endless,cancelled": 1}


def test_names_of_no_tool_share_one_series(registry: CollectorRegistry) -> None:
    """Anyone may ask a server for any name."""
    server = watch(made(), registry=registry)
    ask(server, _unknown, lambda client: None)
    assert operations(registry) == {"github,unknown,error": 1}


def test_there_is_no_second_span(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package makes one span for each side of a call; watching adds none."""
    trace = pytest.importorskip("opentelemetry.sdk.trace", reason="pip install opentelemetry-sdk")
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    otel = pytest.importorskip("mcp.shared._otel")
    counts = []
    for watched in (False, True):
        spans = export.InMemorySpanExporter()
        provider = trace.TracerProvider()
        provider.add_span_processor(trace.export.SimpleSpanProcessor(spans))
        # The tests of this process share its one global provider: only the package's own tracer is replaced.
        monkeypatch.setattr(otel, "_tracer", provider.get_tracer("mcp-python-sdk"))
        server = made()
        watch_it = functools.partial(watch, registry=registry) if watched else lambda one: None
        watch_it(server)
        ask(server, _calls, watch_it)
        counts.append(sorted(span.name for span in spans.get_finished_spans()))
    assert counts[0] == counts[1]
    assert "tools/call search" in counts[0]
