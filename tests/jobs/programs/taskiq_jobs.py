"""Tasks of taskiq."""

import asyncio
import os
import signal
import time
from pathlib import Path

import carrier  # noqa: F401
from taskiq import SimpleRetryMiddleware
from taskiq_redis import ListQueueBroker

from ferrometer.jobs.taskiq import install

broker = ListQueueBroker(url=os.environ["BROKER"])
broker.add_middlewares(SimpleRetryMiddleware(default_retry_count=3))
install(broker)


@broker.task
async def good():
    return 1


@broker.task
def threaded():
    time.sleep(0.01)


@broker.task
async def bad():
    raise ValueError("bad")


@broker.task(retry_on_error=True)
async def again():
    raise KeyError("again")


@broker.task(timeout=0.5)
async def slow():
    await asyncio.sleep(600)


@broker.task
async def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@broker.task
async def hang(file):
    Path(file).write_text(str(os.getpid()))
    await asyncio.sleep(600)


def produce(*tasks):
    async def send():
        await broker.startup()
        for task, *args in tasks:
            await task.kiq(*args)
        await broker.shutdown()

    asyncio.run(send())
