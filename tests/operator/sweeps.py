"""Sweeps in the words of the tests: applied, their models told, their audits ended as the operator ends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from assay_api.names import ANNOTATION_CELLS
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Raw

CANDIDATES = [
    {"name": "fp16", "backend": "tensorrt", "precision": "fp16"},
    {"name": "cpu", "backend": "onnxruntime", "precision": "fp16"},
]
TEMPLATE: Raw = {
    "dataset": {"uri": "s3://datasets/{model}/"},
    "candidates": CANDIDATES,
    "target": {"gpuProducts": ["NVIDIA-L4"]},
    "artifacts": {"uri": "s3://audits/"},
}
ALL_PASS: Mapping[str, str] = MappingProxyType({})
MODELS = [{"name": name, "uri": f"s3://models/{name}.onnx"} for name in ("bert", "vit")]


def apply(namespace: Namespace, name: str, meta: Raw | None = None, **spec: Any) -> None:
    """A sweep of two models; `template__field` replaces a field of the template."""
    template = TEMPLATE | {key.removeprefix("template__"): spec.pop(key) for key in list(spec) if "__" in key}
    whole = {"template": template, "models": MODELS, "maxParallel": 10, **spec}
    meta = {"name": name, "namespace": namespace.name, **(meta or {})}
    manifest = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "metadata": meta}
    namespace.kubectl.apply({**manifest, "spec": {key: value for key, value in whole.items() if value is not None}})


def status(namespace: Namespace, name: str) -> Raw:
    found: Raw = namespace.read("accuracysweeps", name).get("status") or {}
    return found


def looked(namespace: Namespace, kubelet: Kubelet, name: str, inputs: Mapping[str, str]) -> None:
    """Answer the Job that looks at a sweep's models, once there is one beyond those that were answered before."""

    def jobs() -> list[Raw]:
        every = [j for j in namespace.items("jobs") if j["metadata"]["labels"].get("assay.dev/sweep") == name]
        return [job for job in every if not job.get("status", {}).get("succeeded")]

    namespace.until(lambda: bool(jobs()), f"a Job that looks at the models of {name}")
    models = [{"name": m, "uri": f"s3://models/{m}.onnx", "inputs": digest} for m, digest in sorted(inputs.items())]
    kubelet.finish(jobs()[0], resolved={"models": models})


def of_sweep(namespace: Namespace, sweep: str) -> list[tuple[str, Raw]]:
    """A sweep's audits with the model and the candidates of each: `bert/fp16@NVIDIA-L4`."""
    found = []
    for audit in namespace.items("accuracyaudits"):
        if audit["metadata"]["labels"].get("assay.dev/sweep") == sweep:
            made = json.loads(audit["metadata"]["annotations"][ANNOTATION_CELLS])
            found.append((f"{made['place']}/{'+'.join(made['cells'])}", audit))
    return found


def audits(namespace: Namespace, sweep: str) -> dict[str, Raw]:
    """The same where each is there once."""
    return dict(of_sweep(namespace, sweep))


def conclude(namespace: Namespace, audit: Raw, verdict: str = "Passed", seconds: int = 100) -> None:
    """Write into an audit's status what its run came to, as the operator does, which is kept from it by `suspend`."""
    name, now = audit["metadata"]["name"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = json.loads(audit["metadata"]["annotations"][ANNOTATION_CELLS])["cells"]
    reason = {"Passed": "Passed", "Failed": "Breached", "Error": "Error"}[verdict]
    judged = {} if verdict == "Error" else {"verdict": verdict}
    entries = [
        {"name": key, "state": "Failed" if verdict == "Error" else "Finished", "message": f"{key}: {verdict}",
         **judged, **({"gpuSeconds": seconds} if "@" in key else {})}
        for key in keys
    ]  # fmt: skip
    conditions = [
        {"type": kind, "status": value, "reason": reason, "message": "as the test has it", "lastTransitionTime": now,
         "observedGeneration": 1}
        for kind, value in (("Complete", "True"), ("Ready", "True"))
    ]  # fmt: skip
    path = f"{namespace.path('accuracyaudits', name)}/status"
    run = namespace.audit(name)["status"]["run"]
    body = {"conditions": conditions, "candidates": entries, "phase": "Complete", "run": run, **judged}
    namespace.kube.request("PATCH", path, {"status": body}, "application/merge-patch+json")


def concluded(namespace: Namespace, sweep: str, verdicts: Mapping[str, str] = {}, count: int = 4) -> None:
    """Wait for some audits, and end each of them."""
    namespace.until(lambda: len(going(namespace, sweep)) == count, f"{count} audits of {sweep}")
    for key, audit in going(namespace, sweep).items():
        namespace.run(audit["metadata"]["name"])
        conclude(namespace, audit, verdicts.get(key, "Passed"))


def going(namespace: Namespace, sweep: str) -> dict[str, Raw]:
    """Those that have not ended."""
    return {key: audit for key, audit in of_sweep(namespace, sweep) if not over(audit)}


def over(audit: Raw) -> bool:
    conditions = (audit.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Complete" and c["status"] == "True" for c in conditions)


SAME = {"bert": "a" * 16, "vit": "b" * 16}
