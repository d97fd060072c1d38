"""The namespace of the audits under the admission policies, and the people and controllers that work in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import yaml

from tests.chart.conftest import NAMESPACE, Chart
from tests.lab import toolchain
from tests.lab.apiserver import CONTROLLERS, ApiServer, start_controller_manager
from tests.lab.discovery import published
from tests.lab.processes import wait_until

Raw = dict[str, Any]

TEAM = "team-a"
TYPE_CHECKER = "validatingadmissionpolicy-status-controller"
SYSTEM = "system:serviceaccount:kube-system"
OPERATOR = (f"--as=system:serviceaccount:{NAMESPACE}:assay",)
OWNER = ("--as=owner",)
KUBELET = ("--as=system:node:one", "--as-group=system:nodes", "--as-group=system:masters")
KUEUE = ("--as=system:serviceaccount:kueue-system:kueue-controller-manager", "--as-group=system:masters")
ADMINISTRATOR = ("--as=root", "--as-group=system:masters")
LABELS = {"assay.dev/managed": "true", "assay.dev/audit": "digits", "assay.dev/task": "0123456789ab"}
POD_SPEC: Raw = {"restartPolicy": "Never", "containers": [{"name": "task", "image": "registry.example/runner:1"}]}
UID = "11111111-1111-4111-8111-111111111111"
JOB_OWNER: Raw = {"apiVersion": "batch/v1", "kind": "Job", "name": "digits-fp16", "uid": UID, "controller": True}
AUDIT_OWNER: Raw = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracyAudit", "name": "digits", "uid": UID}
AUDIT: Raw = {
    "model": {"uri": "s3://models/digits.onnx"},
    "dataset": {"uri": "s3://datasets/digits/"},
    "candidates": [{"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}],
    "artifacts": {"uri": "s3://audits/"},
}
ENDED: Raw = {
    "phase": "Succeeded",
    "containerStatuses": [
        {"name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0,
         "state": {"terminated": {"exitCode": 0, "message": '{"verdict":"Passed"}'}}},
    ],
}  # fmt: skip

numbers = count(1)


@dataclass(frozen=True)
class Team:
    """The namespace of the audits, seen by anybody."""

    api: ApiServer

    def said(self, who: tuple[str, ...], *arguments: str, stdin: Raw | None = None) -> str:
        """What is said to somebody who is refused; nothing where it is taken."""
        given = None if stdin is None else json.dumps(stdin)
        done = self.api.kubectl.attempt(f"--namespace={TEAM}", *who, *arguments, stdin=given)
        return done.stderr if done.returncode else ""

    def create(self, who: tuple[str, ...], manifest: Raw, *arguments: str) -> str:
        return self.said(who, "create", "-f", "-", *arguments, stdin=manifest)

    def patch(self, who: tuple[str, ...], what: str, patch: Raw, *arguments: str) -> str:
        return self.said(who, "patch", what, "--type=merge", "-p", json.dumps(patch), *arguments)

    def raw(self, who: tuple[str, ...], path: str, body: Raw) -> str:
        return self.said(who, "create", "--raw", f"/api/v1/namespaces/{TEAM}/{path}", "-f", "-", stdin=body)

    def read(self, what: str) -> Raw:
        found: Raw = self.api.kubectl.json(f"--namespace={TEAM}", "get", what)
        return found

    def gone(self, what: str) -> None:
        wait_until(lambda: bool(self.said((), "get", what)), f"{what} to be gone", 90)

    def pod_of(self, name: str) -> str:
        """The Pod that the Job controller makes of a Job, as `pod/name`."""
        find = (f"--namespace={TEAM}", "get", "pods", "-o", "name", "-l", f"job-name={name}")
        wait_until(lambda: bool(self.api.kubectl(*find)), f"a Pod of {name}")
        return str(self.api.kubectl(*find)).strip()

    def audit(self) -> Raw:
        name = f"digits-{next(numbers)}"
        meta = {"name": name, "namespace": TEAM}
        self.api.kubectl.apply(
            {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracyAudit", "metadata": meta, "spec": AUDIT}
        )
        return self.read(f"accuracyaudit/{name}")

    def task(self, audit: Raw | None = None, **spec: Any) -> tuple[str, str]:
        """A task's Job, made by the operator, and its Pod (none where it is suspended), made by the Job controller."""
        meta = (audit or self.audit())["metadata"]
        owner = {**AUDIT_OWNER, "name": meta["name"], "uid": meta["uid"], "controller": True}
        made = job(f"task-{next(numbers)}", LABELS, LABELS, ownerReferences=[owner])
        made["spec"].update(spec)
        assert self.create(OPERATOR, made) == ""
        name = made["metadata"]["name"]
        return f"job/{name}", "" if spec.get("suspend") else self.pod_of(name)


def job(name: str, labels: Raw | None = None, template: Raw | None = None, **meta: Any) -> Raw:
    inner = {"metadata": {"labels": template or {}}, "spec": POD_SPEC}
    metadata = {"name": name, "labels": labels or {}, **meta}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": inner}}


def pod(name: str, labels: Raw | None = None, **meta: Any) -> Raw:
    metadata = {"name": name, "labels": labels or {}, **meta}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": POD_SPEC}


@contextmanager
def working(chart: Chart) -> Iterator[Team]:
    """A team under the policies, with the real Job controller and garbage collector; `owner` may do everything."""
    with ApiServer() as api:
        for name in (NAMESPACE, TEAM):
            api.kubectl("create", "namespace", name)
        api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(chart.render("--set", "admissionPolicy.enabled=true")))
        published(api.kubectl, "accuracyaudits.assay.dev", "accuracysweeps.assay.dev")
        everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": "everything", "namespace": TEAM}, "rules": [everything]}  # fmt: skip
        api.kubectl.apply(role)
        bind = ("create", "rolebinding", f"--namespace={TEAM}")
        api.kubectl(*bind, "owner", "--role=everything", "--user=owner")
        api.kubectl(*bind, "editor", "--clusterrole=edit", "--user=editor")
        names = ",".join((*CONTROLLERS, "clusterrole-aggregation-controller", TYPE_CHECKER))
        api.servers.append(
            start_controller_manager(toolchain.kubernetes(), api.folder, api.kubeconfig, api.credentials, names)
        )
        team = Team(api)
        dry = "--dry-run=server"
        # A new policy takes a moment to hold.
        wait_until(lambda: bool(team.create(OWNER, job("probe", LABELS), dry)), "the policy of Jobs to hold")
        wait_until(lambda: bool(team.create(OWNER, pod("probe", LABELS), dry)), "the policy of Pods to hold")
        yield team
