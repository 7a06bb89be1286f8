"""Who is told what and when, by a clock of the test's own."""

from __future__ import annotations

import json

import pytest

from ferrometer.alerts.notify import interval
from ferrometer.alerts.notify.dispatch import Dispatcher, Entry, Notification
from ferrometer.alerts.notify.matcher import Matcher, parse
from ferrometer.alerts.notify.route import read
from ferrometer.alerts.notify.silence import Silence

CONFIG = """
route:
  receiver: all
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 17m
  routes:
    - {matchers: ['severity="critical"'], receiver: critical, continue: true}
    - {matchers: ['topic=~"gpu|drift"'], receiver: topics, mute_time_intervals: [nights]}
inhibit_rules:
  - source_matchers: ['severity="critical"']
    target_matchers: ['severity=~"warning|critical"']
    equal: [job]
time_intervals:
  - {name: nights, time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}]}]}
receivers: [{name: all}, {name: critical}, {name: topics}]
"""
TELLS = {name: {f"{name}/webhook": True} for name in ("all", "critical", "topics")}


class Clocked:
    """A dispatcher, the alerts that fire, and a clock."""

    def __init__(self, config: str = CONFIG, tells: dict[str, dict[str, bool]] | None = None) -> None:
        self.tells = tells or TELLS
        self.configuration = read(config, "am.yml")
        self.dispatcher = Dispatcher(self.configuration, self.tells)
        self.now = 1_000_000.0
        self.firing: dict[str, Entry] = {}
        self.over: dict[str, Entry] = {}
        self.silences: list[Silence] = []
        self.arrives = True

    def fire(self, name: str, **labels: str) -> None:
        both = tuple(sorted({"alertname": name, **labels}.items()))
        self.firing[name] = Entry(both, {"summary": name}, self.now)
        self.over.pop(name, None)

    def end(self, name: str) -> None:
        entry = self.firing.pop(name)
        self.over[name] = Entry(entry.labels, entry.annotations, entry.starts_at, self.now)

    def run(self, seconds: float, step: float = 5.0) -> list[tuple[float, str, list[str], list[str]]]:
        """What is told in that time: when, to whom, which fire, which are over."""
        begin, told = self.now, []
        while self.now <= begin + seconds:
            self.over = {name: one for name, one in self.over.items() if self.now - one.ends_at <= 900}
            self.dispatcher.take([*self.firing.values(), *self.over.values()], self.now)
            for one in self.dispatcher.due(self.now, self.silences):
                if self.arrives:
                    self.dispatcher.confirm(one)
                told.append((self.now - begin, one.receiver, _names(one.firing), _names(one.resolved)))
            self.now += step
        return told

    def restart(self) -> None:
        state = json.loads(json.dumps(self.dispatcher.state()))
        self.dispatcher = Dispatcher(self.configuration, self.tells)
        self.dispatcher.restore(state)


def _names(entries: tuple[Entry, ...]) -> list[str]:
    return [dict(entry.labels)["alertname"] for entry in entries]


def test_a_group_waits_tells_and_repeats() -> None:
    at = Clocked()
    at.fire("A", job="x")
    assert at.run(60) == [(30, "all", ["A"], [])]
    # Exactly after its interval, which is no multiple of group_interval.
    assert [(moment, who) for moment, who, *_ in at.run(1100)] == [(985, "all")]
    at.end("A")
    assert [told[1:] for told in at.run(3600)] == [("all", [], ["A"])], "once"


def test_alerts_are_grouped_by_labels() -> None:
    at = Clocked(CONFIG.replace("[alertname]", "[job]"))
    at.fire("A", job="x")
    at.fire("B", job="x")
    at.fire("C", job="y")
    assert sorted(told[2] for told in at.run(60)) == [["A", "B"], ["C"]]
    at.fire("D", job="x")
    # With its group, at the group's next look.
    assert [told[1:3] for told in at.run(300)] == [("all", ["A", "B", "D"])]
    every = Clocked(CONFIG.replace("[alertname]", "['...']"))
    every.fire("A", job="x")
    every.fire("B", job="x")
    assert len(every.run(60)) == 2


