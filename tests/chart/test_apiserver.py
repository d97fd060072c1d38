"""The rendered chart, put before a real API server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.conftest import NAMESPACE, ROOT, Chart, named
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import published
from tests.lab.processes import wait_until

FOREIGN = {"ServiceMonitor", "PrometheusRule"}
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
EVERYTHING = (
    "replicas=2,networkPolicy.enabled=true,admissionPolicy.enabled=true,priorityClassName=system-cluster-critical"
)


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        meta = {"name": NAMESPACE, "labels": RESTRICTED}
        running.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        for name in ("team-a", "team-b"):
            running.kubectl("create", "namespace", name)
        yield running


TASKS = "tasks.networkPolicy.enabled=true,tasks.networkPolicy.namespaces={team-a,team-b},metrics.dashboard.enabled=true"


@pytest.mark.parametrize("values", ["", EVERYTHING, "namespaces={team-a,team-b}", TASKS])
def test_dry_run_is_accepted_without_a_warning(chart: Chart, server: ApiServer, values: str) -> None:
    objects = chart.render(*(("--set", values) if values else ()))
    stream = yaml.safe_dump_all(o for o in objects if o["kind"] not in FOREIGN)
    done = server.kubectl.attempt("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=stream)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_pod_is_admitted_where_restricted_is_enforced(default: list[dict[str, Any]], server: ApiServer) -> None:
    template = named(default, "Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "probe", "namespace": NAMESPACE}
    create = ("create", "--dry-run=server", "-f", "-")
    server.kubectl(*create, stdin=json.dumps(pod))
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    refused = server.kubectl.attempt(*create, stdin=json.dumps(pod))
    assert 'violates PodSecurity "restricted' in refused.stderr


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "allowed"),
    [
        ("patch", "accuracyaudits.assay.dev/status", "team-a", True),
        ("patch", "accuracyaudits.assay.dev", "team-a", True),
        ("update", "accuracyaudits.assay.dev", "team-a", False),
        ("delete", "accuracyaudits.assay.dev", "team-a", True),
        ("deletecollection", "accuracyaudits.assay.dev", "team-a", False),
        ("patch", "accuracysweeps.assay.dev/status", "team-a", True),
        ("patch", "accuracysweeps.assay.dev", "team-a", False),
        ("delete", "accuracysweeps.assay.dev", "team-a", False),
        ("list", "nodes", "team-a", True),
        ("get", "nodes", "team-a", False),
        ("list", "resourceslices.resource.k8s.io", "team-a", True),
        ("create", "jobs.batch", "team-b", True),
        ("update", "jobs.batch", "team-b", False),
        ("deletecollection", "jobs.batch", "team-b", False),
        ("delete", "pods", "team-a", False),
        ("get", "pods/log", "team-a", False),
        ("get", "secrets", "team-a", False),
        ("create", "leases.coordination.k8s.io", NAMESPACE, True),
        ("create", "leases.coordination.k8s.io", "team-a", False),
        ("list", "namespaces", "team-a", False),
    ],
)
def test_api_server_agrees_on_what_the_operator_may_do(
    installed: ApiServer, verb: str, resource: str, namespace: str, allowed: bool
) -> None:
    account = f"system:serviceaccount:{NAMESPACE}:assay"
    resource, _, sub = resource.partition("/")
    question = ("auth", "can-i", verb, resource, f"--subresource={sub}", "--namespace", namespace, "--as", account)
    done = installed.kubectl.attempt(*question)
    assert done.stdout.strip() == ("yes" if allowed else "no"), done.stderr


@pytest.fixture(scope="module")
def installed(default: list[dict[str, Any]], server: ApiServer) -> ApiServer:
    """The server with the chart's objects really made."""
    server.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(default))
    published(server.kubectl, "accuracyaudits.assay.dev", "accuracysweeps.assay.dev")
    return server


AUDIT: dict[str, Any] = {
    "apiVersion": "assay.dev/v1alpha1",
    "kind": "AccuracyAudit",
    "metadata": {"name": "digits", "namespace": "team-a"},
    "spec": {
        "model": {"uri": "s3://models/digits.onnx"},
        "dataset": {"uri": "s3://datasets/digits/"},
        "candidates": [{"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}],
        "artifacts": {"uri": "s3://audits/"},
    },
}
GOOD = {"target": {"image": "registry.example/ml/runner:1"}, "storage": {"secretRef": {"name": "assay-s3"}}}


def test_the_documented_policy_holds_audits_to_what_it_names(installed: ApiServer) -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (policy,) = [block for block in blocks if "audits-name-only-these" in block]
    installed.kubectl("apply", "-f", "-", stdin=policy)

    def refusal(**spec: Any) -> str:
        audit = {**AUDIT, "spec": {**AUDIT["spec"], **spec}}
        done = installed.kubectl.attempt("create", "--dry-run=server", "-f", "-", stdin=json.dumps(audit))
        return done.stderr if done.returncode else ""

    wait_until(lambda: "spec.target.image must be" in refusal(target={"image": "evil:1"}), "the policy to hold", 60)
    assert "secretRef must be assay-s3" in refusal(storage={"secretRef": {"name": "root"}})
    assert "serviceAccountName must be assay-tasks" in refusal(storage={"serviceAccountName": "admin"})
    assert refusal() == ""
    assert refusal(**GOOD) == ""
