"""RQ's worker, which imports what listens to jobs before it forks one."""

import carrier  # noqa: F401

from ferrometer.jobs.rq import Worker

__all__ = ["Worker"]
