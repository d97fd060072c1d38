"""Any graph of tasks comes to its end, in its order, with a kind of task that nobody here knew of among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_api.audit import AuditSpec
from assay_api.graph import CONDITIONS, Outcome, evaluate, proven
from assay_api.model import parse, to_wire
from assay_api.plan import After, Task, in_order, plan
from assay_api.remedies import Auto, Remedies
from assay_api.report import Verdict
from assay_api.task_kinds import BASELINE, CANDIDATE, COMPARE, GOLDEN, KINDS, RESOLVE, SCREEN, TaskKind
from assay_runner.tasks import TASKS
from tests.unit.api.audits import spec

SPEC = spec()
REPAIR = "repair"
DONE, FAILED = Outcome("Finished"), Outcome("Failed")
BREACHED, PASSED = Outcome("Finished", Verdict.FAILED), Outcome("Finished", Verdict.PASSED)


def task(key: str, *after: After, kind: str = GOLDEN, condition: str = "always") -> Task:
    candidate: dict[str, object] = {"candidate": to_wire(SPEC.candidates[0])} if KINDS[kind].candidate else {}
    if KINDS[kind].ahead:
        candidate = {"together": ["another"]}
    fields = {"kind": kind, "key": key, "after": [to_wire(a) for a in after], "condition": condition, **candidate}
    return parse(
        Task, {**fields, "audit": "a/b", "run": "r", "output": "s3://o", "cache": "s3://c", "spec": to_wire(SPEC)}
    )


def finished(key: str) -> After:
    return After(task=key)


def over(key: str) -> After:
    return After(task=key, when="Over")


def planned(of: AuditSpec = SPEC) -> tuple[Task, ...]:
    return plan(of, "a/b", output="s3://o", cache="s3://c")


def keys(tasks: Sequence[Task]) -> list[str]:
    return [task.key for task in tasks]


def test_every_kind_of_task_has_something_that_does_it() -> None:
    assert set(TASKS) == set(KINDS)
    repaired = SPEC.model_copy(update={"remedies": Remedies(auto=Auto()), "candidates_per_job": 2})
    # What sweeps and screenings ask, and the accepting of answers, is in no plan of an audit.
    assert {task.kind for task in planned(repaired)} == set(KINDS) - {RESOLVE, BASELINE, SCREEN, COMPARE}


def test_a_run_from_its_first_task_to_its_last() -> None:
    tasks = planned()
    *_, summary = tasks
    candidates = keys([task for task in tasks if task.candidate])
    assert keys(evaluate(tasks, {}).ready) == ["golden"]
    assert keys(evaluate(tasks, {"golden": Outcome("Running")}).ready) == []
    outcomes: dict[str, Outcome] = {"golden": DONE}
    assert keys(evaluate(tasks, outcomes).ready) == candidates
    outcomes |= dict.fromkeys(candidates, PASSED) | {candidates[0]: FAILED}
    assert evaluate(tasks, outcomes).ready == (summary,)
    assert not evaluate(tasks, outcomes).over
    assert evaluate(tasks, {**outcomes, "summary": DONE}).over


def test_without_golden_outputs_nothing_else_is_done() -> None:
    tasks = planned()
    found = evaluate(tasks, {"golden": FAILED})
    assert (found.ready, found.over) == ((), True)
    assert found.skipped == {task.key: "golden" for task in tasks if task.key != "golden"}


def test_a_task_that_began_proves_what_it_needed() -> None:
    tasks = (task("a"), task("b", finished("a")), task("c", finished("b")), task("d", over("c")))
    assert proven(tasks, {"c"}) == {"a", "b"}
    assert proven(tasks, {"d"}) == set()
    assert proven(planned(), {"summary"}) == {"golden"}
    # Nobody asks any more for what was to go ahead.
    shared = planned(SPEC.model_copy(update={"candidates_per_job": 2}))
    begun = next(task.together[0] for task in shared if task.together)
    assert proven(shared, {begun}) == {"golden", "together_1"}


@pytest.fixture
def repair(monkeypatch: pytest.MonkeyPatch) -> tuple[Task, ...]:
    """A plan with a kind of task that is done only where a candidate failed, and a task that waits for it."""
    monkeypatch.setitem(KINDS, REPAIR, TaskKind("a repair", "Repairing", "what failed"))
    golden, audited = task("golden"), task("fp16", finished("golden"), kind=CANDIDATE)
    repairing = task("repair", over("fp16"), kind=REPAIR, condition="aCandidateFailed")
    return golden, audited, repairing, task("last", over("repair"))


@pytest.mark.parametrize(
    ("candidate", "ready", "skipped"),
    [
        (Outcome("Running"), [], {}),
        (BREACHED, ["repair"], {}),
        (PASSED, ["last"], {"repair": "repair"}),
        (FAILED, ["last"], {"repair": "repair"}),
    ],
)
def test_a_task_is_done_only_where_a_candidate_failed(
    repair: tuple[Task, ...], candidate: Outcome, ready: list[str], skipped: dict[str, str]
) -> None:
    outcomes = {"golden": DONE, "fp16": candidate}
    found = evaluate(repair, outcomes)
    assert (keys(found.ready), found.skipped, found.over) == (ready, skipped, False)
    assert evaluate(repair, {**outcomes, "repair": DONE, "last": DONE}).over is candidate.over


def test_what_comes_first_stands_first_whatever_the_order() -> None:
    a, b, c = task("a"), task("b", over("a")), task("c", finished("b"))
    assert keys(in_order((c, b, a))) == ["a", "b", "c"]
    assert keys(in_order(planned())) == keys(planned())


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([("a", ["b"])], "task a comes after b, which is not planned"),
        ([("a", ["a"])], "in a circle: a$"),
        ([("x", []), ("a", ["x", "c"]), ("b", ["a"]), ("c", ["b"])], "in a circle: a, b, c$"),
        ([("a", []), ("a", [])], "one key"),
    ],
)
def test_a_plan_that_cannot_be_done_is_refused(tasks: list[tuple[str, list[str]]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        in_order([task(key, *map(over, after)) for key, after in tasks])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Task, ...]:
    """Tasks in any order, each after some of those with a smaller number."""
    tasks: list[Task] = []
    for number in range(draw(st.integers(1, 8))):
        before = draw(st.sets(st.sampled_from(range(number)))) if number else set()
        after = [After(task=f"t{n}", when=draw(st.sampled_from(["Finished", "Over"]))) for n in sorted(before)]
        kind, condition = draw(st.sampled_from(sorted(KINDS))), draw(st.sampled_from(sorted(CONDITIONS)))
        tasks.append(task(f"t{number}", *after, kind=kind, condition=condition))
    return in_order(draw(st.permutations(tasks)))


ENDS = st.sampled_from([DONE, FAILED, BREACHED, PASSED])


@given(graphs(), st.data())
def test_every_task_is_done_failed_or_skipped_and_none_too_early(tasks: tuple[Task, ...], data: st.DataObject) -> None:
    outcomes: dict[str, Outcome] = {}
    started: list[str] = []
    while not (standing := evaluate(tasks, outcomes)).over:
        running = [key for key, outcome in outcomes.items() if outcome.state == "Running"]
        # Whoever may go on may also wait, as long as somebody does something.
        moves = [*(("start", key) for key in keys(standing.ready)), *(("end", key) for key in running)]
        assert moves, "nothing can be done, and it is not over"
        move, key = data.draw(st.sampled_from(moves))
        if move == "start":
            assert key not in started
            started.append(key)
            assert_met(tasks, key, outcomes, standing.skipped)
        outcomes[key] = Outcome("Running") if move == "start" else data.draw(ENDS)
        after = evaluate(tasks, outcomes)
        assert standing.skipped.keys() <= after.skipped.keys(), "what was skipped stays skipped"
    assert sorted([*started, *standing.skipped]) == sorted(keys(tasks))
    assert all(outcome.over for outcome in outcomes.values())
    for key, cause in standing.skipped.items():
        assert cause == key or outcomes.get(cause) == FAILED or standing.skipped[cause] == cause


def assert_met(tasks: Sequence[Task], key: str, outcomes: Mapping[str, Outcome], skipped: Mapping[str, str]) -> None:
    [of] = [task for task in tasks if task.key == key]
    for after in of.after:
        there = outcomes.get(after.task)
        assert there is not None or (after.when == "Over" and after.task in skipped)
        assert there is None or (there.state == "Finished" if after.when == "Finished" else there.over)
