"""Jobs of several processes: killed, forked, run under ids that come back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.jobs.shown import showing, workers


def test_a_killed_job_is_lost_once_and_runs_no_more(tmp_path: Path) -> None:
    program = """
        with job("train", "one"), job("train"), job("resize"):
            say("runs")
            listen()
    """
    with showing(tmp_path) as one, showing(tmp_path) as other, workers(tmp_path, program, 2) as pair:
        for worker in pair:
            assert worker.read() == "runs"
        one.wait_for("train", started=4, in_flight=4)
        pair[0].kill()
        # Both scrapers look for the dead; one of them finds each job.
        one.wait_for("train", started=4, in_flight=2, lost=2)
        other.wait_for("train", started=4, in_flight=2, lost=2)
        other.wait_for("resize", started=2, in_flight=1, lost=1)
        pair[1].write()
        assert pair[1].wait() == 0
        one.wait_for("train", started=4, lost=2, completed=2)
        found = one.all()
    assert found["jobs_processed_total{status=lost}"] == 3
    assert found["jobs_processed_total{status=completed}"] == 3
    assert found["job_processing_duration_seconds_count"] == 3


def test_a_process_that_ends_within_a_job_has_lost_it(tmp_path: Path) -> None:
    program = """
        from ferrometer.jobs.kinds import kind
        run = kind("train").start("nobody ends it")
    """
    with showing(tmp_path) as shown:
        with workers(tmp_path, program) as [worker]:
            assert worker.wait() == 0
        shown.wait_for("train", started=1, lost=1)


def test_ids_come_back(tmp_path: Path) -> None:
    """A nightly job; one whose worker died is lost when it starts again elsewhere, without a scrape."""
    nightly = """
        for night in range(3):
            with job("backup", "nightly"):
                pass
        with job("backup", "nightly"):
            say("runs")
            listen()
    """
    again = """
        from ferrometer.jobs.kinds import kind
        native = kind("backup").native
        with job("backup", "nightly"):
            pass
        # The second end of a job, in whatever process, is a repeat.
        say([native.end("nightly", "failed"), native.end("another", "failed")])
    """
    with workers(tmp_path, nightly) as [first]:
        assert first.read() == "runs"
        first.kill()
    with workers(tmp_path, again) as [second]:
        assert second.read() == [None, None]
        assert second.wait() == 0
    with showing(tmp_path) as shown:
        shown.wait_for("backup", started=5, completed=4, lost=1)


def test_another_process_may_end_a_job(tmp_path: Path) -> None:
    """As a parent does for its killed child: once, and it is not lost in addition."""
    program = """
        from ferrometer.jobs.kinds import kind
        native = kind("train").native
        child = os.fork()
        if child == 0:
            with job("train", "a"):
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        say([native.end("a", "failed") is not None, native.end("a", "failed")])
    """
    with workers(tmp_path, program) as [worker]:
        assert worker.read() == [True, None]
        with showing(tmp_path) as shown:
            shown.wait_for("train", started=1, failed=1)


def test_the_same_id_in_two_processes_is_two_jobs(tmp_path: Path) -> None:
    program = """
        with job("train", "same"):
            say("runs")
            listen()
    """
    with workers(tmp_path, program, 2) as pair, showing(tmp_path) as shown:
        for worker in pair:
            assert worker.read() == "runs"
        shown.wait_for("train", started=2, in_flight=2)
        pair[0].write()
        assert pair[0].wait() == 0
        shown.wait_for("train", started=2, in_flight=1, completed=1)
        pair[1].kill()
        shown.wait_for("train", started=2, lost=1, completed=1)


def test_a_child_does_not_end_its_parents_job(tmp_path: Path) -> None:
    program = """
        with job("train", "mine"):
            child = os.fork()
            if child == 0:
                try:
                    sys.exit(0)  # leaves the block, in the child
                finally:
                    pass
            os.waitpid(child, 0)
            say("runs")
            listen()
    """
    with workers(tmp_path, program) as [worker], showing(tmp_path) as shown:
        assert worker.read() == "runs"
        shown.wait_for("train", started=1, in_flight=1)
        worker.write()
        assert worker.wait() == 0
        shown.wait_for("train", started=1, completed=1)


BEFORE_SHARING = """
import json, os, sys
import ferrometer
from ferrometer.jobs import job, submitted
submitted("train", 5)
with job("train"):
    pass
