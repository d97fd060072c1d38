"""What the operator may do and what its Pod may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from assay_api.names import LABEL_MANAGED, PROGRESS_PORT
from assay_operator.kinds import KINDS
from tests.chart.conftest import NAMESPACE, Chart, kinds, named

# (API group, resource, resource name or "*") -> verbs. Whatever the chart grants beyond this is a defect.
WATCHED = {(group, resource, "*"): verbs for (group, resource), verbs in KINDS.rights().items()}
CLUSTER = {("apiextensions.k8s.io", "customresourcedefinitions", kind.custom.definition): {"get"} for kind in KINDS}
CLUSTER |= {(group, resource, "*"): verbs for (group, resource), verbs in KINDS.cluster_rights().items()}
LEASE = {
    ("coordination.k8s.io", "leases", "*"): {"create"},
    ("coordination.k8s.io", "leases", "assay"): {"get", "update"},
}

Grants = dict[tuple[str, str, str], set[str]]


def grants(role: dict[str, Any]) -> Grants:
    """A role as a table."""
    table: Grants = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", ["*"]):
                    table.setdefault((group, resource, name), set()).update(rule["verbs"])
    return table


def pod_templates(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every Pod spec among the objects."""
    for made in objects:
        template = made.get("spec", {}).get("template") if made["kind"] != "CustomResourceDefinition" else None
        if template:
            yield template["spec"]


def test_the_table_asks_for_just_this() -> None:
    """What an operator may do is read by people who decide whether to let it in."""
    assert KINDS.rights() == {
        ("assay.dev", "accuracyaudits"): {"get", "list", "watch", "create", "patch", "delete"},
        ("assay.dev", "accuracyaudits/status"): {"patch"},
        ("assay.dev", "accuracysweeps"): {"get", "list", "watch"},
        ("assay.dev", "accuracysweeps/status"): {"patch"},
        ("assay.dev", "gpuscreenings"): {"get", "list", "watch"},
        ("assay.dev", "gpuscreenings/status"): {"patch"},
        ("batch", "jobs"): {"get", "list", "watch", "create", "patch", "delete"},
        ("", "pods"): {"get", "list", "watch"},
        ("", "events"): {"list", "create"},
        ("kueue.x-k8s.io", "workloads"): {"list"},
    }
    assert KINDS.cluster_rights() == {
        ("", "nodes"): {"list"},
        ("resource.k8s.io", "resourceslices"): {"list"},
    }


def test_nodes_are_written_only_where_that_is_asked_for(chart: Chart, default: list[dict[str, Any]]) -> None:
    more = {("", "nodes", "*"): {"list", "get"}, ("", "nodes/status", "*"): {"patch"}}
    made = chart.render("--set", "screening.nodeConditions=true")
    assert grants(named(made, "ClusterRole", "assay")) == WATCHED | CLUSTER | more
    for objects, said in ((made, "true"), (default, "false")):
        (container,) = named(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert {"name": "ASSAY_NODE_CONDITIONS", "value": said} in container["env"]


def test_operator_may_do_just_this(default: list[dict[str, Any]]) -> None:
    assert grants(named(default, "ClusterRole", "assay")) == WATCHED | CLUSTER
    assert grants(named(default, "Role")) == LEASE


def test_namespaced_install_has_roles_only(chart: Chart) -> None:
    made = chart.render("--set", "namespaces={team-a,team-b},crds.install=false")
    assert not {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"} & set(kinds(made))
    for namespace in ("team-a", "team-b"):
        (role,) = [o for o in made if o["kind"] == "Role" and o["metadata"]["namespace"] == namespace]
        (binding,) = [o for o in made if o["kind"] == "RoleBinding" and o["metadata"]["namespace"] == namespace]
        assert grants(role) == WATCHED
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "assay", "namespace": NAMESPACE}]
    assert grants(named(made, "Role", "assay-lease")) == LEASE


