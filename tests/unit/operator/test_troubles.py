from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay_api.names import Reason
from assay_operator.observed import Audit, Job, Observed, Pod
from assay_operator.troubles import Trouble, how_it_ended, read_result, silent

THEN = datetime(2026, 1, 1, tzinfo=UTC)
POD = Pod("p", "pod-uid", "1", job="job-uid", audit="a", task="t", created=THEN)
JOB = Job("j", "job-uid", "1", owner="u", audit="a", run="r", task="t", created=THEN)
AUDIT = Audit("team", "a", "u", 1, "1", False, None, "", b"{}", b"{}", "", "", False)


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (
            replace(POD, message='{"task":"t","error":{"reason":"Internal","message":"a bug"}}', exit_code=70),
            "a bug",
        ),
        (replace(POD, exit_code=137, exit_reason="OOMKilled", memory="2Gi"), "memory limit of 2Gi: raise spec.target"),
        (replace(POD, exit_code=137, exit_reason="OOMKilled"), "its node ran out of memory"),
        (replace(POD, exit_code=137, exit_reason="Error", memory="2Gi"), "(exit code 137), most likely at"),
        (replace(POD, exit_code=137, disrupted="EvictionByEvictionAPI"), "disrupted (EvictionByEvictionAPI)"),
        (replace(POD, exit_code=137, deleting=True), "exit code 137, see `kubectl logs p`"),
        (replace(POD, exit_code=1, exit_reason="Error"), "exit code 1, see"),
        (
            replace(POD, exit_code=128, exit_reason="StartError", message='exec: "assay": not found'),
            'could not start: exec: "assay": not found',
        ),
        (
            replace(POD, message='{"task":"t","version":2}', exit_code=70, image="runner:9"),
            "the runner's result could not be read: image runner:9 speaks another version",
        ),
        (replace(POD, reason="Evicted"), "its Pod ended (Evicted)"),
        (POD, "its Pod went away"),
    ],
)
def test_how_a_pod_ended_is_told(pod: Pod, words: str) -> None:
    assert words in how_it_ended(pod)


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[]", "null", "Traceback", '{"task": 1}', '{"task": "t", "version": 2}']
)
def test_garbage_is_no_result(text: str) -> None:
    assert read_result(text) is None


@pytest.mark.parametrize(
    "more", [{}, {"new": 1}, {"worst": {"candidate": "c", "check": "finite", "message": "m", "new": [1]}}]
)
def test_what_a_newer_runner_tells_besides_is_left_unread(more: dict[str, object]) -> None:
    result = read_result(json.dumps({"task": "t", "verdict": "Passed", **more}))
    assert result is not None
    assert result.verdict == "Passed"


@pytest.mark.parametrize("reason", list(Reason))
def test_a_trouble_is_read_back_from_the_status(reason: Reason) -> None:
    trouble = Trouble(reason, "so: and so")
    assert Trouble.read(str(trouble)) == trouble


@pytest.mark.parametrize("text", ["", "no reason", "Strange: words"])
def test_an_unknown_trouble_is_an_error(text: str) -> None:
    assert Trouble.read(text).reason is Reason.ERROR


@pytest.mark.parametrize(
    ("job", "pods", "seconds", "uids"),
    [
        (JOB, (), 5, ()),
        (JOB, (), 20, ("job-uid",)),
        (replace(JOB, suspended=True), (), 20, ()),
        (replace(JOB, succeeded=True), (), 20, ()),
        (JOB, (POD,), 20, ("pod-uid",)),
        (JOB, (POD,), 5, ()),
        (JOB, (replace(POD, unscheduled="no node"),), 20, ()),
        (JOB, (replace(POD, waiting="ErrImagePull"),), 20, ()),
        (JOB, (replace(POD, waiting="ContainerCreating"),), 20, ("pod-uid",)),
        (JOB, (replace(POD, phase="Running"),), 20, ()),
    ],
)
def test_only_the_silent_are_asked_about(job: Job, pods: tuple[Pod, ...], seconds: int, uids: tuple[str, ...]) -> None:
    assert silent(Observed(AUDIT, (job,), pods), THEN + timedelta(seconds=seconds)) == uids