with job("train", "runs"), job("train"):
    child = os.fork()
    if child == 0:
        with job("train", "unseen"):  # in memory of its own, which ends with it
            os._exit(0)
    os.waitpid(child, 0)
    ferrometer.share(sys.argv[1])
    print("shares", flush=True)
    sys.stdin.readline()
print("done", flush=True)
sys.stdin.readline()
"""


def test_jobs_from_before_sharing_come_along(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BEFORE_SHARING, str(tmp_path)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        showing(tmp_path) as shown,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "shares\n"
        shown.wait_for("train", submitted=5, started=3, completed=1, in_flight=2)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        shown.wait_for("train", submitted=5, started=3, completed=3)
        process.stdin.close()
        assert process.wait(60) == 0


def test_jobs_that_run_too_long_are_stuck(tmp_path: Path) -> None:
    program = """
        with job("train"):
            say("runs")
            listen()
    """
    with workers(tmp_path, program) as [worker], showing(tmp_path, 0.2) as shown:
        assert worker.read() == "runs"
        shown.wait_for("train", started=1, in_flight=1, stuck=1)
        assert shown.all()["hub_job_oldest_seconds{job_type=train}"] > 0.2
        worker.kill()
        shown.wait_for("train", started=1, lost=1)
        assert "hub_job_oldest_seconds{job_type=train}" not in shown.all()


#: `make torture` has ten thousand.
FORKED = int(os.environ.get("FERROMETER_FORKED_JOBS", "2000"))


def test_thousands_of_forked_jobs_without_a_scrape_do_not_fill_the_directory(tmp_path: Path) -> None:
    """One process per job, as RQ has it, with a metric of its own: nothing piles up until somebody looks."""
    program = """
        mine = ferrometer.Counter("mine", "recorded by jobs")
        many = int(listen())
        submitted("small", many)
        most = 0
        for number in range(many):
            child = os.fork()
            if child == 0:
                with job("small", f"job-{number}", submitted_at=time.time()):
                    mine.inc()
                    if number % 1000 == 999:
                        os.kill(os.getpid(), signal.SIGKILL)
                os._exit(0)
            os.waitpid(child, 0)
            if number % 50 == 49:
                most = max(most, len(os.listdir(sys.argv[1])))
        say(most)
        listen()
    """
    with workers(tmp_path, program) as [worker]:
        worker.write(str(FORKED))
        assert worker.read() < 80
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 16_000_000
        with showing(tmp_path) as shown:
            lost = FORKED // 1000
            shown.wait_for("small", submitted=FORKED, started=FORKED, completed=FORKED - lost, lost=lost)
            found = shown.all()
            assert found["hub_job_wait_seconds_count{job_type=small}"] == FORKED
            assert found["mine_total"] == FORKED


def test_a_program_that_begins_to_share_finds_no_end_of_files_either(tmp_path: Path) -> None:
    """A new program for each job, as cron has it."""
    program = """
        for number in range(63):
            if os.fork() == 0:
                os._exit(0)
            os.wait()
        say(len(os.listdir(sys.argv[1])))
    """
    with workers(tmp_path, program) as [first]:
        assert first.read() > 63
        assert first.wait() == 0
    with workers(tmp_path, "say(len(os.listdir(sys.argv[1])))") as [second]:
        assert second.read() < 10


def test_workers_that_count_at_one_time_lose_nothing(tmp_path: Path) -> None:
    program = """
        say("ready")
        listen()
        for number in range(2000):
            with job("busy", f"{number}"):
                pass
        say("done")
        listen()
    """
    with workers(tmp_path, program, 4) as many, showing(tmp_path) as shown:
        for worker in many:
            assert worker.read() == "ready"
        for worker in many:
            worker.write()
        for worker in many:
            assert worker.read() == "done"
        shown.wait_for("busy", started=8000, completed=8000)


def test_a_directory_that_cannot_be_written_leaves_jobs_to_each_worker(tmp_path: Path) -> None:
    (tmp_path / "jobs-1.state").write_bytes(b"of another version")
    program = """
        import logging
        from ferrometer.jobs.feature import expose
        told = []
        class Told(logging.Handler):
            def emit(self, record): told.append(record.getMessage())
        logging.getLogger("ferrometer").addHandler(Told())
        expose()
        with job("train"):
            say([ferrometer.REGISTRY.get_sample_value("job_in_flight", {"job_type": "train"}), told])
    """
    with workers(tmp_path, program) as [worker]:
        running, told = worker.read()
    assert running == 1
    assert ["jobs-1.state is of another version" in words for words in told] == [True]
