from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from assay_api.model import parse, to_wire
from assay_api.plan import Task, concluding, plan, run_digest, run_folder, siblings
from tests.unit.api.audits import spec


def tasks(**changes: Any) -> dict[str, Task]:
    planned = plan(spec(**changes), "default/digits", output="s3://audits/run", cache="s3://audits/cache")
    return {task.key: task for task in planned}


def test_golden_first_then_every_candidate_on_every_gpu_then_the_summary() -> None:
    assert list(tasks()) == [
        "golden",
        "fp16@NVIDIA-H200",
        "fp16@NVIDIA-L4",
        "int8-ptq",
        "qat@NVIDIA-H200",
        "qat@NVIDIA-L4",
        "summary",
    ]


def test_a_task_comes_after_those_it_needs() -> None:
    planned = tasks()
    seen: set[str] = set()
    for key, task in planned.items():
        assert {after.task for after in task.after} <= seen
        seen.add(key)
    assert {after.task for after in planned["summary"].after} == seen - {"summary"}
    assert {after.task: after.when for after in planned["summary"].after}["golden"] == "Finished"


def test_a_candidate_s_task_carries_its_candidate_and_no_other_does() -> None:
    planned = tasks()
    assert {task.candidate.name for task in planned.values() if task.candidate} == {"fp16", "int8-ptq", "qat"}
    for task, kind in (("golden", "candidate"), ("int8-ptq", "golden")):
        with pytest.raises(ValidationError, match=f"task {task} of kind {kind} carries"):
            parse(Task, {**to_wire(planned[task]), "kind": kind})
    with pytest.raises(
        ValidationError, match="no kind of task is called 'magic': there are golden, candidate, together, repair"
    ):
        parse(Task, {**to_wire(planned["golden"]), "kind": "magic"})


def test_candidates_that_ask_for_the_same_gpus_are_audited_ahead_by_one_job() -> None:
    planned = tasks(candidatesPerJob=8)
    ahead = {key: task for key, task in planned.items() if task.together}
    assert {key: (task.together, task.gpu_product, task.gpus) for key, task in ahead.items()} == {
        "together_1": (("fp16@NVIDIA-H200", "qat@NVIDIA-H200"), "NVIDIA-H200", 1),
        "together_2": (("fp16@NVIDIA-L4", "qat@NVIDIA-L4"), "NVIDIA-L4", 1),
    }
    whens = {after.task: after.when for after in planned["qat@NVIDIA-L4"].after}
    assert whens == {"golden": "Finished", "together_2": "Over"}
    # One that is alone has a Job of its own, and nothing else waits for what goes ahead.
    assert [after.task for after in planned["int8-ptq"].after] == ["golden"]
    assert not set(ahead) & {after.task for after in planned["summary"].after}
    same = tasks()
    assert {key: task.digest for key, task in planned.items() if key in same and task.run == same[key].run} == {}
    for changes in ({}, {"candidatesPerJob": 1}):
        assert not any(task.together for task in tasks(**changes).values())
    with pytest.raises(ValidationError, match="task golden of kind golden names 1 tasks that it does ahead"):
        parse(Task, {**to_wire(planned["golden"]), "together": ["fp16"]})


def test_as_many_candidates_as_a_job_may_audit_and_no_more() -> None:
    few = [{"name": f"c{n}", "backend": "tensorrt", "precision": "fp16"} for n in range(7)]
    planned = tasks(candidates=few, target=None, candidatesPerJob=3)
    assert [task.together for task in planned.values() if task.together] == [("c0", "c1", "c2"), ("c3", "c4", "c5")]


def test_any_task_knows_the_others_of_its_run() -> None:
    planned = tasks()
    for task in planned.values():
        assert siblings(parse(Task, to_wire(task))) == planned
    again = plan(spec(), "default/digits", output="s3://audits/run", cache="s3://audits/cache", rerun="2")
    assert siblings(concluding(again)) == {task.key: task for task in again}


def test_only_tensorrt_candidates_ask_for_gpus() -> None:
    assert {key for key, task in tasks().items() if task.gpus} == {
        "fp16@NVIDIA-H200",
        "fp16@NVIDIA-L4",
        "qat@NVIDIA-H200",
        "qat@NVIDIA-L4",
    }
    assert tasks(target={"resources": {"nvidia.com/gpu": "2"}})["fp16"].gpus == 2
    assert tasks(target={})["fp16"].gpus == 1


def test_a_task_survives_the_wire() -> None:
    for task in tasks().values():
        assert parse(Task, to_wire(task)) == task
        assert parse(Task, to_wire(task)).digest == task.digest


def test_digests_of_tasks_are_unique() -> None:
    digests = [task.digest for task in tasks().values()]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    "changes",
    [{"suspend": True}, {"maxParallel": 1}, {"onBreach": "Report"}, {"ttlSecondsAfterFinished": 1}],
)
def test_steering_a_run_is_no_new_run(changes: dict[str, Any]) -> None:
    assert run_digest(spec(**changes)) == run_digest(spec())


@pytest.mark.parametrize(
    "changes",
    [
        {"golden": {"precision": "fp32"}},
        {"dataset": {"uri": "s3://datasets/other/", "labels": "label"}},
        {"checks": [{"finite": {}}]},
        {"target": {"resources": {"memory": "16Gi"}}},
        {"pendingDeadlineSeconds": 5},
    ],
)
def test_a_changed_meaning_is_a_new_run(changes: dict[str, Any]) -> None:
    assert run_digest(spec(**changes)) != run_digest(spec())


def test_a_default_spelled_out_is_the_same_run() -> None:
    dataset = {"uri": "s3://datasets/digits/", "labels": "label"}
    assert run_digest(spec(dataset=dataset)) == run_digest(spec(dataset={**dataset, "batch": 32}))


def test_the_rerun_annotation_is_a_new_run() -> None:
    assert run_digest(spec(), "2") != run_digest(spec())


def test_the_digest_of_a_run_is_held_over_releases() -> None:
    # A release that changes this re-runs every audit of every cluster on upgrade: change it only on purpose.
    assert run_digest(spec()) == "4fa881c87c7f5f8b"


def test_folders_are_unique_per_run_and_task() -> None:
    assert run_folder("s3://audits/", "ns", "name", "abc", "0123456789") == "s3://audits/ns/name/abc-01234567"
    folders = [task.folder for task in tasks().values()]
    assert len(set(folders)) == len(folders)
    assert all("@" not in folder for folder in folders)
