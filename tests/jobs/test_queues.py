"""Hooks of real task queues beside a real broker; every server killed at each point."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.jobs.queue_programs import Programs, kill_group, programs
from tests.jobs.shown import Shown, showing
from tests.real.redis import valkey


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker."""
    with valkey(tmp_path_factory.mktemp("broker")) as server:
        yield server.port


@pytest.fixture
def queues(broker: int, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Programs]:
    """Celery, RQ, Dramatiq and taskiq; a database of the broker for each test."""
    number = 1 + list(request.session.items).index(request.node) % 13
    with programs("jobs-queues", tmp_path, f"redis://127.0.0.1:{broker}/{number}") as found:
        yield found


@pytest.fixture
def arq(broker: int, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Programs]:
    """arq; a database of the broker for each test."""
    number = 1 + list(request.session.items).index(request.node) % 13
    with programs("jobs-arq", tmp_path, f"redis://127.0.0.1:{broker}/{number}") as found:
        yield found


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """What is shown of the programs' directory."""
    with showing(tmp_path / "shared") as found:
        yield found


def kill(pid: int) -> None:
    """Kills a process that may have ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def waited(shown: Shown, job_type: str) -> float:
    return shown.all().get(f"hub_job_wait_seconds_count{{job_type={job_type}}}", 0)


CELERY = (
    "celery",
    "-A",
    "celery_jobs",
    "worker",
    "-c",
    "2",
    "-l",
    "info",
    "--without-gossip",
    "--without-mingle",
)


def test_celery(queues: Programs, shown: Shown, tmp_path: Path) -> None:
    def task(name: str) -> str:
        return f"celery_jobs.{name}"

    queues.run(
        "from celery_jobs import *\n"
        "for task in [good] * 5 + [bad, again, slow, softly, killed, ignored, rejected]: task.delay()\n"
        f"redelivered.delay({str(tmp_path / 'seen')!r})"
    )
    with queues.worker(*CELERY) as worker:
        shown.wait_for(task("good"), submitted=5, started=5, completed=5)
        shown.wait_for(task("bad"), submitted=1, started=1, failed=1)
        shown.wait_for(task("again"), submitted=1, started=3, retried=2, failed=1)
        shown.wait_for(task("slow"), submitted=1, started=1, failed=1)
        shown.wait_for(task("softly"), submitted=1, started=1, failed=1)
        shown.wait_for(task("killed"), submitted=1, started=1, lost=1)
        shown.wait_for(task("ignored"), submitted=1, started=1, cancelled=1)
        shown.wait_for(task("rejected"), submitted=1, started=1, failed=1)
        shown.wait_for(task("redelivered"), submitted=1, started=2, lost=1, completed=1)
        assert waited(shown, task("good")) == 5
        # A task that is delivered again has the headers of its first delivery; a retry is sent once more.
        assert shown.counts("celery sent") == {"submitted": 15}
        assert shown.counts("celery arrived") == {"submitted": 16}
        assert shown.counts("celery completed") == {"submitted": 6}
        # The parent is killed; its child ends, at once or when it is killed, too.
        queues.run(f"from celery_jobs import *\nhang.delay({str(tmp_path / 'hang')!r})")
        child = queues.started(tmp_path / "hang")
        shown.wait_for(task("hang"), submitted=1, started=1, in_flight=1)
        worker.kill()
        worker.wait(60)
        kill(child)
        shown.wait_for(task("hang"), submitted=1, started=1, lost=1)


def test_celery_loses_a_whole_worker_and_revokes_a_task(
    queues: Programs, shown: Shown, tmp_path: Path
) -> None:
    with queues.worker(*CELERY) as worker:
        queues.run(
            "from celery_jobs import *\n"
            f"import time, pathlib\nresult = hang.delay({str(tmp_path / 'hang')!r})\n"
            f"file = pathlib.Path({str(tmp_path / 'hang')!r})\n"
            "while not file.exists(): time.sleep(0.05)\n"
            "time.sleep(0.5)\n"
            "result.revoke(terminate=True, signal='SIGKILL')\n"
        )
        shown.wait_until(
            "celery_jobs.hang", lambda found: found.get("in_flight") is None and found["started"] == 1
        )
        found = shown.counts("celery_jobs.hang")
        # Whoever looks between the signal and Celery's word about it sees a dead process.
        assert found.get("cancelled", 0) + found.get("lost", 0) == 1
        queues.run(f"from celery_jobs import *\nfor n in range(2): hang.delay({str(tmp_path / 'other')!r})")
        shown.wait_until("celery_jobs.hang", lambda found: found.get("in_flight") == 2)
        before = shown.counts("celery_jobs.hang").get("lost", 0)
        kill_group(worker)
        shown.wait_until("celery_jobs.hang", lambda found: found.get("lost", 0) == before + 2)


RQ = ("rq.cli", "worker", "--worker-class", "rq_worker.Worker")


@pytest.mark.parametrize("where", ["jobs-queues", "here"])
def test_rq(where: str, broker: int, shown: Shown, tmp_path: Path) -> None:
    """The newest, and that of requirements-dev.txt."""
    number = 14 if where == "here" else 15
    with programs(where, tmp_path, f"redis://127.0.0.1:{broker}/{number}") as queues:
        _rq(queues, shown, tmp_path)


def _rq(queues: Programs, shown: Shown, tmp_path: Path) -> None:
    def job(name: str) -> str:
        return f"rq_jobs.{name}"

    url = queues.broker
    queues.run(
        "from rq_jobs import *\n"
        "for n in range(5): queue.enqueue(good)\n"
        "queue.enqueue(bad)\nqueue.enqueue(again, retry=Retry(max=2))\n"
        "queue.enqueue(slow, job_timeout=1)\nqueue.enqueue(killed)\n"
        f"queue.enqueue(once_more, {str(tmp_path / 'seen')!r})\n"
        "queue.enqueue(nightly, job_id='nightly')\n"
    )
    with queues.worker(*RQ, "--url", url) as worker:
        shown.wait_for(job("good"), submitted=5, started=5, completed=5)
        shown.wait_for(job("bad"), submitted=1, started=1, failed=1)
        shown.wait_for(job("again"), submitted=1, started=3, retried=2, failed=1)
        shown.wait_for(job("slow"), submitted=1, started=1, failed=1)
        shown.wait_for(job("killed"), submitted=1, started=1, lost=1)
        shown.wait_for(job("once_more"), submitted=1, started=2, retried=1, completed=1)
        shown.wait_for(job("nightly"), submitted=1, started=1, completed=1)
        # The same id again, and a failed one that somebody queues again.
        queues.run(
            "from rq_jobs import *\n"
            "queue.enqueue(nightly, job_id='nightly')\n"
            "from rq.registry import FailedJobRegistry\n"
            "registry = FailedJobRegistry(queue=queue)\n"
            "for one in registry.get_job_ids():\n"
            "    if queue.fetch_job(one).func_name == 'rq_jobs.bad': registry.requeue(one)\n"
        )
        shown.wait_for(job("nightly"), submitted=2, started=2, completed=2)
        shown.wait_for(job("bad"), submitted=2, started=2, failed=2)
        assert waited(shown, job("good")) == 5
        assert shown.counts("rq arrived") == {"submitted": 16}
        assert shown.counts("rq completed") == {"submitted": 8}
        # A stopped job; then the whole worker.
        queues.run(
            "from rq_jobs import *\nimport time\nfrom rq.command import send_stop_job_command\n"
            f"one = queue.enqueue(hang, {str(tmp_path / 'hang')!r})\n"
            "while one.get_status() != 'started': time.sleep(0.05)\n"
            "send_stop_job_command(connection, one.id)\n"
        )
        shown.wait_until(job("hang"), lambda found: found.get("started") == 1 and "in_flight" not in found)
        found = shown.counts(job("hang"))
        assert found.get("cancelled", 0) + found.get("lost", 0) == 1
        queues.run(f"from rq_jobs import *\nqueue.enqueue(hang, {str(tmp_path / 'other')!r})")
        horse = queues.started(tmp_path / "other")
        worker.kill()
        worker.wait(60)
        # RQ's work horse outlives its worker, and its job runs.
        shown.wait_until(job("hang"), lambda now: now.get("in_flight") == 1)
        kill(horse)
        before = found.get("lost", 0)
        shown.wait_until(job("hang"), lambda now: now.get("lost") == before + 1 and "in_flight" not in now)


def test_arq(arq: Programs, shown: Shown, tmp_path: Path) -> None:
    arq.run("from arq_jobs import *\nasyncio.run(produce(*[('good',)] * 5, ('bad',), ('again',), ('slow',)))")
    with arq.worker("arq", "arq_jobs.WorkerSettings"):
        shown.wait_for("good", submitted=5, started=5, completed=5)
        shown.wait_for("bad", submitted=1, started=1, failed=1)
        shown.wait_for("again", submitted=1, started=3, retried=2, completed=1)
        shown.wait_for("slow", submitted=1, started=1, failed=1)
        assert waited(shown, "good") == 5
        arq.run("from arq_jobs import *\nasyncio.run(abort())")
        shown.wait_for("aborted", submitted=1, started=1, cancelled=1)
    arq.run(f"from arq_jobs import *\nasyncio.run(produce(('hang', {str(tmp_path / 'hang')!r})))")
    with arq.worker("arq", "arq_jobs.LongSettings") as worker:
        assert arq.started(tmp_path / "hang") == worker.pid
        shown.wait_for("hang", submitted=1, started=1, in_flight=1)
        # Ended in peace, it will be run again.
        worker.terminate()
        worker.wait(60)
        shown.wait_for("hang", submitted=1, started=1, retried=1)
    (tmp_path / "hang").unlink()
    with arq.worker("arq", "arq_jobs.LongSettings") as worker:
        arq.started(tmp_path / "hang")
        shown.wait_for("hang", submitted=1, started=2, retried=1, in_flight=1)
        kill_group(worker)
        shown.wait_for("hang", submitted=1, started=2, retried=1, lost=1)


DRAMATIQ = ("dramatiq", "dramatiq_jobs", "--processes", "1", "--threads", "2")


def test_dramatiq(queues: Programs, shown: Shown, tmp_path: Path) -> None:
    queues.run(
        "from dramatiq_jobs import *\n"
        "for actor in [good] * 5 + [bad, again, slow, skipped]: actor.send()\n"
        "good.send_with_options(delay=300)\n"
    )
    with queues.worker(*DRAMATIQ) as worker:
        shown.wait_for("good", submitted=6, started=6, completed=6)
        shown.wait_for("bad", submitted=1, started=1, failed=1)
        shown.wait_for("again", submitted=1, started=3, retried=2, failed=1)
        shown.wait_for("slow", submitted=1, started=1, failed=1)
        shown.wait_for("skipped", submitted=1, started=1, cancelled=1)
        assert waited(shown, "good") == 6
        assert shown.counts("dramatiq sent") == {"submitted": 10}
        assert shown.counts("dramatiq arrived") == {"submitted": 12}
        assert shown.counts("dramatiq completed") == {"submitted": 6}
        assert shown.all()["hub_job_wait_seconds_sum{job_type=again}"] < 60
        # The child is killed; the master gives up.
        queues.run("from dramatiq_jobs import *\nkilled.send()")
        shown.wait_for("killed", submitted=1, started=1, lost=1)
        worker.wait(60)
    queues.run(f"from dramatiq_jobs import *\nhang.send({str(tmp_path / 'hang')!r})")
    with queues.worker(*DRAMATIQ) as worker:
        child = queues.started(tmp_path / "hang")
        shown.wait_for("hang", submitted=1, started=1, in_flight=1)
        worker.kill()
        worker.wait(60)
        kill(child)
        shown.wait_for("hang", submitted=1, started=1, lost=1)


TASKIQ = ("taskiq", "worker", "taskiq_jobs:broker", "--workers", "1")


def test_taskiq(queues: Programs, shown: Shown, tmp_path: Path) -> None:
    def task(name: str) -> str:
        return f"taskiq_jobs:{name}"

    queues.run("from taskiq_jobs import *\nproduce(*[(good,)] * 5, (threaded,), (bad,), (again,), (slow,))")
    with queues.worker(*TASKIQ) as worker:
        shown.wait_for(task("good"), submitted=5, started=5, completed=5)
        shown.wait_for(task("threaded"), submitted=1, started=1, completed=1)
        shown.wait_for(task("bad"), submitted=1, started=1, failed=1)
        shown.wait_for(task("again"), submitted=1, started=3, retried=2, failed=1)
        shown.wait_for(task("slow"), submitted=1, started=1, failed=1)
        assert waited(shown, task("good")) == 5
        assert shown.counts("taskiq sent") == {"submitted": 11}
        assert shown.counts("taskiq arrived") == {"submitted": 11}
        assert shown.counts("taskiq completed") == {"submitted": 6}
        queues.run("from taskiq_jobs import *\nproduce((killed,))")
        shown.wait_for(task("killed"), submitted=1, started=1, lost=1)
        queues.run(f"from taskiq_jobs import *\nproduce((hang, {str(tmp_path / 'hang')!r}))")
        queues.started(tmp_path / "hang")
        shown.wait_for(task("hang"), submitted=1, started=1, in_flight=1)
        kill_group(worker)
        shown.wait_for(task("hang"), submitted=1, started=1, lost=1)
