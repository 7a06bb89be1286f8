"""Lines to Loki's push API and as OTLP: what a server's answer means, and what a real one makes of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from tests.logs.programs import finish, numbers, program, run, settled, wait_for
from tests.real.log_receivers import Post, Receiver, Reply, certify, rotel, victoria_logs

KINDS = ("Loki", "Otlp")


def loki_rows(posts: list[Post]) -> Iterator[tuple[dict[str, str], dict[str, Any], dict[str, str], int]]:
    """Labels, the line, metadata, time."""
    for post in posts:
        assert post.path == "/loki/api/v1/push"
        for stream in json.loads(post.body)["streams"]:
            for time, line, metadata in stream["values"]:
                yield stream["stream"], json.loads(line), metadata, int(time)


def otlp_requests(posts: list[Post]) -> Iterator[ExportLogsServiceRequest]:
    for post in posts:
        assert (post.path, post.headers["content-type"]) == ("/v1/logs", "application/x-protobuf")
        yield ExportLogsServiceRequest.FromString(post.body)


def otlp_rows(posts: list[Post]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Attributes, the record."""
    for request in otlp_requests(posts):
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    values = {pair.key: MessageToDict(pair.value) for pair in record.attributes}
                    yield values, record


def arrived(kind: str, posts: list[Post]) -> list[int]:
    if kind == "Loki":
        return numbers(line for _, line, _, _ in loki_rows(posts))
    return [int(values["number"]["intValue"]) for values, _ in otlp_rows(posts) if "number" in values]


