"""Steps that need one another."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from shipworthy.serve.steps import Step, run_steps


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def fail():
    raise RuntimeError("broken")


def test_a_step_waits_for_what_it_needs(pool):
    order = []
    steps = [
        Step("c", partial(order.append, "c"), ("b",)),
        Step("b", partial(order.append, "b"), ("a",)),
        Step("a", partial(order.append, "a")),
    ]
    events = list(run_steps(steps, pool))
    assert order == ["a", "b", "c"]
    assert [(e.step, e.state) for e in events if e.state == "done"] == [
        ("a", "done"), ("b", "done"), ("c", "done"),
    ]  # fmt: skip


def test_free_steps_run_side_by_side(pool):
    meeting = threading.Barrier(2, timeout=5)
    events = run_steps([Step("a", meeting.wait), Step("b", meeting.wait)], pool)
    assert {e.step for e in events if e.state == "done"} == {"a", "b"}


def test_a_failure_takes_along_only_what_needs_it(pool):
    steps = [
        Step("a", fail),
        Step("b", list, ("a",)),
        Step("c", list, ("b",)),
        Step("d", lambda: "fine"),
    ]
    events = {(e.step, e.state): e for e in run_steps(steps, pool)}
    assert str(events["a", "failed"].detail) == "broken"
    assert events["b", "skipped"].detail == "a"
    assert events["c", "skipped"].detail == "b"
    assert events["d", "done"].detail == "fine"
    assert ("b", "started") not in events


@pytest.mark.parametrize(
    "steps",
    [
        [Step("a", list), Step("a", list)],
        [Step("a", list, ("b",))],
        [Step("a", list, ("b",)), Step("b", list, ("a",))],
    ],
)
def test_steps_that_can_never_run_are_refused(pool, steps):
    with pytest.raises(ValueError, match=r"same name|never run"):
        list(run_steps(steps, pool))
