"""What Prometheus is told of audits, runs and tasks."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from prometheus_client import CollectorRegistry

from assay_api.result import Progress, TaskError, TaskResult, to_termination_message
from assay_operator.audits.observed import Audit
from assay_operator.cluster.cache import Cache
from assay_operator.kinds import KINDS
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Item
from assay_operator.objects.resources import JOBS, PODS
from assay_operator.process.census import MOST_NAMESPACES, Standing
from assay_operator.process.metrics import Metrics
from assay_operator.process.outcomes import pod_end
from assay_operator.sweeps.observed import Sweep

THEN = datetime(2026, 1, 1, tzinfo=UTC)
JOB = Job("digits-golden", "j1", "2", owner="u1", run="r", task="t", created=THEN, kind="golden")
POD = Pod("digits-golden-1", "p1", "3", job="j1", task="t", created=THEN, kind="golden")


def audit(name: str = "digits", namespace: str = "team", version: int = 1, **status: Any) -> Audit:
    meta = {
        "namespace": namespace, "name": name, "uid": f"u-{namespace}-{name}" if name != "digits" else "u1",
        "resourceVersion": str(version), "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    ready = {"type": "Ready", "status": "False", "reason": status.pop("reason", "")}
    complete = {"type": "Complete", "status": str(status.pop("complete", False))}
    return Audit.of({"metadata": meta, "status": {"conditions": [ready, complete], **status}})


def told(again: Literal["Outage", "Setup"] | None) -> str:
    error = TaskError(reason="Unavailable", message="cannot connect to s3", again=again)
    return to_termination_message(TaskResult(task="t", error=error))


class Witnessed:
    """A cache whose changes are counted."""

    def __init__(self, prices: dict[str, float] | None = None) -> None:
        self.metrics, self.cache = Metrics(prices or {}), Cache(KINDS)
        self.cache.witnesses.append(self.metrics.outcomes.saw)
        parents = {"audit": lambda: self.cache.parents()}
        self.metrics.watch(parents, self.cache.pods_at_work, lambda: 0.0)

    def put(self, *values: Audit | Sweep | Job | Pod, name: str = "digits") -> None:
        for value in values:
            if isinstance(value, Audit | Sweep):
                self.cache.put(Item(KINDS[value.key.kind].resource, value.key.group, value, value.key))
            else:
                group = Key("AccuracyAudit", "team", name).group
                self.cache.put(Item(JOBS if isinstance(value, Job) else PODS, group, value))

    def value(self, series: str) -> float:
        lines = [line for line in self.metrics.text().decode().splitlines() if line.startswith(f"{series} ")]
        assert len(lines) <= 1
        return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0


@pytest.fixture
def seen() -> Witnessed:
    seen = Witnessed()
    seen.put(audit(phase="Running", reason="Running"), JOB, POD)
    return seen


@pytest.mark.parametrize(
    ("pod", "ended"),
    [
        ({"phase": "Succeeded", "exit_code": 0}, "Succeeded"),
        ({"exit_code": 137, "exit_reason": "OOMKilled"}, "OutOfMemory"),
        ({"exit_code": 137}, "OutOfMemory"),
        ({"exit_code": 137, "disrupted": "EvictionByEvictionAPI"}, "Disrupted"),
        ({"exit_code": 69}, "Unavailable"),
        ({"exit_code": 75, "message": told("Outage")}, "Outage"),
        ({"exit_code": 75, "message": told("Setup")}, "Setup"),
        ({"exit_code": 75, "message": told(None)}, "Unavailable"),
        ({"exit_code": 75, "message": '{"task": "t", "error": {"again": "Later"}}'}, "Unavailable"),
        ({"exit_code": 75, "message": "\ud83d garbage"}, "Unavailable"),
        ({"exit_code": 64}, "InvalidInput"),
        ({"exit_code": 70}, "Failed"),
        ({"exit_code": 139}, "Failed"),
        ({"exit_code": None}, "Failed"),
    ],
)
def test_how_a_pod_ended(pod: dict[str, Any], ended: str) -> None:
    assert pod_end(replace(POD, **{"phase": "Failed", **pod})) == ended


def test_a_pod_is_counted_once_when_it_ends(seen: Witnessed) -> None:
    over = replace(POD, version="8", phase="Failed", exit_code=69)
    seen.put(replace(POD, version="7", phase="Running"), over, over, replace(over, version="9", deleting=True))
    assert seen.value('assay_task_pods_total{ended="Unavailable",kind="golden"}') == 1


@pytest.mark.parametrize("forged", [{"kind": "forged"}, {"job": "j-of-another"}, {"job": ""}])
def test_a_pod_that_only_looks_like_a_task_s_is_not_counted(seen: Witnessed, forged: dict[str, Any]) -> None:
    seen.put(replace(POD, name="x", uid="x", version="8", phase="Failed", exit_code=69, **forged))
    assert not re.search(r"assay_task_pods_total{[^}]*} [1-9]", seen.metrics.text().decode())
    assert "forged" not in seen.metrics.text().decode()


def test_seconds_of_a_task_are_those_of_its_job(seen: Witnessed) -> None:
    done = replace(JOB, version="9", started=THEN, ended=THEN + timedelta(seconds=42), succeeded=True)
    seen.put(done, replace(done, version="10"))
    assert seen.value('assay_task_seconds_sum{ended="Succeeded",kind="golden"}') == 42
    assert seen.value('assay_task_seconds_count{ended="Succeeded",kind="golden"}') == 1


@pytest.mark.parametrize(
    ("reason", "counted"), [("Passed", "Passed"), ("OutOfMemory", "OutOfMemory"), ("Bogus", "Other"), ("", "Other")]
)
def test_a_run_is_counted_once_when_it_ends(seen: Witnessed, reason: str, counted: str) -> None:
    times = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:30Z"}
    ended: dict[str, Any] = {"phase": "Complete", "reason": reason, "complete": True, "verdict": "Passed", **times}
    seen.put(audit(version=5, **dict(ended)), audit(version=6, **dict(ended)))
    assert seen.value(f'assay_runs_ended_total{{reason="{counted}"}}') == 1
    assert seen.value('assay_run_seconds_sum{verdict="Passed"}') == 90
    # Another run of the same audit, which ends.
    seen.put(audit(version=7, phase="Running", reason="Running"), audit(version=8, **dict(ended)))
    assert seen.value(f'assay_runs_ended_total{{reason="{counted}"}}') == 2


def test_a_run_that_had_ended_before_it_was_seen_is_not_counted() -> None:
    seen = Witnessed()
    seen.put(audit(phase="Complete", reason="Passed", complete=True, verdict="Passed"))
    assert seen.value('assay_runs_ended_total{reason="Passed"}') == 0


def test_audits_by_namespace_and_reason(seen: Witnessed) -> None:
    seen.put(audit("other", phase="Running", reason="Running"), audit("bogus", phase="Stalled", reason="New and odd"))
    assert seen.value('assay_audits_by_reason{audit_namespace="team",phase="Running",reason="Running"}') == 2
    assert seen.value('assay_audits_by_reason{audit_namespace="team",phase="Stalled",reason="Other"}') == 1


def test_series_do_not_grow_with_namespaces() -> None:
    seen = Witnessed()
    for index in range(MOST_NAMESPACES + 20):
        seen.put(audit("one", f"n{index:03}", phase="Pending", reason="Pending"))
    text = seen.metrics.text().decode()
    assert len(re.findall(r"^assay_audits_by_reason{", text, re.MULTILINE)) == MOST_NAMESPACES + 1
    assert seen.value('assay_audits_by_reason{audit_namespace="(other)",phase="Pending",reason="Pending"}') == 20


def ages(clock: list[float], objects: list[Audit]) -> Standing:
    return Standing("audit", lambda: objects, lambda: clock[0])


def asked(standing: Standing) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(standing)
    return {phase: registry.get_sample_value("assay_oldest_audit_seconds", {"phase": phase}) or 0.0
            for phase in ("Pending", "Running")}  # fmt: skip


def test_age_of_the_oldest_leaves_out_what_is_done_or_held() -> None:
    start = THEN.timestamp()
    objects = [
        audit("new"),
        audit("a", phase="Running", startTime="2026-01-01T00:10:00Z"),
        audit("b", phase="Running", startTime="2026-01-01T00:20:00Z"),
        audit("done", phase="Stalled", complete=True, startTime="2020-01-01T00:00:00Z"),
        audit("held", phase="Suspended", startTime="2020-01-01T00:00:00Z"),
    ]
    assert asked(ages([start + 3600], objects)) == {"Pending": 3600, "Running": 3000}
    assert asked(ages([start + 3600], [])) == {"Pending": 0, "Running": 0}


def test_an_audit_that_was_held_is_as_old_as_its_resumption() -> None:
    clock, objects = [THEN.timestamp() + 9000], [audit("held", phase="Suspended", startTime="2020-01-01T00:00:00Z")]
    standing = ages(clock, objects)
    asked(standing)
    objects[:] = [audit("held", phase="Running", startTime="2020-01-01T00:00:00Z")]
    clock[0] += 60
    assert asked(standing)["Running"] == 60
    clock[0] += 60
    assert asked(standing)["Running"] == 120


def test_pods_at_work_and_those_that_wait_for_storage(seen: Witnessed) -> None:
    seen.put(replace(POD, version="8", phase="Running"))
    group = Key("AccuracyAudit", "team", "digits").group
    seen.cache.memory(group).progress["j1"] = Progress(task="t", stage="fetch", waiting=True)
    assert seen.value('assay_task_pods{kind="golden",phase="Running"}') == 1
    assert seen.value("assay_tasks_waiting_for_storage") == 1
    seen.put(replace(POD, version="9", phase="Succeeded"))
    assert seen.value("assay_tasks_waiting_for_storage") == 0


def test_nothing_but_namespaces_makes_series(seen: Witnessed) -> None:
    before = len(seen.metrics.text().decode().splitlines())
    for index in range(50):
        seen.put(audit(f"a{index}", phase="Running", reason="Running"))
    assert len(seen.metrics.text().decode().splitlines()) == before


def test_a_raw_status_of_any_kind_can_be_counted() -> None:
    meta = {"namespace": "n", "name": "x", "uid": "u", "resourceVersion": "1"}
    status = {"startTime": "yesterday", "completionTime": "", "conditions": [{"type": "Ready"}]}
    found = Audit.of({"metadata": meta, "status": status})
    assert (found.since, found.until, found.reason) == (0.0, None, "")


def nightly(version: int, *, ended: bool, schedule: bool) -> Sweep:
    meta = {
        "namespace": "team", "name": "nightly", "uid": "s", "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    conditions = [
        {"type": "Complete", "status": str(ended), "reason": "Breached"},
        {"type": "Ready", "status": "False", "reason": "Breached" if ended else "Running"},
    ]
    status = {"phase": "Stalled" if ended else "Running", "conditions": conditions}
    status |= {"startTime": "2026-01-01T00:00:00Z", **({"completionTime": "2026-01-01T01:00:00Z"} if ended else {})}
    spec = {"schedule": {"cron": "0 2 * * *"}} if schedule else {}
    return Sweep.of({"metadata": meta, "spec": spec, "status": status})


@pytest.mark.parametrize("schedule", [False, True])
def test_a_sweep_s_run_is_none_of_an_audit_s_and_one_that_rests_is_not_on_its_way(schedule: bool) -> None:
    seen, kind = Witnessed(), KINDS["AccuracySweep"]
    for version, ended in ((1, False), (2, True)):
        sweep = nightly(version, ended=ended, schedule=schedule)
        seen.cache.put(Item(kind.resource, sweep.key.group, sweep, sweep.key))
    assert not re.search(r"assay_runs_ended_total{[^}]*} [1-9]", seen.metrics.text().decode())
    registry = CollectorRegistry()
    registry.register(Standing("sweep", lambda: seen.cache.parents("AccuracySweep"), lambda: 2e9))
    assert registry.get_sample_value("assay_oldest_sweep_seconds", {"phase": "Pending"}) == 0
    labels = {"audit_namespace": "team", "phase": "Stalled", "reason": "Breached"}
    assert registry.get_sample_value("assay_sweeps_by_reason", labels) == 1


SPENT: dict[str, Any] = {
    "candidates": [
        {"name": "fp16@NVIDIA-L4", "verdict": "Passed", "gpuSeconds": 3600},
        {"name": "int8@NVIDIA-H200", "verdict": "Failed", "gpuSeconds": 1800},
        {"name": "fp8@NVIDIA-H200", "gpuSeconds": 900},
        {"name": "cpu", "verdict": "Passed"},
    ],
    "repairs": [{"name": "repair@NVIDIA-H200", "gpuSeconds": 7200}],
}


def test_gpu_time_and_its_price_are_counted_by_what_it_answered() -> None:
    seen = Witnessed({"default": 1.0, "NVIDIA-H200": 4.0})
    over = audit(version=2, complete=True, reason="Breached", completionTime="2026-01-01T01:00:00Z", **SPENT)
    seen.put(audit(), audit(version=1), over, over, replace(over, version="3"))
    expected = {("candidate", "Passed"): (3600, 1.0), ("candidate", "Failed"): (1800, 2.0),
                ("candidate", "None"): (900, 1.0), ("repair", "None"): (7200, 8.0)}  # fmt: skip
    for (kind, verdict), (seconds, cost) in expected.items():
        labels = f'{{kind="{kind}",verdict="{verdict}"}}'
        assert seen.value(f"assay_gpu_seconds_total{labels}") == seconds
        assert seen.value(f"assay_gpu_cost_total{labels}") == pytest.approx(cost)


def test_without_a_price_nothing_costs_anything_and_an_end_that_was_not_seen_is_not_counted() -> None:
    seen = Witnessed()
    over = audit(version=2, complete=True, reason="Breached", **SPENT)
    seen.put(over)
    assert seen.value('assay_gpu_seconds_total{kind="candidate",verdict="Passed"}') == 0
    seen.put(audit(version=3), replace(over, version="4"))
    assert seen.value('assay_gpu_seconds_total{kind="candidate",verdict="Passed"}') == 3600
    assert seen.value('assay_gpu_cost_total{kind="candidate",verdict="Passed"}') == 0


def swept(version: int, reason: str, **status: Any) -> Sweep:
    meta = {
        "namespace": "team", "name": "nightly", "uid": "s", "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    conditions = [{"type": "Complete", "status": "True" if reason else "False", "reason": reason or "Running"}]
    return Sweep.of({"metadata": meta, "spec": {"schedule": {}}, "status": {"conditions": conditions, **status}})


def test_a_run_of_a_sweep_is_counted_once_with_its_cells() -> None:
    seen = Witnessed()
    counts = {"cells": 9, "passed": 5, "failed": 2, "errors": 1, "overBudget": 1, "unchanged": 3, "regressed": 1}
    first, second = "2026-01-01T01:00:00Z", "2026-01-02T01:00:00Z"
    seen.put(
        swept(1, "Breached", completionTime=first, counts=counts),
        swept(2, "", counts={"cells": 9, "running": 9}),
        swept(3, "OverBudget", completionTime=second, counts=counts),
        swept(4, "OverBudget", completionTime=second, counts=counts, missedRuns=2),
        swept(5, "OverBudget", completionTime=second, counts=counts, missedRuns=2, nextScheduleTime=first),
    )
    assert seen.value('assay_sweep_runs_ended_total{reason="Breached"}') == 0, "it had ended before it was seen"
    assert seen.value('assay_sweep_runs_ended_total{reason="OverBudget"}') == 1
    assert seen.value("assay_sweep_runs_missed_total") == 2
    for ended, count in counts.items():
        assert seen.value(f'assay_sweep_cells_total{{ended="{ended}"}}') == (count if ended != "cells" else 0)
    seen.put(swept(6, "OfTomorrow", completionTime=first, counts={}))
    assert seen.value('assay_sweep_runs_ended_total{reason="Other"}') == 1
