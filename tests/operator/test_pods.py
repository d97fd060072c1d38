"""Task Pods as audits ask for them, put before a real API server."""

from __future__ import annotations

from tests.operator.lab import Namespace, Operator

TARGET = {
    "resources": {"cpu": "4", "memory": "8Gi"},
    "requests": {"cpu": "2"},
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["ml"]}]}]
            }
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "podLabels": {"team": "vision", "app.kubernetes.io/name": "mine"},
    "podAnnotations": {"sidecar.istio.io/inject": "false"},
}


def test_a_job_is_made_as_it_was_asked_for(operator: Operator, namespace: Namespace) -> None:
    namespace.apply_audit("digits", target=TARGET, deadlines={"golden": 77})
    job = namespace.job("golden")
    template = job["spec"]["template"]
    assert job["spec"]["activeDeadlineSeconds"] == 77
    resources = template["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "4", "memory": "8Gi"}, "requests": {"cpu": "2", "memory": "8Gi"}}
    assert template["spec"]["affinity"] == TARGET["affinity"]
    assert template["spec"]["topologySpreadConstraints"][0]["labelSelector"] == {
        "matchLabels": {"assay.dev/managed": "true"}
    }
    assert template["metadata"]["annotations"] == TARGET["podAnnotations"]
    assert template["metadata"]["labels"]["team"] == "vision"
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == "assay"


def test_what_the_api_server_does_not_understand_ends_the_audit_in_its_words(
    operator: Operator, namespace: Namespace
) -> None:
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": ""}]}}
    namespace.apply_audit("digits", target={"affinity": near})
    namespace.wait("Stalled")
    assert namespace.condition("digits", "Stalled")["reason"] == "InvalidInput"
    assert "podAffinity" in namespace.condition("digits", "Stalled")["message"]
    namespace.apply_audit("big", target={"resources": {"cpu": "1"}, "requests": {"cpu": "2"}})
    namespace.wait("Stalled", "audit/big")
    assert "must be less than or equal to cpu limit" in namespace.condition("big", "Stalled")["message"]
