"""The measuring tools themselves, on figures whose answer is known."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benches import __main__, loop, plot, publish, report
from benches.callgrind import Place, self_costs
from benches.floor import noop
from benches.row import CONTROL, FLOOR, OURS, Aim, Result, Row
from ferrometer.bench.rounds import Effort, Samples, Subject, interleave


def row(samples: Samples, *aims: Aim, **more: object) -> Result:
    return Result(Row("key", "title", "ns", lambda effort: samples, aims, **more), samples)  # type: ignore[arg-type]


def test_the_loop_runs_each_operation_once() -> None:
    seen: list[object] = []
    values = [(number, str(number)) for number in range(100)]
    inner = loop.generate("append(($a, $b))", {"append": seen.append}, rotate=("a", "b"))
    stream = loop.Stream(loop.pack(values))
    inner(stream.take(150))
    inner(stream.take(150))
    assert seen == values * 3


def test_the_loop_runs_a_statement_without_values_as_often_as_it_is_told() -> None:
    seen: list[int] = []
    loop.generate("append(1)", {"append": seen.append})(loop.blank(1000))
    assert len(seen) == 1000


def test_values_that_fill_no_row_are_refused() -> None:
    with pytest.raises(ValueError, match="whole rows"):
        loop.pack([(1,)] * (loop.UNROLL + 1))


def test_every_subject_is_checked_with_its_own_number_of_operations() -> None:
    done = {"a": 0, "b": 0}
    checked: dict[str, int] = {}

    def subject(name: str, every: int) -> Subject:
        def sample(count: int) -> float:
            done[name] += count
            return count * 1e-6

        return Subject(name, sample, lambda n: checked.update({name: n}), step=10, every=every)

    samples = interleave(lambda: [subject("a", 1), subject("b", 3)], rounds=7, seconds=1e-3, title="")
    assert checked == done
    assert [v is None for v in samples["b"]] == [False, True, True, False, True, True, False]
    assert samples["a"] == pytest.approx([1e-6] * 7)


def test_the_baseline_is_subtracted_round_by_round() -> None:
    result = row({"idle": [1e-9, 2e-9], FLOOR: [3e-9, 4e-9], OURS: [5e-9, None]}, baseline="idle")
    assert result.names() == [FLOOR, OURS]
    assert result.figure(FLOOR).median == pytest.approx(2)
    assert result.figure(OURS).median == pytest.approx(4)
    assert result.raw(OURS).median == pytest.approx(5)


@pytest.mark.parametrize(
    ("aim", "met"),
    [
        (Aim(OURS, FLOOR, at_most=1.5), True),
        (Aim(OURS, FLOOR, at_most=1.4), False),
        (Aim("prometheus_client", OURS, at_least=20), True),
        (Aim("prometheus_client", OURS, at_least=21), False),
        (Aim(OURS, at_most=3), True),
    ],
)
def test_verdicts(aim: Aim, met: bool) -> None:
    result = row({FLOOR: [2e-9] * 3, OURS: [3e-9] * 3, "prometheus_client": [60e-9] * 3}, aim)
    [verdict] = result.verdicts()
    assert verdict.met is met
    word = "met" if met else "MISSED"
    assert f"{aim.text}: " in report.table(result, judge=True)
    assert word in report.table(result, judge=True)
    assert "not judged" in report.table(result, judge=False)


def test_an_aim_about_an_absent_peer_is_left_out() -> None:
    assert row({OURS: [1e-9] * 3}, Aim("a peer", OURS, at_least=2)).verdicts() == []


def test_a_control_that_is_not_slower_is_shouted_about() -> None:
    samples: Samples = {FLOOR: [2e-9] * 3, CONTROL: [2e-9] * 3, OURS: [2e-9] * 3}
    assert "SPURIOUS" in report.table(row(samples, faster_than_control=FLOOR), judge=True)
    samples[CONTROL] = [4e-9] * 3
    assert "SPURIOUS" not in report.table(row(samples, faster_than_control=FLOOR), judge=True)


def test_the_floor_does_nothing() -> None:
    nothing = noop()
    assert nothing.labels("a", "b", "c") is nothing
    nothing.inc()
    nothing.observe(1.0)


def test_callgrind_costs_are_those_of_the_function_itself(tmp_path: Path) -> None:
    out = tmp_path / "callgrind.out"
    out.write_text(
        "events: Ir\n\nob=(1) /usr/bin/python3\nfl=(1) ceval.c\nfn=(1) eval\n10 100\n+2 20\n"
        "cob=(2) /x/_core.so\ncfn=(2) inc\ncalls=5 0\n* 1000\n11 3\n\n"
        "ob=(2)\nfn=(2)\n0 1000\n\nob=(1)\nfn=(1)\n9 1\n"
    )
    assert self_costs(out) == {Place("/usr/bin/python3", "eval"): 124, Place("/x/_core.so", "inc"): 1000}


def test_a_run_is_written_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run.json"
    assert __main__.main(["--quick", "--only", "middleware_send", "--only", "inc", "--json", str(run)]) == 0
    assert "every answer was checked" in capsys.readouterr().out
    document = json.loads(run.read_text())
    assert document["quick"] is True
    assert [r["key"] for r in document["rows"]] == ["inc", "middleware_send"]
    assert publish.main([str(run)]) == 2

    figures = {OURS: 80.0, FLOOR: 140.0, "starlette_exporter": 24_000.0, CONTROL: 280.0}
    document["rows"].append({"key": plot.ROW, "figures": {n: {"median": v} for n, v in figures.items()}})
    picture = plot.draw(document)
    texts = [element.text for element in ElementTree.fromstring(picture).iter() if element.text]
    assert "80 ns" in texts
    assert "24 µs" in texts
    assert picture.count("<rect") == 3


def test_figures_are_written_between_the_marks_of_the_readme() -> None:
    figures = {OURS: {"median": 7.3}, FLOOR: {"median": 6.0}, "prometheus_client": {"median": 221.0}}
    aims = [{"aim": "<= 1.3 x floor", "met": True}, {"aim": ">= 40 x prometheus_client", "met": False}]
    run = {
        "machine": {"processor": "a CPU", "cores": "2", "python": "3.11"},
        "rows": [{"key": "inc", "unit": "ns", "figures": figures, "aims": aims}],
    }
    readme = publish.insert(f"before\n{publish.BEGIN}\nold\n{publish.END}\nafter\n", run)
    assert readme.startswith("before\n")
    assert readme.endswith("\nafter\n")
    assert "old" not in readme
    assert "| 6.0 ns | 7.3 ns | prometheus_client 221 ns |" in readme
    assert "<= 1.3 x floor: met; >= 40 x prometheus_client: **missed**" in readme
    assert publish.insert(readme, run) == readme
    with pytest.raises(ValueError, match="to write between"):
        publish.insert("no marks", run)


def test_an_unknown_row_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--only", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_quick_is_quick() -> None:
    assert Effort(quick=True).rounds(100) < 10
    assert Effort().rounds(100) == 100
