"""What is decided about an audit whose run has ended and whose answers are to be accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assay_api.baseline import BATCH, AcceptedStatus, BaselineTold
from assay_api.model import to_wire
from assay_api.names import ANNOTATION_ACCEPT, STATUS_BYTES, TERMINATION_MESSAGE_BYTES
from assay_api.plan import run_digest
from assay_api.result import TaskResult, to_termination_message
from assay_api.status import AuditStatus
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.reconcile import reconcile
from assay_operator.objects.children import Job
from assay_operator.objects.decision import Decision
from assay_operator.objects.line import Turn
from tests.reconcile.cases import SETTINGS
from tests.unit.api.audits import audit, spec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = "2026-01-01T00:00:00Z"
REPORT = {"uri": "s3://audits/x/report.json", "sha256": "ab" * 32}
Raw = dict[str, Any]


def ended(accept: str, count: int = 2, **changes: Any) -> Raw:
    """An audit of so many candidates whose run has ended; `changes` of its status, `spec__x` of its spec."""
    candidates = [{"name": f"c{n:02}{'x' * 37}", "backend": "onnxruntime", "precision": "fp32"} for n in range(count)]
    fields = {key.removeprefix("spec__"): changes.pop(key) for key in list(changes) if key.startswith("spec__")}
    raw = audit(candidates=candidates, checks=None, **fields)
    run = run_digest(spec(candidates=candidates, checks=None, **fields))
    conditions = [
        {"type": kind, "status": "True", "reason": "Passed", "message": "", "lastTransitionTime": START,
         "observedGeneration": 1} for kind in ("Ready", "Complete", "Passed")
    ]  # fmt: skip
    entries = [{"name": c["name"], "state": "Finished", "verdict": "Passed"} for c in candidates]
    raw["metadata"] |= {
        "uid": "u", "resourceVersion": "1", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {ANNOTATION_ACCEPT: accept},
    }  # fmt: skip
    raw["status"] = {
        "observedGeneration": 1, "phase": "Complete", "verdict": "Passed", "run": run, "conditions": conditions,
        "finished": f"{count}/{count}", "candidates": entries, "report": REPORT, **changes,
    }  # fmt: skip
    return raw


def decide(raw: Raw, jobs: tuple[Job, ...] = (), **seen: Any) -> Decision[AuditStatus]:
    return reconcile(Observed(Audit.of(raw), jobs=jobs, **seen), NOW, SETTINGS)


def told(decision: Decision[AuditStatus]) -> AcceptedStatus:
    assert decision.status is not None
    assert decision.status.accepted is not None
    return decision.status.accepted


def orders(decision: Decision[AuditStatus]) -> list[list[str]]:
    """Candidates of each Job that is made."""
    found = []
    for manifest in decision.create:
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        task = json.loads(next(e["value"] for e in container["env"] if e["name"] == "ASSAY_TASK"))
        found.append(task["accept"]["candidates"])
    return found


def made(decision: Decision[AuditStatus]) -> tuple[Job, ...]:
    """The Jobs of a decision as the API server has them."""
    return tuple(
        Job.of({**m, "metadata": {**m["metadata"], "uid": f"j{n}", "resourceVersion": "1",
                                  "creationTimestamp": "2026-01-01T00:00:00Z"}})
        for n, m in enumerate(decision.create)
    )  # fmt: skip


def test_many_candidates_are_accepted_by_jobs_whose_answers_fit() -> None:
    raw = ended("release 7", count=20)
    first = decide(raw)
    assert [len(order) for order in orders(first)] == [BATCH, BATCH, 20 - 2 * BATCH]
    assert (told(first).waiting, first.retire) == (20, None)
    assert first.status is not None
    raw["status"] = json.loads(json.dumps(to_wire(first.status)))
    jobs, results = made(first), {}
    for job, keys in zip(jobs, orders(first), strict=True):
        whole = TaskResult(
            task=job.task,
            baselines=tuple(
                BaselineTold(candidate=key, state="", why="ü" * 900, refused=True) if n % 2 else
                BaselineTold(candidate=key, state="Unchanged", record="0" * 12, accepted="ü" * 600)
                for n, key in enumerate(keys)
            ),
        )  # fmt: skip
        results[job.uid] = to_termination_message(whole)
        assert len(results[job.uid].encode()) <= TERMINATION_MESSAGE_BYTES
    half = decide(raw, jobs, results={"j0": results["j0"]})
    assert (half.create, half.status) == ((), None)
    done = decide(raw, jobs, results=results)
    assert (told(done).accepted, told(done).refused, told(done).waiting) == (10, 10, 0)
    assert done.status is not None
    states = [entry.baseline.state if entry.baseline else None for entry in done.status.candidates]
    assert states == ["Unchanged" if n % BATCH % 2 == 0 else None for n in range(20)]
    assert done.status.baseline == "Unchanged"
    assert len(json.dumps(to_wire(done.status), ensure_ascii=False).encode()) <= STATUS_BYTES
    assert [event.reason for event in done.events] == ["BaselineAccepted", "BaselineRefused"]
    raw["status"] = json.loads(json.dumps(to_wire(done.status)))
    rest = decide(raw, jobs, results=results)
    assert (rest.create, rest.status, rest.events) == ((), None, ())


def test_a_job_that_failed_is_told_and_not_tried_again() -> None:
    raw = ended("release 7")
    first = decide(raw)
    (job,) = made(first)
    failed = replace(job, failure="BackoffLimitExceeded", ended=NOW - timedelta(minutes=1))
    done = decide(raw, (failed,))
    assert (told(done).accepted, told(done).refused) == (0, 2)
    assert "baseline-" in (told(done).message or "")


def test_what_holds_it_is_told_and_looked_at_again() -> None:
    raw = ended("release 7")
    crowded = decide(raw, turn=Turn(0, "4 of 4 tasks run"))
    assert (crowded.create, crowded.waits, crowded.requeue_after) == ((), 1, 5.0)
    assert "waits for its turn: 4 of 4 tasks run" in (told(crowded).message or "")
    held = decide(ended("release 7", spec__suspend=True))
    assert (held.create, told(held).waiting) == ((), 2)
    assert "suspended by spec.suspend" in (told(held).message or "")


NOT = [
    (ended("x", report=None), "has no report"),
    (ended('{"why": "x", "run": "0123456789abcdef"}'), "it was asked of run 0123456789abcdef, and there is run"),
    (ended('{"why": "x", "candidate": "moon"}'), "no candidate moon: there are c00"),
    (ended('{"why": "x", "cause": "moon"}'), "with the cause 'moon'"),
    (ended('{"why": "x", "model": "bert"}'), "model and image are of a sweep"),
    (ended('{"why": "x", "candidates": "c00"}'), "candidates"),
    (ended("{"), "begins as JSON and is none"),
    (ended("\ud800"), None),
    (ended("\x00"), None),
]


@pytest.mark.parametrize(("raw", "words"), NOT)
def test_what_cannot_be_accepted_is_told_once(raw: Raw, words: str | None) -> None:
    raw["status"] = {key: value for key, value in raw["status"].items() if value is not None}
    decision = decide(raw)
    assert decision.status is not None
    if words is None:
        # Text that no store and no terminal takes is accepted, made legible.
        assert told(decision).waiting == 2
        assert json.dumps(to_wire(decision.status)).encode()
        return
    assert decision.create == ()
    assert words in (told(decision).message or "")
    raw["status"] = json.loads(json.dumps(to_wire(decision.status)))
    assert decide(raw).status is None


def test_nothing_is_done_while_the_run_goes_on() -> None:
    raw = ended("release 7")
    raw["status"] = {"observedGeneration": -1}
    decision = decide(raw)
    assert decision.status is not None
    assert decision.status.accepted is None
    assert [m["metadata"]["labels"]["assay.dev/kind"] for m in decision.create] == ["golden"]


def test_a_suspended_queue_gets_its_job_suspended() -> None:
    raw = ended("release 7")
    raw["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "team"}
    (job,) = decide(raw).create
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
