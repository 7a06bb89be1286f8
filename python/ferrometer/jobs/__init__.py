"""Jobs: how many were submitted, run, fail, are lost or stuck, in all workers.

| want to see | read |
|---|---|
| a job as a context or a decorator | `context.py` |
| who is told of each job | `listeners.py` |
| what the hooks of all task queues have in common | `broker.py` |
| the hooks | `celery.py`, `rq.py`, `arq.py`, `dramatiq.py`, `taskiq.py` |
| metrics, health check, endpoint | `feature.py` |
"""

from ferrometer.jobs.context import Job, job, submitted
from ferrometer.jobs.listeners import JobListener, JobRecord, listen

__all__ = ["Job", "JobListener", "JobRecord", "job", "listen", "submitted"]
