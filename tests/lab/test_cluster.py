from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab import bases, cache_dir, desk, images
from tests.lab.bases import BASE_TAG
from tests.lab.cluster import Cluster, sweep
from tests.lab.gpus import stand_in
from tests.lab.processes import wait_until


@pytest.fixture(scope="module")
def based(cluster: Cluster) -> Cluster:
    """The cluster, with the base image loaded."""
    cluster.load_image(bases.base())
    return cluster


def cgroups(folder: Path) -> list[str]:
    """The cgroups of a cluster; those of others may come and go while we look, which `os.walk` does not mind."""
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if Path(path).name == folder.name]


def job(name: str, script: str, limits: dict[str, str] | None = None) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": BASE_TAG,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", script],
        "resources": {"limits": limits or {}},
    }
    # Python as a container's first process ignores SIGTERM.
    pod = {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 1}
    metadata = {"name": name, "namespace": "default"}
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def finished_pod(cluster: Cluster, name: str) -> dict[str, Any]:
    """Wait until a Job's pod has ended and return its container's `terminated` state."""

    def terminated() -> list[dict[str, Any]]:
        pods = cluster.kubectl.json("get", "pods", "--selector", f"job-name={name}")["items"]
        states = [s["state"].get("terminated") for pod in pods for s in pod["status"].get("containerStatuses", [])]
        return [state for state in states if state]

    wait_until(lambda: bool(terminated()), f"the pod of Job {name} ended", every=0.3)
    return terminated()[0]


def test_a_pod_runs_to_completion_and_its_message_comes_back(based: Cluster) -> None:
    based.kubectl.apply(job("hello", "print('a log line'); open('/dev/termination-log', 'w').write('the message')"))
    ended = finished_pod(based, "hello")
    assert (ended["reason"], ended["exitCode"], ended["message"]) == ("Completed", 0, "the message")
    assert based.kubectl("logs", "job/hello") == "a log line\n"


def test_a_failing_pod_keeps_its_exit_code(based: Cluster) -> None:
    based.kubectl.apply(job("fails", "raise SystemExit(64)"))
    assert finished_pod(based, "fails")["exitCode"] == 64


REACH = """
import os, socket, ssl, urllib.request
account = "/var/run/secrets/kubernetes.io/serviceaccount/"
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}/version"
request = urllib.request.Request(url, headers={"Authorization": "Bearer " + open(account + "token").read()})
verified = ssl.create_default_context(cafile=account + "ca.crt")
print("api", urllib.request.urlopen(request, context=verified, timeout=5).status)
host, port = os.environ["S3"].removeprefix("http://").split(":")
print("s3", socket.create_connection((host, int(port)), timeout=5).getpeername()[1])
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as error:
    print("outside", type(error).__name__)
"""


