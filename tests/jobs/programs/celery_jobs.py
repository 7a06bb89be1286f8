"""Tasks of Celery."""

import os
import signal
import time
from pathlib import Path

import carrier  # noqa: F401
from celery import Celery
from celery.exceptions import Ignore, Reject

from ferrometer.jobs.celery import install

install()
app = Celery("celery_jobs", broker=os.environ["BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True, broker_transport_options={"visibility_timeout": 3600}
)


@app.task
def good():
    return 1


@app.task
def bad():
    raise ValueError("bad")


@app.task(bind=True, max_retries=2)
def again(self):
    raise self.retry(countdown=0, exc=KeyError("again"))


@app.task(time_limit=1)
def slow():
    time.sleep(600)


@app.task(soft_time_limit=1)
def softly():
    time.sleep(600)


@app.task
def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def hang(file):
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)


@app.task(acks_late=True, reject_on_worker_lost=True)
def redelivered(file):
    if not Path(file).exists():
        Path(file).write_text("seen")
        os.kill(os.getpid(), signal.SIGKILL)


@app.task
def ignored():
    raise Ignore


@app.task(acks_late=True)
def rejected():
    raise Reject("no", requeue=False)
