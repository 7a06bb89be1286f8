"""Any script of calls: both libraries end with the same text, samples and errors."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.metrics.twin import Labels, Pair, Twins

LABEL_NAMES = ("method", "zone", "Upper", "le_", "_x")


class Odd:
    """A label value that is no string."""

    def __str__(self) -> str:
        return 'odd "one"\n\\'


TEXTS = st.one_of(
    st.sampled_from(
        ["", "GET", "/a/b", 'say "hi"', "a\\b", "two\nlines", "\\n", "é", "😀", "a,b=}", "\x00", "\r"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
VALUES = st.one_of(
    TEXTS, st.integers(-3, 3), st.booleans(), st.none(), st.just(2.5), st.just(b"x"), st.builds(Odd)
)
#: Sums of these are exact in any order, which is what differs between the two counters.
EXACT = st.one_of(st.integers(0, 2**40).map(lambda n: n / 16), st.integers(0, 2**40), st.booleans())
NUMBERS = st.one_of(st.floats(allow_nan=False), st.integers(-(2**70), 2**70), st.just(0.005), st.just(2.5))
BUCKETS = st.one_of(
    st.just((0.005, 0.01, 0.1, 1.0, 2.5, 10.0)),
    st.lists(st.floats(allow_nan=False), min_size=2, max_size=6, unique=True).map(sorted),
    st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=5, unique=True).map(sorted),
    st.just(("0.1", "1e3", "+Inf")),
    st.just((1e-300, 5e-324 * 3, 1e6, 1e16, 1.5e300)[2:]),
)
EXEMPLARS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["trace_id", "span", "Z"]), TEXTS.filter(lambda t: "}" not in t), max_size=2
    ),
)
KINDS = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")


class Script(RuleBasedStateMachine):
    """Defines metrics, uses them rightly and wrongly, removes series."""

    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins()
        self.metrics: list[tuple[str, tuple[str, ...], Pair]] = []
        self.defined = 0

    def pick(self, data: st.DataObject, *kinds: str) -> tuple[str, tuple[str, ...], Pair] | None:
        fit = [entry for entry in self.metrics if not kinds or entry[0] in kinds]
        return data.draw(st.sampled_from(fit)) if fit else None

    def labels(self, data: st.DataObject, names: tuple[str, ...]) -> Labels:
        values = tuple(data.draw(VALUES) for _ in names)
        if bool(names) and data.draw(st.booleans()):
            return dict(zip(names, values, strict=True))
        return values

    @rule(
        kind=st.sampled_from(KINDS),
        names=st.lists(st.sampled_from(LABEL_NAMES), max_size=3, unique=True),
        help_=st.sampled_from(["", "help", "a \\ b", "two\nlines", 'with "quotes"', "é"]),
        parts=st.tuples(*(st.sampled_from(["", "ns"]) for _ in range(2))),
        unit=st.sampled_from(["", "seconds"]),
        buckets=BUCKETS,
    )
    def define(
        self, kind: str, names: list[str], help_: str, parts: tuple[str, str], unit: str, buckets: Any
    ) -> None:
        kwargs: dict[str, Any] = {"namespace": parts[0], "subsystem": parts[1]}
        if kind in ("Counter", "Gauge", "Histogram", "Summary"):
            kwargs["unit"] = unit
        if kind == "Histogram":
            kwargs["buckets"] = buckets
        if kind == "Enum":
            kwargs["states"] = ["up", 'say "down"', "off"]
        self.defined += 1
        pair = self.twins.define(kind, f"m{self.defined}", help_, names, **kwargs)
        self.metrics.append((kind, tuple(names), pair))

    @precondition(lambda self: self.metrics)
    @rule(data=st.data())
    def use(self, data: st.DataObject) -> None:
        kind, names, pair = self.pick(data)  # type: ignore[misc]
        labels = self.labels(data, names)
        if kind == "Counter":
            match data.draw(st.integers(0, 6)):
                case 6:
                    pair.do("inc", data.draw(EXACT), data.draw(EXEMPLARS), on=labels)
                case 0:
                    pair.do("inc", on=labels)
                case 1:
                    pair.do("reset", on=labels)
                case 2:
                    pair.do("inc", amount=data.draw(EXACT), on=labels)
                case _:
                    pair.do("inc", data.draw(EXACT), on=labels)
        elif kind == "Gauge":
            method = data.draw(st.sampled_from(["set", "inc", "dec"]))
            pair.do(method, data.draw(NUMBERS), on=labels)
        elif kind in ("Histogram", "Summary"):
            exemplar = [data.draw(EXEMPLARS)] if kind == "Histogram" and data.draw(st.booleans()) else []
            pair.do("observe", data.draw(NUMBERS), *exemplar, on=labels)
        elif kind == "Info":
            pair.do(
                "info", data.draw(st.dictionaries(st.sampled_from(["a", "version", "zz"]), TEXTS)), on=labels
            )
        else:
            pair.do("state", data.draw(st.sampled_from(["up", 'say "down"', "off", "unknown"])), on=labels)

    @precondition(lambda self: self.metrics)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        if (picked := self.pick(data, "Counter", "Gauge")) is None:
            return
        _, names, pair = picked
        labels = self.labels(data, names)
        for metric in (pair.ours, pair.theirs):
            child = metric.labels(**labels) if isinstance(labels, dict) else metric
            if not names or child is not metric:
                assert isinstance(child._value.get(), float | int)

    @precondition(lambda self: self.metrics)
    @rule(data=st.data())
    def misuse(self, data: st.DataObject) -> None:
        """The wrong call of the right metric: the same type of error."""
        kind, names, pair = self.pick(data)  # type: ignore[misc]
        right = self.labels(data, names)
        method, args = {
            "Counter": ("inc", (-1,)),
            "Gauge": ("set", (None,)),
            "Histogram": ("observe", ("1",)),
            "Summary": ("observe", (None,)),
            "Info": ("info", ({"a": None},)),
            "Enum": ("state", ("nowhere",)),
        }[kind]
        if kind != "Summary":  # theirs counts what it then refuses to sum
            pair.do(method, *args, on=right)
        if names:
            if kind != "Info":  # where theirs forgot the check, and dies of an AttributeError
                pair.do(method, *args)  # no label values
            pair.do("labels", *["x"] * (len(names) + 1))
            pair.do("labels", wrong="x")
            pair.do("labels", "x", **{names[0]: "x"})
            pair.do("labels", "again", on=right)
            pair.do("remove")
            pair.do("remove_by_labels", {"wrong": 1})
            pair.do("remove_by_labels", [names[0]])
        else:
            pair.do("labels", "x")
            pair.do("labels")
            pair.do("remove", "x")
            pair.do("remove_by_labels", {})
            pair.do("clear")

    @precondition(lambda self: self.metrics)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        _, names, pair = self.pick(data)  # type: ignore[misc]
        if not names:
            return
        match data.draw(st.integers(0, 4)):
            case 0:
                pair.do("clear")
            case 1 | 2:
                pair.do("remove", *(data.draw(VALUES) for _ in names))
            case _:
                some = data.draw(st.lists(st.sampled_from(names), unique=True))
                pair.do("remove_by_labels", {name: data.draw(VALUES) for name in some})

    @precondition(lambda self: self.metrics)
    @rule(data=st.data())
    def unregister(self, data: st.DataObject) -> None:
        entry = self.pick(data)
        if entry is None or not data.draw(st.sampled_from([False, False, True])):
            return
        self.twins.ours.unregister(entry[2].ours)
        self.twins.theirs.unregister(entry[2].theirs)
        self.metrics.remove(entry)

    @invariant()
    def same(self) -> None:
        self.twins.agree()


Script.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestScript = Script.TestCase
