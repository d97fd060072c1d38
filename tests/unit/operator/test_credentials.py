"""What an audit can read is what its namespace's own credentials can: nothing else ever comes into its Pods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from assay_operator.audits.jobs import job_manifest
from assay_operator.audits.observed import Audit
from assay_operator.audits.run import Refused, run_of
from tests.reconcile.cases import SETTINGS
from tests.unit.api.audits import audit

STORAGE = {
    "secretRef": {"name": "team-s3"}, "endpoint": "https://s3.example", "caBundleRef": {"name": "team-ca"},
}  # fmt: skip
Raw = dict[str, Any]


def pods(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Iterator[tuple[Raw, Raw]]:
    """Every Job of an audit and its Pod's spec, made by an operator that has keys in its own environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.setenv(name, "the-operators-own")
    meta = {"name": "digits", "namespace": "team", "uid": "u", "resourceVersion": "1", "generation": 1}
    made = Audit.of(audit(**changes) | {"metadata": {**meta, "creationTimestamp": "2026-01-01T00:00:00Z"}})
    run = run_of(made)
    assert not isinstance(run, Refused), run
    for task in run.tasks:
        for recovery in (False, True):
            job = job_manifest(made, task, SETTINGS, recovery=recovery)
            yield job, job["spec"]["template"]["spec"]


def references(node: Any) -> Iterator[tuple[str, Any]]:
    """Whatever a Pod can be given from elsewhere, by its field's name."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("secretKeyRef", "configMapKeyRef", "secretRef", "configMapRef", "secret", "configMap"):
                yield key, value
            yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_keys_are_those_of_the_spec_in_the_namespace_of_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    for job, pod in pods(monkeypatch, storage=STORAGE):
        assert job["metadata"]["namespace"] == "team"
        found = list(references(pod))
        # A Pod's references have no namespace of their own: they are of the namespace that the Pod is in.
        assert {(kind, each["name"]) for kind, each in found} == {("secretKeyRef", "team-s3"), ("configMap", "team-ca")}
        assert all("namespace" not in each for _, each in found)


def test_without_a_secret_there_are_no_keys_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, pod in pods(monkeypatch, storage={"endpoint": "https://s3.example"}):
        assert list(references(pod)) == []
        (container,) = pod["containers"]
        names = {each["name"] for each in container["env"]}
        assert not {name for name in names if "KEY" in name or "TOKEN" in name or "PROFILE" in name}
        assert "the-operators-own" not in json.dumps(pod)
        assert "envFrom" not in container
        assert "initContainers" not in pod


def test_nothing_of_the_node_or_of_the_cluster_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, pod in pods(monkeypatch, storage=STORAGE):
        assert pod["automountServiceAccountToken"] is False
        assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {"emptyDir", "configMap"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_a_workload_identity_is_the_account_that_the_spec_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, pod in pods(monkeypatch, storage={"serviceAccountName": "team-reader"}):
        assert pod["serviceAccountName"] == "team-reader"
        assert list(references(pod)) == []
