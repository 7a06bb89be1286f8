"""Jobs of RQ."""

import os
import signal
import time
from pathlib import Path

import carrier  # noqa: F401
from redis import Redis
from rq import Queue, Retry

from ferrometer.jobs.rq import install

install()
connection = Redis.from_url(os.environ["BROKER"])
queue = Queue(connection=connection)


def good():
    return 1


def bad():
    raise ValueError("bad")


def again():
    raise KeyError("again")


def once_more(file):
    if not Path(file).exists():
        Path(file).write_text("seen")
        return Retry(max=3)
    return 1


def slow():
    time.sleep(600)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def hang(file):
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)


def nightly():
    pass
