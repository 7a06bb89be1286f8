"""The feature: which rules, and the one worker that evaluates them."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anyio.to_thread
from starlette.responses import JSONResponse, Response

from ferrometer._runtime.feature import Feature
from ferrometer._runtime.options import option
from ferrometer.alerts import api, rule_file
from ferrometer.alerts.alertmanager import BATCH, QUEUE, Alertmanager, Announcer, due
from ferrometer.alerts.duration import milliseconds
from ferrometer.alerts.evaluate import EvaluationError, GroupState, Sample, vector
from ferrometer.alerts.notify import route, silences
from ferrometer.alerts.notify.notifier import Notifier
from ferrometer.alerts.notify.silences import Silences
from ferrometer.alerts.packs import pack
from ferrometer.alerts.rule import Group, Rule
from ferrometer.metrics.types import Counter
from ferrometer.sharing.share import shared_directory

if TYPE_CHECKING:
    from starlette.requests import Request

    from ferrometer import _core
    from ferrometer._runtime.delivery import Delivery
    from ferrometer._runtime.runtime import Runtime

_log = logging.getLogger("ferrometer")

#: Seconds without an evaluation after which alerts begin anew, as in Prometheus.
_TOLERANCE = 3600.0
#: Seconds between two looks whether something is due, and whether this worker is the one.
_LOOK = 0.5
_STATE = "alert-state"
_SCRAPED = re.compile(r"(?<![\w:\"'])up(?![\w:(\"'])")
_PROMETHEUS_ONLY = "Prometheus only: `up` is of scraped targets, and in the application nothing is scraped"


@dataclass(frozen=True)
class AlertsSettings:
    """The section ``[alerts]``."""

    rules: tuple[str, ...] = option((), "Rule files, as Prometheus reads them; patterns such as rules/*.yml.")
    packs: tuple[str, ...] = option(
        (), "Ready-made rules: service, gateway, platform, staging, jobs, providers, ferrometer, capacity."
    )
    runbooks: str | None = option(
        None, "The address of the pages of docs/runbooks, for the runbook_url of ready-made rules."
    )
    alertmanagers: tuple[str, ...] = option(
        (), "URLs of Alertmanagers that are told of alerts; user:password@ before the host.", secret=True
    )
    notify: str | None = option(
        None, "A configuration file of Alertmanager: routes and receivers that are told from here."
    )
    log: bool = option(True, "Whether the log says which alerts begin and end.")
    interval: float = option(15.0, "Seconds between two evaluations of groups that say nothing else.")


class Alerts(Feature):
    """Evaluates rules over the history: ``Alerts(rules=["rules/*.yml", Rule(alert=..., expr=...)])``.

    The rules are Prometheus's, with its semantics. ``/api/v1/rules`` and ``/api/v1/alerts`` tell what they
    found, the live page shows it, and ``ALERTS``, ``ALERTS_FOR_STATE`` and recorded series are in the
    history. The worker that writes the history evaluates; when it dies the next one goes on where it was,
    and so does a restart when the history has a directory. It switches ``History`` on.

    A group that is malformed is left out and told in the log, and the others go on; a file that is not
    there is an error.
    """

    section = "alerts"
    Settings = AlertsSettings
    needs: ClassVar[tuple[str, ...]] = ("history",)

    def __init__(
        self,
        *,
        rules: Sequence[str | Path | Rule | Group] | None = None,
        packs: Sequence[str] | None = None,
        runbooks: str | None = None,
        alertmanagers: Sequence[str] | None = None,
        notify: str | Path | None = None,
        log: bool | None = None,
        interval: float | None = None,
    ) -> None:
        given = list(rules or ())
        files = None if rules is None else tuple(str(each) for each in given if isinstance(each, str | Path))
        super().__init__(
            rules=files,
            packs=None if packs is None else tuple(packs),
            runbooks=runbooks,
            alertmanagers=None if alertmanagers is None else tuple(alertmanagers),
            notify=None if notify is None else str(notify),
            log=log,
            interval=interval,
        )
        self._given = [each for each in given if isinstance(each, Rule | Group)]
        self._interval = 15.0
        self._sources: tuple[str, ...] = ()
        self._groups: list[GroupState] = []
        self._results: dict[int, list[Sample]] = {}
        self._runtime: Runtime | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_mine = False
        self._has_all = False
        self._runbooks = ""
        self._announcer: Announcer | None = None
        self._deliveries: list[Delivery] = []
        self._notifier: Notifier | None = None
        self._silences = Silences(self._documents, self._folder)

    def open(self, runtime: Runtime) -> None:
        """Reads the rules."""
        chosen: AlertsSettings = runtime.settings(self)
        if not 0.1 <= chosen.interval <= 86_400:
            raise ValueError(f"[alerts] interval must be from 0.1 to 86400 seconds, not {chosen.interval!r}")
        self._interval, self._runtime, self._sources = chosen.interval, runtime, chosen.rules
        self._announcer = Announcer() if chosen.log else None
        for number, url in enumerate(chosen.alertmanagers):
            receiver = Alertmanager(url)
            name = "alertmanager" if number == 0 else f"alertmanager {number + 1}"
            self._deliveries.append(runtime.deliver(name, receiver.send, queue=QUEUE, batch=BATCH))
        if chosen.notify is not None:
            configuration = route.read(_text_of(chosen.notify), chosen.notify)
            self._notifier = Notifier(configuration, chosen.notify, runtime, self._silences)
            runtime.route("/api/v2/{rest:path}", self._answer, methods=("GET", "POST", "DELETE"))
        self._runbooks = chosen.runbooks or ""
        groups = [*(pack(name, chosen.runbooks or "") for name in chosen.packs), *_own_groups(self._given)]
        for pattern in chosen.rules:
            for file in rule_file.files(pattern):
                found, faults = rule_file.read(file)
                groups += found
                for fault in faults:
                    _log.error("%s; this group is left out", fault)
        self._groups = [GroupState(group) for group in groups]
        for state in (rule for group in self._groups for rule in group.rules):
            if _SCRAPED.search(re.sub(r"\"[^\"]*\"|'[^']*'", "", state.rule.expr)):
                state.error = _PROMETHEUS_ONLY
                _log.warning("rule %s is skipped. %s", state.rule.name, _PROMETHEUS_ONLY)
        names = ("ferrometer_rule_evaluations", "ferrometer_rule_evaluation_failures")
        helps = ("Rules that were evaluated", "Rules that had no result")
        self._evaluations, self._failures = (
            Counter(name, text, ["group"], registry=runtime.registry)
            for name, text in zip(names, helps, strict=True)
        )

    def start(self) -> None:
        """Starts the thread that evaluates, or waits for its turn."""
        if self._runtime is not None and not self._has_all:
            # Those of other features, which may have been opened later.
            self._has_all = True
            made = (group for make in self._runtime.rules for group in make(self._runbooks))
            self._groups += [GroupState(group) for group in made]
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stopped,), name="ferrometer-rules", daemon=True
        )
        self._thread.start()

    def close(self, deadline: float) -> None:
        """Ends the thread; another worker goes on."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))

    def after_fork(self) -> None:
        """Forgets the parent's thread and what it found."""
        self._thread, self._is_mine = None, False
        self._groups = [GroupState(state.group) for state in self._groups]
        self._results = {}
        self._silences.after_fork()

    def _documents(self) -> _core.History | None:
        return None if self._runtime is None else self._runtime.history

    def _folder(self) -> Path | None:
        """Where the workers have their history."""
        features = () if self._runtime is None else self._runtime.features
        history = next((feature for feature in features if feature.section == "history"), None)
        if history is None or self._runtime is None:
            return None
        directory = self._runtime.settings(history).directory or shared_directory()
        return None if directory is None else Path(directory)

    async def _answer(self, request: Request) -> Response:
        documents = self._documents()
        body, path = await request.body(), request.path_params["rest"]
        content = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        alerts = None if documents is None else documents.document("notify-alerts")
        status, told = await anyio.to_thread.run_sync(
            lambda: silences.answer(self._silences, alerts, request.method, path, body, content)
        )
        return JSONResponse(told, status)

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(_LOOK):
            try:
                self._look()
            except Exception:  # what goes wrong once must not end the alerts
                _log.exception("rules could not be evaluated")

    def _look(self) -> None:
        history = self._runtime.history if self._runtime is not None else None
        if history is None or not history.writes:
            self._is_mine = False
            return
        now = time.time()
        if not self._is_mine:
            self._take_over(history, now)
        ask = _asking(history)
        due = [(number, group) for number, group in enumerate(self._groups) if self._is_due(group, now)]
        for number, group in due:
            self._results[number] = self._evaluate(group, ask, now)
        if due:
            self._tell(history, now)
        if self._notifier is not None and self._notifier.turn(history, now, has_news=bool(due)):
            history.put_document("alerts", json.dumps(self._shown(now)))

    def _is_due(self, group: GroupState, now: float) -> bool:
        own = group.group.interval
        seconds = self._interval if own is None else milliseconds(own) / 1000
        # A clock that went back makes everything due, and not nothing for a long time.
        return now - group.evaluated_at >= seconds or now < group.evaluated_at

    def _take_over(self, history: _core.History, now: float) -> None:
        self._is_mine = True
        self._groups = [_renewed(group) for group in self._groups]
        told = history.document(_STATE)
        if told is not None:
            try:
                api.restore(self._groups, json.loads(told), now, _TOLERANCE)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                _log.warning(
                    "what alerts were before cannot be read (%s): they begin anew", type(error).__name__
                )

        if self._announcer is not None:
            self._announcer.go_on(self._groups)
        if self._notifier is not None:
            self._notifier.go_on(history)

    def _evaluate(
        self, group: GroupState, ask: Callable[[str, float], Sequence[Sample]], now: float
    ) -> list[Sample]:
        began = time.perf_counter()
        made: list[Sample] = []
        for state in group.rules:
            if state.error == _PROMETHEUS_ONLY:
                continue
            before = time.perf_counter()
            self._evaluations.labels(group.group.name).inc()
            try:
                made += state.evaluate(ask, now, group.group.limit)
                state.error = ""
            except EvaluationError as error:
                state.error = str(error)
                self._failures.labels(group.group.name).inc()
            state.evaluated_at, state.seconds = now, time.perf_counter() - before
        group.evaluated_at, group.seconds = now, time.perf_counter() - began
        return made

    def _shown(self, now: float) -> dict[str, Any]:
        notifier = self._notifier
        if notifier is None:
            return api.alerts(self._groups)
        return api.alerts(self._groups, lambda alert: notifier.suppressed(alert.labels, now))

    def _tell(self, history: _core.History, now: float) -> None:
        if self._announcer is not None:
            self._announcer.tell(self._groups)
        if self._deliveries:
            for told in due(self._groups, now):
                for delivery in self._deliveries:
                    delivery.put(told)
        if self._notifier is not None:
            self._notifier.take(self._groups, now)
        samples = [sample for each in self._results.values() for sample in each]
        history.record([_recorded(sample) for sample in samples])
        documents: dict[str, Any] = {
            "alerts": self._shown(now),
            "rules": api.rules(self._groups, self._interval),
            _STATE: api.state(self._groups, now),
        }
        for name, document in documents.items():
            history.put_document(name, json.dumps(document))


