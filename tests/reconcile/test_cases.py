from __future__ import annotations

import pytest

from assay_api.names import STATUS_BYTES
from assay_api.status import AuditStatus
from assay_operator.audits.reconcile import reconcile
from assay_operator.audits.record import read_status
from assay_operator.audits.status import unwritable_status
from assay_operator.objects.decision import Decision
from assay_operator.objects.raw import compact, timestamp
from tests.reconcile.cases import SETTINGS, Case, carried_out, names, status_after, with_status

ROUNDS = 3
"""Rounds after which nothing may be left to do: away with a stranger's Job, then create ours, then see it."""


@pytest.mark.parametrize("name", names())
def test_decision_is_the_one_on_file(name: str) -> None:
    case = Case(name)
    assert case.text() == case.expected, "look at the difference, then: python -m tests.reconcile --rewrite"


@pytest.mark.parametrize("name", names())
def test_status_is_small_and_its_conditions_are_whole(name: str) -> None:
    """The one that is written, or that stays as it is."""
    wire = status_after(name)
    assert len(compact(wire)) < STATUS_BYTES
    status = AuditStatus.model_validate_json(compact(wire))
    by_type = {condition.type: condition for condition in status.conditions}
    assert list(by_type) == ["Ready", "Reconciling", "Stalled", "Complete", "Passed"]
    assert all(c.observed_generation == status.observed_generation for c in status.conditions)
    ended = by_type["Complete"].status == "True"
    assert (by_type["Reconciling"].status == "True") is not ended
    # kstatus: Ready or Stalled once it is over, neither before.
    assert ended == (by_type["Ready"].status == "True" or by_type["Stalled"].status == "True")
    assert not (by_type["Passed"].status == "True" and status.verdict != "Passed")


@pytest.mark.parametrize("name", names())
def test_the_same_again_changes_nothing(name: str) -> None:
    """Where only the new status is seen yet: Jobs have the same names, so that the API server takes each once."""
    case = Case(name)
    first = case.decide()
    again = reconcile(with_status(case.observed(), status_after(name)), case.now, SETTINGS)
    assert again.status is None
    assert (again.create, again.patch) == (first.create, first.patch)
    assert set(again.delete) <= set(first.delete)
    assert [event for event in again.events if event.reason not in ("Superseded", "JobCreated")] == []


@pytest.mark.parametrize("name", names())
def test_once_carried_out_nothing_is_left_to_do_but_wait(name: str) -> None:
    case = Case(name)
    seen, made = case.observed(), []
    for _ in range(ROUNDS):
        decision = reconcile(seen, case.now, SETTINGS)
        seen = carried_out(decision, seen, case.now)
        made += [manifest["metadata"]["name"] for manifest in decision.create]
    there = [job.name for job in seen.jobs]
    assert len(there) == len(set(there)), "the API server takes no second Job of a name"
    assert len(made) == len(set(made)), "a Job that is there is not created again"
    idle = reconcile(seen, case.now, SETTINGS)
    assert idle == Decision(requeue_after=idle.requeue_after)


@pytest.mark.parametrize(("said", "told"), [("a\0b", "a\ufffdb"), ("x" * 9999, "x" * 100)])
def test_a_status_that_cannot_be_written_ends_its_run_and_says_why(said: str, told: str) -> None:
    case = Case("candidates-running")
    seen, refused = case.observed(), case.decide().status
    assert refused is not None
    status = unwritable_status(refused, said, seen, read_status(seen.audit), case.now)
    assert (status.phase, status.verdict, status.observed_generation) == ("Stalled", None, refused.observed_generation)
    assert (status.run, status.start_time) == (refused.run, refused.start_time)
    assert status.completion_time == timestamp(case.now)
    by_type = {condition.type: condition for condition in status.conditions}
    assert [by_type[kind].status for kind in ("Ready", "Stalled", "Complete", "Passed")] == [
        "False",
        "True",
        "True",
        "Unknown",
    ]
    for kind in ("Ready", "Stalled", "Complete", "Passed"):
        assert by_type[kind].reason == "Error"
        assert by_type[kind].message.startswith(f"the status could not be written: {told}")
        assert len(by_type[kind].message) <= 512
