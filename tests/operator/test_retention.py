"""Audits that are deleted once they are done, on a real API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.lab.apiserver import ApiServer
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Raw, running


def names(namespace: Namespace) -> list[str]:
    return sorted(audit["metadata"]["name"] for audit in namespace.items("accuracyaudits"))


def start(namespace: Namespace, name: str, meta: Raw | None = None, **spec: Any) -> None:
    """Apply an audit and wait for its Job."""
    namespace.apply_audit(name, meta, **spec)
    namespace.until(lambda: name in owners(namespace), f"a Job of {name}")


def owners(namespace: Namespace) -> list[str]:
    return [job["metadata"]["labels"].get("assay.dev/audit", "") for job in namespace.items("jobs")]


def fail(namespace: Namespace, kubelet: Kubelet, name: str) -> None:
    """Have the run of an audit come to its end, for its input is wrong."""
    for job in namespace.items("jobs"):
        if job["metadata"]["labels"].get("assay.dev/audit") == name:
            kubelet.finish(job, code=64, error={"reason": "InvalidInput", "message": "no ONNX model"})


def end(namespace: Namespace, kubelet: Kubelet, name: str) -> None:
    """End the run of an audit that stays."""
    fail(namespace, kubelet, name)
    namespace.wait("Complete", f"audit/{name}")


def test_an_audit_goes_when_its_time_is_over_and_one_that_a_tool_applied_stays(
    bare_api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    flux = {"labels": {"kustomize.toolkit.fluxcd.io/name": "models"}}
    with running(bare_api, folder, ASSAY_NAMESPACES=namespace.name) as operator:
        start(namespace, "mine", deleteSecondsAfterFinished=3)
        start(namespace, "flux", flux, deleteSecondsAfterFinished=3)
        # Whoever waits for the end of mine by name may find nothing any more.
        fail(namespace, kubelet, "mine")
        end(namespace, kubelet, "flux")
        namespace.until(lambda: names(namespace) == ["flux"], "mine to go")
        assert operator.metric('assay_audits_deleted_total{why="ttl"}') == 1
        namespace.until(lambda: any("Flux manages it" in event for event in namespace.events()), "the event")
        assert names(namespace) == ["flux"]


def test_a_namespace_keeps_the_newest(
    bare_api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    env = {"ASSAY_AUDITS_PER_NAMESPACE": "2", "ASSAY_RESYNC_SECONDS": "2", "ASSAY_NAMESPACES": namespace.name}
    with running(bare_api, folder, **env) as operator:
        for name in ("a", "b", "c"):
            start(namespace, name)
            end(namespace, kubelet, name)
        start(namespace, "running")
        namespace.until(lambda: names(namespace) == ["b", "c", "running"], "the oldest to go")
        assert operator.metric('assay_audits_deleted_total{why="history"}') == 1


def test_what_a_sweep_s_audits_have_answered_stays(
    bare_api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    env = {"ASSAY_AUDITS_PER_NAMESPACE": "1", "ASSAY_RESYNC_SECONDS": "1", "ASSAY_NAMESPACES": namespace.name}
    with running(bare_api, folder, **env) as operator:
        sweeps.apply(namespace, "nightly")
        sweeps.looked(namespace, kubelet, "nightly", {"bert": "1" * 16, "vit": "2" * 16})
        namespace.until(lambda: len(names(namespace)) == 4, "the sweep's audits")
        swept = names(namespace)
        for name in ("a", "b"):
            start(namespace, name)
            end(namespace, kubelet, name)
        namespace.until(lambda: set(swept) <= set(owners(namespace)), "their Jobs")
        for name in swept:
            end(namespace, kubelet, name)
        namespace.until(lambda: "a" not in names(namespace), "the older audit of nobody's to go")
        namespace.wait("Complete", "sweep/nightly")
        passes = operator.metric("assay_operator_last_progress_timestamp_seconds")
        namespace.until(
            lambda: operator.metric("assay_operator_last_progress_timestamp_seconds") > passes + 3, "more listings"
        )
        assert names(namespace) == sorted([*swept, "b"])
        assert operator.metric('assay_audits_deleted_total{why="history"}') == 1
