"""The admission policies before a real API server, the real Job controller and the real garbage collector.

`owner` may do everything in the namespace of the audits, subresources included; whatever is refused to it is refused by
the policies.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chart.conftest import Chart
from tests.chart.team import (
    ADMINISTRATOR,
    AUDIT_OWNER,
    ENDED,
    JOB_OWNER,
    KUBELET,
    KUEUE,
    LABELS,
    OPERATOR,
    OWNER,
    POD_SPEC,
    SYSTEM,
    TEAM,
    UID,
    Raw,
    Team,
    job,
    pod,
    working,
)
from tests.lab.processes import wait_until


@pytest.fixture(scope="module")
def team(chart: Chart) -> Iterator[Team]:
    with working(chart) as team:
        yield team


@pytest.fixture(scope="module")
def task(team: Team) -> tuple[str, str]:
    return team.task()


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (job("forged", LABELS), "labels that begin with assay.dev/"),
        (job("forged", {"a": "b"}, {"assay.dev/managed": "true"}), "labels that begin with assay.dev/"),
        (job("forged", {"assay.dev/task": "0"}), "labels that begin with assay.dev/"),
        (job("forged", ownerReferences=[AUDIT_OWNER]), "the owner of a task's Job"),
        (pod("forged", LABELS), "labels that begin with assay.dev/"),
        (pod("forged", LABELS, ownerReferences=[JOB_OWNER]), "labels that begin with assay.dev/"),
    ],
)
def test_nobody_makes_what_looks_like_a_task_s(team: Team, manifest: Raw, words: str) -> None:
    # Not by its own hand, nor by that of a controller it has a CronJob or a ReplicaSet for.
    for who in (OWNER, ADMINISTRATOR, *controllers("cronjob-controller", "replicaset-controller")):
        assert words in team.create(who, manifest, "--dry-run=server")
    if manifest["kind"] == "Pod":
        assert words in team.create((*OPERATOR, "--as-group=system:masters"), manifest)
    else:
        assert team.create(OPERATOR, manifest, "--dry-run=server") == ""


def controllers(*names: str) -> list[tuple[str, ...]]:
    return [(f"--as={SYSTEM}:{name}", "--as-group=system:masters") for name in names]


def test_a_controller_makes_no_task_of_a_users_template(team: Team) -> None:
    inner = {"metadata": {"labels": {**LABELS, "app": "x"}}, "spec": {**POD_SPEC, "restartPolicy": "Always"}}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": inner}
    replicas = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "forged"}, "spec": spec}
    assert team.create(OWNER, replicas) == ""
    meta = {"name": "forged"}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta,
            "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job("x", {}, LABELS)["spec"]}}}  # fmt: skip
    assert team.create(OWNER, cron) == ""
    made = ("create", "job", "by-hand", "--from=cronjob/forged")
    assert "labels that begin with assay.dev/" in team.said(OWNER, *made)


def test_what_is_somebody_s_own_does_not_become_a_task_s(team: Team) -> None:
    assert team.create(OWNER, job("mine", {"a": "b"}, {"a": "b"})) == ""
    mine, words = team.pod_of("mine"), "labels that begin with assay.dev/"
    forged = {"metadata": {"labels": LABELS, "ownerReferences": [JOB_OWNER]}}
    assert words in team.patch(OWNER, mine, forged)
    assert words in team.patch(OWNER, mine, {"metadata": {"labels": LABELS}}, "--subresource=status")
    assert words in team.patch(OWNER, "job/mine", {"metadata": {"labels": LABELS}})
    assert words in team.patch(OWNER, "job/mine", {"metadata": {"labels": LABELS}}, "--subresource=status")
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": mine[4:], "labels": LABELS},
               "target": {"kind": "Node", "name": "one"}}  # fmt: skip
    assert words in team.raw(OWNER, f"pods/{mine[4:]}/binding", binding)
    assert words in team.raw(OWNER, "bindings", binding)
    waits = job("waits")
    waits["spec"]["suspend"] = True
    assert team.create(OWNER, waits) == ""
    late = {"spec": {"template": {"metadata": {"labels": LABELS}}}}
    assert words in team.patch(OWNER, "job/waits", late)
    assert "the owner of a task's Job" in team.patch(
        OWNER, "job/waits", {"metadata": {"ownerReferences": [AUDIT_OWNER]}}
    )


@pytest.mark.parametrize("subresource", [(), ("--subresource=status",)])
@pytest.mark.parametrize(
    "labels",
    [{"assay.dev/task": "ffffffffffff"}, {"assay.dev/audit": None}, {"assay.dev/other": "x"}],
    ids=["changed", "taken", "brought"],
)
def test_labels_of_a_task_stay(team: Team, task: tuple[str, str], labels: Raw, subresource: tuple[str, ...]) -> None:
    for what in task:
        said = team.patch(OWNER, what, {"metadata": {"labels": labels}}, *subresource)
        assert "labels that begin with assay.dev/" in said


def test_a_task_s_pod_is_not_handed_to_another_job(team: Team, task: tuple[str, str]) -> None:
    _, mine = task
    own = team.read(mine)["metadata"]["ownerReferences"]
    for owners in ([JOB_OWNER], [*own, {**JOB_OWNER, "controller": False}], [{**own[0], "controller": False}]):
        said = team.patch(OWNER, mine, {"metadata": {"ownerReferences": owners}})
        assert "the owner of a task's Pod is set by the Job controller alone" in said
    for label in ("controller-uid", "batch.kubernetes.io/controller-uid"):
        for value in (UID, None):
            for where in ((), ("--subresource=status",)):
                said = team.patch(OWNER, mine, {"metadata": {"labels": {label: value}}}, *where)
                assert "and so does controller-uid" in said
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": mine[4:], "labels": {"controller-uid": UID}},
               "target": {"kind": "Node", "name": "one"}}  # fmt: skip
    assert "and so does controller-uid" in team.raw(OWNER, f"pods/{mine[4:]}/binding", binding)


def test_a_task_s_job_is_not_handed_to_another_audit(team: Team, task: tuple[str, str]) -> None:
    mine, _ = task
    own = team.read(mine)["metadata"]["ownerReferences"]
    for owners in ([AUDIT_OWNER], [*own, AUDIT_OWNER], [*own, JOB_OWNER | {"controller": False}]):
        said = team.patch(OWNER, mine, {"metadata": {"ownerReferences": owners}})
        assert "the owner of a task's Job is set by" in said


def test_a_task_s_pod_runs_what_it_was_made_with(team: Team, task: tuple[str, str]) -> None:
    _, mine = task
    for said in (
        team.said(OWNER, "set", "image", mine, "task=registry.example/evil:1"),
        team.said(OWNER, "debug", mine[4:], "--image=registry.example/evil:1", "--target=task", "--profile=general"),
    ):
        assert "a task's Pod keeps its images, and no ephemeral container is added" in said
    work, _ = team.task(suspend=True)
    image = {"spec": {"template": {"spec": {"containers": [{"name": "task", "image": "registry.example/evil:1"}]}}}}
    assert "field is immutable" in team.patch(OWNER, work, image)
    env = {"spec": {"containers": [{**POD_SPEC["containers"][0], "command": ["evil"], "env": []}]}}
    assert "pod updates may not change fields other than" in team.patch(OWNER, mine, env)


def test_an_answer_is_told_by_the_kubelet_alone(team: Team) -> None:
    work, mine = team.task()
    for who in (OWNER, *controllers("job-controller")):
        said = team.patch(who, mine, {"status": ENDED}, "--subresource=status")
        assert "how the container of a task's Pod ended is told by its kubelet alone" in said
    assert team.patch(KUBELET, mine, {"status": ENDED}, "--subresource=status") == ""
    # The Job controller counts the Pod, takes its finalizer off and closes the Job.
    team.api.kubectl(f"--namespace={TEAM}", "wait", "--for=condition=Complete", work, "--timeout=60s")
    wait_until(lambda: not team.read(mine)["metadata"].get("finalizers"), "the finalizer to go")


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("patch", "pods", "yes"),
        ("create", "pods/exec", "yes"),
        ("patch", "jobs.batch", "yes"),
        ("get", "secrets", "yes"),
        ("patch", "pods/status", "no"),
        ("patch", "pods/ephemeralcontainers", "no"),
        ("create", "pods/binding", "no"),
        ("patch", "jobs.batch/status", "no"),
        ("patch", "accuracyaudits.assay.dev/status", "no"),
        # Who edits the operator's namespace is the operator, if he likes.
        ("impersonate", "serviceaccounts", "yes"),
    ],
)
def test_an_editor_may_what_the_security_page_says(team: Team, verb: str, resource: str, allowed: str) -> None:
    resource, _, subresource = resource.partition("/")
    # The role is aggregated once the controllers run.
    wait_until(lambda: not team.said(("--as=editor",), "get", "pods"), "the role of editors")
    question = ("auth", "can-i", verb, resource, f"--subresource={subresource}", f"--namespace={TEAM}", "--as=editor")
    assert team.api.kubectl.attempt(*question).stdout.strip() == allowed


@pytest.mark.parametrize("policy", ["assay-jobs", "assay-pods", "assay-audits"])
def test_expressions_fit_the_types_that_they_read(team: Team, policy: str) -> None:
    def status() -> Raw:
        found: Raw = team.api.kubectl.json("get", "validatingadmissionpolicy", policy).get("status") or {}
        return found

    wait_until(lambda: "observedGeneration" in status(), "the types to be checked")
    assert status()["typeChecking"] == {}


def test_the_operator_suspends_and_deletes(team: Team) -> None:
    work, mine = team.task()
    assert team.patch(OPERATOR, work, {"spec": {"suspend": True}}) == ""
    team.gone(mine)
    assert team.patch(OPERATOR, work, {"spec": {"suspend": False}}) == ""
    mine = team.pod_of(work[4:])
    assert team.said(OPERATOR, "delete", work, "--wait=false") == ""
    team.gone(mine)


SWEEP_OWNER: Raw = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "name": "nightly", "uid": UID}


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"labels": {"assay.dev/sweep": "nightly"}}, "that an audit answers for a sweep"),
        ({"labels": {"assay.dev/managed": "true"}}, "that an audit answers for a sweep"),
        ({"annotations": {"assay.dev/cells": "{}"}}, "that an audit answers for a sweep"),
        ({"ownerReferences": [SWEEP_OWNER]}, "the owner of a sweep's audit"),
    ],
)
def test_nobody_says_that_an_audit_answers_for_a_sweep_but_the_operator(team: Team, meta: Raw, words: str) -> None:
    mine = team.audit()
    name = f"accuracyaudit/{mine['metadata']['name']}"
    assert words in team.patch(OWNER, name, {"metadata": meta})
    forged = {**mine, "metadata": {"name": "forged", **meta}}
    forged.pop("status", None)
    for who in (OWNER, ADMINISTRATOR):
        assert words in team.create(who, forged, "--dry-run=server")
    assert team.create(OPERATOR, forged, "--dry-run=server") == ""
    # What people write of their own audits stays theirs.
    assert team.said(OWNER, "annotate", name, "assay.dev/rerun=1", "--overwrite") == ""
    assert team.said(OWNER, "label", name, "team=vision", "--overwrite") == ""


def test_kueue_starts_and_stops_a_task(team: Team) -> None:
    work, _ = team.task(suspend=True)
    template = {"metadata": {"labels": {"kueue.x-k8s.io/podset": "main"}}, "spec": {"nodeSelector": {"pool": "gpu"}}}
    assert team.patch(KUEUE, work, {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}}}) == ""
    assert team.patch(KUEUE, work, {"spec": {"suspend": False, "template": template}}) == ""
    made = team.read(team.pod_of(work[4:]))
    assert made["metadata"]["labels"]["kueue.x-k8s.io/podset"] == "main"
    assert team.patch(KUEUE, work, {"spec": {"suspend": True}}) == ""
    assert team.patch(KUEUE, work, {"status": {"startTime": None}}, "--subresource=status") == ""


def test_people_may_do_what_makes_no_task(team: Team) -> None:
    for what in team.task():
        assert team.said(OWNER, "annotate", what, "a=b") == team.said(OWNER, "label", what, "team=vision") == ""
        assert team.said(OWNER, "label", what, "team-") == ""
    _, mine = team.task()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": mine[4:], "namespace": TEAM}}
    assert team.raw(OWNER, f"pods/{mine[4:]}/eviction", eviction) == ""
    work, mine = team.task()
    assert team.said(OWNER, "delete", mine, "--wait=false") == ""
    assert team.said(OWNER, "delete", work, "--cascade=foreground") == ""


def test_what_is_no_task_is_left_alone(team: Team) -> None:
    assert team.create(OWNER, job("plain", {"a": "b"}, {"a": "b"})) == ""
    assert team.create(OWNER, pod("plain", {"a": "b"}, ownerReferences=[{**JOB_OWNER, "controller": False}])) == ""
    plain = team.pod_of("plain")
    assert team.said(OWNER, "label", plain, "a=c", "--overwrite") == ""
    assert team.said(OWNER, "label", plain, "controller-uid-", "batch.kubernetes.io/controller-uid-") == ""
    assert team.said(OWNER, "set", "image", plain, "task=registry.example/other:1") == ""
    assert team.said(OWNER, "debug", plain[4:], "--image=registry.example/other:1", "--profile=general") == ""
    assert team.patch(OWNER, plain, {"status": ENDED}, "--subresource=status") == ""
    bare: Raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": POD_SPEC}
    assert team.create(OWNER, bare) == ""
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "bare"},
               "target": {"kind": "Node", "name": "one"}}  # fmt: skip
    assert team.raw(OWNER, "pods/bare/binding", binding) == ""


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_garbage_is_collected(team: Team, cascade: str) -> None:
    audit = team.audit()
    work, mine = team.task(audit)
    name = audit["metadata"]["name"]
    assert team.said(OWNER, "delete", f"accuracyaudit/{name}", f"--cascade={cascade}", "--wait=false") == ""
    for what in (mine, work, f"accuracyaudit/{name}"):
        team.gone(what)


def test_an_orphan_is_nobody_s(team: Team) -> None:
    work, mine = team.task()
    assert team.said(OWNER, "delete", work, "--cascade=orphan") == ""
    team.gone(work)
    wait_until(lambda: not team.read(mine)["metadata"].get("ownerReferences"), "the Pod to be an orphan")
    _, other = team.task()
    controller = team.read(other)["metadata"]["labels"]["controller-uid"]
    said = team.patch(OWNER, mine, {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": controller}}})
    assert "and so does controller-uid" in said
    said = team.patch(OWNER, mine, {"metadata": {"ownerReferences": [JOB_OWNER]}})
    assert "the owner of a task's Pod is set by the Job controller alone" in said


def test_a_pod_whose_owner_was_taken_goes_back_to_its_own_job(team: Team) -> None:
    _, mine = team.task()
    own = team.read(mine)["metadata"]["ownerReferences"]
    assert team.patch(OWNER, mine, {"metadata": {"ownerReferences": None}}) == ""
    wait_until(lambda: team.read(mine)["metadata"].get("ownerReferences") == own, "the Pod to be adopted")


def test_a_pod_that_a_task_s_job_adopts_has_nothing_to_tell(team: Team) -> None:
    _, mine = team.task()
    key = "batch.kubernetes.io/controller-uid"
    uid = team.read(mine)["metadata"]["labels"][key]
    assert team.create(OWNER, pod("bait", {key: uid})) == ""
    # Whether or not it is taken: it is never seen by the operator.
    for where in ((), ("--subresource=status",)):
        said = team.patch(OWNER, "pod/bait", {"metadata": {"labels": LABELS}}, *where)
        assert "labels that begin with assay.dev/" in said or "NotFound" in said
