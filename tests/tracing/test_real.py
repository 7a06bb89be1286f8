"""Spans at real receivers: what was sent is what they have."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.logs.programs import program, run, wait_for
from tests.real.log_receivers import Receiver, rotel
from tests.real.span_receivers import Jaeger, jaeger
from tests.tracing.received import spans
from tests.tracing.test_export import HEADER

PROGRAM = f"""{HEADER}
described = dict(version="1.2", environment="test", resource={{"team": "a"}})
tracing.setup("gateway", endpoint=sys.argv[1], delay=0, **described)
caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
with tracing.within(tracing.extract({{"traceparent": caller, "tracestate": "v=1"}})):
    attributes = {{"list": ["a", "b"], "number": 7, "ratio": 0.5, "yes": True}}
    server = tracing.start_span("GET /x", "server", attributes=attributes)
with tracing.within(server):
    try:
        with ferrometer.span("inner") as inner: raise ValueError("went wrong")
    except ValueError: pass
    batch = tracing.start_span("batch", links=[(inner, {{"why": "retry"}})])
    batch.add_event("picked", {{"n": 1}})
    batch.end()
server.end()
assert tracing.flush(30)
print(json.dumps({{"server": server.span_id, "inner": inner.span_id, "batch": batch.span_id}}))
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_collector_reads_every_span_and_passes_it_on(tmp_path: Path) -> None:
    with Receiver() as behind, rotel(tmp_path, behind) as url:
        setup = f'tracing.setup("svc", endpoint="{url}", delay=0)'
        run(f"{HEADER}\n{setup}\nrecord(500)\nassert tracing.flush(30)")
        ids = json.loads(run(PROGRAM, url)[0])
        wait_for(lambda: len(list(spans(behind.posts))) >= 503, "all spans behind the collector")
        found = {span.span_id: span for span in spans(behind.posts)}
        assert sorted(numbers_of(found.values())) == list(range(500))
        server, inner, batch = (found[ids[name]] for name in ("server", "inner", "batch"))
        assert (server.trace_id, server.parent_id) == (TRACE, "00f067aa0ba902b7")
        assert (server.kind, server.tracestate) == ("server", "v=1")
        assert server.attributes == {"list": ["a", "b"], "number": 7, "ratio": 0.5, "yes": True}
        assert (inner.parent_id, inner.status, inner.message) == (
            server.span_id,
            "error",
            "ValueError: went wrong",
        )
        assert inner.events[0].attributes["exception.message"] == "went wrong"
        assert [(link.span_id, link.attributes) for link in batch.links] == [
            (inner.span_id, {"why": "retry"})
        ]
        assert server.resource["service.version"] == "1.2"


def numbers_of(found: Any) -> list[int]:
    return [span.attributes["number"] for span in found if span.name == "work"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with jaeger(tmp_path_factory.mktemp("jaeger")) as running:
        yield running


def values(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: next(iter(pair["value"].values())) for pair in pairs}


def test_jaeger_gives_the_trace_back_with_parent_attributes_events_and_links(server: Jaeger) -> None:
    ids = json.loads(run(PROGRAM, server.url)[0])
    wait_for(lambda: len(server.trace(TRACE)) == 3, "the trace at Jaeger")
    found = {span["spanId"]: span for span in server.trace(TRACE)}
    request, inner, batch = (found[ids[name]] for name in ("server", "inner", "batch"))
    assert (request["name"], request["parentSpanId"], request["kind"]) == ("GET /x", "00f067aa0ba902b7", 2)
    told = values(request["attributes"])
    assert (told["number"], told["ratio"], told["yes"]) in (("7", 0.5, True), ("7", "0.5", True))
    assert (inner["parentSpanId"], inner["status"]["code"]) == (ids["server"], 2)
    assert values(inner["events"][0]["attributes"])["exception.type"] == "ValueError"
    assert [link["spanId"] for link in batch["links"]] == [ids["inner"]]
    assert values(batch["events"][0]["attributes"]) == {"n": "1"}
    resource = values(request["resource"]["attributes"])
    assert (resource["service.name"], resource["deployment.environment.name"], resource["team"]) == (
        "gateway",
        "test",
        "a",
    )
    assert "gateway" in server.services()


def test_what_a_killed_worker_left_is_at_jaeger(server: Jaeger, tmp_path: Path) -> None:
    dead = program(
        f"""{HEADER}
share(sys.argv[1])
tracing.setup("killed", endpoint="http://127.0.0.1:1", delay=0)
with ferrometer.span("last words") as span: pass
print(span.trace_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
        tmp_path / "shared",
        stdout=subprocess.PIPE,
    )
    out, _ = dead.communicate(timeout=60)
    assert server.trace(out.strip()) == []
    heir = program(
        f"""{HEADER}
share(sys.argv[1])
tracing.setup("killed", endpoint="{server.url}", delay=0)
sys.stdin.read()
""",
        tmp_path / "shared",
        stdin=subprocess.PIPE,
    )
    wait_for(lambda: server.trace(out.strip()), "the dead worker's trace at Jaeger")
    heir.communicate("", timeout=60)
    (span,) = server.trace(out.strip())
    assert span["name"] == "last words"
