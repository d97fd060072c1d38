from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay_api.audit import AuditSpec
from assay_api.names import Reason
from assay_api.plan import plan
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.troubles import Trouble, how_it_ended, pod_trouble, read_result, silent
from assay_operator.objects.children import Job, Pod
from tests.operator.lab import SPEC

THEN = datetime(2026, 1, 1, tzinfo=UTC)
POD = Pod("p", "pod-uid", "1", job="job-uid", task="t", created=THEN)
JOB = Job("j", "job-uid", "1", owner="u", run="r", task="t", created=THEN)
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


SHORT = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector."
HELPLESS = " preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
VICTIMS = (
    " preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful."
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (SHORT, "no node can take it: "),
        (SHORT + HELPLESS, "no node can take it, not even while it is empty: "),
        (SHORT + VICTIMS, "no node can take it now, and one would once others end: "),
        # A node that is not ready helps nobody either, and will be back.
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }." + HELPLESS,
            "no node can take it: ",
        ),
    ],
)
def test_a_scheduler_tells_what_waits_from_what_never_fits(words: str, said: str) -> None:
    spec = AuditSpec.model_validate_json(json.dumps(SPEC))
    golden = plan(spec, "team/a", output="s3://audits/x", cache="s3://audits/cache")[0]
    trouble = pod_trouble(replace(POD, unscheduled=words), golden, None, None)
    assert trouble is not None
    assert (trouble.reason, trouble.message.startswith(said)) == (Reason.UNSCHEDULABLE, True), trouble.message
