"""Whatever a task, the kubelet or an API server says: the status is written, as it was meant or as one that can be."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay_api.finding import WorstFigure
from assay_api.model import to_wire
from assay_api.report import Verdict
from assay_api.result import TaskError, TaskResult, to_termination_message
from assay_api.status import AuditStatus, RecommendationStatus
from assay_operator.apply import Applier
from assay_operator.audits.kind import AUDITS
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.reconcile import reconcile
from assay_operator.cluster.api import Api
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.poster import Poster
from assay_operator.cluster.queue import WorkQueue
from assay_operator.kinds import KINDS
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.events import Event
from assay_operator.objects.resources import JOBS, PODS
from assay_operator.objects.seen import Seen
from assay_operator.process.metrics import Metrics
from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator, Raw
from tests.operator.through import through
from tests.reconcile.cases import SETTINGS, job_of, pod_of, tasks

# Every character there is: halves of surrogate pairs, controls and noncharacters among them, and those that a YAML
# reader has opinions about more often than the others.
ODD = "\x00\t\n\r\x1b\x7f\x85\u2028\u2029\ufeff\ufffe\uffff\ud83d\udfff😀𝔄\U0001fffe\U0010ffff\\\"'#:{}%@&*!|>-"
TEXT = st.text(st.one_of(st.characters(), st.characters(categories=["Cs", "Cc", "Cf"]), st.sampled_from(ODD)))
NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
DONE: Raw = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}


@st.composite
def told(draw: st.DrawFn) -> dict[str, str]:
    """What the Pods of golden and of both candidates say, as runners say it or in any other way."""
    words = [draw(TEXT) for _ in range(6)]
    worst = WorstFigure(candidate="fp16", check=words[0], message=words[1], tensor=words[2], value=words[3], limit="0")
    said: Any = {"task": "{task}", "verdict": draw(st.sampled_from(Verdict)), "worst": worst}
    result = TaskResult(**said, message=words[4])
    # Made anew and not copied: a copy is not read for what cannot be shown, as a runner's words are.
    long = TaskResult(**said, message=words[5] * draw(st.integers(1, 300)), accuracy={words[0]: words[1]})
    error = TaskResult(task="{task}", error=TaskError(reason="InvalidInput", message=words[0]))
    raw = json.dumps({"task": "{task}", "verdict": "Passed", "message": words[1]})
    messages = [*map(to_termination_message, (result, long, error)), raw, words[2]]
    return {key: draw(st.sampled_from(messages)) for key in ("golden", "fp16", "bf16")}


def observed(raw: Raw, messages: dict[str, str], failed: bool) -> Observed:
    """The audit with Jobs that are over, and the Pods that said this."""
    audit = Audit.of(raw)
    jobs, pods = [], []
    for task in tasks(audit):
        if task.key not in messages:
            continue
        message = messages[task.key].replace("{task}", task.digest)
        ended: Raw = {"exitCode": 1 if failed else 0, "message": message, "finishedAt": "2026-01-01T00:00:00Z"}
        status: Raw = {
            "phase": "Failed" if failed else "Succeeded",
            "containerStatuses": [{"state": {"terminated": ended}}],
        }
        jobs.append(Job.of(job_of(audit, {"task": task.key, "owner": audit.uid, "status": {} if failed else DONE})))
        pods.append(Pod.of(pod_of(audit, {"task": task.key, "status": status}, 0)))
    return Observed(audit, tuple(jobs), tuple(pods))


@pytest.fixture(scope="module")
def speech(bare_api: ApiServer) -> Iterator[Namespace]:
    with Namespace(bare_api.kubectl, "speech") as namespace:
        namespace.apply_audit("digits")
        yield namespace


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=told(), failed=st.booleans(), hint=TEXT)
def test_any_text_reaches_the_status_and_is_written_once(
    bare_api: ApiServer, speech: Namespace, messages: dict[str, str], failed: bool, hint: str
) -> None:
    metrics = Metrics()

    async def act(requests: Api) -> Raw:
        poster = Poster(requests, KINDS, metrics, lambda: True)
        cache = Cache(KINDS)
        feed = Feed(KINDS, cache, WorkQueue(time.monotonic, random.random))
        applier = Applier(requests, KINDS, cache, feed, metrics, poster.post)
        # As if it were new: what an earlier text made of it is no matter here.
        there = observed({**speech.audit("digits"), "status": {}}, messages, failed)
        decision = reconcile(there, NOW, SETTINGS)
        assert decision.status is not None
        wanted = to_wire(decision.status)
        await applier.apply(Seen(there.audit, {JOBS: there.jobs, PODS: there.pods}), decision, NOW)
        poster.post(there.audit, (Event("Warning", "ConfigError", f"golden: {hint}"),), NOW)
        await poster.flush(30)
        return wanted

    wanted = through(bare_api.kubeconfig, act)
    raw = speech.audit("digits")
    assert raw["status"] == wanted
    assert reconcile(observed(raw, messages, failed), NOW, SETTINGS).status is None
    text = metrics.text().decode()
    assert 'assay_status_writes_total{result="refused"} 0.0' in text
    assert 'assay_events_total{result="failed"}' not in text


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=TEXT)
def test_a_status_is_kept_to_the_letter(bare_api: ApiServer, speech: Namespace, text: str) -> None:
    version = Audit.of(speech.audit("digits")).version

    async def write(requests: Api) -> Raw:
        status = AuditStatus(recommendation=RecommendationStatus(message=text))
        return await requests.apply_status(AUDITS.resource, speech.name, "digits", version, to_wire(status))

    halves = re.compile("[\ud800-\udfff]")
    assert through(bare_api.kubeconfig, write)["status"]["recommendation"]["message"] == halves.sub("\ufffd", text)


def test_an_emoji_in_a_sentence_ends_the_run_as_any_other(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    uri = "s3://models/missing-😀.onnx"
    namespace.apply_audit("digits", model={"uri": uri})
    kubelet.finish(namespace.job("golden"), code=64, error={"reason": "InvalidInput", "message": f"no {uri}"})
    namespace.wait("Stalled")
    assert namespace.condition("digits", "Complete")["message"] == f"golden: no {uri}"
    namespace.until(lambda: any(uri in event for event in namespace.events()), "the event")


def policy(namespace: Namespace, word: str) -> list[Raw]:
    """A policy that lets no status of the namespace hold a word, as another team's may."""
    rules = {"apiGroups": ["assay.dev"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/status"]}
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}
    forbidden = f"!has(object.status.worst) || !object.status.worst.contains('{word}')"
    meta: Raw = {"name": namespace.name}
    kinds: dict[str, Any] = {
        "ValidatingAdmissionPolicy": {
            "matchConstraints": {"resourceRules": [rules]},
            "validations": [{"expression": forbidden, "message": "not in this company"}],
        },
        "ValidatingAdmissionPolicyBinding": {
            "policyName": namespace.name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": where},
        },
    }
    version = "admissionregistration.k8s.io/v1"
    return [{"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec} for kind, spec in kinds.items()]


def holds(namespace: Namespace) -> None:
    """Wait until the policy is in force: the API server takes it up a moment after it was made."""
    merge = ("--subresource=status", "--type=merge", "--dry-run=server", "-p", '{"status":{"worst":"unspeakable"}}')

    def refused() -> bool:
        done = namespace.kubectl.attempt("-n", namespace.name, "patch", "audit", "digits", *merge)
        return "not in this company" in done.stderr

    namespace.until(refused, "the policy to hold")


def test_a_status_that_is_refused_ends_the_run_with_the_words_of_the_refusal(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    for manifest in policy(namespace, "unspeakable"):
        namespace.kubectl.apply(manifest)
    refused = 'assay_status_writes_total{result="refused"'
    before = operator.metric(refused)
    namespace.apply_audit("digits")
    holds(namespace)
    kubelet.finish(namespace.job("golden"))
    worst = {
        "candidate": "fp16",
        "check": "finite",
        "message": "m",
        "tensor": "unspeakable",
        "value": "1",
        "limit": "0",
    }
    namespace.job("bf16")
    kubelet.finish(namespace.job("fp16"), verdict="Failed", worst=worst)
    namespace.wait("Stalled")
    status = namespace.audit("digits")["status"]
    complete = namespace.condition("digits", "Complete")
    assert (status["phase"], complete["status"], complete["reason"]) == ("Stalled", "True", "Error")
    assert complete["message"].startswith("the status could not be written: ")
    assert "not in this company" in complete["message"]
    assert "verdict" not in status
    assert operator.metric(refused) == before + 1
    namespace.until(lambda: any("could not be written" in event for event in namespace.events()), "the event")
    namespace.until(lambda: "bf16" not in namespace.jobs(), "the Jobs that go on for nothing to go")


def test_a_reason_of_another_version_is_healed(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    namespace.apply_audit("digits")
    kubelet.finish(namespace.job("golden"), code=64, error={"reason": "InvalidInput", "message": "no model"})
    namespace.wait("Stalled")
    status = namespace.audit("digits")["status"]
    before = operator.metric('assay_reconciles_total{result="exception"')
    for condition in status["conditions"]:
        condition["reason"] = "OfAnotherVersion"
    patch = json.dumps({"status": {"conditions": status["conditions"]}})
    namespace("patch", "audit", "digits", "--subresource=status", "--type=merge", "-p", patch)
    namespace.until(lambda: namespace.condition("digits", "Ready")["reason"] == "InvalidInput", "its own reason again")
    assert operator.metric('assay_reconciles_total{result="exception"') == before
