"""What docs/gitops.md has Flux judge an audit by, evaluated by the API server's CEL, which is Flux's too.

An admission policy holds both expressions and refuses each status with what they came to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.apiserver import ApiServer
from tests.lab.processes import wait_until
from tests.reconcile.cases import names, status_after
from tests.unit.api.audits import audit

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds" / "accuracyaudits.yaml"
NAMESPACE = "flux"
ASKED = ("inProgress", "failed", "current")
FAILED, CURRENT, NEITHER, WAITS = ("false true false", "false false true", "false false false", "true false true")
GENERATION = '"observedGeneration": 1'
BY_PHASE = {"Stalled": FAILED, "Complete": CURRENT}


def expressions() -> dict[str, str]:
    """The page's expressions by what they mean, on the object that admission sees."""
    page = (ROOT / "docs" / "gitops.md").read_text()
    documents = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)]
    (found,) = [d["spec"]["healthCheckExprs"][0] for d in documents if d.get("kind") == "Kustomization"]
    whole = re.compile(r"(?<![\w.])(status|metadata)\.")
    return {what: whole.sub(r"object.\1.", found[what]) for what in ASKED}


def policy() -> list[dict[str, Any]]:
    told = "'Flux: ' + " + " + ' ' + ".join(f"string(variables.{what})" for what in ASKED)
    asked = {"apiGroups": ["assay.dev"], "apiVersions": ["*"], "operations": ["UPDATE"]}
    # Of this namespace alone: the API server is everybody's.
    here = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    group = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "flux"}}
    spec = {
        "matchConstraints": {
            "namespaceSelector": here,
            "resourceRules": [asked | {"resources": ["accuracyaudits/status"]}],
        },
        "variables": [{"name": what, "expression": text} for what, text in expressions().items()],
        "validations": [{"expression": "false", "messageExpression": told}],
    }
    binding = {"policyName": "flux", "validationActions": ["Deny"]}
    return [
        group | {"kind": "ValidatingAdmissionPolicy", "spec": spec},
        group | {"kind": "ValidatingAdmissionPolicyBinding", "spec": binding},
    ]


class Flux:
    """An audit in the API server, and what Flux would make of a status of it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    def sees(self, status: dict[str, Any]) -> str:
        patch = json.dumps({"status": status})
        where = ("-n", NAMESPACE, "--subresource=status", "--type=merge", "--dry-run=server")
        done = self.server.kubectl.attempt("patch", "audit", "digits", *where, "--patch", patch)
        found = re.search(r"Flux: (\w+ \w+ \w+)", done.stderr)
        return found[1] if found else done.stderr or done.stdout


@pytest.fixture(scope="module")
def flux(apiserver: ApiServer) -> Iterator[Flux]:
    kubectl = apiserver.kubectl
    kubectl("apply", "-f", str(CRD))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRD))
    kubectl("create", "namespace", NAMESPACE)
    kubectl.apply(audit() | {"metadata": {"name": "digits", "namespace": NAMESPACE}})
    kubectl.apply(*policy())
    seen = Flux(apiserver)
    wait_until(partial(_refuses, seen), "the policy in force", 60, every=0.5)
    yield seen
    kubectl("delete", "validatingadmissionpolicies,validatingadmissionpolicybindings", "flux")


def _refuses(flux: Flux) -> bool:
    return flux.sees({"run": "0"}) == NEITHER


def test_an_audit_that_no_operator_has_seen_is_on_its_way(flux: Flux) -> None:
    assert flux.sees({"run": "0"}) == NEITHER


@pytest.mark.parametrize("phase", ["Pending", "Running", "Suspended", "Complete", "Stalled"])
def test_flux_sees_what_the_phase_says(flux: Flux, phase: str) -> None:
    statuses = [status for name in names() if (status := status_after(name))["phase"] == phase][:3]
    assert statuses
    for status in statuses:
        now = json.loads(
            json.dumps(status).replace(f'"observedGeneration": {status["observedGeneration"]}', GENERATION)
        )
        assert flux.sees(now) == BY_PHASE.get(phase, NEITHER)
        before = json.loads(json.dumps(now).replace(GENERATION, '"observedGeneration": 0'))
        assert flux.sees(before) == NEITHER, "of an earlier spec"


def test_a_rerun_that_no_operator_has_taken_up_is_on_its_way(flux: Flux) -> None:
    """Flux asks `inProgress` first."""
    ended = status_after("passed")
    flux.server.kubectl("annotate", "audit", "digits", "assay.dev/rerun=2", "-n", NAMESPACE)
    try:
        assert flux.sees(ended) == flux.sees(ended | {"rerun": "1"}) == WAITS
        assert flux.sees(ended | {"rerun": "2"}) == CURRENT
    finally:
        flux.server.kubectl("annotate", "audit", "digits", "assay.dev/rerun-", "-n", NAMESPACE)