def test_routes_go_on_only_where_they_say_so() -> None:
    at = Clocked()
    at.fire("A", severity="critical", topic="gpu", job="1")
    at.fire("B", severity="warning", topic="drift", job="2")
    at.fire("C", topic="other", job="3")
    told = sorted((who, firing) for _, who, firing, _ in at.run(60))
    assert told == [("all", ["C"]), ("critical", ["A"]), ("topics", ["A"]), ("topics", ["B"])]


def test_what_is_inhibited_is_not_told_and_not_over() -> None:
    at = Clocked()
    at.fire("Low", severity="warning", job="x")
    at.fire("Other", severity="warning", job="y")
    assert sorted(told[2] for told in at.run(60)) == [["Low"], ["Other"]]
    at.fire("High", severity="critical", job="x")
    # The warning is silent now, and nobody hears that it is over; one critical does not inhibit itself.
    assert [told[1:] for told in at.run(1200) if "Other" not in told[2]] == [("critical", ["High"], [])] * 2
    at.end("High")
    told = [told[1:] for told in at.run(600) if "Other" not in told[2]]
    assert ("critical", [], ["High"]) in told
    assert ("all", ["Low"], []) in told, "the inhibitor is over, and its interval has passed"
    at.fire("Late", severity="warning", job="x")
    at.fire("High", severity="critical", job="x")
    assert not [one for one in at.run(60) if "Late" in one[2]]
    at.restart()
    assert not [one for one in at.run(400) if "Late" in one[2]], "nor after a restart"
    at.end("High")
    assert [one[2] for one in at.run(400) if "Late" in one[2]], "within group_interval"


def test_what_is_silenced_is_not_told() -> None:
    at = Clocked()
    at.silences = [
        Silence("1", (Matcher("job", "=~", "x|y"),), at.now - 10, at.now + 900, "ann", "deploy", at.now)
    ]
    at.fire("A", job="x")
    assert at.run(895) == []
    assert [told[1:3] for told in at.run(400)] == [("all", ["A"])]
    at.silences = [Silence("2", (Matcher("job", "=", "x"),), at.now, at.now + 9000, "", "", at.now)]
    at.end("A")
    assert at.run(2000) == [], "the end of it neither"


def test_nothing_is_told_twice_after_a_restart_and_nothing_is_lost() -> None:
    at = Clocked()
    at.fire("A", job="x")
    assert len(at.run(60)) == 1
    at.restart()
    assert at.run(600) == []
    at.end("A")
    at.restart()
    assert [told[3] for told in at.run(600)] == [["A"]]
    at.restart()
    assert at.run(600) == []
    # What had not arrived is told again.
    at.arrives = False
    at.fire("B", job="x")
    assert len(at.run(600)) == 1, "it is on its way, and not sent again meanwhile"
    at.restart()
    at.arrives = True
    assert [told[2] for told in at.run(400)] == [["B"]]


def test_a_rule_that_is_gone_ends_its_alerts() -> None:
    at = Clocked()
    at.fire("A", job="x")
    at.run(60)
    del at.firing["A"]
    assert [told[3] for told in at.run(600)] == [["A"]]


def test_one_that_flaps_is_damped() -> None:
    at = Clocked(CONFIG.replace("5m", "10s").replace("17m", "4h"))
    told = []
    for _ in range(20):
        at.fire("A", job="x")
        told += at.run(55)
        at.end("A")
        told += at.run(55)
    assert len(told) <= 12, "without damping it is told 40 times"
    told = at.run(1800)
    assert [one[3] for one in told] == [["A"]], "in the end it is over, once"


def test_an_end_within_the_interval_is_no_end() -> None:
    at = Clocked()
    at.fire("A", job="x")
    at.run(60)
    at.end("A")
    at.run(30)
    at.fire("A", job="x")
    assert at.run(600) == []


def test_maintenance() -> None:
    at = Clocked()
    at.now = 1_700_000_000.0 - 1_700_000_000.0 % 86_400 + 21.9 * 3600
    at.fire("A", topic="gpu")
    assert [told[1] for told in at.run(120)] == ["topics"]
    at.now += 600
    at.fire("B", topic="gpu")
    assert at.run(3600) == []
    at.now += 3600
    assert sorted(told[2] for told in at.run(120)) == [["A"], ["B"]]