def ship_to(kind: str, url: str, count: int = 300, more: str = "", wait: float = 30) -> dict[str, Any]:
    _, err = run(
        f"""
ship.start([{kind}("{url}", name="sink")], service="gw", environment="test")
for number in range({count}): log(number, level=number % 5, request_id=f"r{{number}}", text="x" * 500)
flushed = ship.flush({wait})
{more}
told({{"flushed": flushed, **ship.counts()}})
os._exit(0)
"""
    )
    told: dict[str, Any] = json.loads(err.splitlines()[-1])
    return told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_gets_all_of_it_later(kind: str, status: int) -> None:
    def reply(post: int) -> Reply:
        return Reply(status, b"busy", {"Retry-After": "1"}) if post < 2 else Reply(204)

    with Receiver(reply) as receiver:
        counts = ship_to(kind, receiver.url, more="")
        if not counts["flushed"]:
            pytest.fail(str(counts))
        assert arrived(kind, receiver.posts[2:]) == arrived(kind, receiver.posts[:1]) + arrived(
            kind, receiver.posts[3:]
        )
        assert sorted(arrived(kind, receiver.posts[2:])) == list(range(300))
        assert counts["sinks"]["sink"]["shipped"] == 300
        # A server that answers has not taken it: nothing is marked.
        assert counts["sinks"]["sink"]["repeated"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_is_heeded(kind: str) -> None:
    with Receiver(
        lambda post: Reply(429, headers={"Retry-After": "2"}) if post == 0 else Reply()
    ) as receiver:
        process = program(
            f"""
ship.start([{kind}("{receiver.url}", name="sink")], service="gw")
log(1)
while not ship.counts()["sinks"]["sink"]["shipped"]: time.sleep(0.01)
""",
        )
        assert process.wait(60) == 0
        first, second = receiver.posts
        assert second.at - first.at >= 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_is_refused_is_dropped_and_counted(kind: str, status: int) -> None:
    with Receiver(lambda _: Reply(status, b"entry too far behind")) as receiver:
        counts = ship_to(kind, receiver.url)
        assert counts["flushed"]
        assert counts["sinks"]["sink"]["rejected"] == 300
        assert settled(counts, "sink") == 300
        assert f"status {status} entry too far behind" in counts["sinks"]["sink"]["trouble"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_answer_means_doubles_that_are_marked(kind: str) -> None:
    with Receiver(lambda post: Reply(drop=post == 0)) as receiver:
        counts = ship_to(kind, receiver.url)
        assert counts["flushed"]
        first, rest = receiver.posts[:1], receiver.posts[1:]
        again = arrived(kind, first)
        assert sorted(arrived(kind, rest)) == list(range(300))
        assert counts["sinks"]["sink"]["repeated"] == len(again)
        if kind == "Loki":
            marked = [line["number"] for _, line, metadata, _ in loki_rows(rest) if "repeated" in metadata]
        else:
            marked = [int(v["number"]["intValue"]) for v, _ in otlp_rows(rest) if "log.record.repeated" in v]
        assert sorted(marked) == sorted(again)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_never_answers_holds_nobody_at_the_end(kind: str, tmp_path: Path) -> None:
    with Receiver(lambda _: Reply(delay=60)) as receiver:
        process = program(
            f"""
ship.start([{kind}("{receiver.url}", name="sink"), File(sys.argv[1])], service="gw")
for number in range(100): log(number)
begun = time.monotonic()
import atexit
atexit.register(lambda: told(time.monotonic() - begun))
""",
            tmp_path / "log",
            stderr=subprocess.PIPE,
        )
        finish(process)
        assert len((tmp_path / "log").read_text().splitlines()) == 100


@pytest.mark.parametrize("kind", KINDS)
def test_tls_with_an_authority_of_ones_own(kind: str, tmp_path: Path) -> None:
    certificates = certify(tmp_path / "certificates")
    with Receiver(certificates=certificates) as receiver:
        for ca in ("", f', ca="{certificates}/ca.pem"'):
            _, err = run(
                f"""
ship.start([{kind}("{receiver.url}", name="sink"{ca})], service="gw")
for number in range(50): log(number)
flushed = ship.flush({30 if ca else 1})
told({{"flushed": flushed, **ship.counts()}})
os._exit(0)
"""
            )
            told = json.loads(err.splitlines()[-1])
            if not ca:
                # Whom nobody vouches for gets nothing, and it says why.
                assert not told["flushed"]
                assert "certificate" in told["sinks"]["sink"]["trouble"].lower()
                assert told["sinks"]["sink"]["queued"] == 50
                assert receiver.posts == []
        assert told["flushed"]
        assert arrived(kind, receiver.posts) == list(range(50))


def test_loki_labels_metadata_and_tenant() -> None:
    with Receiver() as receiver:
        run(
            f"""
url = "{receiver.url}".replace("http://", "http://me:pass%20word@")
sink = Loki(url, labels={{"cluster": "a"}}, tenant="team", name="sink")
ship.start([sink], service="gw", environment="test")
for number in range(50):
    _core.append_log_line(2, json.dumps({{"message": "m", "number": number, "request_id": "r1",
        "user_id": 7, "logger": None}}).encode(), 1_700_000_000_000_000_000)
assert ship.flush(30)
"""
        )
        rows = list(loki_rows(receiver.posts))
        assert {json.dumps(labels, sort_keys=True) for labels, *_ in rows} == {
            json.dumps({"cluster": "a", "environment": "test", "level": "warn", "service": "gw"})
        }
        assert {json.dumps(metadata, sort_keys=True) for _, _, metadata, _ in rows} == {
            '{"request_id": "r1", "user_id": "7"}'
        }
        times = [time for *_, time in rows]
        assert len(set(times)) == 50 or times[0] >= 1_700_000_000_000_000_000
        headers = receiver.posts[0].headers
        assert headers["x-scope-orgid"] == "team"
        assert headers["authorization"] == "Basic bWU6cGFzcyB3b3Jk"
        assert headers["content-encoding"] == "gzip"


def test_otlp_records_have_types_severities_and_a_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=x,deployment.environment.name=prod")
        run(
            """
ship.start([Otlp(name="sink")], service="gw")
line = {"message": "served", "level": "ERROR", "timestamp": "t", "n": 3, "f": 1.5, "b": True, "none": None,
        "list": [1, "a"], "map": {"k": 2}, "big": 2**70, "text": "größe"}
_core.append_log_line(3, json.dumps(line).encode(), 1_700_000_000_123_456_789)
_core.append_log_line(4, b"no json at all")
assert ship.flush(30)
"""
        )
        (request,) = otlp_requests(receiver.posts)
        attributes = {
            pair.key: pair.value.string_value for pair in request.resource_logs[0].resource.attributes
        }
        assert attributes["service.name"] == "gw"
        assert (attributes["team"], attributes["deployment.environment.name"]) == ("x", "prod")
        assert receiver.posts[0].headers["api-key"] == "a b"
        (values, record), (_, plain) = otlp_rows(receiver.posts)
        assert (record.severity_number, record.severity_text, record.body.string_value) == (
            17,
            "ERROR",
            "served",
        )
        assert record.time_unix_nano == 1_700_000_000_123_456_789
        assert values.pop("log.record.sequence") == {"intValue": "0"}
        assert values == {
            "n": {"intValue": "3"},
            "f": {"doubleValue": 1.5},
            "b": {"boolValue": True},
            "none": {"stringValue": ""},
            "list": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}]}},
            "map": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "2"}}]}},
            "big": {"doubleValue": 2.0**70},
            "text": {"stringValue": "größe"},
        }
        assert (plain.severity_number, plain.body.string_value) == (21, "no json at all")


