"""Python code that comes back in the middle of something: finalisers, patched clocks, collections."""

from __future__ import annotations

import pytest

from ferrometer import CollectorRegistry, Counter
from tests.metrics.fresh import python


@pytest.mark.parametrize("container", ["list", "tuple", "dict", "object", "exception"])
def test_a_child_whose_deallocation_is_put_off_is_not_given_out(container: str) -> None:
    """CPython puts off what is nested deeply; a finaliser that runs meanwhile asks for the same child."""
    done = python(
        """
        import random

        counter = Counter("c", "h", ["l"], registry=registry)
        gauge = Gauge("g", "h", ["l"], registry=registry)
        asked = []

        def fresh(text):  # a string that nobody else holds, so that no cache keeps the child
            return "".join(text)

        class Asking:
            def __del__(self):
                asked.append((counter.labels(fresh("ab")), gauge.labels(fresh("ab"))))

        class Node:
            def __init__(self, inner):
                self.inner = inner

        def around(inner):
            match sys.argv[1]:
                case "list":
                    return [inner]
                case "tuple":
                    return (inner,)
                case "dict":
                    return {"inner": inner}
                case "object":
                    return Node(inner)
                case _:
                    return ValueError(inner)

        expected = 0
        for depth in (1, 30, 48, 49, 50, 51, 52, 60, 99, 100, 101, 150, 200, 300, 500, 1000):
            for order in range(3):
                child, other, asking = counter.labels(fresh("ab")), gauge.labels(fresh("ab")), Asking()
                child.inc()
                other.set(depth)
                inner = [[asking, child, other], [child, asking, other], [child, other, asking]][order]
                del child, other, asking
                for _ in range(depth):
                    inner = around(inner)
                del inner
                gc.collect()
                junk = [bytearray(size) for size in range(16, 400, 8) for _ in range(20)]
                assert len(asked) == 1, (depth, order)
                (child, other), = asked
                asked.clear()
                assert child is counter.labels("ab") and other is gauge.labels("ab")
                child.inc()
                other.inc()
                expected += 2
                assert child._value.get() == expected
                assert registry.get_sample_value("g", {"l": "ab"}) == depth + 1
                counter.remove("x"), gauge.remove("x")  # empties the cache
                del child, other, junk
        print("ok")
        """,
        container,
        dev=True,
    )
    assert "ok" in done.stdout


def test_a_weak_references_callback_asks_for_the_child() -> None:
    """It runs when nobody refers to the child any more, and before its memory is given back."""
    done = python(
        """
        import weakref

        counter = Counter("c", "h", ["l"], registry=registry)
        asked = []
        for number in range(1, 200):
            child = counter.labels("".join(["a", "b"]))
            child.inc()
            gone = weakref.ref(child, lambda gone: asked.append(counter.labels("".join(["a", "b"]))))
            del child
            assert gone() is None
            junk = [bytearray(size) for size in range(16, 400, 8)]
            (child,) = asked
            asked.clear()
            assert child._value.get() == number
            assert child is counter.labels("ab")
            counter.remove("x")  # empties the cache
            del child
        print("ok")
        """,
        dev=True,
    )
    assert "ok" in done.stdout


class Made(Counter):
    """Makes its own children."""


def test_a_child_defined_by_its_own_label(registry: CollectorRegistry) -> None:
    family, child, errors = Made("c", "h", ["l"], registry=registry), Made.__new__(Made), []

    class Label:
        def __str__(self) -> str:
            try:
                child._become_child(family, ("inner",))
            except RuntimeError as error:
                errors.append(error)
            return "outer"

    with pytest.raises(RuntimeError, match="defined already"):
        child._become_child(family, (Label(),))
    child.inc()
    assert (errors, child._labelvalues) == ([], ("inner",))
    assert registry.get_sample_value("c_total", {"l": "inner"}) == 1


def test_a_metric_defined_by_the_clock(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    metric, times = Counter.__new__(Counter), []

    def define() -> float:
        times.append(1.0)
        if len(times) == 1:
            metric.__init__("inner", "h", registry=registry)  # type: ignore[misc]
        return 1.0

    monkeypatch.setattr("time.time", define)
    with pytest.raises(RuntimeError, match="defined already"):
        metric.__init__("outer", "h", registry=registry)  # type: ignore[misc]
    metric.inc()
    assert registry.get_sample_value("inner_total") == 1
