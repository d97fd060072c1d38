"""What the chart makes of its values."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay_api.model import parse, wire_name
from assay_api.resources import RESOURCES
from assay_api.target import PodSettings
from assay_operator.settings import Settings, from_environment
from tests.chart.conftest import CHART, NAMESPACE, ROOT, Chart, kinds, named
from tests.lab import images

DEFAULT = [
    "ClusterRole", "ClusterRole", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition",
    "CustomResourceDefinition", "CustomResourceDefinition", "Deployment", "PriorityClass", "Role", "RoleBinding",
    "Service", "ServiceAccount",
]  # fmt: skip
# Values that are a map as a whole.
LEAVES = ("requests", "limits", "labels")
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PriorityClass"}


def test_lint_finds_nothing(chart: Chart) -> None:
    done = chart.attempt("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_default_render(default: list[dict[str, Any]]) -> None:
    assert kinds(default) == DEFAULT
    assert {o["metadata"].get("namespace") for o in default if o["kind"] not in CLUSTER_WIDE} == {NAMESPACE}


def test_every_crd_of_the_table_is_the_generated_one(default: list[dict[str, Any]]) -> None:
    rendered = [made for made in default if made["kind"] == "CustomResourceDefinition"]
    assert all(made["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"} for made in rendered)
    names = sorted(resource.plural for resource in RESOURCES.values())
    assert rendered == [yaml.safe_load((ROOT / "crds" / f"{name}.yaml").read_text()) for name in names]


def test_every_file_of_the_chart_is_rendered(chart: Chart, tmp_path: Path) -> None:
    copy = tmp_path / "assay"
    shutil.copytree(CHART, copy)
    text = (copy / "files" / "accuracyaudits.yaml").read_text()
    (copy / "files" / "dolls.yaml").write_text(text.replace("accuracyaudits.assay.dev", "dolls.assay.dev"))
    made = [item for item in replace(chart, folder=copy).render() if item["kind"] == "CustomResourceDefinition"]
    assert [item["metadata"]["name"] for item in made] == [
        "accuracyaudits.assay.dev", "accuracysweeps.assay.dev", "dolls.assay.dev", "gpuscreenings.assay.dev",
    ]  # fmt: skip
    assert all(item["metadata"]["annotations"] for item in made)


def test_crd_stands_among_the_templates_so_that_upgrades_reach_it(chart: Chart) -> None:
    assert not (CHART / "crds").exists()
    assert "CustomResourceDefinition" not in kinds(chart.render("--set", "crds.install=false"))
    loose = [made for made in chart.render("--set", "crds.keep=false") if made["kind"] == "CustomResourceDefinition"]
    assert len(loose) == len(RESOURCES)
    assert not any("helm.sh/resource-policy" in made["metadata"].get("annotations", {}) for made in loose)


def test_one_replica_needs_no_disruption_budget_and_two_do(chart: Chart, default: list[dict[str, Any]]) -> None:
    assert "PodDisruptionBudget" not in kinds(default)
    budget = named(chart.render("--set", "replicas=2"), "PodDisruptionBudget")
    pods = named(default, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= pods.items()


@pytest.mark.parametrize(
    ("values", "reference"),
    [
        (("image.tag=1.2",), "localhost/assay-operator:1.2"),
        (("image.repository=r.example/o", f"image.digest=sha256:{'a' * 64}"), f"r.example/o@sha256:{'a' * 64}"),
        ((), "localhost/assay-operator:0.1.0"),
    ],
)
def test_image_reference(chart: Chart, values: tuple[str, ...], reference: str) -> None:
    arguments = [a for value in values for a in ("--set", value)]
    pod = named(chart.render(*arguments), "Deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == reference


def test_default_images_are_those_that_make_image_builds(default: list[dict[str, Any]]) -> None:
    (container,) = named(default, "Deployment")["spec"]["template"]["spec"]["containers"]
    runner = next(v["value"] for v in container["env"] if v["name"] == "ASSAY_RUNNER_IMAGE")
    assert {container["image"], runner} == set(images.OURS)


@pytest.mark.parametrize("release", ["assay", "prod", "a" * 53])
def test_names_fit_and_do_not_clash_between_releases(chart: Chart, release: str) -> None:
    rendered = chart.render("--set", "replicas=2,networkPolicy.enabled=true", release=release)
    assert {"Deployment", "NetworkPolicy", "ServiceAccount"} <= set(kinds(rendered))
    for made in rendered:
        name = made["metadata"]["name"]
        assert len(name) <= 63
        assert made["kind"] == "CustomResourceDefinition" or release[:40] in name


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("replicaCount=2", "additional properties 'replicaCount' not allowed"),
        ("image.repo=x", "at '/image': additional properties 'repo' not allowed"),
        ("metrics.serviceMonitor.on=true", "additional properties 'on' not allowed"),
        ("replicas=many", "at '/replicas': got string, want integer"),
        ("log.level=loud", "at '/log/level': value must be one of"),
        ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
        ("tasks.podLabel.a=b", "at '/tasks': additional properties 'podLabel' not allowed"),
        ("tasks.affinity=near", "at '/tasks/affinity': got string, want object"),
        ("tasks.atOnce=-1", "at '/tasks/atOnce': minimum: got -1, want 0"),
        ("audits.keepPerNamespace=ten", "at '/audits/keepPerNamespace': got string, want integer"),
        ("namespaces={Team_A}", "at '/namespaces/0': 'Team_A' does not match pattern"),
    ],
)
def test_a_wrong_value_is_refused_by_name(chart: Chart, value: str, says: str) -> None:
    done = chart.attempt("template", "assay", str(CHART), "--set", value)
    assert done.returncode != 0
    assert says in done.stderr


def test_service_account_of_ones_own_must_be_named(chart: Chart) -> None:
    done = chart.attempt("template", "assay", str(CHART), "--set", "serviceAccount.create=false")
    assert "serviceAccount.name is needed where serviceAccount.create is false" in done.stderr
    brought = chart.render("--set", "serviceAccount.create=false,serviceAccount.name=mine")
    assert "ServiceAccount" not in kinds(brought)
    assert named(brought, "ClusterRoleBinding")["subjects"][0]["name"] == "mine"


def test_readme_lists_every_value() -> None:
    def paths(values: dict[str, Any], prefix: str = "") -> set[str]:
        found: set[str] = set()
        for key, value in values.items():
            inner = isinstance(value, dict) and value and key not in LEAVES
            found |= paths(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}"}
        return found

    rows = [line for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")]
    listed = [row.split("`")[1] for row in rows]
    assert set(listed) == paths(yaml.safe_load((CHART / "values.yaml").read_text()))
    assert len(listed) == len(set(listed))


def test_notes_tell_the_next_three_commands(chart: Chart) -> None:
    done = chart.attempt("install", "assay", str(CHART), "--namespace", NAMESPACE, "--dry-run=client")
    notes = done.stdout.partition("NOTES:")[2]
    assert done.returncode == 0, done.stderr
    for command in (
        "rollout status deployment/assay",
        "kubectl create secret generic",
        "kubectl wait --for=condition=Complete",
    ):
        assert command in notes


def test_operator_is_told_its_settings_and_nothing_it_does_not_read(default: list[dict[str, Any]]) -> None:
    (container,) = named(default, "Deployment")["spec"]["template"]["spec"]["containers"]
    told = {variable["name"] for variable in container["env"]}
    source = (ROOT / "operator" / "src" / "assay_operator" / "settings.py").read_text()
    assert told - {"POD_NAME", "POD_NAMESPACE"} == set(re.findall(r'"(ASSAY_[A-Z_]+)"', source))


@pytest.mark.parametrize(("value", "told"), [("null", None), ("0", 0.0), ("600", 600.0)])
def test_patience_with_storage_is_told(chart: Chart, value: str, told: float | None) -> None:
    made = chart.render("--set", f"runner.storageRetrySeconds={value}")
    (container,) = named(made, "Deployment")["spec"]["template"]["spec"]["containers"]
    env = {v["name"]: v["value"] for v in container["env"] if "value" in v}
    assert from_environment(env).storage_retry_seconds == told


def test_operator_accepts_what_the_chart_tells_it(default: list[dict[str, Any]]) -> None:
    (container,) = named(default, "Deployment")["spec"]["template"]["spec"]["containers"]
    settings = from_environment({v["name"]: v["value"] for v in container["env"] if "value" in v})
    assert settings == Settings(
        runner_image="localhost/assay-runner:0.1.0",
        screening_priority_class="assay-screening",
        lease_name="assay",
        lease_namespace=NAMESPACE,
        identity=settings.identity,
    )


@pytest.mark.parametrize("words", ["screening.priorityClass.create=false", "namespaces={team}", "screening=null"])
def test_pods_that_screen_gpus_displace_nobody(chart: Chart, default: list[dict[str, Any]], words: str) -> None:
    made = named(default, "PriorityClass")
    assert (made["metadata"]["name"], made["value"], made["preemptionPolicy"]) == ("assay-screening", -100, "Never")
    other = chart.render("--set", words)
    (container,) = named(other, "Deployment")["spec"]["template"]["spec"]["containers"]
    env = {v["name"]: v["value"] for v in container["env"] if "value" in v}
    # Values of an older chart, which an upgrade may reuse, say nothing of it.
    expected = "assay-screening" if words == "screening=null" else None
    assert from_environment(env).screening_priority_class == expected
    assert ("PriorityClass" in kinds(other)) == (expected is not None)


def test_what_task_pods_look_like_is_told(chart: Chart) -> None:
    tasks = {
        "podLabels": {"team": "ml"}, "podAnnotations": {"a": "b"}, "nodeSelector": {"pool": "ml"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 5}],
        "affinity": {"podAntiAffinity": {"x": [1]}}, "requests": {"cpu": 1, "memory": "1Gi"},
        "topologySpreadConstraints": [{"maxSkew": 1}], "priorityClassName": "low",
    }  # fmt: skip
    made = chart.render("--set-json", f"tasks={json.dumps(tasks)}")
    (container,) = named(made, "Deployment")["spec"]["template"]["spec"]["containers"]
    settings = from_environment({v["name"]: v["value"] for v in container["env"] if "value" in v})
    assert settings.pods == parse(PodSettings, tasks)
    assert set(tasks) == {wire_name(PodSettings, field) for field in PodSettings.model_fields}


def helm_lines() -> Iterator[Any]:
    """The words behind the chart of every `helm install` and `helm upgrade` on a page; every `--set` in its prose."""
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), CHART / "README.md"):
        text = page.read_text()
        joined = text.replace("\\\n", " ")
        found = re.findall(r"^(?:\$ )?helm (?:install|upgrade .*)(?: assay)? charts/assay (.*)$", joined, re.MULTILINE)
        for words in [*found, *re.findall(r"`(--set [^`]+)`", text)]:
            yield pytest.param(words, id=f"{page.name}: {words[:50]}")


@pytest.mark.parametrize("words", list(helm_lines()))
def test_the_chart_takes_what_pages_tell_it(chart: Chart, words: str) -> None:
    only_installing = {"--create-namespace", "--wait", "--reuse-values", "--install"}
    assert chart.text(*(word for word in shlex.split(words) if word not in only_installing))