@pytest.mark.parametrize("arguments", [(), ("--set", "namespaces={a}"), ("--set", "replicas=3")])
def test_no_role_has_a_wildcard_or_reads_secrets(chart: Chart, arguments: tuple[str, ...]) -> None:
    roles = [made for made in chart.render(*arguments) if made["kind"] in ("Role", "ClusterRole")]
    assert roles
    for role in roles:
        assert role["rules"]
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["apiGroups"] + rule["resources"]
            assert "secrets" not in rule["resources"]
            assert "impersonate" not in rule["verbs"]


@pytest.mark.parametrize(
    ("role", "into", "verbs"),
    [
        ("assay-view", {"view", "edit", "admin"}, {"get", "list", "watch"}),
        ("assay-edit", {"edit", "admin"}, {"create", "update", "patch", "delete", "deletecollection"}),
    ],
)
def test_people_roles_aggregate(default: list[dict[str, Any]], role: str, into: set[str], verbs: set[str]) -> None:
    made = named(default, "ClusterRole", role)
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {key.removeprefix(prefix) for key in made["metadata"]["labels"] if key.startswith(prefix)} == into
    assert {kind.custom.plural for kind in KINDS} <= {resource for _, resource, _ in grants(made)}
    for (group, resource, _), granted in grants(made).items():
        assert group == "assay.dev"
        assert resource.split("/")[0] in {kind.custom.plural for kind in KINDS}
        assert granted == verbs


@pytest.mark.parametrize("arguments", [(), ("--set", "replicas=2,metrics.enabled=false")])
def test_every_pod_is_restricted(chart: Chart, arguments: tuple[str, ...]) -> None:
    pods = list(pod_templates(chart.render(*arguments)))
    assert pods
    for pod in pods:
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == 65532
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert all("hostPath" not in volume for volume in pod["volumes"])
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


def test_token_is_mounted_by_the_pod_that_needs_it_only(default: list[dict[str, Any]]) -> None:
    assert named(default, "ServiceAccount")["automountServiceAccountToken"] is False
    assert named(default, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_network_policy_names_what_goes_in_and_out(chart: Chart) -> None:
    policy = named(chart.render("--set", "networkPolicy.enabled=true"), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"][0]["port"] for rule in policy["ingress"]] == ["metrics", "probes"]
    outward = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert outward == {53, 443, 6443, 8090}


def test_tasks_reach_storage_and_dns_and_only_the_operator_reaches_them(chart: Chart) -> None:
    values = "tasks.networkPolicy.enabled=true,tasks.networkPolicy.namespaces={team-a,team-b}"
    made = chart.render("--set", values)
    policies = [o for o in made if o["kind"] == "NetworkPolicy"]
    assert [o["metadata"]["namespace"] for o in policies] == ["team-a", "team-b"]
    pods = named(made, "Deployment")["spec"]["template"]["metadata"]["labels"]
    for policy in (o["spec"] for o in policies):
        assert policy["podSelector"] == {"matchLabels": {LABEL_MANAGED: "true"}}
        (asked,) = policy["ingress"]
        assert asked["ports"] == [{"port": PROGRESS_PORT, "protocol": "TCP"}]
        (operator,) = asked["from"]
        assert operator["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
        assert operator["podSelector"]["matchLabels"].items() <= pods.items()
        assert [{port["port"] for port in rule["ports"]} for rule in policy["egress"]] == [{53}, {443}]
    assert "NetworkPolicy" not in kinds(chart.render())


def test_where_tasks_run_must_be_known_to_hold_them(chart: Chart) -> None:
    done = chart.attempt("template", "assay", str(chart.folder), "--set", "tasks.networkPolicy.enabled=true")
    assert "tasks.networkPolicy.namespaces must name the namespaces of the audits" in done.stderr
    both = chart.render("--set", "tasks.networkPolicy.enabled=true,namespaces={team-a}")
    assert named(both, "NetworkPolicy")["metadata"]["namespace"] == "team-a"


def test_storage_inside_the_cluster_can_be_named(chart: Chart) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "minio"}}}
    rule = {"to": [peer], "ports": [{"port": 9000}]}
    tasks = {"networkPolicy": {"enabled": True, "namespaces": ["a"], "storage": [rule]}}
    policy = named(chart.render("--set-json", f"tasks={json.dumps(tasks)}"), "NetworkPolicy")
    assert policy["spec"]["egress"][1:] == [rule]
