"""Sweeps in the words of the tests: applied, their models told, their audits ended as the operator ends them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from assay_api.names import ANNOTATION_CELLS
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Raw
from tests.operator.player import open_jobs, over

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
    namespace.apply("accuracysweeps", "AccuracySweep", {"name": name, **(meta or {})}, whole)


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


def open_jobs_until_over(namespace: Namespace, name: str) -> Iterator[Raw]:
    """The Jobs of an audit that nobody has closed, one by one as it makes them, until its run has ended."""

    def at_work() -> list[Raw]:
        own = [j for j in open_jobs(namespace) if j["metadata"]["labels"].get("assay.dev/audit") == name]
        return [job for job in own if job["metadata"]["labels"]["assay.dev/kind"] != "baseline"]

    while not over(namespace.audit(name)):
        namespace.until(lambda: over(namespace.audit(name)) or bool(at_work()), f"a Job of {name}")
        yield from at_work()


def conclude(namespace: Namespace, kubelet: Kubelet, name: str, verdict: str = "Passed", seconds: int = 100) -> None:
    """Have an audit of one candidate end with a verdict, by the Jobs that it has made for it; Error for none.

    A Pod of its candidate runs for so many seconds.
    """
    for job in open_jobs_until_over(namespace, name):
        kind = job["metadata"]["labels"]["assay.dev/kind"]
        if verdict == "Error":
            kubelet.finish(job, code=64, error={"reason": "InvalidInput", "message": "no ONNX model"})
        elif kind == "candidate":
            kubelet.seconds = seconds
            kubelet.finish(job, verdict=verdict, report=report(kind), message=f"judged {verdict}")
            kubelet.seconds = 0
        else:
            judged: Raw = {"verdict": verdict} if kind == "summary" else {}
            kubelet.finish(job, report=report(kind), **judged)


def concluded(
    namespace: Namespace, kubelet: Kubelet, sweep: str, verdicts: Mapping[str, str] = ALL_PASS, count: int = 4
) -> None:
    """Wait for some audits, and have each of them end."""
    namespace.until(lambda: len(going(namespace, sweep)) == count, f"{count} audits of {sweep}")
    for key, audit in going(namespace, sweep).items():
        conclude(namespace, kubelet, audit["metadata"]["name"], verdicts.get(key, "Passed"))


def going(namespace: Namespace, sweep: str) -> dict[str, Raw]:
    """Those that have not ended."""
    return {key: audit for key, audit in of_sweep(namespace, sweep) if not over(audit)}


SAME = {"bert": "a" * 16, "vit": "b" * 16}
