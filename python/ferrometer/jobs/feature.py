"""Jobs of an application: the section ``[jobs]``."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferrometer import _core
from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.jobs.kinds import STUCK_SECONDS, tell_troubles
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ferrometer._runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """When jobs are stuck, and what the health check makes of it."""

    stuck_seconds: float = option(STUCK_SECONDS, "Seconds after which a running job counts as stuck.")
    most_stuck: int = option(0, "So many stuck jobs are still healthy.")
    most_lost: int = option(0, "So many jobs lost within `lost_seconds` are still healthy.")
    lost_seconds: float = option(300.0, "For so long a lost job makes the health check fail.")
    check_seconds: float = option(5.0, "Seconds between two looks for jobs whose process is dead.")
    path: str = option("/jobs", "Path of the list of running jobs by type, below the endpoints' path.")


class Jobs(Feature):
    """Shows the jobs of all workers: as metrics, as a health check, and as JSON at ``/jobs``."""

    section = "jobs"
    Settings = JobsSettings

    def __init__(
        self,
        *,
        stuck_seconds: float | None = None,
        most_stuck: int | None = None,
        most_lost: int | None = None,
        lost_seconds: float | None = None,
        check_seconds: float | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(
            stuck_seconds=stuck_seconds,
            most_stuck=most_stuck,
            most_lost=most_lost,
            lost_seconds=lost_seconds,
            check_seconds=check_seconds,
            path=path,
        )
        self._chosen = JobsSettings()
        #: When how many jobs had been lost, by type; the latest last.
        self._lost: deque[tuple[float, int]] = deque()

    def open(self, runtime: Runtime) -> None:
        """Registers the metrics, the health check and the endpoint."""
        self._chosen = chosen = runtime.settings(self)
        for name in ("stuck_seconds", "lost_seconds", "check_seconds"):
            if not 0 < getattr(chosen, name) < 1e9:
                raise ValueError(f"[jobs] {name} must be seconds above 0, not {getattr(chosen, name)!r}")
        for name in ("most_stuck", "most_lost"):
            if getattr(chosen, name) < 0:
                raise ValueError(f"[jobs] {name} must be 0 or more, not {getattr(chosen, name)!r}")
        expose(runtime.registry, namespace=runtime.namespace or "", stuck_seconds=chosen.stuck_seconds)
        runtime.every("jobs", chosen.check_seconds, self._look)
        runtime.check("jobs", self._check)
        runtime.route(chosen.path, self._answer)

    def _look(self) -> list[tuple[str, int, int, float, int]]:
        rows = _core.running_jobs(self._chosen.stuck_seconds)
        tell_troubles()
        now = time.monotonic()
        lost = sum(row[4] for row in rows)
        if not self._lost or self._lost[-1][1] != lost:
            self._lost.append((now, lost))
        # The first one is what was known before the time that counts.
        while len(self._lost) > 1 and self._lost[1][0] < now - self._chosen.lost_seconds:
            self._lost.popleft()
        return rows

    def _check(self) -> dict[str, Any]:
        """Unhealthy while jobs are stuck, or were lost a short while ago."""
        rows, chosen = self._look(), self._chosen
        stuck = {row[0]: row[2] for row in rows if row[2]}
        running, oldest = sum(row[1] for row in rows), max((row[3] for row in rows), default=0.0)
        lost = self._lost[-1][1] - self._lost[0][1]
        troubles = []
        if sum(stuck.values()) > chosen.most_stuck:
            named = ", ".join(f"{count} of {name}" for name, count in sorted(stuck.items()))
            troubles.append(f"running for more than {chosen.stuck_seconds:g} s: {named}")
        if lost > chosen.most_lost:
            troubles.append(f"lost within {chosen.lost_seconds:g} s: {lost}")
        found: dict[str, Any] = {
            "healthy": not troubles,
            "running": running,
            "stuck": sum(stuck.values()),
            "lost": lost,
            "oldest_seconds": round(oldest, 3),
        }
        if troubles:
            found["error"] = "jobs " + "; ".join(troubles)
        return found

    def _answer(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        names = ("job_type", "running", "stuck", "oldest_seconds", "lost")
        return JSONResponse({"jobs": [dict(zip(names, row, strict=True)) for row in self._look()]})


def expose(
    registry: CollectorRegistry = REGISTRY, *, namespace: str = "", stuck_seconds: float = STUCK_SECONDS
) -> None:
    """Shows the jobs of all workers in a registry; ``instrument(app, Jobs())`` does it by itself."""
    _core.register_job_metrics(registry._native, namespace, stuck_seconds)


FEATURE = Jobs
