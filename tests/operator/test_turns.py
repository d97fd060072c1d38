"""Only so many tasks at once: on a real API server, with an operator that is told how many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, running

HERE = "waits for its turn: at most 1 at once run in this namespace (a limit of the operator's)"
LIMITS = {"ASSAY_TASKS_AT_ONCE": "2", "ASSAY_TASKS_AT_ONCE_PER_NAMESPACE": "1"}


@pytest.fixture
def env(namespace: Namespace) -> dict[str, str]:
    """Limits that count in this test's namespaces, not in what other tests have left behind."""
    return {**LIMITS, "ASSAY_NAMESPACES": ",".join([namespace.name, f"{namespace.name}-b", f"{namespace.name}-c"])}


@pytest.fixture
def limited(bare_api: ApiServer, folder: Path, env: dict[str, str]) -> Iterator[Operator]:
    with running(bare_api, folder, **env) as operator:
        yield operator


def delete(namespace: Namespace, audit: str) -> None:
    """Delete an audit and, as the garbage collector does, its Jobs."""
    namespace("delete", "audit", audit)
    namespace("delete", "jobs", "-l", f"assay.dev/audit={audit}", "--cascade=background", "--wait=false")


def running_jobs(namespace: Namespace) -> list[str]:
    """Audits that have a Job at work, one name for each."""
    found = []
    for job in namespace.items("jobs"):
        ended = any(c["type"] in ("Complete", "Failed") for c in job["status"].get("conditions", ()))
        if not (ended or job["spec"].get("suspend")):
            found.append(job["metadata"]["labels"].get("assay.dev/audit", "a sweep"))
    return sorted(found)


def said(namespace: Namespace, audit: str) -> str:
    return str(namespace.condition(audit, "Ready").get("message"))


def finish_golden(namespace: Namespace, kubelet: Kubelet, audit: str) -> None:
    (job,) = [
        j for j in namespace.items("jobs")
        if j["metadata"]["labels"]["assay.dev/audit"] == audit and j["metadata"]["labels"]["assay.dev/kind"] == "golden"
    ]  # fmt: skip
    kubelet.finish(job, report=report("golden"))


def test_the_others_wait_and_say_so_and_the_first_goes_on_first(
    limited: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("first")
    namespace.until(lambda: running_jobs(namespace) == ["first"], "the first one's Job")
    namespace.apply_audit("second")
    namespace.apply_audit("urgent", priority=5)
    for name in ("second", "urgent"):
        namespace.until(lambda name=name: HERE in said(namespace, name), f"{name} to say that it waits")  # type: ignore[misc]
        assert namespace.condition(name, "Ready")["reason"] == "Pending"
        assert namespace.audit(name)["status"]["phase"] == "Pending"
    assert running_jobs(namespace) == ["first"]
    assert limited.metric("assay_tasks_waiting_for_turn") == 2
    finish_golden(namespace, kubelet, "first")
    # Its candidates are wanted now, by the one with the higher priority too.
    namespace.until(lambda: running_jobs(namespace) == ["urgent"], "the urgent one's Job")
    delete(namespace, "urgent")
    namespace.until(lambda: running_jobs(namespace) == ["first"], "the first one's candidate")
    status = namespace.audit("first")["status"]
    assert status["phase"] == "Running"
    namespace.until(lambda: "bf16: waits for its turn" in said(namespace, "first"), "the other candidate to say so")


def test_a_namespace_at_its_limit_keeps_no_other_waiting(
    limited: Operator, namespace: Namespace, bare_api: ApiServer
) -> None:
    with (
        Namespace(bare_api.kubectl, f"{namespace.name}-b") as other,
        Namespace(bare_api.kubectl, f"{namespace.name}-c") as third,
    ):
        for index in range(3):
            namespace.apply_audit(f"a{index}")
        other.apply_audit("b")
        other.until(lambda: running_jobs(other) == ["b"], "the other namespace's Job")
        namespace.until(lambda: len(running_jobs(namespace)) == 1, "one Job here")
        third.apply_audit("c")
        third.until(lambda: "at most 2 at once run in the whole cluster" in said(third, "c"), "c to say so")
        assert running_jobs(third) == []


def test_what_was_held_goes_on_when_its_turn_comes(limited: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("held")
    namespace.until(lambda: running_jobs(namespace) == ["held"], "its Job")
    namespace("patch", "audit", "held", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    namespace.until(lambda: running_jobs(namespace) == [], "it to be held")
    namespace.apply_audit("other")
    namespace.until(lambda: running_jobs(namespace) == ["other"], "the place to be taken")
    namespace("patch", "audit", "held", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    namespace.until(lambda: HERE in said(namespace, "held"), "it to say that it waits")
    assert running_jobs(namespace) == ["other"]
    delete(namespace, "other")
    namespace.until(lambda: running_jobs(namespace) == ["held"], "its turn")


def test_a_new_leader_keeps_to_the_limit(
    limited: Operator, bare_api: ApiServer, namespace: Namespace, folder: Path, env: dict[str, str]
) -> None:
    for index in range(6):
        namespace.apply_audit(f"a{index}")
    namespace.until(lambda: running_jobs(namespace) != [], "the first Job")
    first = running_jobs(namespace)
    limited.kill()
    with running(bare_api, folder, **env):
        waiting = {f"a{index}" for index in range(6)} - set(first)
        namespace.until(lambda: all(HERE in said(namespace, name) for name in waiting), "all others to say so")
        assert running_jobs(namespace) == first
        assert len(namespace.items("jobs")) == 1


def test_a_sweep_s_look_at_its_models_waits_for_its_turn_too(
    limited: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("first")
    namespace.until(lambda: running_jobs(namespace) == ["first"], "the audit's Job")
    sweeps.apply(namespace, "nightly", maxParallel=4)

    def told() -> str:
        conditions = sweeps.status(namespace, "nightly").get("conditions", ())
        return next((c["message"] for c in conditions if c["type"] == "Ready"), "")

    namespace.until(lambda: told() == f"models: {HERE}", "the sweep to say what it waits for")
    assert len(namespace.items("jobs")) == 1
    delete(namespace, "first")
    sweeps.looked(namespace, kubelet, "nightly", {"bert": "1" * 16, "vit": "2" * 16})
    namespace.until(lambda: len(namespace.items("accuracyaudits")) == 4, "audits, which are no tasks")
    namespace.until(lambda: len(running_jobs(namespace)) == 1, "one task of one audit")
    assert limited.metric("assay_tasks_waiting_for_turn") >= 1
