"""Spans on their way: what an answer means, what is dropped and counted, and what survives which end."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from tests.logs.programs import finish, program, run, settled, wait_for
from tests.real.log_receivers import Receiver, Reply
from tests.tracing.received import spans

HEADER = """
import ferrometer
from ferrometer import tracing

def record(count, **attributes):
    for number in range(count):
        with ferrometer.span("work", number=number, pid=os.getpid(), **attributes): pass
"""


def numbers(receiver: Receiver, since: int = 0) -> list[int]:
    return [span.attributes["number"] for span in spans(receiver.posts[since:])]


def export(receiver: Receiver, count: int = 300, more: str = "", wait: float = 30) -> dict[str, Any]:
    _, err = run(
        f"""{HEADER}
tracing.setup("svc", endpoint="{receiver.url}", delay=0.05)
record({count}, text="x" * 500)
flushed = tracing.flush({wait})
{more}
told({{"flushed": flushed, **tracing.counts()}})
os._exit(0)
"""
    )
    told: dict[str, Any] = json.loads(err.splitlines()[-1])
    (told["sink"],) = told["sinks"].values()
    return told


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_receiver_gets_all_of_it_later(status: int) -> None:
    with Receiver(lambda post: Reply(status) if post < 2 else Reply()) as receiver:
        counts = export(receiver)
        assert counts["flushed"]
        assert sorted(numbers(receiver, since=2)) == list(range(300))
        assert (counts["sink"]["shipped"], counts["sink"]["repeated"], counts["spans"]["info"]) == (
            300,
            0,
            300,
        )


def test_retry_after_is_heeded() -> None:
    with Receiver(
        lambda post: Reply(429, headers={"Retry-After": "2"}) if post == 0 else Reply()
    ) as receiver:
        process = program(
            f"""{HEADER}
tracing.setup("svc", endpoint="{receiver.url}", delay=0)
record(1)
while not next(iter(tracing.counts()["sinks"].values()))["shipped"]: time.sleep(0.01)
"""
        )
        assert process.wait(60) == 0
        first, second = receiver.posts
        assert second.at - first.at >= 2


@pytest.mark.parametrize("status", [400, 401, 404, 500, 301])
def test_what_is_refused_is_dropped_and_counted(status: int) -> None:
    with Receiver(lambda _: Reply(status, b"go away", {"Location": "http://127.0.0.1:1/"})) as receiver:
        counts = export(receiver)
        assert counts["flushed"]
        assert counts["sink"]["rejected"] == 300
        assert f"status {status} go away" in counts["sink"]["trouble"]


def test_a_part_that_is_refused_is_counted_and_not_sent_again() -> None:
    partial = ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
    answer = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    with Receiver(lambda post: Reply(body=answer) if post == 0 else Reply()) as receiver:
        counts = export(receiver)
        assert counts["flushed"]
        assert (counts["sink"]["rejected"], counts["sink"]["shipped"]) == (3, 297)
        assert sorted(numbers(receiver)) == list(range(300))


def test_a_receiver_that_is_away_costs_bounded_memory_and_what_is_dropped_is_counted() -> None:
    _, err = run(
        f"""{HEADER}
