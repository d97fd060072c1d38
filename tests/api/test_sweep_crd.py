"""The definition of AccuracySweep on a real API server: taken, explaining itself, refusing what Python refuses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from kubernetes import client

from assay_api.model import parse
from assay_api.sweep import AccuracySweep
from tests.api.definitions import installed, server_refusal, types_refusal
from tests.api.strategies import SWEEP
from tests.lab.apiserver import ApiServer
from tests.lab.processes import wait_until
from tests.unit.api.sweeps import sweep

CRD = Path(__file__).resolve().parents[2] / "crds" / "accuracysweeps.yaml"
WHERE = ("assay.dev", "v1alpha1", "default", "accuracysweeps")


@pytest.fixture(scope="module")
def sweeps(apiserver: ApiServer) -> Iterator[client.CustomObjectsApi]:
    """Client of an API server that has the definition, put there by a plain client-side `kubectl apply`."""
    with installed(apiserver, CRD) as objects:
        yield objects


def refusal(sweeps: client.CustomObjectsApi, data: dict[str, Any]) -> str | None:
    """What the API server says against a sweep; None where it takes it."""
    return server_refusal(sweeps, "accuracysweeps", data)


def python_refusal(data: dict[str, Any]) -> str | None:
    """What our types say against it; None where they take it."""
    return types_refusal(lambda: parse(AccuracySweep, data).spec.template)


def test_it_is_small_enough_for_plain_apply() -> None:
    assert CRD.stat().st_size <= 200_000


def test_it_explains_itself_and_writes_nothing_into_a_spec(
    apiserver: ApiServer, sweeps: client.CustomObjectsApi
) -> None:
    explain = ("explain", "accuracysweep.spec", "--recursive")
    # What a definition means is published a moment after it is established.
    wait_until(lambda: apiserver.kubectl.attempt(*explain).returncode == 0, "the definition to be published", 30)
    text = apiserver.kubectl(*explain)
    for field in ("modelPrefix", "fleet", "timeZone", "gpuHours", "outputDrift", "historyLimit"):
        assert field in text
    created: Any = sweeps.create_namespaced_custom_object(*WHERE, sweep())
    try:
        assert created["status"] == {"observedGeneration": -1}
        assert created["spec"] == sweep()["spec"]
        header, row = apiserver.kubectl("get", "sweep").strip().splitlines()
        assert header.split() == ["NAME", "VERDICT", "PHASE", "CELLS", "FAILED", "REGRESSED", "AGE"]
        assert row.startswith("nightly")
        assert "nightly" in apiserver.kubectl("get", "assay")
    finally:
        sweeps.delete_namespaced_custom_object(*WHERE, "nightly")


OUTCOMES: Counter[bool] = Counter()


@settings(max_examples=400, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(spec=SWEEP)
def test_python_and_the_api_server_refuse_the_same(sweeps: client.CustomObjectsApi, spec: dict[str, Any]) -> None:
    data = {**sweep(), "spec": spec, "metadata": {"name": "fuzz", "namespace": "default"}}
    server, python = refusal(sweeps, data), python_refusal(data)
    OUTCOMES[server is None] += 1
    assert (server is None) == (python is None), f"API server: {server}\nPython: {python}\n{json.dumps(spec)}"


PAIRS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"models": None, "modelPrefix": {"uri": "s3://models/"}}, True),
    ({"models": None}, False),
    ({"modelPrefix": {"uri": "s3://models/"}}, False),
    ({"fleet": True}, False),
    ({"fleet": False}, True),
    ({"fleet": True, "template__target": None}, True),
    ({"fleet": True, "template__target": {"scratch": "1Gi"}}, True),
    ({"images": ["r:1"]}, True),
    ({"images": ["r:1"], "template__target": {"image": "r:2"}}, False),
    ({"upgrade": {"fromImage": "r:1", "toImage": "r:2"}}, True),
    ({"upgrade": {"fromImage": "r:1", "toImage": "r:2"}, "template__target": {"scratch": "1Gi"}}, True),
    ({"upgrade": {"fromImage": "r:1", "toImage": "r:1"}}, False),
    ({"upgrade": {"fromImage": "r:1"}}, False),
    ({"upgrade": {"fromImage": "", "toImage": "r:2"}}, False),
    ({"upgrade": {"fromImage": "r:1", "toImage": "r:2"}, "images": ["r:3"]}, False),
    ({"upgrade": {"fromImage": "r:1", "toImage": "r:2"}, "template__target": {"image": "r:1"}}, False),
    ({"template__compareWith": {"uri": "s3://audits/report.json"}}, False),
    ({"models": [{"name": f"m{n}", "uri": "s3://models/m.onnx"} for n in range(512)]}, True),
    ({"models": [{"name": f"m{n}", "uri": "s3://models/m.onnx"} for n in range(513)]}, False),
    ({"template__model": {"uri": "s3://models/m.onnx"}}, False),
    ({"template__checks": [{"labelAccuracy": {}}], "template__dataset": {"uri": "s3://data/d"}}, False),
    ({"template__checks": [{"finite": {}}, {"finite": {}}]}, False),
]


@pytest.mark.parametrize(("changes", "right"), PAIRS)
def test_they_refuse_the_same_where_fields_exclude_one_another(
    sweeps: client.CustomObjectsApi, changes: dict[str, Any], right: bool
) -> None:
    data = sweep(**changes)
    server, python = refusal(sweeps, data), python_refusal(data)
    assert (server is None, python is None) == (right, right), f"API server: {server}\nPython: {python}"


def test_the_fuzz_saw_both_outcomes() -> None:
    assert OUTCOMES[True] > 80, OUTCOMES
    assert OUTCOMES[False] > 80, OUTCOMES
