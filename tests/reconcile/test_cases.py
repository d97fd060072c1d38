from __future__ import annotations

import pytest

from assay_api.model import to_wire
from assay_api.names import STATUS_BYTES
from assay_operator.objects.raw import compact
from tests.reconcile.cases import Case, names, observed, status_after


@pytest.mark.parametrize("name", names())
def test_decision_is_the_one_on_file(name: str) -> None:
    case = Case(name)
    assert case.text() == case.expected, "look at the difference, then: python -m tests.reconcile --rewrite"


@pytest.mark.parametrize("name", names())
def test_status_is_small_and_its_conditions_are_whole(name: str) -> None:
    status = Case(name).decide().status
    if status is None:
        return
    assert len(compact(to_wire(status))) < STATUS_BYTES
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
    """Once carried out, a decision has no status left to write, and tells no event twice."""
    from datetime import UTC, datetime

    from assay_operator.audits.reconcile import reconcile
    from tests.reconcile.cases import SETTINGS

    case = Case(name)
    seen = dict(case.read("observed.yaml") or {})
    first = case.decide()
    now = datetime.fromisoformat(str(seen.get("now", "2026-01-01T00:00:00Z")).replace("Z", "+00:00")).astimezone(UTC)
    seen.pop("after", None)
    seen["status"] = status_after(name)
    if first.create:
        return
    again = reconcile(observed(case.read("audit.yaml"), seen), now, SETTINGS)
    assert again.status is None
    assert [event for event in again.events if event.reason != "Superseded"] == []