import resource
tracing.setup("svc", endpoint="http://127.0.0.1:1", queue_bytes=1 << 20)
record(1000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
record(100_000)
with ferrometer.span("error") as span: span.set_status("error")
told({{"grown": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, **tracing.counts()}})
os._exit(0)
"""
    )
    counts = json.loads(err.splitlines()[-1])
    (name,) = counts["sinks"]
    assert counts["grown"] < 8 << 10
    total = sum(counts["spans"].values())
    assert total == 101_001
    assert settled({**counts, "lines": counts["spans"]}, name) == total
    assert counts["dropped"]["full"] + counts["sinks"][name]["full"] > 90_000
    # Those that failed have a reserve.
    assert counts["spans"]["error"] == 1
    assert "Connection refused" in err


@pytest.mark.parametrize(
    "end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGTERM)"]
)
def test_spans_of_a_dead_worker_are_exported_by_another(tmp_path: Path, end: str) -> None:
    shared = tmp_path / "shared"
    dead = program(
        f"""{HEADER}
share(sys.argv[1])
tracing.setup("svc", endpoint="http://127.0.0.1:1")
record(500)
open_span = ferrometer.span("open").start()
told("ready")
{end}
""",
        shared,
        stderr=subprocess.PIPE,
    )
    _, err = dead.communicate(timeout=60)
    assert '"ready"' in err
    with Receiver() as receiver:
        heir = program(
            f"""{HEADER}
share(sys.argv[1])
tracing.setup("svc", endpoint="{receiver.url}", delay=0)
sys.stdin.read()
os._exit(0)
""",
            shared,
            stdin=subprocess.PIPE,
        )
        wait_for(lambda: len(numbers(receiver)) >= 500, "the dead worker's spans")
        heir.communicate("", timeout=60)
        assert numbers(receiver) == list(range(500))
        assert not {span.name for span in spans(receiver.posts)} & {"open"}


def test_an_exporter_that_is_killed_is_replaced(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    with Receiver(lambda post: Reply(delay=60) if post == 0 else Reply()) as receiver:
        setup = f'{HEADER}\nshare(sys.argv[1])\ntracing.setup("svc", endpoint="{receiver.url}", delay=0)\n'
        first = program(f'{setup}record(100)\ntold("ready")\ntime.sleep(60)', shared, stderr=subprocess.PIPE)
        wait_for(lambda: receiver.posts, "the first export")
        second = program(f"{setup}record(100)\nsys.stdin.read()\nos._exit(0)", shared, stdin=subprocess.PIPE)
        first.kill()
        first.communicate(timeout=60)
        wait_for(lambda: len(numbers(receiver, since=1)) >= 200, "the spans of both")
        second.communicate("", timeout=60)
        assert sorted(numbers(receiver, since=1)) == sorted([*range(100), *range(100)])


def test_after_a_fork_parent_and_child_export_their_own() -> None:
    with Receiver() as receiver:
        finish(
            program(
                f"""{HEADER}
tracing.setup("svc", endpoint="{receiver.url}", delay=0)
open_span = ferrometer.span("open").__enter__()
record(50)
assert tracing.flush(30)
if pid := os.fork():
    record(50)
    open_span.end()
    assert os.waitpid(pid, 0)[1] == 0
    assert tracing.flush(30)
else:
    try:
        record(50)
        assert tracing.current_span().trace_id == open_span.trace_id
        assert tracing.flush(30)
        os._exit(0)
    except BaseException:
        import traceback; traceback.print_exc()
        os._exit(1)
""",
                stderr=subprocess.PIPE,
            )
        )
        found = [span for span in spans(receiver.posts) if span.name == "work"]
        assert sorted(span.attributes["number"] for span in found) == sorted([*range(50)] * 3)
        assert len({span.span_id for span in found}) == 150
        by_instance: dict[str, set[int]] = {}
        for span in found:
            by_instance.setdefault(span.resource["service.instance.id"], set()).add(span.attributes["pid"])
        assert sorted(map(len, by_instance.values())) == [1, 1]
        # The span that was open at the fork ends in the parent.
        assert [span.name for span in spans(receiver.posts) if span.name == "open"] == ["open"]


@pytest.mark.parametrize("reply", [Reply(delay=60), Reply(503), Reply(drop=True)])
def test_the_end_waits_two_seconds_at_most_for_logs_and_traces_together(reply: Reply, tmp_path: Path) -> None:
    with Receiver(lambda _: reply) as receiver:
        begun = time.monotonic()
        finish(
            program(
                f"""{HEADER}
import atexit
ended = time.monotonic
atexit.register(lambda: told(ended() - begun))
tracing.setup("svc", endpoint="{receiver.url}", delay=0)
ship.start([Otlp("{receiver.url}")], service="svc")
record(10); log(1)
begun = ended()
""",
                stderr=subprocess.PIPE,
            )
        )
        assert time.monotonic() - begun < 30
    # Alone, on an idle machine, it is two seconds.


def test_the_end_of_the_interpreter_flushes() -> None:
    with Receiver() as receiver:
        run(f'{HEADER}\ntracing.setup("svc", endpoint="{receiver.url}", delay=60)\nrecord(100)')
        assert numbers(receiver) == list(range(100))


def test_two_receivers_get_everything_each_at_its_own_pace() -> None:
    with Receiver() as one, Receiver(lambda post: Reply(503) if post < 3 else Reply()) as other:
        run(
            f"""{HEADER}
tracing.setup("svc", endpoint=["{one.url}", "{other.url}"], delay=0)
record(200)
assert tracing.flush(30)
"""
        )
        assert numbers(one) == list(range(200))
        assert sorted(numbers(other, since=3)) == list(range(200))


def test_metrics_of_all_workers(tmp_path: Path) -> None:
    with Receiver() as receiver:
        out, _ = run(
            f"""{HEADER}
share(sys.argv[1])
from ferrometer import CollectorRegistry
registry = CollectorRegistry()
_core.register_record_metrics(registry._native, "gw", "spans")
tracing.setup("svc", endpoint="{receiver.url}", delay=0, namespace="gw")
record(10)
with ferrometer.span("error") as span: span.set_status("error")
if pid := os.fork():
    assert os.waitpid(pid, 0)[1] == 0
else:
    record(5); assert tracing.flush(30); os._exit(0)
assert tracing.flush(30)
print(ferrometer.generate_latest(registry).decode())
""",
            tmp_path / "shared",
        )
        assert 'gw_spans_total{status="ok"} 15' in out
        assert 'gw_spans_total{status="error"} 1' in out
        assert f'gw_spans_exported_total{{sink="otlp:{receiver.url.removeprefix("http://")}"}} 16' in out
        assert 'gw_spans_dropped_total{reason="full",sink="all"} 0' in out
        assert "gw_span_queue_bytes" in out
        assert "gw_span_last_success_timestamp_seconds" in out


def test_another_receiver_at_a_second_setup() -> None:
    """Each has what ended while it was the receiver, and a flush waits for that one alone."""
    with Receiver() as first, Receiver() as second:
        _, err = run(
            f"""{HEADER}
flushed = []
for place, url in enumerate(["{first.url}", "{second.url}", "{first.url}"]):
    tracing.setup("svc", endpoint=url, delay=0)
    with ferrometer.span("work", number=place): pass
    flushed.append(tracing.flush(30))
told(flushed)
os._exit(0)
"""
        )
        assert json.loads(err.splitlines()[-1]) == [True, True, True]
        assert numbers(first) == [0, 2]
        assert numbers(second) == [1]
