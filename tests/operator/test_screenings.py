"""GpuScreening on a real API server: the operator makes Jobs, the runner's own tasks do them, on faulty stand-ins."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay_operator.cluster.nodes import NOW_SECONDS
from assay_runner.cli import run_command
from tests.lab.apiserver import ApiServer
from tests.lab.toolchain import kubectl
from tests.models import loaded, mlp
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator, Raw, running
from tests.operator.screenings import PRODUCT, Nodes, apply, condition, manifest, show, status, task_of

NODES = ("gpu-1", "gpu-2", "gpu-3")


ODD = ("cordoned", "tainted", "unhealthy", "whole-1", "whole-2")


@pytest.fixture(scope="module")
def cluster(bare_api: ApiServer) -> Iterator[ApiServer]:
    """Two nodes with one GPU each, one with two; and some of which not all can be screened."""
    for name, gpus, pair in zip(NODES, (1, 1, 2), ("yes", "yes", "no"), strict=True):
        show(bare_api, name, gpus, labels={"set": "even", "pair": pair})
    odd = {"set": "odd"}
    show(bare_api, "cordoned", 1, unschedulable=True, labels=odd)
    show(bare_api, "tainted", 1, labels=odd, taints=[{"key": "team", "value": "a", "effect": "NoSchedule"}])
    show(bare_api, "unhealthy", 0, capacity=8, labels=odd)
    show(bare_api, "whole-1", 1, labels=odd)
    show(bare_api, "whole-2", 1, labels=odd)
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "assay-screening"}}
    bare_api.kubectl.apply({**kind, "value": -100, "preemptionPolicy": "Never"})
    yield bare_api
    bare_api.kubectl("delete", "node", *NODES, *ODD)
    bare_api.kubectl("delete", "priorityclass", "assay-screening")


@pytest.fixture(scope="module")
def fresh(cluster: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator that has not asked for nodes before."""
    asked = {"ASSAY_SCREENING_PRIORITY_CLASS": "assay-screening", "ASSAY_NODE_CONDITIONS": "true"}
    with running(cluster, tmp_path_factory.mktemp("operator"), **asked) as operator:
        yield operator


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return loaded(mlp(), tmp_path).path


