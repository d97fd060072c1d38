"""A fleet in an API server: sweeps whose audits have mostly ended, and some that go on."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from assay_api import names
from assay_api.audit import AuditSpec
from assay_api.cells import asks, expand
from assay_api.model import parse
from assay_api.plan import run_digest
from assay_api.resolved import ModelFound
from assay_api.sweep import SweepSpec
from assay_operator.sweeps.answers import Wish
from assay_operator.sweeps.manifests import Impossible, audit_manifest
from assay_operator.sweeps.observed import Sweep
from tests.bench.finished import passed
from tests.lab.kubectl import Kubectl
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Raw
from tests.operator.player import ONE, open_jobs

IMAGE = "registry.example/assay-runner:1"
PAGE = 35
"""Models that one Job tells of: a termination message takes 4,096 bytes."""


@dataclass(frozen=True)
class Fleet:
    """How large it is.

    Attributes:
        sweeps: how many.
        ended: audits that have ended, of all sweeps together.
        active: audits that go on.
    """

    sweeps: int = 20
    ended: int = 10_000
    active: int = 1_000

    @property
    def models(self) -> int:
        """Models of each sweep."""
        return (self.ended + self.active) // self.sweeps

    @property
    def audits(self) -> int:
        """All audits."""
        return self.models * self.sweeps


def manifest(sweep: int, fleet: Fleet) -> dict[str, Any]:
    """One sweep over a prefix of models."""
    template = {
        "dataset": {"uri": "s3://datasets/{model}/", "labels": "label"},
        "candidates": ONE,
        "checks": [{"finite": {}}, {"outputDrift": {"cosine": 0.99}}],
        "artifacts": {"uri": "s3://audits/"},
    }
    spec = {
        "template": template,
        "modelPrefix": {"uri": f"s3://models/{sweep}/"},
        "maxParallel": fleet.active // fleet.sweeps,
    }
    meta = {"name": f"sweep-{sweep:02}"}
    return {"apiVersion": names.API_VERSION, "kind": names.SWEEP_KIND, "metadata": meta, "spec": spec}


def models(sweep: int, fleet: Fleet) -> tuple[ModelFound, ...]:
    """What is found below its prefix."""
    return tuple(
        ModelFound(name=f"m{index:04}", uri=f"s3://models/{sweep}/m{index:04}.onnx", inputs=f"{sweep:08}{index:08}")
        for index in range(fleet.models)
    )


def seed(kubectl: Kubectl, name: str, fleet: Fleet) -> Namespace:
    """Make a namespace with the sweeps, and the audits of theirs that have ended, each with its status."""
    namespace = Namespace(kubectl, name)
    # To connect costs more than to ask: each thread keeps its own connection.
    with ThreadPoolExecutor(8) as pool:
        for number in range(fleet.sweeps):
            raw = namespace.kube.request("POST", namespace.path("accuracysweeps"), manifest(number, fleet))
            list(pool.map(lambda made: _create_ended(namespace, made), _ended(Sweep.of(raw), number, fleet)))
    return namespace


def _ended(sweep: Sweep, number: int, fleet: Fleet) -> list[dict[str, Any]]:
    spec = SweepSpec.model_validate_json(sweep.spec)
    found = models(number, fleet)[: fleet.ended // fleet.sweeps]
    cells = expand(spec.template, found, (), (IMAGE,))
    made = [audit_manifest(sweep, spec, ask, Wish("before")) for ask in asks(cells, found, spec.template)]
    assert not any(isinstance(each, Impossible) for each in made)
    return [each for each in made if not isinstance(each, Impossible)]


def _create_ended(namespace: Namespace, made: dict[str, Any]) -> None:
    path, name = namespace.path("accuracyaudits"), made["metadata"]["name"]
    namespace.kube.request("POST", path, made)
    status = passed(made, run_digest(parse(AuditSpec, made["spec"])))
    namespace.kube.request("PATCH", f"{path}/{name}/status", {"status": status}, "application/merge-patch+json")


def looked(namespace: Namespace, fleet: Fleet, seconds: float = 1200.0) -> None:
    """Answer the Pods that look at models, and run that of each audit that goes on, until all that are to do.

    The Pods are made by the Job controller, which ends the Jobs of those that succeeded; the kubelet is played.
    """
    kubelet, running, answered = Kubelet(namespace), set[str](), set[str]()
    end = time.monotonic() + seconds
    while len(running) < fleet.active:
        assert time.monotonic() < end, f"{len(running)} of {fleet.active} audits go on after {seconds:.0f} s"
        pods = {
            pod["metadata"]["ownerReferences"][0]["uid"]: pod["metadata"]["name"] for pod in namespace.items("pods")
        }
        for job in open_jobs(namespace):
            uid, labels = job["metadata"]["uid"], job["metadata"]["labels"]
            if uid not in pods or uid in running | answered:
                continue
            if labels["assay.dev/kind"] == "resolve":
                told = {
                    "task": labels["assay.dev/task"],
                    "resolved": _page(job, int(labels["assay.dev/sweep"][-2:]), fleet),
                }
                kubelet.succeed(pods[uid], json.dumps(told))
                answered.add(uid)
            else:
                kubelet.set_pod(pods[uid], phase="Running")
                running.add(uid)
        time.sleep(0.2)


def _page(job: Raw, sweep: int, fleet: Fleet) -> dict[str, Any]:
    """What a Job tells: the models behind the one that it was told to begin after."""
    env = {each["name"]: each.get("value") for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    after = json.loads(env["ASSAY_TASK"] or "{}").get("resolve", {}).get("after", "")
    behind = [model for model in models(sweep, fleet) if model.name > after]
    told = [model.model_dump(mode="json", by_alias=True, exclude_defaults=True) for model in behind[:PAGE]]
    return {"models": told, "more": len(behind) > PAGE}
