"""A status in which another hand wrote just what is to be said: the leader before this one, whose write came late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from assay_api.model import to_wire
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.reconcile import reconcile
from tests.operator.lab import SPEC, Raw
from tests.reconcile.cases import SETTINGS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
META: Raw = {
    "namespace": "team", "name": "digits", "uid": "a", "resourceVersion": "1", "generation": 1,
    "creationTimestamp": "2026-01-01T00:00:00Z",
}  # fmt: skip


def audit(status: Raw) -> Audit:
    return Audit.of({"metadata": META, "spec": {**SPEC, "suspend": True}, "status": status})


def test_it_is_written_without_taking_anything_away() -> None:
    said = reconcile(Observed(audit({})), NOW, SETTINGS).status
    assert said is not None
    alike = audit(to_wire(said))
    assert reconcile(Observed(alike), NOW, SETTINGS).status is None
    decision = reconcile(Observed(replace(alike, record=b"{}")), NOW, SETTINGS)
    assert (decision.status, decision.replace) == (said, False)


def test_where_it_says_anything_else_it_is_taken_away_first() -> None:
    said = reconcile(Observed(audit({})), NOW, SETTINGS).status
    assert said is not None
    other = replace(audit(to_wire(said) | {"verdict": "Passed"}), record=b"{}")
    decision = reconcile(Observed(other), NOW, SETTINGS)
    assert (decision.status, decision.replace) == (said, True)
