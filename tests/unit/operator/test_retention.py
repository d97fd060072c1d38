"""Which audits are deleted once they are done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assay_api.model import to_wire
from assay_operator.audits.observed import Audit
from assay_operator.audits.reconcile import reconcile
from assay_operator.objects.decision import Decision
from assay_operator.objects.keys import Key
from assay_operator.objects.retention import managed_by, surplus
from tests.reconcile.cases import SETTINGS, Case, carried_out, observed

Raw = dict[str, Any]
ENDED = Case("golden-invalid-input")


def passes(seconds: float, meta: Raw | None = None, surplus: bool = False, **spec: Any) -> list[Decision[Any]]:
    """The decisions about an audit whose run ends now, and about what is then there, so many seconds later."""
    raw = ENDED.read("audit.yaml")
    raw["spec"] |= spec
    raw["metadata"] |= meta or {}
    first = reconcile(observed(raw, ENDED.seen), ENDED.now, SETTINGS)
    assert first.status is not None
    seen = {**ENDED.seen, "status": to_wire(first.status)}
    seen.pop("after", None)
    then = replace(observed(raw, {**seen, "jobs": [], "pods": []}), surplus=surplus)
    return [first, reconcile(then, ENDED.now + timedelta(seconds=seconds), SETTINGS)]


@pytest.mark.parametrize(("after", "soon"), [(60, 60), (0, 1)])
def test_the_end_is_written_first_and_looked_at_again_in_time(after: int, soon: float) -> None:
    first, _ = passes(0, deleteSecondsAfterFinished=after)
    assert (first.retire, first.requeue_after) == (None, soon)


@pytest.mark.parametrize(
    ("seconds", "retire", "again"), [(0, None, 60), (59.5, None, 1), (60, "ttl", None), (9999, "ttl", None)]
)
def test_an_audit_goes_when_its_time_is_over(seconds: float, retire: str | None, again: float | None) -> None:
    _, later = passes(seconds, deleteSecondsAfterFinished=60)
    assert (later.retire, later.requeue_after) == (retire, again)


def test_an_audit_that_says_nothing_stays() -> None:
    first, later = passes(10**9)
    assert (first.requeue_after, later.retire, later.requeue_after) == (None, None, None)


def test_an_audit_too_many_goes_whatever_it_says() -> None:
    assert passes(0, surplus=True)[1].retire == "history"
    assert passes(0, surplus=True, deleteSecondsAfterFinished=60)[1].retire == "history"


@pytest.mark.parametrize("surplus", [False, True])
def test_an_audit_that_a_tool_would_make_again_stays_and_says_so(surplus: bool) -> None:
    meta = {"labels": {"kustomize.toolkit.fluxcd.io/name": "models"}}
    first, later = passes(61, meta, surplus, deleteSecondsAfterFinished=60)
    assert (first.retire, first.requeue_after, later.retire) == (None, 60, None)
    (event,) = later.events
    assert event.reason == "Kept"
    assert "Flux manages it" in event.message


def test_a_changed_spec_runs_again_instead() -> None:
    raw = ENDED.read("audit.yaml")
    first = reconcile(observed(raw, ENDED.seen), ENDED.now, SETTINGS)
    assert first.status is not None
    raw["spec"] |= {"deleteSecondsAfterFinished": 0, "backoffLimit": 7}
    after = reconcile(observed(raw, {"status": to_wire(first.status)}), ENDED.now + timedelta(days=9), SETTINGS)
    assert after.retire is None
    assert after.create


def test_a_run_in_progress_is_never_deleted() -> None:
    for name in ("golden-running", "suspended", "new-audit"):
        case = Case(name)
        raw = case.read("audit.yaml")
        raw["spec"] |= {"deleteSecondsAfterFinished": 0}
        seen = observed(raw, case.seen)
        decision = reconcile(seen, case.now + timedelta(days=999), SETTINGS)
        again = reconcile(carried_out(decision, seen, case.now), case.now + timedelta(days=999), SETTINGS)
        assert (decision.retire, again.retire) == (None, None)


@pytest.mark.parametrize(
    ("meta", "tool"),
    [
        ({}, ""),
        ({"labels": {"team": "a", "app.kubernetes.io/name": "x"}, "annotations": None}, ""),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "a:b"}}, "Argo CD"),
        ({"labels": {"argocd.argoproj.io/instance": "a"}}, "Argo CD"),
        ({"labels": {"app.kubernetes.io/instance": "a"}}, "Argo CD or Helm"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "a"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "a"}}, "Flux"),
        ({"annotations": {"meta.helm.sh/release-name": "a"}}, "Helm"),
    ],
)
def test_who_manages_an_audit(meta: Raw, tool: str) -> None:
    assert managed_by(meta) == tool


def done(name: str, ended: float, namespace: str = "a", **also: Any) -> Audit:
    given = {"complete": True, "until": ended, **also}
    made = Audit(namespace, name, name, 1, "1", False, None, "", b"{}", b"{}", "Complete", "", given["complete"])
    return replace(made, **given)


def test_the_oldest_of_a_namespace_are_too_many() -> None:
    audits = [done(f"d{index}", index) for index in range(5)]
    others = [
        done("running", 0, complete=False), done("gitops", 0, managed="Flux"), done("one", 0, "b"), done("two", 1, "b"),
    ]  # fmt: skip
    names = {key.name for key in surplus([*audits, *others], 2)}
    assert names == {"d0", "d1", "d2"}
    assert surplus([*audits, *others], 0) == frozenset()
    assert surplus([], 2) == frozenset()


def test_audits_that_ended_at_once_go_by_name() -> None:
    same = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert surplus([done("b", same), done("a", same)], 1) == {Key("AccuracyAudit", "a", "a")}


SWEEP_S: Raw = {
    "ownerReferences": [
        {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "name": "nightly", "uid": "s", "controller": True}
    ]
}


def test_an_audit_of_a_sweep_is_the_sweep_s_to_delete() -> None:
    _, later = passes(61, SWEEP_S, surplus=True, deleteSecondsAfterFinished=60)
    assert later.retire is None
    (event,) = later.events
    assert "sweep nightly manages it, would make it again" in event.message


def test_audits_of_a_sweep_count_for_nothing() -> None:
    meta = {"namespace": "a", "uid": "u", "resourceVersion": "1"}
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    own = [Audit.of({"metadata": {**meta, "name": f"a{n}"}, "status": ended}) for n in range(2)]
    swept = [Audit.of({"metadata": {**meta, **SWEEP_S, "name": f"s{n}"}, "status": ended}) for n in range(5)]
    assert surplus([*own, *swept], 1) == {own[0].key}
