"""`helm upgrade` from an earlier chart while audits and sweeps are under way: what ran goes on and ends, and once.

Chart, definitions and operator are those of an earlier commit, out of the repository's history; the operator runs with
the rights of the chart's own account, before as after.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.lab import Unavailable, toolchain
from tests.lab.apiserver import ApiServer
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import REPOSITORY, Namespace, Operator, Raw

PREVIOUS = "94015853ee93f6c38e03cdfcdb8953f33c3b06c3"
"""The chart that is upgraded from."""
SYSTEM, RELEASE = "assay-system", "assay"
OWN: Raw = {"labels": {"team": "vision"}}
CRDS = ("accuracyaudits.assay.dev", "accuracysweeps.assay.dev")


def earlier(folder: Path) -> Path:
    """The earlier tree, without what no cluster sees.

    Raises:
        Unavailable: this tree has no history, or not so far back.
    """
    words = ["git", "-C", str(REPOSITORY), "archive", "--format=tar", PREVIOUS, "charts", "crds", "operator"]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        raise Unavailable(f"an upgrade from commit {PREVIOUS[:12]} needs the repository's history")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@dataclass
class Installation:
    """A cluster with a release of the chart; `upgrade` makes it this tree's."""

    api: ApiServer
    before: Path
    folder: Path

    def helm(self, *words: str) -> None:
        whole = [str(toolchain.helm()), "--kubeconfig", str(self.api.kubeconfig), "--namespace", SYSTEM, *words]
        done = subprocess.run(whole, text=True, capture_output=True, check=False, timeout=180)
        assert done.returncode == 0, done.stderr

    def operator(self, log: str, **env: str) -> Operator:
        """An operator with the rights of the release's account, and the settings of its Deployment that matter here."""
        account = self.api.kubectl.as_service_account(SYSTEM, RELEASE, self.folder)
        told = {"KUBECONFIG": str(account), "ASSAY_LEASE_NAME": RELEASE, "ASSAY_LEASE_NAMESPACE": SYSTEM}
        return Operator(self.api, self.folder / log, **told, **env).start().leading()

    def deployed(self) -> dict[str, str]:
        """The environment that the chart gives the operator."""
        found = self.api.kubectl.json("get", "deployment", RELEASE, "-n", SYSTEM)
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each.get("value", "") for each in container["env"]}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    before = earlier(tmp_path / "before")
    with ApiServer() as api:
        made = Installation(api, before, tmp_path)
        made.helm("install", RELEASE, str(before / "charts" / "assay"), "--create-namespace")
        api.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{name}" for name in CRDS))
        yield made


def shipped(name: str) -> Raw:
    """A definition as this tree's chart has it."""
    found: Raw = yaml.safe_load((REPOSITORY / "charts" / "assay" / "files" / f"{name.split('.')[0]}.yaml").read_text())
    return found


def fields(definition: Raw) -> set[str]:
    """Paths of all fields that a definition knows."""

    def below(node: Raw, path: str) -> set[str]:
        found = set()
        for key, inner in (node.get("properties") or {}).items():
            found |= {f"{path}.{key}"} | below(inner, f"{path}.{key}")
        for inner in (node.get("items"), node.get("additionalProperties")):
            found |= below(inner, path) if isinstance(inner, dict) else set()
        return found

    (version,) = definition["spec"]["versions"]
    return below(version["schema"]["openAPIV3Schema"], "")


def tasks_done(namespace: Namespace) -> Counter[str]:
    """How many Jobs every task has had; one that answered twice would have two."""
    return Counter(job["metadata"]["labels"]["assay.dev/task"] for job in namespace.items("jobs"))


def begin(namespace: Namespace, kubelet: Kubelet) -> None:
    """An audit that is done, one with a candidate at work, one suspended, one new sweep and one half done."""
    namespace.apply_audit("done", OWN, candidates=[{"name": "one", "backend": "onnxruntime", "precision": "fp16"}])
    sweeps.conclude(namespace, kubelet, "done")
    namespace.apply_audit("held", OWN, suspend=True)
    namespace.apply_audit("busy", OWN)
    kubelet.finish(_job(namespace, "busy", "golden"))
    kubelet.pod(_job(namespace, "busy", "fp16"), phase="Running")
    template: Raw = {"template__candidates": sweeps.CANDIDATES[1:], "template__target": {}}
    sweeps.apply(namespace, "half", **template)
    sweeps.looked(namespace, kubelet, "half", sweeps.SAME)
    namespace.until(lambda: len(sweeps.going(namespace, "half")) == 2, "the audits of half")
    first = sweeps.audits(namespace, "half")["bert/cpu"]["metadata"]["name"]
    sweeps.conclude(namespace, kubelet, first)
    sweeps.apply(namespace, "new", **template)
    namespace.until(lambda: bool(sweeps.status(namespace, "new").get("run")), "the run of new")


