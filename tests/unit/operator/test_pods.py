"""What task Pods look like: the audit's own word, the installation's, and the operator's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assay_api.model import parse
from assay_api.target import Deadlines, PodSettings
from assay_api.task_kinds import KINDS
from assay_operator.audits.jobs import job_manifest
from assay_operator.audits.reconcile import reconcile
from assay_operator.settings import SettingsError, from_environment
from tests.reconcile.cases import SETTINGS as CASE_SETTINGS
from tests.reconcile.cases import Case, observed
from tests.unit.operator.test_jobs import SETTINGS, Raw, audit, task

AFFINITY: Raw = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
NEAR: Raw = {"podAffinity": {}}
SPREAD = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}


def template(target: Raw, defaults: Raw | None = None, key: str = "cpu", recovery: bool = False) -> Raw:
    settings = replace(SETTINGS, pods=parse(PodSettings, defaults or {}))
    of = audit(target=target)
    made: Raw = job_manifest(of, task(of, key), settings, recovery=recovery)["spec"]["template"]
    return made


@pytest.mark.parametrize(
    ("target", "defaults", "requests"),
    [
        ({}, {}, {"cpu": "250m", "memory": "512Mi"}),
        ({}, {"requests": {"cpu": "1"}}, {"cpu": "1", "memory": "512Mi"}),
        ({"resources": {"cpu": "4"}}, {"requests": {"cpu": "1"}}, {"cpu": "4", "memory": "512Mi"}),
        ({"resources": {"cpu": "4", "memory": "8Gi"}, "requests": {"cpu": 2}}, {}, {"cpu": "2", "memory": "8Gi"}),
        ({"requests": {"example.com/slots": 3}}, {}, {"cpu": "250m", "memory": "512Mi", "example.com/slots": "3"}),
    ],
)
def test_requests_stand_beside_limits(target: Raw, defaults: Raw, requests: Raw) -> None:
    resources = template(target, defaults)["spec"]["containers"][0]["resources"]
    assert resources["requests"] == requests
    assert resources.get("limits") == target.get("resources")


def test_a_gpu_is_asked_for_whole_whatever_else_is_requested() -> None:
    target = {"resources": {"memory": "8Gi"}, "requests": {"memory": "1Gi"}}
    assert template(target, key="gpu")["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "250m", "memory": "1Gi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": "1"},
    }


def test_the_installation_is_added_to_and_the_operator_has_the_last_word() -> None:
    defaults = {
        "podLabels": {"team": "any", "cost": "ml", "app.kubernetes.io/name": "mine"},
        "podAnnotations": {"logs": "json"},
        "nodeSelector": {"pool": "any", "zone": "a"},
        "tolerations": [{"key": "a"}],
        "affinity": NEAR,
        "topologySpreadConstraints": [SPREAD],
        "priorityClassName": "low",
    }
    given = template({}, defaults)
    assert (
        given["metadata"]["labels"] | {"cost": "ml", "team": "any", "app.kubernetes.io/name": "assay"}
        == (given["metadata"]["labels"])
    )
    assert given["metadata"]["annotations"] == {"logs": "json"}
    assert (given["spec"]["affinity"], given["spec"]["priorityClassName"]) == (NEAR, "low")
    own = {
        "podLabels": {"team": "vision"},
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "b"}],
        "affinity": AFFINITY,
        "topologySpreadConstraints": [{**SPREAD, "labelSelector": {"matchLabels": {"a": "b"}}}],
        "priorityClassName": "high",
    }
    both = template(own, defaults)
    assert (both["metadata"]["labels"]["team"], both["metadata"]["labels"]["cost"]) == ("vision", "ml")
    assert both["metadata"]["labels"]["assay.dev/managed"] == "true"
    assert both["metadata"]["annotations"] == {"logs": "json", "sidecar.istio.io/inject": "false"}
    assert both["spec"]["nodeSelector"] == {"pool": "gpu", "zone": "a"}
    assert both["spec"]["tolerations"] == [{"key": "a"}, {"key": "b"}]
    assert (both["spec"]["affinity"], both["spec"]["priorityClassName"]) == (AFFINITY, "high")
    assert both["spec"]["topologySpreadConstraints"] == own["topologySpreadConstraints"]


def test_a_spread_that_selects_nothing_selects_tasks() -> None:
    (spread,) = template({"topologySpreadConstraints": [SPREAD]})["spec"]["topologySpreadConstraints"]
    assert spread == {**SPREAD, "labelSelector": {"matchLabels": {"assay.dev/managed": "true"}}}


def test_a_pod_that_nobody_asked_anything_of_is_as_it_was() -> None:
    given = template({})
    assert "annotations" not in given["metadata"]
    assert not {"affinity", "topologySpreadConstraints", "nodeSelector", "tolerations"} & set(given["spec"])


AUDIT_CANDIDATES = [
    {"name": "cpu", "backend": "onnxruntime", "precision": "fp16"},
    {"name": "gpu", "backend": "tensorrt", "precision": "fp16"},
]


@pytest.mark.parametrize(
    ("key", "seconds"), [("golden", 60), ("cpu", 7200), ("gpu", 7200), ("together_1", 14400), ("summary", 500)]
)  # fmt: skip
def test_a_deadline_per_kind_of_task(key: str, seconds: int) -> None:
    more: dict[str, Any] = {
        "candidates": [*AUDIT_CANDIDATES, {"name": "another", "backend": "tensorrt", "precision": "bf16"}]
    }
    of = audit(activeDeadlineSeconds=500, deadlines={"golden": 60, "candidate": 7200}, candidatesPerJob=4, **more)
    assert job_manifest(of, task(of, key), SETTINGS)["spec"]["activeDeadlineSeconds"] == seconds


def test_every_kind_of_task_may_have_a_deadline_of_its_own() -> None:
    assert set(Deadlines.model_fields) == {kind for kind, about in KINDS.items() if not about.ahead}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"activeDeadlineSeconds": 9}, "not done within 9 s: raise spec.activeDeadlineSeconds,"),
        ({"deadlines": {"golden": 7}}, "not done within 7 s: raise spec.deadlines.golden,"),
    ],
)
def test_a_deadline_that_was_missed_is_named(spec: dict[str, Any], words: str) -> None:
    case = Case("deadline-exceeded")
    raw = case.read("audit.yaml")
    raw["spec"] |= spec
    status = reconcile(observed(raw, case.seen), case.now, CASE_SETTINGS).status
    assert status is not None
    assert any(words in condition.message for condition in status.conditions)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "ASSAY_TASK_PODS takes JSON"),
        ("[]", "ASSAY_TASK_PODS"),
        ('{"image": "x"}', "image"),
        ('{"podLabels": {"assay.dev/managed": "no"}}', "podLabels cannot hold .* keys that begin with assay.dev/"),
        ('{"requests": {"nvidia.com/gpu": 1}}', "name them in resources"),
        ('{"tolerations": [{"effect": "Never"}]}', "effect"),
    ],
)
def test_what_an_installation_cannot_say_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        from_environment({"ASSAY_RUNNER_IMAGE": "r", "ASSAY_TASK_PODS": text})
