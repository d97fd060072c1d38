"""Specs changed at random, as people write them, under an operator at work: what must hold once they are left alone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from pydantic import ValidationError

from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_api.plan import run_digest
from tests.api.strategies import SPEC, SWEEP
from tests.lab import LabError
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import SPEC as GOOD
from tests.operator.lab import Namespace, Operator, Raw
from tests.operator.player import ONE, finish, open_jobs

KINDS = {"accuracyaudits": "AccuracyAudit", "accuracysweeps": "AccuracySweep"}
SLOTS = 12
"""Objects that are changed in turn, a third of them sweeps."""


def slot(turn: int) -> tuple[str, str]:
    """The kind and the name of what the `turn`th change is of."""
    index = turn % SLOTS
    return ("accuracysweeps" if index % 3 == 2 else "accuracyaudits"), f"m{index}"


def put(namespace: Namespace, kind: str, name: str, spec: Raw) -> bool:
    """Apply a spec as a tool does, which takes away what it says no longer; whether the API server took it."""
    manifest = {"apiVersion": "assay.dev/v1alpha1", "kind": KINDS[kind], "metadata": {"name": name}, "spec": spec}
    try:
        namespace.kube.apply(namespace.path(kind, name), manifest)
    except LabError:
        return False
    return True


def mutate(namespace: Namespace, changes: int) -> int:
    """Change specs at random, mostly to what is right; how many changes the API server took."""
    taken = turn = 0

    @hypothesis_settings(
        max_examples=changes, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck]
    )
    @given(SPEC, SWEEP)
    def change(audit: Raw, sweep: Raw) -> None:
        nonlocal taken, turn
        kind, name = slot(turn)
        turn += 1
        # What another controller carries out is left alone, and never settles.
        for spec in (audit, sweep, sweep.get("template") or {}):
            spec.pop("managedBy", None)
        taken += put(namespace, kind, name, sweep if kind == "accuracysweeps" else audit)

    change()
    return taken


@contextmanager
def ending_jobs(namespace: Namespace, seed: int = 1) -> Iterator[None]:
    """A hand that ends Jobs meanwhile, most of them well."""
    stop, dice = threading.Event(), random.Random(seed)
    kubelet = Kubelet(Namespace(namespace.kubectl, namespace.name, made=True))

    def end() -> None:
        while not stop.is_set():
            try:
                for job in open_jobs(kubelet.namespace):
                    # It may go in the meantime.
                    with suppress(LabError):
                        _end(kubelet, job, dice)
            except (OSError, HTTPException):
                kubelet.namespace.disconnect()
            time.sleep(0.2)
        kubelet.namespace.disconnect()

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _end(kubelet: Kubelet, job: Raw, dice: random.Random) -> None:
    how = dice.random()
    if how < 0.3:
        return
    if how < 0.4:
        kubelet.finish(job, code=64, error={"reason": "InvalidInput", "message": "no ONNX model"})
    elif how < 0.45:
        kubelet.end(job, "garbage \ud83d", code=1)
    else:
        finish(kubelet, job)


def settled(namespace: Namespace, operator: Operator) -> None:
    """Everything is observed, by a pass that failed nowhere; what runs is what the spec means now, and nothing else.

    Raises:
        LabError: it is not so, after a while.
        AssertionError: it is not so at all.
    """

    def observed() -> bool:
        items = [item for kind in KINDS for item in namespace.items(kind)]
        return all(item["status"]["observedGeneration"] == item["metadata"]["generation"] for item in items)

    namespace.until(observed, "every change to be observed")
    namespace.until(lambda: not stale(namespace), f"Jobs of earlier specs to go: {stale(namespace)}")
    for audit in namespace.items("accuracyaudits"):
        assert audit["status"].get("run") in (None, meant(audit)), audit["status"]
    assert operator.alive
    assert operator.metric('assay_reconciles_total{result="exception"}') == 0


def meant(audit: Raw) -> str | None:
    """The run that an audit's spec means; None: it cannot be run."""
    try:
        return run_digest(parse(AuditSpec, audit["spec"]), audit["status"].get("rerun") or "")
    except ValidationError:
        return None


def stale(namespace: Namespace) -> list[str]:
    """Jobs that go on for a run that is not the one of their audit."""
    runs = {a["metadata"]["uid"]: a["status"].get("run") for a in namespace.items("accuracyaudits")}
    found = []
    for job in open_jobs(namespace):
        (owner,) = job["metadata"]["ownerReferences"]
        run = job["metadata"]["labels"].get("assay.dev/run")
        if owner["kind"] == "AccuracyAudit" and owner["uid"] in runs and runs[owner["uid"]] != run:
            found.append(job["metadata"]["name"])
    return found


def put_right(namespace: Namespace) -> None:
    """Write every spec as it should be."""
    for turn in range(SLOTS):
        kind, name = slot(turn)
        template = {**sweeps.TEMPLATE, "candidates": sweeps.CANDIDATES[1:]}
        sweep = {"template": template, "models": sweeps.MODELS[:1], "maxParallel": 10}
        spec = sweep if kind == "accuracysweeps" else {**GOOD, "candidates": ONE}
        assert put(namespace, kind, name, spec), f"{kind} {name}"
