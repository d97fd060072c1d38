"""A kind of task that nobody here knew of: done on its condition, told of, and waited for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from assay_api import plan as plans
from assay_api.audit import AuditSpec
from assay_api.plan import After, Task, in_order
from assay_api.status import AuditStatus
from assay_api.task_kinds import KINDS, TaskKind
from assay_operator.audits import run
from assay_operator.audits.reconcile import reconcile
from assay_operator.objects.decision import Decision
from tests.reconcile.cases import SETTINGS, observed

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
AUDIT = {
    "metadata": {"name": "repaired"},
    "spec": {
        "model": {"uri": "s3://models/digits.onnx"},
        "dataset": {"uri": "s3://datasets/digits/"},
        "candidates": [{"name": name, "backend": "onnxruntime", "precision": name} for name in ("fp16", "bf16")],
        "artifacts": {"uri": "s3://audits/"},
    },
}
PASSED, FAILED = {"verdict": "Passed"}, {"verdict": "Failed"}


def with_repair(spec: AuditSpec, **more: str) -> tuple[Task, ...]:
    """The plan, and between the candidates and the summary a repair, where one of them failed."""
    *first, summary = plans.tasks_of(spec, **more)
    candidates = tuple(After(task=task.key, when="Over") for task in first if task.candidate)
    changes = {"kind": "repair", "key": "repair", "after": candidates, "condition": "aCandidateFailed"}
    last = summary.model_copy(update={"after": (*summary.after, After(task="repair", when="Over"))})
    return in_order((*first, last, summary.model_copy(update=changes)))


@pytest.fixture(autouse=True)
def repair(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(KINDS, "repair", TaskKind("a repair", "Repairing", "what failed"))
    monkeypatch.setattr(run, "tasks_of", with_repair)
    run._run_of.cache_clear()
    yield
    run._run_of.cache_clear()


def decided(**results: Any) -> Decision[AuditStatus]:
    """What is decided once these tasks have answered."""
    given = [{"task": task, "result": result} for task, result in results.items()]
    done = [{"task": task, "status": {"conditions": [{"type": "Complete", "status": "True"}]}} for task in results]
    return reconcile(observed(AUDIT, {"jobs": done, "pods": given}), NOW, SETTINGS)


def kinds(decision: Decision[AuditStatus]) -> list[str]:
    return [manifest["metadata"]["labels"]["assay.dev/kind"] for manifest in decision.create]


def test_nothing_of_it_is_told_ahead() -> None:
    assert "golden outputs, then 2 candidates, then the summary; " in decided().events[0].message


def test_it_is_done_where_a_candidate_failed_and_the_summary_waits_for_it() -> None:
    assert kinds(decided(golden={}, fp16=FAILED)) == ["candidate"]
    decision = decided(golden={}, fp16=FAILED, bf16=PASSED)
    assert kinds(decision) == ["repair"]
    assert decision.status is not None
    reconciling = next(c for c in decision.status.conditions if c.type == "Reconciling")
    assert reconciling.message == "Repairing what failed."
    assert kinds(decided(golden={}, fp16=FAILED, bf16=PASSED, repair={})) == ["summary"]
    assert kinds(decided(golden={}, fp16=FAILED, bf16=PASSED, repair={}, summary=FAILED)) == []


def test_it_is_left_out_where_none_failed() -> None:
    assert kinds(decided(golden={}, fp16=PASSED, bf16=PASSED)) == ["summary"]
    ended = decided(golden={}, fp16=PASSED, bf16=PASSED, summary=PASSED).status
    assert ended is not None
    assert (ended.phase, ended.verdict) == ("Complete", "Passed")


def test_a_candidate_that_was_not_asked_for_spoils_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is tried only where another failed."""

    def with_another(spec: AuditSpec, **more: str) -> tuple[Task, ...]:
        tasks = with_repair(spec, **more)
        about = next(task for task in tasks if task.candidate)
        given = {"candidate": about.candidate, "kind": about.kind}
        return tuple(task.model_copy(update=given) if task.key == "repair" else task for task in tasks)

    monkeypatch.setattr(run, "tasks_of", with_another)
    run._run_of.cache_clear()
    ended = decided(golden={}, fp16=PASSED, bf16=PASSED, summary=PASSED).status
    assert ended is not None
    assert (ended.phase, ended.verdict) == ("Complete", "Passed")
    assert kinds(decided(golden={}, fp16=FAILED, bf16=PASSED)) == ["candidate"]
