"""A baseline in S3: accepted from what a run of Pods has stored, beside its artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay_api.audit import Storage
from assay_api.baseline import AcceptOrder
from assay_api.plan import Task, baselines_folder
from assay_api.result import TaskResult
from assay_api.task_kinds import BASELINE
from assay_runner.stores import open_store
from tests.cli.audits import assay
from tests.cli.test_task import pod
from tests.s3.test_audit_on_s3 import planned, prefix

__all__ = ["prefix"]

CHECKS = [{"finite": {}}, {"labelAccuracy": {"keep": 0.5, "interval": "none"}}]


def test_the_summary_of_a_run_becomes_a_baseline(
    prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts = {"uri": f"{prefix}/artifacts/"}
    for task in planned(prefix, checks=CHECKS, artifacts=artifacts).values():
        code, answer, log = pod(tmp_path, task)
        assert code == 0, log
    assert answer is not None
    assert answer.report is not None
    ended = assay(capsys, "baseline", "show", answer.report.uri)
    assert (ended.code, "New" in ended.out) == (2, True), ended.err
    ended = assay(capsys, "baseline", "accept", answer.report.uri, "--why", "first", "--who", "ann")
    assert ended.code == 0, ended.err
    ended = assay(capsys, "baseline", "show", answer.report.uri)
    assert (ended.code, "Unchanged" in ended.out) == (0, True)
    kept = [stat.uri for stat in open_store(Storage()).list(f"{prefix}/artifacts/baselines/")]
    assert len(kept) == 2


def test_a_pod_tells_what_its_answer_is_beside_the_baseline_and_another_accepts_it(prefix: str, tmp_path: Path) -> None:
    artifacts = {"uri": f"{prefix}/artifacts/"}
    tasks = planned(prefix, checks=CHECKS, artifacts=artifacts)
    answers = {}
    for key, task in tasks.items():
        code, answers[key], log = pod(tmp_path, task)
        assert code == 0, log
    (key,) = [key for key, task in tasks.items() if task.candidate]
    first, whole = answers[key], answers["summary"]
    assert first is not None
    assert whole is not None
    assert whole.report is not None
    assert [told.state for told in first.baselines] == ["New"]
    order = AcceptOrder(
        report=whole.report.uri, sha256=whole.report.sha256, candidates=(key, "moon"), who="ann", why="first"
    )  # fmt: skip
    summary = tasks["summary"]
    accept = Task(
        kind=BASELINE, key="baseline-1", audit=summary.audit, run=summary.run, output=summary.output,
        cache=summary.cache, spec=summary.spec, accept=order,
    )  # fmt: skip
    for _ in range(2):
        # A Pod that comes twice accepts once.
        code, done, log = pod(tmp_path, accept)
        assert code == 0, log
        assert done is not None
        assert [(told.candidate, told.state, told.refused) for told in done.baselines] == [
            (key, "Unchanged", False), ("moon", "", True),
        ]  # fmt: skip
        assert done.message == "1 accepted, 1 refused"
    kept = [stat.uri for stat in open_store(Storage()).list(f"{baselines_folder(summary.cache)}/")]
    assert len(kept) == 2
    # The candidate's Pod again, as after a lost answer: it finds its report, and the baseline of now.
    _, again, _ = pod(tmp_path, tasks[key])
    assert again is not None
    (told,) = again.baselines
    assert (told.state, told.accepted is not None and told.accepted.startswith("ann, ")) == ("Unchanged", True)
    # A pointer that was changed is not believed, and costs no verdict.
    (pointer,) = [uri for uri in kept if "/records/" not in uri]
    store = open_store(Storage())
    store.put(pointer, store.read(pointer).replace(b"ann", b"bob"), "application/json")
    _, spoilt, _ = pod(tmp_path, tasks[key])
    assert spoilt is not None
    assert (spoilt.verdict, spoilt.baselines[0].state) == (first.verdict, "Inconclusive")
    assert "its baseline cannot be read" in spoilt.baselines[0].why


def test_a_report_that_was_changed_is_not_accepted(prefix: str, tmp_path: Path) -> None:
    artifacts = {"uri": f"{prefix}/artifacts/"}
    summary = planned(prefix, checks=CHECKS, artifacts=artifacts)["summary"]
    order = AcceptOrder(report=f"{prefix}/none.json", sha256="0" * 64, candidates=("fp32",), who="ann", why="first")
    accept = Task(
        kind=BASELINE, key="baseline-1", audit=summary.audit, run=summary.run, output=summary.output,
        cache=summary.cache, spec=summary.spec, accept=order,
    )  # fmt: skip
    code, told, _ = pod(tmp_path, accept)
    assert code == 64
    assert told is not None
    assert told.error is not None
    assert "is gone: run the audit again" in told.error.message
    open_store(Storage()).put(order.report, b"{}", "application/json")
    code, told, _ = pod(tmp_path, accept)
    assert code == 64
    assert told is not None
    assert told.error is not None
    assert "it was changed" in told.error.message


def test_a_candidate_is_held_against_that_of_another_report(prefix: str, tmp_path: Path) -> None:
    """As the new engine of an upgrade is against the old one: emulated or not, if both are."""
    artifacts = {"uri": f"{prefix}/artifacts/"}
    fp16 = [{"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}]

    def answered(**changes: Any) -> dict[str, TaskResult]:
        tasks = planned(prefix, checks=CHECKS, artifacts=artifacts, candidates=fp16, **changes)
        found = {}
        for number, (key, task) in enumerate(tasks.items()):
            # A folder of its own for each run, as another image's audit has one.
            moved = task.model_copy(update={"output": f"{task.output}-{task.run}"})
            code, answer, log = pod(tmp_path, moved)
            assert code == 0, (number, log)
            assert answer is not None
            found[key] = answer
        return found

    old = answered()["summary"].report
    assert old is not None
    told = answered(compareWith={"uri": old.uri, "sha256": old.sha256})["fp16"]
    assert told.compared is not None
    assert (told.compared.state, told.emulated) == ("Unchanged", True)
    assert "equal to the last bit" in told.compared.why
    bf16 = [{**fp16[0], "precision": "bf16"}]
    tasks = planned(prefix, checks=CHECKS, artifacts=artifacts, candidates=bf16, compareWith={"uri": old.uri})
    assert pod(tmp_path, tasks["golden"])[0] == 0
    _, other, _ = pod(tmp_path, tasks["fp16"])
    assert other is not None
    assert other.compared is not None
    assert other.compared.state in ("Changed", "Regressed", "Improved")
    gone = answered(compareWith={"uri": f"{prefix}/none.json"})["fp16"]
    assert gone.compared is not None
    assert (gone.verdict, gone.compared.state) == (told.verdict, "Inconclusive")
    assert "none.json is gone" in gone.compared.why
