"""From `kubectl apply` to engines that a GPU built, and what an SRE sees of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from assay_api.report import Report
from tests.e2e.place import ROOT, Place, condition
from tests.e2e.test_audits import fetch, reports
from tests.gpu_e2e.conftest import Audited
from tests.gpu_e2e.evidence import Evidence
from tests.gpu_e2e.place import allocations
from tests.gpu_e2e.watching import ending
from tests.lab import toolchain
from tests.lab.gpus import Gpus

REFUSED = "backend tensorrt needs an NVIDIA GPU and its driver, and finds neither"
SOURCES = os.pathsep.join(str(ROOT / part / "src") for part in ("crds", "runner"))


def test_the_node_offers_what_it_has(place: Place, node_gpus: Gpus) -> None:
    node = place.kubectl.json("get", "nodes")["items"][0]
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == str(len(node_gpus.devices))
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == node_gpus.label


def test_golden_runs_on_the_cpu_and_each_candidate_is_one_job_with_one_gpu(audited: Audited, node_gpus: Gpus) -> None:
    jobs = audited.room.objects("jobs", "assay.dev/audit=digits")
    kinds = sorted(job["metadata"]["labels"]["assay.dev/kind"] for job in jobs)
    names = [candidate["name"] for candidate in audited.found["spec"]["candidates"]]
    assert kinds == [*["candidate"] * len(names), "golden", "summary"]
    seen = list(audited.watch.pods.values())
    assert {pod.gpus for pod in seen if pod.kind != "candidate"} == {0}
    on_gpu = [pod for pod in seen if pod.kind == "candidate"]
    assert sorted(pod.candidate for pod in on_gpu) == sorted(names)
    assert {pod.gpus for pod in on_gpu} == {1}
    assert all(pod.node_selector == {"nvidia.com/gpu.product": node_gpus.label} for pod in on_gpu)


def test_one_gpu_is_given_to_one_pod_at_a_time(audited: Audited, place: Place, node_gpus: Gpus) -> None:
    assert 1 <= audited.watch.most_on_gpus <= len(node_gpus.devices)
    given = allocations(place)
    assert set(given) == {gpu.id for gpu in node_gpus.devices}
    assert len(given) >= len(audited.found["spec"]["candidates"])


def test_the_status_says_what_every_engine_came_to(audited: Audited, node_gpus: Gpus) -> None:
    status = audited.found["status"]
    names = {f"{each['name']}@{node_gpus.label}" for each in audited.found["spec"]["candidates"]}
    assert {each["name"] for each in status["candidates"]} == names
    assert {each["state"] for each in status["candidates"]} == {"Finished"}
    assert status["finished"] == f"{len(names)}/{len(names)}"
    if not node_gpus.real:
        assert {each["verdict"] for each in status["candidates"]} == {"Inconclusive"}
        assert all(REFUSED in each["message"] for each in status["candidates"])
        return
    measured = [each for each in status["candidates"] if each.get("latencyMs")]
    # What this GPU or this TensorRT does not have (fp8, implicit INT8) is Inconclusive; the plain ones are there.
    assert {"fp32", "fp16", "bf16", "int8-explicit", "int8-qat"} <= {each["name"].split("@")[0] for each in measured}
    for each in measured:
        assert each["verdict"] in ("Passed", "Failed"), each
        assert each["typing"] in ("weak", "strong"), each
        assert each["achieved"], each
        assert not each.get("emulated"), each
        assert each["accuracy"], each
    assert status["recommendation"]["candidate"] in names
    assert condition(audited.found, "Complete")["status"] == "True"


def test_every_report_is_where_the_status_says_and_is_what_it_says(audited: Audited, place: Place) -> None:
    for uri, digest in reports(audited.found):
        body = fetch(place, uri)
        assert hashlib.sha256(body).hexdigest() == digest
        assert Report.model_validate_json(body).run == audited.found["status"]["run"]


def test_get_describe_and_wait_tell_of_it(audited: Audited) -> None:
    room, verdict = audited.room, audited.found["status"]["verdict"]
    assert verdict in room.kubectl("get", "audit", "digits")
    story = room.kubectl("describe", "audit", "digits").partition("Events:")[2]
    assert ending(audited.found) in story
    assert "Traceback" not in story
    assert "met" in room.kubectl("wait", "--for=condition=Complete", "audit/digits", "--timeout=10s")


def test_the_page_is_fetched_by_a_users_command(
    audited: Audited, place: Place, evidence: Evidence, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    words = ["report", "digits", "--namespace", audited.room.name, "--no-open", "--out", str(page)]
    path = f"{toolchain.kubectl().parent}:{os.environ['PATH']}"
    env = {**os.environ, **place.s3.env, "KUBECONFIG": str(place.kubeconfig), "PATH": path}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (SOURCES, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "assay_runner", *words], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    evidence.blob("digits.html", page.read_bytes())
    for candidate in audited.found["spec"]["candidates"]:
        assert candidate["name"] in page.read_text()


def test_pods_have_no_more_rights_than_any_other(audited: Audited) -> None:
    """The namespace enforces `restricted`: a GPU takes no privilege, no host path and no capability."""
    pods = audited.room.objects("pods", "assay.dev/kind=candidate")
    assert pods
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not [volume for volume in pod["spec"]["volumes"] if "hostPath" in volume]
