"""The cluster that end-to-end tests run on, and what they ask of it, in the words a user would type."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.lab import Unavailable, images, toolchain
from tests.lab.cluster import Cluster
from tests.lab.kubectl import Kubectl, Proxy
from tests.lab.processes import PATIENCE, run, wait_until
from tests.lab.s3 import S3Access

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "assay"
SYSTEM = "assay-system"
RELEASE = "assay"
OWN = "ASSAY_E2E_KUBECONFIG"

APIS = {"jobs": "/apis/batch/v1", "pods": "/api/v1", "events": "/api/v1"}

Manifest = dict[str, Any]

__all__ = ["CHART", "OWN", "RELEASE", "ROOT", "SYSTEM", "Manifest", "Place", "Room", "condition",
           "given_kubeconfig", "given_place", "lab_place", "secret"]  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A cluster with both images within its reach, and an S3 server that pods and this process can reach.

    Attributes:
        kubeconfig: an administrator's.
        s3: the S3 server as this process reaches it.
        inside: the same as pods reach it.
        image_values: chart values that name the images.
        proxy: what is looked at again and again is read through it.
        lab: the lab's own cluster, or None where another is used.
    """

    kubeconfig: Path
    s3: S3Access
    inside: S3Access
    image_values: Mapping[str, str]
    proxy: Proxy
    lab: Cluster | None = None
    kubectl: Kubectl = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kubectl", Kubectl(self.kubeconfig))

    def helm(self, *arguments: str | Path) -> str:
        """Run helm and return what it printed."""
        return run([toolchain.helm(), *arguments], env={**os.environ, "KUBECONFIG": str(self.kubeconfig)})

    def install(self, chart: Path = CHART, **values: str) -> str:
        """Install the chart, or upgrade to it, and wait until the operator is ready."""
        given = {**self.image_values, "log.level": "debug", "progressSeconds": "2", **values}
        settings = [argument for key, value in given.items() for argument in ("--set", f"{key}={value}")]
        where = ("--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "120s")
        return self.helm("upgrade", "--install", RELEASE, chart, *where, *settings)

    def kill(self, namespace: str, pod: str) -> None:
        """Kill a pod's first process, as the kernel or a broken node would: no grace, no word to Kubernetes."""
        if self.lab is None:
            raise Unavailable(f"a container's process can be killed in the lab's own cluster only: unset {OWN}")
        status = self.kubectl.json("get", "pod", pod, "--namespace", namespace)["status"]
        container = status["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        where = ("--address", self.lab.folder / "containerd.sock", "--namespace", "k8s.io")
        run([toolchain.containerd() / "ctr", *where, "task", "kill", "--signal", "SIGKILL", container])

    def objects(self, kind: str, namespace: str, selector: str = "", field: str = "") -> list[Manifest]:
        """The objects of a kind in a namespace, by labels and by a field."""
        path = f"{APIS[kind]}/namespaces/{namespace}/{kind}"
        items: list[Manifest] = self.proxy.json(path, labelSelector=selector, fieldSelector=field)["items"]
        return items

    def operators(self) -> list[Manifest]:
        """The operator's pods that are not on their way out."""
        pods = self.objects("pods", SYSTEM, "app.kubernetes.io/name=assay,app.kubernetes.io/component=operator")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def operator_log(self) -> str:
        """What every operator pod has logged, those before a restart among them."""
        texts = []
        for pod in self.operators():
            for flags in ((), ("--previous",)):
                name = pod["metadata"]["name"]
                texts.append(self.kubectl.attempt("logs", name, "--namespace", SYSTEM, "--tail=-1", *flags).stdout)
        return "".join(texts)


@contextmanager
def lab_place() -> Iterator[Place]:
    """A one-node cluster of the lab's with both images built and loaded."""
    # Building waits for the disk, a cluster for itself. It starts in this thread, for it dies with the one that did it.
    with ThreadPoolExecutor() as beside, ExitStack() as stack:
        built = [beside.submit(images.build, Path(dockerfile), tag) for tag, dockerfile in images.OURS.items()]
        cluster = stack.enter_context(Cluster())
        for loaded in [beside.submit(lambda image: cluster.load_image(image.result()), image) for image in built]:
            loaded.result()
        # The chart's own defaults name these images.
        proxy = stack.enter_context(Proxy(cluster.kubeconfig, cluster.folder / "proxy.log"))
        yield Place(cluster.kubeconfig, cluster.s3, cluster.s3_inside, {}, proxy, cluster)


def given_kubeconfig() -> Path | None:
    """The kubeconfig of a cluster to test on instead of the lab's: one named for it, or a kind cluster's.

    Any other cluster that KUBECONFIG happens to name is somebody's: tests install into it only when told to.
    """
    if own := os.environ.get(OWN):
        return Path(own)
    current = os.environ.get("KUBECONFIG")
    if not current or not Path(current).is_file():
        return None
    context = (yaml.safe_load(Path(current).read_text()) or {}).get("current-context", "")
    return Path(current) if str(context).startswith("kind-") else None


@contextmanager
def given_place(kubeconfig: Path, folder: Path) -> Iterator[Place]:
    """That cluster, with images and an S3 server that it can reach."""
    needed = ("ASSAY_E2E_OPERATOR_IMAGE", "ASSAY_E2E_RUNNER_IMAGE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID",
              "AWS_SECRET_ACCESS_KEY")  # fmt: skip
    missing = [name for name in needed if not os.environ.get(name)]
    if missing:
        raise Unavailable(
            f"{kubeconfig} needs {', '.join(missing)} beside it: images the cluster can pull, S3 it can reach"
        )
    operator, runner = (os.environ[name].rsplit(":", 1) for name in needed[:2])
    named = {"image.repository": operator[0], "image.tag": operator[1]}
    named |= {"runner.image.repository": runner[0], "runner.image.tag": runner[1]}
    access = S3Access(*(os.environ[name] for name in needed[2:]))
    with Proxy(kubeconfig, folder / "proxy.log") as proxy:
        yield Place(kubeconfig, access, access, named, proxy)


@dataclass(frozen=True)
class Room:
    """One namespace, under the `restricted` Pod Security standard, with a Secret for S3 in it."""

    place: Place
    name: str

    @staticmethod
    def make(place: Place, name: str) -> Room:
        """Make the namespace and the Secret `assay-s3`."""
        enforced = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        place.kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": enforced}},
            secret("assay-s3", name, place.inside.access_key, place.inside.secret_key),
        )
        return Room(place, name)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.place.kubectl(*arguments, "--namespace", self.name, stdin=stdin)

    def objects(self, kind: str, selector: str = "", *, field: str = "") -> Sequence[Manifest]:
        """The objects of a kind, by labels and by a field."""
        return self.place.objects(kind, self.name, selector, field)

    def apply(self, *manifests: Manifest) -> str:
        """Apply manifests in the namespace."""
        return self.place.kubectl.apply(*manifests, arguments=("--namespace", self.name))

    def audit(self, name: str) -> Manifest:
        """An audit, as the API server has it."""
        audit: Manifest = self.place.kubectl.json("get", "audit", name, "--namespace", self.name)
        return audit

    def wait(self, name: str, condition: str, seconds: int = 120) -> Manifest:
        """`kubectl wait` until the condition is true, and return the audit."""
        words = ("wait", f"--for=condition={condition}", f"--timeout={seconds}s", f"audit/{name}")
        self.place.kubectl(*words, "--namespace", self.name, seconds=seconds + 30)
        return self.audit(name)

    def running_pod(self, selector: str, seconds: float = PATIENCE) -> str:
        """The name of a running task pod, once there is one."""
        found: list[str] = []

        def there() -> bool:
            pods = self.objects("pods", selector)
            found[:] = [
                p["metadata"]["name"]
                for p in pods
                if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]
            ]
            return bool(found)

        wait_until(there, f"a running pod of {selector} in {self.name}", seconds, every=0.05)
        return found[0]

    def active_pods(self) -> list[Manifest]:
        """Task pods that have not ended."""
        return [pod for pod in self.objects("pods") if pod["status"].get("phase") in ("Pending", "Running")]

    def explain(self) -> str:
        """Everything a person would ask for after a failure."""
        ask = self.place.kubectl.attempt
        here = ("--namespace", self.name)
        texts = [ask("get", "audits,jobs,pods", "-o", "wide", *here).stdout, ask("describe", "audits", *here).stdout]
        texts.append(ask("get", "events", "--sort-by=.lastTimestamp", *here).stdout)
        for pod in self.objects("pods"):
            texts.append(f"--- {pod['metadata']['name']}: {json.dumps(pod['status'].get('containerStatuses'))}")
            texts.append(ask("logs", pod["metadata"]["name"], "--tail=40", *here).stdout)
        texts += ["--- operator", "\n".join(self.place.operator_log().splitlines()[-60:])]
        return "\n".join(texts)


def secret(name: str, namespace: str, access_key: str, secret_key: str) -> Manifest:
    """A Secret with S3 keys."""
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": keys,
    }


def condition(audit: Manifest, kind: str) -> Manifest:
    """One condition of an audit; an empty one where there is none."""
    return next((c for c in audit.get("status", {}).get("conditions", ()) if c["type"] == kind), {})