def _text_of(file: str) -> str:
    if not Path(file).is_file():
        raise FileNotFoundError(f"[alerts] notify: there is no file {file!r}")
    return Path(file).read_text(encoding="utf-8")


def _renewed(group: GroupState) -> GroupState:
    fresh = GroupState(group.group)
    for old, new in zip(group.rules, fresh.rules, strict=True):
        new.error = old.error if old.error == _PROMETHEUS_ONLY else ""
    return fresh


def _recorded(sample: Sample) -> tuple[str, list[tuple[str, str]], float]:
    labels = dict(sample.labels)
    return labels.pop("__name__"), list(labels.items()), sample.value


def _own_groups(given: Iterable[Rule | Group]) -> list[Group]:
    """The groups that code gives; rules without one are a group together."""
    rules = tuple(each for each in given if isinstance(each, Rule))
    groups = [each for each in given if isinstance(each, Group)]
    return [*groups, *([Group(name="python", rules=rules, file="python")] if rules else [])]


def _asking(history: _core.History) -> Callable[[str, float], Sequence[Sample]]:
    def ask(expression: str, now: float) -> Sequence[Sample]:
        _, _, body = history.respond("GET", "query", [("query", expression), ("time", repr(now))], "rules")
        return vector(body.decode())

    return ask


FEATURE = Alerts