def test_partial_success_is_counted() -> None:
    partial = ExportLogsPartialSuccess(rejected_log_records=3, error_message="too long")
    body = ExportLogsServiceResponse(partial_success=partial).SerializeToString()
    with Receiver(lambda post: Reply(200, body if post == 0 else b"")) as receiver:
        counts = ship_to("Otlp", receiver.url)
        assert counts["sinks"]["sink"]["rejected"] == 3
        assert counts["sinks"]["sink"]["shipped"] == 297
        assert sorted(arrived("Otlp", receiver.posts)) == list(range(300))


def test_a_killed_server_gets_the_rest_when_it_is_back(tmp_path: Path) -> None:
    with Receiver() as receiver:
        process = program(
            f"""
ship.start([Otlp("{receiver.url}", name="sink")], service="gw", queue_bytes=8 << 20)
for turn in sys.stdin:
    for number in range(int(turn), int(turn) + 500): log(number)
    told(ship.flush(1.5))
assert ship.flush(60)
""",
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stderr is not None

        def turn(first: int) -> None:
            assert process.stdin is not None
            process.stdin.write(f"{first}\n")
            process.stdin.flush()

        turn(0)
        wait_for(lambda: len(arrived("Otlp", receiver.posts)) == 500, "the first")
        receiver.reply = lambda _: Reply(drop=True)
        turn(500)
        wait_for(lambda: len(receiver.posts) > 3, "attempts")
        receiver.reply = lambda _: Reply()
        process.stdin.close()
        process.stdin = None
        finish(process)
        assert set(arrived("Otlp", receiver.posts)) == set(range(1000))


def test_victoria_logs_gives_back_what_was_pushed(tmp_path: Path) -> None:
    with victoria_logs(tmp_path) as server:
        run(
            f"""
loki = "{server.url}/insert/loki/api/v1/push?_msg_field=message"
ship.start([Loki(loki, name="loki"), Otlp("{server.url}/insert/opentelemetry/v1/logs", name="otlp")],
           service="gw", environment="test")
for number in range(1000): log(number, level=1 + number % 3, request_id=f"r{{number}}", text="größe 値")
assert ship.flush(30), ship.counts()
"""
        )
        rows = wait_for(lambda: (rows := server.query("*")) and len(rows) == 2000 and rows, "all lines")
        loki = [row for row in rows if "{" in row["_stream"] and "service=" in row["_stream"]]
        otlp = [row for row in rows if "service.name=" in row["_stream"] or "service.name" in row]
        for found in (loki, otlp):
            assert sorted(int(row["number"]) for row in found) == list(range(1000))
            assert {row["_msg"] for row in found} == {f"line {number}" for number in range(1000)}
            assert {row["text"] for row in found} == {"größe 値"}
            assert {row["request_id"] for row in found} == {f"r{number}" for number in range(1000)}


def test_a_real_collector_passes_on_what_it_understood(tmp_path: Path) -> None:
    with Receiver() as receiver, rotel(tmp_path, receiver) as url:
        counts = ship_to("Otlp", url, count=1000)
        assert counts["flushed"]
        assert counts["sinks"]["sink"]["shipped"] == 1000
        wait_for(lambda: len(arrived("Otlp", receiver.posts)) == 1000, "all records")
        rows = list(otlp_rows(receiver.posts))
        assert sorted(arrived("Otlp", receiver.posts)) == list(range(1000))
        severities = {
            int(values["number"]["intValue"]) % 5: record.severity_number for values, record in rows
        }
        assert severities == {0: 5, 1: 9, 2: 13, 3: 17, 4: 21}
        assert all(record.body.string_value == f"line {v['number']['intValue']}" for v, record in rows)
        (request, *_) = otlp_requests(receiver.posts)
        resource = {
            pair.key: pair.value.string_value for pair in request.resource_logs[0].resource.attributes
        }
        assert (resource["service.name"], resource["deployment.environment.name"]) == ("gw", "test")