def _job(namespace: Namespace, audit: str, task: str) -> Raw:
    """The Job of an audit's task, waited for."""

    def found() -> list[Raw]:
        wanted = {"assay.dev/audit": audit}
        own = [j for j in namespace.items("jobs") if wanted.items() <= j["metadata"]["labels"].items()]
        return [job for job in own if task in (job["metadata"]["labels"].get("assay.dev/candidate"),
                                               job["metadata"]["labels"]["assay.dev/kind"])]  # fmt: skip

    namespace.until(lambda: bool(found()), f"the Job {task} of {audit}")
    return found()[0]


def test_what_was_under_way_goes_on_and_ends_once(installation: Installation) -> None:
    api, kubectl = installation.api, installation.api.kubectl
    old_source = installation.before
    path = f"{old_source / 'operator' / 'src'}:{old_source / 'crds' / 'src'}"
    old = installation.operator("old.log", PYTHONPATH=path)
    with Namespace(kubectl, "team") as namespace:
        kubelet = Kubelet(namespace)
        begin(namespace, kubelet)
        done, jobs = (
            namespace.audit("done"),
            {j["metadata"]["name"]: j["metadata"]["uid"] for j in namespace.items("jobs")},
        )
        audits = {a["metadata"]["name"]: a["metadata"]["uid"] for a in namespace.items("accuracyaudits")}

        # The definitions change under the operator that is still there, as in a cluster.
        installation.helm("upgrade", RELEASE, str(REPOSITORY / "charts" / "assay"), "--reuse-values")
        for name in CRDS:
            assert fields(kubectl.json("get", "crd", name)) == fields(shipped(name)), name
        assert old.alive
        assert old.stop() == 0
        new = installation.operator("new.log", ASSAY_GPU_HOUR_PRICES=installation.deployed()["ASSAY_GPU_HOUR_PRICES"])
        try:
            finish(namespace, kubelet, done, jobs, audits)
            assert "is forbidden" not in new.log.read_text()
            assert new.metric('assay_reconciles_total{result="exception"}') == 0
        finally:
            new.end()
    assert api.kubectl("get", "audits", "-A", "-o", "name").count("audit") == len(audits) + 2


def finish(namespace: Namespace, kubelet: Kubelet, done: Raw, jobs: Raw, audits: Raw) -> None:
    """Have everything end under the new operator, and hold that nothing of it was begun again."""
    kubelet.finish(_job(namespace, "busy", "fp16"), verdict="Passed", report=report("fp16"))
    kubelet.finish(_job(namespace, "busy", "bf16"), verdict="Passed", report=report("bf16"))
    kubelet.finish(_job(namespace, "busy", "summary"), verdict="Passed", report=report("all"))
    namespace.wait("Complete", "audit/busy")
    namespace("patch", "audit", "held", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    sweeps.conclude(namespace, kubelet, "held")
    sweeps.concluded(namespace, kubelet, "half", count=1)
    sweeps.looked(namespace, kubelet, "new", sweeps.SAME)
    sweeps.concluded(namespace, kubelet, "new", count=2)
    for sweep in ("half", "new"):
        namespace.wait("Complete", f"sweep/{sweep}")
        assert sweeps.status(namespace, sweep)["verdict"] == "Passed"
        assert len(sweeps.of_sweep(namespace, sweep)) == 2
    # What has ended is as it was, and whatever was there is still the same object.
    assert namespace.audit("done")["status"] == done["status"]
    now = {j["metadata"]["name"]: j["metadata"]["uid"] for j in namespace.items("jobs")}
    looked = {name for name in jobs if name not in now}
    assert all("models" in name for name in looked), "only what looked at models goes, once its run has ended"
    assert {name: uid for name, uid in now.items() if name in jobs} == {
        n: u for n, u in jobs.items() if n not in looked
    }
    there = {a["metadata"]["name"]: a["metadata"]["uid"] for a in namespace.items("accuracyaudits")}
    assert {name: uid for name, uid in there.items() if name in audits} == audits
    assert set(tasks_done(namespace).values()) == {1}
    # An earlier operator's answers are this one's: nothing of an unchanged sweep is audited again.
    namespace("annotate", "sweep", "half", "assay.dev/rerun-failed=now")
    sweeps.looked(namespace, kubelet, "half", sweeps.SAME)
    namespace.until(lambda: bool(sweeps.status(namespace, "half").get("asked")), "the next run")
    namespace.wait("Complete", "sweep/half")
    assert sweeps.status(namespace, "half")["counts"]["unchanged"] == 2