def test_a_clock_that_jumps() -> None:
    at = Clocked()
    at.fire("A", job="x")
    at.run(60)
    at.now -= 86_400
    at.fire("B", job="x")
    assert {name for told in at.run(400) for name in told[2]} >= {"B"}
    at.now += 10 * 86_400
    assert len(at.run(60)) == 2, "one repetition of each group, and not one for each day"


def test_ends_are_told_only_to_those_who_want_them() -> None:
    at = Clocked(tells={name: {f"{name}/slack": False} for name in ("all", "critical", "topics")})
    at.fire("A", job="x")
    at.run(60)
    at.end("A")
    assert at.run(600) == []
    at.fire("A", job="x")
    assert [told[2] for told in at.run(60)] == [["A"]]


def test_ten_thousand_alerts_of_one_group() -> None:
    at = Clocked()
    entries = [
        Entry((("alertname", "A"), ("n", str(n)), ("severity", "warning")), {}, at.now) for n in range(10_000)
    ]
    at.dispatcher.take(entries, at.now)
    found = at.dispatcher.due(at.now + 30)
    assert [len(one.firing) for one in found] == [10_000]
    assert isinstance(found[0], Notification)
    assert at.dispatcher.due(at.now + 60) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('severity="critical"', [("severity", "=", "critical")]),
        ("severity=critical", [("severity", "=", "critical")]),
        ('{a=~"x,y", b!="z"}', [("a", "=~", "x,y"), ("b", "!=", "z")]),
        (r'a!~"\"q\""', [("a", "!~", '"q"')]),
    ],
)
def test_matchers(text: str, found: list[tuple[str, str, str]]) -> None:
    assert [(one.name, one.sign, one.value) for one in parse(text)] == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("receivers: [{name: all}", "am.yml:3: there is no receiver 'critical'"),
        (
            "route: {receiver: a, gruop_by: [x]}\nreceivers: [{name: a}]",
            "am.yml:1: a route has no key 'gruop_by'",
        ),
        ("route: {group_by: [x]}", "am.yml:1: the first route needs a receiver"),
        ("route: {receiver: a, matchers: ['x=y']}\nreceivers: [{name: a}]", "has no matchers"),
        (
            "route: {receiver: a, routes: [{matchers: ['x=~\"(\"']}]}\nreceivers: [{name: a}]",
            "am.yml:1: matcher",
        ),
        (
            "route: {receiver: a, group_wait: soon}\nreceivers: [{name: a}]",
            "am.yml:1: not a duration: 'soon'",
        ),
        (
            "route: {receiver: a, mute_time_intervals: [x]}\nreceivers: [{name: a}]",
            "there is no time interval 'x'",
        ),
        ("roote: 1", "am.yml:1: the configuration has no key 'roote'"),
        ("- 1", "am.yml:1: a configuration has the keys route and receivers"),
    ],
)
def test_what_is_wrong_is_named(change: str, words: str) -> None:
    text = CONFIG.replace(", {name: critical}", "") if change.startswith("receivers") else change
    with pytest.raises(ValueError, match=r"am\.yml") as refused:
        read(text, "am.yml")
    assert words in str(refused.value)


def test_intervals() -> None:
    friday = 1_700_222_400.0  # 2023-11-17, 12:00 in UTC

    def holds(**keys: object) -> bool:
        return interval.read(keys).contains(friday)

    assert holds(weekdays=["monday:friday"])
    assert not holds(weekdays=["saturday", "sunday"])
    assert holds(days_of_month=["-14:-1"])
    assert not holds(days_of_month=["-13:-1"])
    assert holds(months=["november"], years=["2023:2025"])
    assert holds(times=[{"start_time": "12:00", "end_time": "12:01"}])
    assert not holds(times=[{"start_time": "12:00", "end_time": "12:01"}], location="Europe/Berlin")
    for bad in ({"weekdays": ["monday:"]}, {"location": "Mars"}, {"day": ["1"]}, {"months": ["may:april"]}):
        with pytest.raises(ValueError, match=r"no |ends before"):
            interval.read(bad)
