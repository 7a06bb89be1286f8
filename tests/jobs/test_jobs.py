"""Jobs as contexts and decorators, their metrics, the health check and the endpoint."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from starlette.applications import Starlette
from starlette.testclient import TestClient

import ferrometer
from ferrometer.exposition import choose_encoder
from ferrometer.jobs import Job, JobListener, JobRecord, job, listen, submitted
from ferrometer.jobs.feature import expose


@pytest.fixture
def shown(registry: ferrometer.CollectorRegistry) -> ferrometer.CollectorRegistry:
    """A registry that shows jobs; the counts of a type last as long as the process."""
    expose(registry, namespace="hub", stuck_seconds=3600)
    return registry


def counted(registry: ferrometer.CollectorRegistry, job_type: str) -> dict[str, float]:
    found = {}
    for name in ("submitted", "started", "completed", "failed", "retried", "cancelled", "lost"):
        if value := registry.get_sample_value(f"hub_job_{name}_total", {"job_type": job_type}):
            found[name] = value
    for name in ("in_flight", "stuck"):
        if value := registry.get_sample_value(f"hub_job_{name}", {"job_type": job_type}):
            found[name] = value
    return found


def test_a_context_says_how_its_job_ended(shown: ferrometer.CollectorRegistry) -> None:
    submitted("context", 7)
    submitted("context")
    with job("context"):
        assert counted(shown, "context") == {"submitted": 8, "started": 1, "in_flight": 1}
    with pytest.raises(KeyError), job("context", "an id"):
        raise KeyError
    with pytest.raises(asyncio.CancelledError), job("context"):
        raise asyncio.CancelledError
    with job("context") as one:
        one.end_as("retried")
    with suppress(KeyError), job("context") as one:
        one.end_as("retried")
        raise KeyError
    assert counted(shown, "context") == {
        "submitted": 8,
        "started": 5,
        "completed": 1,
        "failed": 1,
        "cancelled": 1,
        "retried": 2,
    }


def test_a_decorated_function_is_a_job_at_each_call(shown: ferrometer.CollectorRegistry) -> None:
    @job("decorated")
    def divide(a: int, b: int = 1) -> float:
        """Divides."""
        return a / b

    @job("decorated")
    async def divide_later(a: int, b: int) -> float:
        await asyncio.sleep(0)
        assert counted(shown, "decorated")["in_flight"] >= 1
        return a / b

    async def both() -> list[float]:
        return list(await asyncio.gather(divide_later(1, 2), divide_later(2, b=1)))

    assert divide(6, b=3) == 2
    assert (divide.__name__, divide.__doc__) == ("divide", "Divides.")
    assert asyncio.run(both()) == [0.5, 2]
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)
    assert counted(shown, "decorated") == {"started": 4, "completed": 3, "failed": 1}
    with pytest.raises(TypeError, match="is a generator: use `with job"):

        @job("decorated")
        def numbers() -> Any:
            yield 1


def test_an_asynchronous_context_that_is_cancelled(shown: ferrometer.CollectorRegistry) -> None:
    async def run() -> None:
        started = asyncio.Event()

        async def work() -> None:
            async with job("async"):
                started.set()
                await asyncio.sleep(3600)

        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert counted(shown, "async") == {"started": 1, "cancelled": 1}


def test_how_long_a_job_waited_and_ran(shown: ferrometer.CollectorRegistry) -> None:
    import time

    with job("timed", submitted_at=time.time() - 20):
        time.sleep(0.02)
    with job("timed", submitted_at=time.time() + 20):  # another machine's clock
        pass
    labels = {"job_type": "timed"}
    waited = shown.get_sample_value("hub_job_wait_seconds_sum", labels)
    assert waited is not None
    assert 20 <= waited < 60
    assert shown.get_sample_value("hub_job_wait_seconds_count", labels) == 2
    ended = {**labels, "status": "completed"}
    ran = shown.get_sample_value("hub_job_duration_seconds_sum", ended)
    assert ran is not None
    assert 0.02 <= ran < 20
    assert shown.get_sample_value("hub_job_duration_seconds_count", ended) == 2
    assert shown.get_sample_value("hub_job_duration_seconds_bucket", {**ended, "le": "0.01"}) == 1


def test_one_record_feeds_all_families(shown: ferrometer.CollectorRegistry) -> None:
    before = {
        status: shown.get_sample_value("jobs_processed_total", {"status": status}) or 0
        for status in ("completed", "failed")
    }
    total = shown.get_sample_value("job_processing_duration_seconds_count") or 0
    with job("all"):
        pass
    for _ in range(2):
        with pytest.raises(OSError, match="no"), job("all"):
            raise OSError("no")
    assert shown.get_sample_value("jobs_processed_total", {"status": "completed"}) == before["completed"] + 1
    assert shown.get_sample_value("jobs_processed_total", {"status": "failed"}) == before["failed"] + 2
    assert shown.get_sample_value("job_processing_duration_seconds_count") == total + 3


@pytest.mark.parametrize("name", ["größe", 'with "quotes" and \\ and \n', "x" * 300, "日" * 60])
def test_odd_types_come_back_in_the_exposition(name: str, shown: ferrometer.CollectorRegistry) -> None:
    with job(name, "日本 id"):
        pass
    text = choose_encoder("application/openmetrics-text")[0](shown).decode()
    found = {
        sample.labels["job_type"]: sample.value
        for family in openmetrics(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name == "hub_job_completed_total"
    }
    cut = name.encode()[:128].decode(errors="ignore")
    assert found[cut] >= 1


def test_lines_within_a_job_say_whose_they_are() -> None:
    from ferrometer.logs import LoggingContext
    from ferrometer.logs.context import context_fields

    with LoggingContext(tenant="t"), job("train", "job-1"):
        assert context_fields() == {"tenant": "t", "job_id": "job-1", "job_type": "train"}
    with LoggingContext(tenant="t"), job("train"):
        assert context_fields() == {"tenant": "t", "job_type": "train"}
    with job("train"):
        assert context_fields() == {"job_type": "train"}
        with job("resize", "2"):
            assert context_fields() == {"job_id": "2", "job_type": "resize"}
        assert context_fields() == {"job_type": "train"}
    assert context_fields() == {}


def test_listeners_are_told_and_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []

    class Told(JobListener):
        def started(self, job: JobRecord) -> None:
            job.state["span"] = 1
            told.append(("started", job.type, job.id))

        def ended(self, job: JobRecord, status: str, error: BaseException | None) -> None:
            told.append(("ended", job.state["span"], status, type(error)))

    class Broken(JobListener):
        def started(self, job: JobRecord) -> None:
            raise ValueError("broken")

    forget = [listen(Broken()), listen(Told())]
    try:
        with job("told", "1"):
            pass
        with pytest.raises(KeyError), job("told"):
            raise KeyError
    finally:
        for end in forget:
            end()
    with job("told"):
        pass
    assert told == [
        *(("started", "told", "1"), ("ended", 1, "completed", type(None))),
        *(("started", "told", None), ("ended", 1, "failed", KeyError)),
    ]
    assert "a listener of jobs failed" in caplog.text


def test_celerys_signals_are_connected_once_and_let_go(shown: ferrometer.CollectorRegistry) -> None:
    from celery import Celery

    from ferrometer.jobs import celery

    @Celery().task(name="eager")  # type: ignore[untyped-decorator]
    def eager() -> int:
        return 1

    celery.install()
    celery.install()
    try:
        assert eager.apply().get() == 1
    finally:
        celery.uninstall()
    eager.apply()
    assert counted(shown, "eager") == {"started": 1, "completed": 1}


def test_a_hook_that_cannot_count_a_job_does_not_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    from ferrometer.jobs.broker import Broker

    broker = Broker("a queue")
    broker.start("", "an id")
    broker.end("", "an id", "completed")
    assert "a hook of a task queue failed" in caplog.text
    assert "a type of job has a name" in caplog.text


def test_bad_input_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="a type of job has a name"):
        job("")
    with pytest.raises(ValueError, match="count must be 0 or more, not -1"):
        submitted("bad", -1)
    with pytest.raises(ValueError, match="not 'done'"), job("bad") as one:
        one.end_as("done")
    with pytest.raises(RuntimeError, match="one object for each run"), job("bad") as one, one:
        pass
    assert repr(Job("bad", "1")) == "job('bad', '1')"
    with pytest.raises(TypeError):
        job(3)  # type: ignore[arg-type]


def test_the_health_check_and_the_endpoint_know_of_lost_and_stuck_jobs() -> None:
    """In a process of its own: the counts of a process last as long as it does."""
    program = """
        import json, os, signal, tempfile
        import ferrometer
        from ferrometer.jobs import job
        from starlette.applications import Starlette
        from starlette.testclient import TestClient

        ferrometer.share(tempfile.mkdtemp())
        app = Starlette()
        ferrometer.instrument(
            app, ferrometer.Jobs(stuck_seconds=0.05, lost_seconds=3600), namespace="hub"
        )
        told = []
        with TestClient(app) as client:
            told.append(client.get("/health").json()["checks"]["jobs"])
            child = os.fork()
            if child == 0:
                with job("train"):
                    os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(child, 0)
            with job("slow"):
                import time
                time.sleep(1.2)
                told.append(client.get("/health").json())
                told.append(client.get("/jobs").json())
                told.append(client.get("/metrics").text)
        print(json.dumps(told))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    well, health, rows, text = json.loads(ended.stdout)
    assert well["healthy"] is True
    assert health["status"] == "degraded"
    check = health["checks"]["jobs"]
    assert (check["healthy"], check["running"], check["stuck"], check["lost"]) == (False, 1, 1, 1)
    assert check["error"] == "jobs running for more than 0.05 s: 1 of slow; lost within 3600 s: 1"
    by_type = {row.pop("job_type"): row for row in rows["jobs"]}
    assert by_type["train"] == {"running": 0, "stuck": 0, "oldest_seconds": 0.0, "lost": 1}
    assert (by_type["slow"]["running"], by_type["slow"]["stuck"]) == (1, 1)
    assert 'hub_job_lost_total{job_type="train"} 1.0' in text
    assert 'hub_job_stuck{job_type="slow"} 1.0' in text


def test_a_section_switches_jobs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Starlette()
    registry = ferrometer.CollectorRegistry()
    monkeypatch.setenv("FERROMETER_JOBS_MOST_STUCK", "-1")
    with pytest.raises(ValueError, match=r"\[jobs\] most_stuck must be 0 or more, not -1"):
        ferrometer.instrument(app, ferrometer.Jobs(), registry=registry)
    with pytest.raises(ValueError, match=r"\[jobs\] stuck_seconds must be seconds above 0, not 0"):
        ferrometer.instrument(Starlette(), ferrometer.Jobs(stuck_seconds=0, most_stuck=0), registry=registry)


def test_the_endpoint_is_behind_the_endpoints_credentials() -> None:
    app = Starlette()
    registry = ferrometer.CollectorRegistry()
    ferrometer.instrument(app, ferrometer.Jobs(), registry=registry, auth=("a", "b"))
    with TestClient(app) as client:
        assert client.get("/jobs").status_code == 401
        assert client.get("/jobs", auth=("a", "b")).status_code == 200
