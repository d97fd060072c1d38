"""The CRD on a real API server: it is taken, it explains itself, and it refuses exactly what Python refuses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from kubernetes import client

from assay_api.audit import AccuracyAudit
from assay_api.model import parse
from assay_runner.checks import CHECKS
from tests.api.definitions import installed, server_refusal, types_refusal
from tests.api.strategies import PARAMETERS, SPEC
from tests.lab.apiserver import ApiServer
from tests.unit.api.audits import audit

CRD = Path(__file__).resolve().parents[2] / "crds" / "accuracyaudits.yaml"


@pytest.fixture(scope="module")
def audits(apiserver: ApiServer) -> Iterator[client.CustomObjectsApi]:
    """Client of an API server that has the CRD, put there by a plain client-side `kubectl apply`."""
    with installed(apiserver, CRD) as objects:
        yield objects


def refusal(audits: client.CustomObjectsApi, data: dict[str, Any]) -> str | None:
    """What the API server says against the audit, as `kubectl apply` would hear it; None where it takes it."""
    return server_refusal(audits, "accuracyaudits", data)


def python_refusal(data: dict[str, Any]) -> str | None:
    """What `assay validate` says against the audit; None where it takes it."""
    return types_refusal(lambda: parse(AccuracyAudit, data).spec)


def test_the_crd_is_small_enough_for_plain_apply() -> None:
    assert CRD.stat().st_size <= 200_000


def test_a_new_audit_is_in_progress_before_any_operator_acts(audits: client.CustomObjectsApi) -> None:
    created: Any = audits.create_namespaced_custom_object("assay.dev", "v1alpha1", "default", "accuracyaudits", audit())
    try:
        assert created["status"] == {"observedGeneration": -1}
        assert created["spec"] == audit()["spec"], "the API server must not write into a user's spec"
    finally:
        audits.delete_namespaced_custom_object("assay.dev", "v1alpha1", "default", "accuracyaudits", "digits")


def test_explain_describes_every_field(apiserver: ApiServer, audits: client.CustomObjectsApi) -> None:
    text = apiserver.kubectl("explain", "accuracyaudit.spec", "--recursive")
    for field in ("model", "sha256", "outputDrift", "maxAbs", "gpuProducts", "secretRef", "onBreach"):
        assert field in text
    undescribed = list(_undescribed(_properties(apiserver)["spec"], "spec"))
    assert not undescribed


def _properties(apiserver: ApiServer) -> dict[str, Any]:
    crd = json.loads(apiserver.kubectl("get", "crd", "accuracyaudits.assay.dev", "-o", "json"))
    properties: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return properties


def _undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        if not field.get("description"):
            yield f"{path}.{name}"
        yield from _undescribed(field.get("items", field), f"{path}.{name}")


def test_kubectl_get_says_what_an_engineer_asks(apiserver: ApiServer, audits: client.CustomObjectsApi) -> None:
    created = audit()
    apiserver.kubectl("apply", "-f", "-", stdin=json.dumps(created))
    try:
        header, row = apiserver.kubectl("get", "audit").strip().splitlines()
        assert header.split() == [
            "NAME",
            "VERDICT",
            "PHASE",
            "REASON",
            "CANDIDATES",
            "BASELINE",
            "WORST",
            "AGE",
            "MESSAGE",
        ]
        assert row.startswith("digits")
        assert "digits" in apiserver.kubectl("get", "assay")
        assert "digits" not in apiserver.kubectl("get", "audit", "--field-selector", "status.verdict=Passed")
    finally:
        apiserver.kubectl("delete", "audit", "digits")


OUTCOMES: Counter[bool] = Counter()


@settings(max_examples=1000, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(spec=SPEC)
@example(spec={**audit()["spec"], "target": {"scratch": -1}})
def test_python_and_the_api_server_refuse_the_same(audits: client.CustomObjectsApi, spec: dict[str, Any]) -> None:
    data = {**audit(), "spec": spec}
    data["metadata"] = {"name": "fuzz", "namespace": "default"}
    server, python = refusal(audits, data), python_refusal(data)
    OUTCOMES[server is None] += 1
    assert (server is None) == (python is None), f"API server: {server}\nPython: {python}\n{json.dumps(spec)}"


CONSTANTS: list[Any] = [16_000, -1.5, True, [], [1, 2.5], [False] * 4096]
NO_CONSTANTS: list[Any] = ["1", {}, {"a": 1}, ["1"], [[1]], [{}], [1] * 4097]
NO_AXES: list[Any] = [-1, 8, 1.5, "1", True]
NO_INPUTS: list[Any] = [{"x": {}}, {"x": {"as": 1}}, [], {"x": 1}]
FED: list[tuple[dict[str, Any], bool]] = [
    ({"layout": "feeds"}, True),
    ({"layout": "samples", "batch": 8}, True),
    ({"layout": "rows"}, False),
    ({"layout": "feeds", "batch": 8}, False),
    ({"layout": "feeds", "inputs": {"sr": {"constant": 1}}}, False),
    ({"inputs": {"x": {"axis": 1, "constant": 0}, "y": {"axis": 0}, "z": {"axis": 7}}}, True),
    *(({"inputs": {"sr": {"constant": value}}}, True) for value in CONSTANTS),
    *(({"inputs": {"sr": {"constant": value}}}, False) for value in NO_CONSTANTS),
    *(({"inputs": {"x": {"axis": axis}}}, False) for axis in NO_AXES),
    *(({"inputs": inputs}, False) for inputs in NO_INPUTS),
]


@pytest.mark.parametrize(("dataset", "right"), FED)
def test_they_refuse_the_same_of_how_inputs_are_fed(
    audits: client.CustomObjectsApi, dataset: dict[str, Any], right: bool
) -> None:
    data = audit(dataset={"uri": "s3://data/d/", **dataset}, checks=None)
    server, python = refusal(audits, data), python_refusal(data)
    assert (server is None, python is None) == (right, right), f"API server: {server}\nPython: {python}"


def test_the_fuzz_knows_every_check() -> None:
    assert PARAMETERS.keys() == CHECKS.keys(), "PARAMETERS of tests/api/strategies.py has one entry per check"


def test_the_fuzz_saw_both_outcomes() -> None:
    assert OUTCOMES[True] > 200, OUTCOMES
    assert OUTCOMES[False] > 200, OUTCOMES
