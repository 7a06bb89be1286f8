"""Jobs of arq."""

import asyncio
import os
from pathlib import Path

from arq import Retry, create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

from ferrometer.jobs.arq import install

install()
settings = RedisSettings.from_dsn(os.environ["BROKER"])


async def good(ctx):
    return 1


async def bad(ctx):
    raise ValueError("bad")


async def again(ctx):
    if ctx["job_try"] < 3:
        raise Retry(defer=0)


async def slow(ctx):
    await asyncio.sleep(600)


async def hang(ctx, file):
    Path(file).write_text(str(os.getpid()))
    await asyncio.sleep(600)


async def aborted(ctx):
    await asyncio.sleep(600)


class WorkerSettings:
    functions = [good, bad, again, slow, hang, aborted]
    redis_settings = settings
    job_timeout = 2
    max_jobs = 20
    poll_delay = 0.05
    allow_abort_jobs = True
    handle_signals = True
    keep_result = 0


# arq reads the class itself, not those it is derived from.
LongSettings = type("LongSettings", (), {**vars(WorkerSettings), "job_timeout": 600})


async def produce(*names):
    pool = await create_pool(settings)
    for name, *args in names:
        await pool.enqueue_job(name, *args)
    await pool.aclose()


async def abort():
    pool = await create_pool(settings)
    job = await pool.enqueue_job("aborted", _job_id="to abort")
    assert await pool.enqueue_job("aborted", _job_id="to abort") is None
    while await Job("to abort", pool).status() != "in_progress":
        await asyncio.sleep(0.05)
    await job.abort()
