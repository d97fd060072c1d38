from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import LabError, Unavailable, cache_dir, digest_of
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import defined
from tests.lab.kubectl import Kubectl
from tests.lab.processes import KERNEL_PORTS, LOWEST_PORT, Server, wait_until
from tests.lab.s3 import S3Access, S3Server
from tests.lab.toolchain import cached, control_plane, debian, find, kubectl

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "child"},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "none"}]}}},
}


def test_the_apiserver_validates_and_explains(apiserver: ApiServer) -> None:
    refused = apiserver.kubectl.attempt("create", "configmap", "Not_A_Name")
    assert refused.returncode == 1
    assert "a lowercase RFC 1123 subdomain must consist of" in refused.stderr
    assert "FIELDS" in apiserver.kubectl("explain", "job.spec")


def test_controllers_make_pods_and_collect_them_with_their_owner(controlplane: ApiServer) -> None:
    kubectl = controlplane.kubectl
    kubectl("create", "namespace", "owners")
    wait_until(lambda: kubectl.attempt("-n", "owners", "get", "sa", "default").returncode == 0, "service account")
    kubectl.apply(JOB, arguments=["-n", "owners"])
    wait_until(lambda: len(kubectl.json("-n", "owners", "get", "pods")["items"]) == 1, "a pod of the Job")
    kubectl("-n", "owners", "delete", "job", "child", "--cascade=background")
    wait_until(lambda: kubectl.json("-n", "owners", "get", "pods")["items"] == [], "no pod of the Job")


def test_a_service_account_may_do_only_what_it_is_granted(apiserver: ApiServer, tmp_path: Path) -> None:
    apiserver.kubectl("create", "serviceaccount", "nobody")
    nobody = Kubectl(apiserver.kubectl.as_service_account("default", "nobody", tmp_path))
    assert "system:serviceaccount:default:nobody" in nobody("auth", "whoami")
    assert nobody.attempt("get", "secrets").returncode == 1


def test_s3_keeps_objects_through_a_pause(s3: S3Server) -> None:
    bucket = s3.bucket("round-trip")
    client = s3.client()
    client.put_object(Bucket=bucket, Key="a/b", Body=b"x" * 1000)
    s3.pause()
    s3.resume()
    assert client.get_object(Bucket=bucket, Key="a/b", Range="bytes=990-")["Body"].read() == b"x" * 10
    assert (s3.data / bucket / "a" / "b").stat().st_size == 1000
    client.close()


def test_s3_keys_stay_out_of_sight(s3: S3Server) -> None:
    assert s3.access.secret_key not in repr(s3.access)
    wrong = S3Access(s3.endpoint, "lab", "wrong").client()
    with pytest.raises(wrong.exceptions.ClientError, match="SignatureDoesNotMatch"):
        wrong.list_buckets()
    wrong.close()


def test_an_api_server_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = control_plane()
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (tmp_path / name).symlink_to(ours / name)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert (control_plane(), kubectl()) == (tmp_path, tmp_path / "kubectl")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", "/nonexistent")
    assert control_plane() == ours


HOLD = """
import sys, time
from tests.lab.{module} import {name}
held = {name}().start()
print({pid}, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("module", "name", "pid"),
    [
        ("apiserver", "ApiServer", "held.servers[1].pid"),
        ("s3", "S3Server", "held.server.pid"),
    ],
)
def test_a_server_dies_with_a_killed_test_run(
    module: str, name: str, pid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = HOLD.format(module=module, name=name, pid=pid)
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    process = Path("/proc") / holder.stdout.readline().strip()
    assert process.exists()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    wait_until(lambda: not process.exists(), f"{process} gone")


PORTS = """
import random, sys
from tests.lab import processes
processes.random.SystemRandom = lambda: random.Random(1)
print(*(processes.free_port() for _ in range(300)), flush=True)
sys.stdin.read()
"""


def test_a_port_is_given_to_one_run_and_once_and_never_by_the_kernel() -> None:
    """Runs that begin with the same: whoever was told of one may listen there late, and again after a while."""
    words, pipe = [sys.executable, "-c", PORTS], subprocess.PIPE
    runs = [subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) for _ in "123"]
    told = [list(map(int, run.stdout.readline().split())) for run in runs if run.stdout]
    for run in runs:
        run.communicate()
    every = [port for ports in told for port in ports]
    assert (len(every), len(set(every))) == (900, 900)
    least = int(KERNEL_PORTS.read_text().split()[0])
    assert min(every) >= LOWEST_PORT
    assert max(every) < least or least <= LOWEST_PORT + 1_000


MISSING = """
import pytest
from tests.lab import Unavailable

