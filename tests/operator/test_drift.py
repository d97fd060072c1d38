"""Nothing drifts: what Git says of an audit or a sweep the cluster says, whatever the operator did meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.lab.judging import judge
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import SPEC, Namespace, Operator, Raw

# What an API server may write in another way, and defaults may fill in: numbers, empty and nested objects, lists.
AUDIT_SPEC: Raw = {
    **SPEC,
    "checks": [{"outputDrift": {"snr": 20.0, "maxAbs": 1e-05}}, {"labelAccuracy": {"keep": 1.0}}, {"finite": {}}],
    "target": {"resources": {"cpu": "1000m", "memory": "1024Mi"}, "tolerations": [{"key": "a", "operator": "Exists"}]},
    "storage": {"endpoint": "http://s3.example:9000"},
    "dataset": {"uri": "s3://datasets/digits/", "labels": "label"},
}


def same(namespace: Namespace, file: Path, kind: str, name: str) -> None:
    """Neither kind of apply finds a difference, nor does Argo CD's own comparison."""
    for how in ((), ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")):
        done = namespace.kubectl.attempt("diff", "-n", namespace.name, *how, "-f", str(file))
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    git = yaml.safe_load(file.read_text())
    git["metadata"]["namespace"] = namespace.name
    (found,) = judge([namespace.read(kind, name)], argo={}, flux=[], desired=[git])
    assert found.drift == ""


@pytest.mark.parametrize("server_side", [False, True])
def test_an_audit_stays_what_git_says(
    operator: Operator, namespace: Namespace, kubelet: Kubelet, tmp_path: Path, server_side: bool
) -> None:
    file = tmp_path / "audit.yaml"
    made = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracyAudit", "metadata": {"name": "digits"}}
    file.write_text(yaml.safe_dump({**made, "spec": AUDIT_SPEC}))
    how = ("--server-side", "--field-manager=argocd-controller") if server_side else ()
    namespace("apply", "-f", str(file), *how)
    kubelet.finish(namespace.job("golden"), message="golden outputs of 360 samples")
    same(namespace, file, "accuracyaudits", "digits")
    for name in ("fp16", "bf16"):
        kubelet.finish(namespace.job(name), verdict="Passed", report=report(name))
    kubelet.finish(namespace.job("summary"), verdict="Passed", report=report("all"))
    namespace.wait("Complete")
    same(namespace, file, "accuracyaudits", "digits")
    # A comparison that sees nothing would prove nothing.
    namespace("patch", "audit", "digits", "--type=merge", "-p", json.dumps({"spec": {"maxParallel": 1}}))
    with pytest.raises(AssertionError):
        same(namespace, file, "accuracyaudits", "digits")


def test_a_sweep_and_its_audits_stay_what_git_says(
    operator: Operator, namespace: Namespace, kubelet: Kubelet, tmp_path: Path
) -> None:
    file = tmp_path / "sweep.yaml"
    made = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "metadata": {"name": "nightly"}}
    template = sweeps.TEMPLATE | {"candidates": sweeps.CANDIDATES[1:], "target": {}}
    file.write_text(yaml.safe_dump({**made, "spec": {"template": template, "models": sweeps.MODELS[:1]}}))
    namespace("apply", "-f", str(file))
    sweeps.looked(namespace, kubelet, "nightly", {"bert": "a" * 16})
    namespace.until(lambda: bool(sweeps.audits(namespace, "nightly")), "its audit")
    same(namespace, file, "accuracysweeps", "nightly")
    (audit,) = sweeps.audits(namespace, "nightly").values()
    sweeps.conclude(namespace, kubelet, audit["metadata"]["name"])
    namespace.wait("Complete", "sweep/nightly")
    same(namespace, file, "accuracysweeps", "nightly")