def test_a_pod_reaches_the_api_and_s3_and_nothing_outside(based: Cluster) -> None:
    manifest = job("reach", REACH)
    manifest["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "S3", "value": based.s3_inside.endpoint}]
    based.kubectl.apply(manifest)
    finished_pod(based, "reach")
    assert based.kubectl("logs", "job/reach") == "api 200\ns3 9000\noutside OSError\n"


def test_s3_inside_is_the_one_the_host_sees(cluster: Cluster) -> None:
    bucket = cluster.s3.bucket("shared")
    client = cluster.s3.client()
    client.put_object(Bucket=bucket, Key="big", Body=b"x" * 20_000_000)
    assert len(client.get_object(Bucket=bucket, Key="big")["Body"].read()) == 20_000_000
    client.close()
    assert (cluster.s3.access_key, cluster.s3.secret_key) == (
        cluster.s3_inside.access_key,
        cluster.s3_inside.secret_key,
    )


SEES = """
import glob, os, stat
for path in glob.glob("/dev/nvidia*"):
    found = os.stat(path)
    print(path, stat.S_ISCHR(found.st_mode), os.major(found.st_rdev), os.minor(found.st_rdev), open(path, "rb").read(2))
"""
GPU = {"nvidia.com/gpu": "1"}


def waits_for_a_gpu(cluster: Cluster, name: str) -> bool:
    (pod,) = cluster.kubectl.json("get", "pods", "--selector", f"job-name={name}")["items"]
    conditions = pod["status"].get("conditions", [])
    return any("Insufficient nvidia.com/gpu" in each.get("message", "") for each in conditions)


def test_gpus_are_scheduled_and_seen_in_pods_and_no_others(based: Cluster) -> None:
    kubectl = based.kubectl
    kubectl.apply(job("gpu", SEES, GPU), job("none", SEES))
    wait_until(lambda: waits_for_a_gpu(based, "gpu"), "a pod waits for a GPU")
    based.advertise_gpu(1, "NVIDIA H200")
    assert finished_pod(based, "gpu")["exitCode"] == 0
    assert kubectl("logs", "job/gpu") == "/dev/nvidia0 True 1 5 b'\\x00\\x00'\n"
    assert finished_pod(based, "none")["exitCode"] == 0
    assert kubectl("logs", "job/none") == ""
    labels = kubectl.json("get", "node", based.node)["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H200"
    based.advertise_gpu(0, "none")


def test_each_pod_gets_a_gpu_of_its_own_and_the_next_one_waits(based: Cluster) -> None:
    based.advertise_gpu(2, "NVIDIA H200")
    lasts = SEES.replace("import glob", "import time, glob") + "time.sleep(8)\n"
    names = ["first", "second", "third"]
    for name in names:
        based.kubectl.apply(job(name, lasts, GPU))
    wait_until(lambda: any(waits_for_a_gpu(based, name) for name in names), "a pod waits for a GPU")
    assert [finished_pod(based, name)["exitCode"] for name in names] == [0, 0, 0]
    seen = [based.kubectl("logs", f"job/{name}").split()[0] for name in names]
    assert set(seen) == {"/dev/nvidia0", "/dev/nvidia1"}
    based.advertise_gpu(0, "none")


def test_a_gpu_whose_device_is_gone_is_offered_no_more(based: Cluster) -> None:
    gpus = stand_in(1)
    device = based.folder / "device"
    device.touch()
    based.offer(replace(gpus, devices=(replace(gpus.devices[0], source=str(device)),)))
    device.unlink()

    def counts(where: str) -> str:
        status: dict[str, Any] = based.kubectl.json("get", "node", based.node)["status"]
        return str(status[where]["nvidia.com/gpu"])

    wait_until(lambda: counts("allocatable") == "0", "no GPU to be had", every=0.3)
    assert counts("capacity") == "1"
    based.advertise_gpu(0, "none")


def test_a_command_runs_in_a_pod(based: Cluster) -> None:
    pod = job("serves", "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()")
    based.kubectl.apply(pod)
    based.kubectl("wait", "--for=condition=Ready", "pod", "--selector", "job-name=serves", "--timeout=60s")
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/etc/hostname', timeout=5).status)"
    assert based.kubectl("exec", "job/serves", "--", "python3", "-c", script) == "200\n"
    based.kubectl("delete", "job", "serves", "--wait=true", "--cascade=foreground")


def test_a_cluster_left_running_is_found_again_and_leaves_nothing(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = [sys.executable, "-m", "tests.lab"]
    # Only the record of what runs goes elsewhere: the programs come from the usual cache.
    for name in ("bin", "images"):
        (tmp_path / name).symlink_to(cache_dir(name))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    kubeconfigs = [subprocess.run([*run, "cluster"], capture_output=True, text=True, check=True).stdout for _ in "12"]
    assert kubeconfigs[0] == kubeconfigs[1]
    folder = Path(kubeconfigs[0].strip()).parent
    left = Cluster.attach(folder)
    assert left is not None
    assert left.kubectl.json("get", "nodes")["items"][0]["metadata"]["name"] == left.node
    # A shell that takes in what `env` prints asks this cluster, by its own kubectl and helm, past any proxy.
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    ask = 'set -eu; eval "$("$0" -m tests.lab env)"; kubectl get nodes -o name; helm list -q; echo "$S3_FROM_PODS"'
    put = '; "$0" -m examples.upload | tail -n 1'
    told = subprocess.run(["bash", "-c", ask + put, sys.executable], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[:2] == [f"node/{left.node}", left.s3_inside.endpoint]
    assert told.splitlines()[2].startswith("s3://datasets/digits-calib-poor/: 2 files")
    subprocess.run([*run, "down"], check=True)
    asked = subprocess.run(["bash", "-c", ask, sys.executable], capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "No cluster is running: start one with make cluster" in asked.stderr
    assert not left.running()
    assert not folder.exists()
    assert folder.name not in Path("/proc/mounts").read_text()
    assert cgroups(folder) == []
    assert "No cluster was running" in subprocess.run([*run, "down"], capture_output=True, text=True, check=True).stderr


HOLD = """
import time
from tests.lab.cluster import Cluster
print(Cluster().start().folder, flush=True)
time.sleep(600)
"""


def test_a_cluster_dies_with_a_killed_test_run_and_the_next_clears_its_folder(
    cluster: Cluster,
) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    folder = Path(holder.stdout.readline().strip())
    left = Cluster.attach(folder)
    assert left is not None
    holder.kill()
    holder.wait()
    holder.stdout.close()
    wait_until(lambda: not left.running(), "the cluster gone")

    def cleared() -> bool:
        sweep()
        return not folder.exists()

    # Another worker may be at it too, and be done a moment later.
    wait_until(cleared, "its folder cleared")
    assert cgroups(folder) == []


def test_images_that_were_built_are_loaded_and_no_others(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "BUILT", tmp_path)
    monkeypatch.setattr(images, "OURS", {BASE_TAG: "", "localhost/never:built": "", "localhost/since:gone": ""})
    desk.record("localhost/since:gone", tmp_path / "evicted.tar")
    assert desk.load(cluster) == []
    for _ in "12":
        desk.record(BASE_TAG, bases.base())
        assert desk.load(cluster) == [BASE_TAG]


def test_images_of_a_build_run_in_the_cluster(
    based: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greeting").write_text("from the build")
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG WORD=\nRUN echo ${WORD} > /word\nCOPY greeting /greeting\nUSER 65532\n"
    )
    archive = images.build(Path("Dockerfile"), "localhost/built:test", {"WORD": "argument"}, context=tmp_path)
    capsys.readouterr()
    assert archive == images.build(Path("Dockerfile"), "localhost/built:test", {"WORD": "argument"}, context=tmp_path)
    assert capsys.readouterr().err == "", "what is built of the same is known without a build"
    based.load_image(archive)
    manifest = job("built", "print(open('/word').read() + open('/greeting').read())")
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost/built:test"
    based.kubectl.apply(manifest)
    assert finished_pod(based, "built")["exitCode"] == 0
    assert based.kubectl("logs", "job/built") == "argument\nfrom the build\n"