@pytest.fixture(scope="session")
def absent():
    raise Unavailable("no such thing here: buy one")

def test_first(absent): pass
def test_second(absent): pass
def test_itself(): raise Unavailable("not this one either")
def test_fine(): pass
"""


def test_what_could_not_run_is_said_last(tmp_path: Path) -> None:
    (tmp_path / "test_missing.py").write_text(MISSING)
    (tmp_path / "pytest.ini").touch()
    argv = [sys.executable, "-m", "pytest", "-p", "tests.lab.not_run", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "1 passed, 3 skipped" in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "NOT RUN: test_missing.py (2 tests): no such thing here: buy one",
        "NOT RUN: test_missing.py (1 test): not this one either",
    ]


def test_a_server_that_dies_says_why(tmp_path: Path) -> None:
    server = Server(["sh", "-c", "echo the reason >&2; exit 3"], tmp_path / "log")
    with pytest.raises(LabError, match=r"(?s)ended with 3.*the reason"):
        server.wait_ready(lambda: False)


def test_a_stopped_server_is_gone(tmp_path: Path) -> None:
    server = Server(["sleep", "1000"], tmp_path / "log")
    server.stop()
    server.stop()
    assert not Path(f"/proc/{server.pid}").exists()


def test_the_cache_makes_a_thing_once_and_never_keeps_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    made: list[Path] = []

    def half(folder: Path) -> None:
        (folder / "half").touch()
        raise LabError("broke")

    def whole(folder: Path) -> None:
        made.append(folder)
        (folder / "whole").touch()

    with pytest.raises(LabError, match="broke"):
        cached("things", "thing", "1", half)
    folders = {cached("things", "thing", "1", whole) for _ in range(2)}
    assert [[file.name for file in folder.iterdir()] for folder in folders] == [["whole"]]
    assert len(made) == 1
    assert [p.name for p in cache_dir("things").iterdir()] == ["thing-1"]


def test_a_digest_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = digest_of([tmp_path, "flag"])
    assert first == digest_of([tmp_path, "flag"])
    assert first != digest_of([tmp_path, "flags"])
    (tmp_path / "a").write_text("2")
    assert first != digest_of([tmp_path, "flag"])


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(
        Unavailable, match=r"^no-such-package not installed, and only root on Debian can do so: apt-get"
    ):
        debian("no-such-package")


def test_system_programs_are_found_without_them_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find("ldconfig")


def test_a_definition_is_found_at_once_and_forgotten_by_kubectl_when_it_goes(apiserver: ApiServer) -> None:
    kubectl, names = apiserver.kubectl, {"plural": "passings", "singular": "passing", "kind": "Passing"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "passings.lab.assay.dev"},
        "spec": {"group": "lab.assay.dev", "scope": "Namespaced", "versions": [version],
                 "names": {**names, "categories": ["transient"]}},
    }  # fmt: skip
    with defined(kubectl, definition):
        kubectl.apply({"apiVersion": "lab.assay.dev/v1", "kind": "Passing", "metadata": {"name": "one"}})
        assert kubectl("get", "transient", "--output=name").split() == ["passing.lab.assay.dev/one"]
    assert "passing" not in kubectl("api-resources", "--cached", "--output=name")
    assert 'doesn\'t have a resource type "transient"' in kubectl.attempt("get", "transient").stderr