@pytest.fixture
def environment(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What a user's shell has."""
    monkeypatch.setenv("PATH", f"{kubectl().parent}:{os.environ['PATH']}")
    return monkeypatch


@pytest.fixture
def nodes(namespace: Namespace, kubelet: Kubelet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    return Nodes(namespace, kubelet, tmp_path / "scratch", monkeypatch)


def on(**labels: str) -> Raw:
    return {"gpuProducts": [PRODUCT], "nodeSelector": labels}


def report(found: Raw) -> Raw:
    told: Raw = json.loads(Path(found["report"]["uri"].removeprefix("file://")).read_text())
    return told


def test_all_gpus_of_all_nodes_agree(
    fresh: Operator, namespace: Namespace, nodes: Nodes, plan: Path, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    apply(namespace, plan, tmp_path / "artifacts")
    found = nodes.until_ended()
    assert (found["verdict"], found["phase"], found["finished"]) == ("Passed", "Complete", "3/3")
    assert found["gpus"] == {"scanned": 4, "named": 0, "inconclusive": 0, "skipped": 0}
    assert found["nodes"]["scanned"] == 3
    assert found["emulated"] is True
    assert sorted(nodes.ran) == ["compare", *(f"screen@{name}" for name in NODES)]
    assert {entry["host"] for entry in report(found)["devices"]} == set(NODES)
    assert Path(found["report"]["page"].removeprefix("file://")).exists()
    assert "no answer deviated: faults in more than" in condition(namespace, "Complete")["message"]
    namespace.wait("Complete", "screening/h100")
    namespace.wait("Passed", "screening/h100")
    for name, value in namespace.kubectl.env.items():
        environment.setenv(name, value)
    assert run_command(["wait", "screening/h100", "--namespace", namespace.name]) == 0
    asked = ["report", "h100", "--screening", "--namespace", namespace.name, "--no-open"]
    assert run_command([*asked, "--out", str(tmp_path / "page.html")]) == 0
    stored = Path(found["report"]["page"].removeprefix("file://")).read_bytes()
    assert (tmp_path / "page.html").read_bytes() == stored, "one page, whoever makes it"
    columns = namespace("get", "screening", "h100").splitlines()
    assert columns[0].split() == ["NAME", "VERDICT", "PHASE", "NODES", "GPUS", "NAMED", "SKIPPED", "AGE"]
    assert columns[1].split()[:7] == ["h100", "Passed", "Complete", "3/3", "4", "0", "0"]
    # What its Jobs told is used up.
    namespace.until(lambda: namespace.items("jobs") == [], "the Jobs to be gone")
    # From then on one node alone can be held against what all agreed upon.
    assert found["report"]["record"].endswith("/answers.json")
    apply(namespace, plan, tmp_path / "artifacts", record={"uri": found["report"]["record"]})
    nodes.faults = {"gpu-2": {"cpu-0": {"kind": "bits", "bits": [0]}}}
    namespace.until(lambda: status(namespace)["run"] != found["run"], "another run")
    again = nodes.until_ended()
    assert [each["node"] for each in again["worst"]] == ["gpu-2"]


@pytest.mark.parametrize(
    ("device", "fault", "words", "what"),
    [
        ("cpu-0", {"kind": "bits", "bits": [3]}, "deviate from most devices of its class in 2 scans", "differed"),
        ("cpu-1", {"kind": "hangs", "after": 10}, "hangs: no word for 3 s", "hung or died"),
    ],
)
def test_one_gpu_of_several_is_wrong_and_is_confirmed_before_it_is_named(
    fresh: Operator, namespace: Namespace, nodes: Nodes, plan: Path, tmp_path: Path, device: str, fault: Raw,
    words: str, what: str,
) -> None:  # fmt: skip
    apply(namespace, plan, tmp_path / "artifacts")
    nodes.faults = {"gpu-3": {device: fault}}
    found = nodes.until_ended()
    assert (found["verdict"], found["phase"], found["gpus"]["named"]) == ("Failed", "Stalled", 1)
    (one,) = found["worst"]
    assert (one["node"], one["device"], one["verdict"]) == ("gpu-3", device, "Failed")
    assert words in one["message"]
    # Two of four GPUs are on that node, so it has no majority of its own: what deviates there is screened once more.
    confirmed = fault["kind"] == "bits"
    assert nodes.ran.count("again@gpu-3") == confirmed
    assert condition(namespace, "Complete")["reason"] == "Breached"
    assert condition(namespace, "Passed")["status"] == "False"
    assert f"1 named: {device} on gpu-3" in condition(namespace, "Stalled")["message"]
    page = Path(found["report"]["page"].removeprefix("file://")).read_text()
    for said in (f"{namespace.name}/h100, a screening of", "kubectl cordon gpu-3", f'aria-label="{device} {what}"'):
        assert said in page, said
    namespace.until(lambda: any("1 named" in event for event in namespace.events()), "an event that names it")


def test_two_alone_that_differ_name_nobody(
    fresh: Operator, namespace: Namespace, nodes: Nodes, plan: Path, tmp_path: Path
) -> None:
    apply(namespace, plan, tmp_path / "artifacts", target=on(pair="yes"))
    nodes.faults = {"gpu-2": {"cpu-0": {"kind": "bits", "bits": [0]}}}
    found = nodes.until_ended()
    assert (found["verdict"], found["gpus"]["named"], found["gpus"]["inconclusive"]) == ("Inconclusive", 0, 2)
    said = "differs from the other device of its class, and two name nobody: give a record"
    assert said in condition(namespace, "Complete")["message"]


def test_every_node_is_listed_with_why_it_was_skipped(
    fresh: Operator, namespace: Namespace, nodes: Nodes, plan: Path, tmp_path: Path
) -> None:
    nodes.busy = {"whole-2"}
    apply(namespace, plan, tmp_path / "artifacts", target=on(set="odd"), pendingDeadlineSeconds=8)

    def job() -> Raw:
        return next((job for job in namespace.items("jobs") if task_of(job).key == "screen@whole-2"), {})

    namespace.until(lambda: bool(job()), "its Job")
    assert job()["spec"]["activeDeadlineSeconds"] == 3608

    def late() -> bool:
        nodes.work()
        return bool(job()["spec"]["activeDeadlineSeconds"] == 8)

    namespace.until(late, "the operator to end what waits for too long")
    nodes.kubelet.close(job(), failed="DeadlineExceeded")
    found = nodes.until_ended()
    assert (found["verdict"], found["nodes"]["scanned"], found["nodes"]["skipped"]) == ("Inconclusive", 1, 4)
    told = {each["node"]: each["message"] for each in found["unscanned"]}
    assert told["cordoned"].startswith("it is cordoned: uncordon it, or tolerate node.kubernetes.io/unschedulable")
    assert told["tainted"] == "it has the taint team=a:NoSchedule: name it in target.tolerations"
    assert told["unhealthy"].startswith("none of its 8 nvidia.com/gpu can be had")
    assert told["whole-2"].startswith("not begun within 8 s (spec.pendingDeadlineSeconds): its GPU was free at no time")
    listed = {entry["host"]: entry["state"] for entry in report(found)["devices"]}
    assert {name for name, state in listed.items() if state == "Skipped"} == set(told)


def test_a_node_that_never_ends_is_a_finding_once_it_did_so_twice(
    fresh: Operator, namespace: Namespace, nodes: Nodes, plan: Path, tmp_path: Path
) -> None:
    apply(namespace, plan, tmp_path / "artifacts")
    nodes.stuck = {"gpu-1"}
    found = nodes.until_ended()
    assert nodes.ran.count("again@gpu-1") == 1
    assert (found["verdict"], found["nodes"]["hung"]) == ("Failed", 1)
    (one,) = found["worst"]
    assert (one["device"], one["message"]) == ("node/gpu-1", "did not come to an end, nor in a second try")


def test_jobs_wait_for_free_gpus_and_displace_nobody(
    fresh: Operator, namespace: Namespace, nodes: Nodes, plan: Path, tmp_path: Path
) -> None:
    apply(namespace, plan, tmp_path / "artifacts", maxParallel=2)
    namespace.until(lambda: len(namespace.items("jobs")) == 2, "two Jobs")
    specs = {task_of(job).key: job["spec"] for job in namespace.items("jobs")}
    assert set(specs) == {"screen@gpu-1", "screen@gpu-2"}
    pod = specs["screen@gpu-1"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["priorityClassName"] == "assay-screening"
    assert pod["activeDeadlineSeconds"] == 3600
    assert "nodeName" not in pod
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-1"]}]}
    assert specs["screen@gpu-1"]["backoffLimit"] == 0
    # An annotation asks for another run of the same spec, of whose nodes none is begun while it is suspended.
    namespace.until(lambda: bool(status(namespace).get("run")), "its status")
    before = status(namespace)["run"]
    apply(
        namespace, plan, tmp_path / "artifacts", {"annotations": {"assay.dev/rerun": "1"}}, maxParallel=2, suspend=True
    )
    namespace.until(lambda: status(namespace)["run"] != before, "another run")
    namespace.until(lambda: status(namespace)["phase"] == "Suspended", "it to be held")
    namespace.until(lambda: namespace.items("jobs") == [], "the Jobs of the run before to be gone")


def test_a_gpu_that_came_back_a_moment_ago_is_screened_too(
    fresh: Operator, namespace: Namespace, nodes: Nodes, plan: Path, tmp_path: Path, cluster: ApiServer
) -> None:
    gpus = "nvidia.com/gpu"

    def asked(name: str) -> dict[str, str]:
        apply(namespace, plan, tmp_path / "artifacts", {"name": name}, target=on(pair="no"))
        namespace.until(lambda: bool(status(namespace, name).get("run")), "its run")
        jobs = [job for job in namespace.items("jobs") if job["metadata"]["ownerReferences"][0]["name"] == name]
        specs = {task_of(job).key: job["spec"]["template"]["spec"] for job in jobs}
        return {key: spec["containers"][0]["resources"]["limits"][gpus] for key, spec in specs.items()}

    assert asked("before") == {"screen@gpu-3": "2"}
    show(cluster, "gpu-3", 3, labels={"set": "even", "pair": "no"})
    try:
        # What was listed before that counts no more then, whoever had it listed.
        time.sleep(NOW_SECONDS)
        assert asked("after") == {"screen@gpu-3": "3"}
    finally:
        show(cluster, "gpu-3", 2, labels={"set": "even", "pair": "no"})


def test_nodes_say_what_was_found_of_their_gpus(
    fresh: Operator, namespace: Namespace, nodes: Nodes, plan: Path, tmp_path: Path, cluster: ApiServer
) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
    told = json.dumps({"status": {"conditions": [ready]}})
    cluster.kubectl("patch", "node", "gpu-3", "--subresource=status", "--type=merge", "-p", told)

    def said(node: str) -> Raw:
        found = json.loads(cluster.kubectl("get", "node", node, "-o", "json"))["status"].get("conditions", [])
        return {each["type"]: each for each in found}

    apply(namespace, plan, tmp_path / "artifacts")
    wrong = {"node": "gpu-3", "device": "GPU-1", "message": "its answers deviate"}
    nodes.answer_as_gpus(fleet={"scanned": 4, "named": 1, "wrong": [wrong], "bad_nodes": ["gpu-3"], "bad": 1})
    assert status(namespace)["verdict"] == "Failed"
    found = said("gpu-3")
    assert found["Ready"]["status"] == "True"
    one = found["GpuAnswersWrong"]
    assert (one["status"], one["reason"]) == ("True", "Deviates")
    assert one["message"].startswith(f"GPU-1: its answers deviate (screening {namespace.name}/h100, ")
    assert (said("gpu-1")["GpuAnswersWrong"]["status"], said("whole-1")) == ("False", {})
    namespace("annotate", "screening", "h100", "assay.dev/rerun=1")
    namespace.until(lambda: status(namespace)["phase"] in ("Pending", "Running"), "another run")
    nodes.answer_as_gpus(fleet={"scanned": 4, "excludes": "1.0e-04"})
    assert said("gpu-3")["GpuAnswersWrong"]["status"] == "False"
    # A stand-in says nothing of a node.
    since = said("gpu-3")["GpuAnswersWrong"]["lastHeartbeatTime"]
    namespace("annotate", "screening", "h100", "assay.dev/rerun=2", "--overwrite")
    namespace.until(lambda: status(namespace)["phase"] in ("Pending", "Running"), "a third run")
    nodes.faults = {"gpu-3": {"cpu-0": {"kind": "bits", "bits": [0]}}}
    assert nodes.until_ended()["emulated"] is True
    assert said("gpu-3")["GpuAnswersWrong"]["lastHeartbeatTime"] == since


def test_a_product_that_nobody_has_and_a_plan_that_is_none(
    fresh: Operator, namespace: Namespace, nodes: Nodes, tmp_path: Path
) -> None:
    wrong = tmp_path / "plan.onnx"
    wrong.write_bytes(b"no model")
    apply(namespace, wrong, tmp_path / "artifacts", target={"gpuProducts": ["NVIDIA-L4"]})
    namespace.until(lambda: condition(namespace, "Complete").get("status") == "True", "the end")
    assert condition(namespace, "Complete")["message"] == (
        "no node has nvidia.com/gpu.product=NVIDIA-L4; there is NVIDIA-H100-80GB-HBM3"
    )
    assert (status(namespace)["verdict"], condition(namespace, "Ready")["reason"]) == ("Inconclusive", "Unschedulable")


WRONG: list[tuple[Raw, str]] = [
    ({"target": {}}, "a plan is of one GPU product"),
    ({"target": {"gpuProducts": ["A", "B"]}}, "a plan is of one GPU product"),
    ({"target": {"gpuProducts": ["A"], "affinity": {"podAffinity": {}}}}, "choose nodes by target.nodeSelector"),
    ({"target": {"gpuProducts": ["A"], "topologySpreadConstraints": [{"maxSkew": 1}]}}, "choose nodes by target"),
    ({"target": {"gpuProducts": ["A"], "resources": {"nvidia.com/gpu": 1}}}, "takes all GPUs of a node"),
    ({"gpuResource": "amd.com/gpu"}, "gpuResource"),
    ({"runs": 0}, "runs"),
    ({"activeDeadlineSeconds": 10}, "activeDeadlineSeconds"),
    ({"maxParallel": 1001}, "maxParallel"),
    ({"record": {"uri": "https://x/y"}}, "uri"),
]


@pytest.mark.parametrize(("spec", "words"), WRONG)
def test_what_cannot_be_screened_is_refused_at_once_by_api_server_and_command_alike(
    namespace: Namespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: Raw, words: str
) -> None:
    whole = manifest(tmp_path / "x.onnx", tmp_path / "artifacts", namespace.name, **spec)
    with pytest.raises(Exception, match=words):
        namespace.kubectl.apply(whole)
    (tmp_path / "screening.yaml").write_text(json.dumps(whole))
    assert run_command(["validate", "-f", str(tmp_path / "screening.yaml")]) == 64
    assert words in capsys.readouterr().out
