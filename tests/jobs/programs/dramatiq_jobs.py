"""Messages of Dramatiq."""

import os
import signal
import time
from pathlib import Path

import carrier  # noqa: F401
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware, SkipMessage

from ferrometer.jobs.dramatiq import install


class Skips(Middleware):
    def before_process_message(self, broker, message):
        if message.actor_name == "skipped":
            raise SkipMessage("no")


broker = RedisBroker(url=os.environ["BROKER"])
broker.add_middleware(Skips())
dramatiq.set_broker(broker)
install(broker)


@dramatiq.actor
def good():
    pass


@dramatiq.actor(max_retries=0)
def bad():
    raise ValueError("bad")


@dramatiq.actor(max_retries=2, min_backoff=10, max_backoff=20)
def again():
    raise KeyError("again")


@dramatiq.actor(time_limit=1000, max_retries=0)
def slow():
    while True:
        time.sleep(0.05)


@dramatiq.actor
def skipped():
    pass


@dramatiq.actor(max_retries=0)
def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@dramatiq.actor(max_retries=0, time_limit=600_000)
def hang(file):
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)
