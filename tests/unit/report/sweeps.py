"""Sweeps and their audits as the API server has them, for pages."""

from __future__ import annotations

import json
from typing import Any

from assay_api.names import ANNOTATION_CELLS

Raw = dict[str, Any]
UID = "sweep-uid"
OVERFLOW: Raw = {"check": "finite", "node": "/layer/Mul", "tensor": "x", "message": "/layer/Mul overflows FP16."}
DRIFT: Raw = {"check": "outputDrift", "tensor": "logits", "message": "snr=12 (limit 17) at logits"}


def sweep(**status: Any) -> Raw:
    counts = {"cells": 4, "passed": 3, "failed": 1, "unchanged": 2}
    run = {"name": "20260302T0200Z", "startTime": "2026-03-02T02:00:00Z", "completionTime": "2026-03-02T04:00:00Z",
           "verdict": "Failed", "counts": counts, "gpuSeconds": 5400}  # fmt: skip
    told = {"run": "20260302T0200Z", "nextScheduleTime": "2026-03-03T02:00:00Z", "history": [run], **status}
    return {"metadata": {"name": "nightly", "namespace": "ml", "uid": UID}, "status": told}


def audit(
    model: str, verdicts: dict[str, str | None], made: str = "2026-03-02", worst: Raw | None = None, image: str = "",
    ended: bool = True, uid: str = UID, baseline: Raw | None = None,
) -> Raw:  # fmt: skip
    """An audit of a model with a verdict per candidate; None: it has none. `baseline`: what all are beside theirs."""
    place = f"{model}\n{image}" if image else model
    cells = {ANNOTATION_CELLS: json.dumps({"place": place, "cells": dict.fromkeys(verdicts, "0" * 16)})}
    entries = [
        {"name": name, "state": "Finished", "message": f"{name} told",
         **({"verdict": verdict} if verdict else {}), **({"worst": worst} if worst and verdict != "Passed" else {}),
         **({"baseline": baseline} if baseline and verdict else {})}
        for name, verdict in verdicts.items()
    ]  # fmt: skip
    conditions = [{"type": "Complete", "status": "True" if ended else "False", "message": "ended so"}]
    meta = {"name": f"nightly-{model}-{made}", "creationTimestamp": f"{made}T00:00:00Z", "annotations": cells,
            "ownerReferences": [{"kind": "AccuracySweep", "uid": uid}]}  # fmt: skip
    return {"metadata": meta, "status": {"candidates": entries, "conditions": conditions}}


def some() -> tuple[Raw, list[Raw]]:
    """Two models on two products: one regressed, one that nobody could judge, one being audited."""
    return sweep(), [
        audit("bert", {"fp16@L4": "Passed", "int8@L4": "Passed"}, made="2026-03-01"),
        audit("bert", {"fp16@L4": "Failed", "int8@L4": "Failed"}, worst=OVERFLOW),
        audit("bert", {"fp16@H200": "Passed", "int8@H200": "Failed"}, worst=OVERFLOW),
        audit("vit", {"fp16@L4": "Inconclusive", "int8@L4": "Failed"}, worst=DRIFT),
        audit("vit", {"fp16@H200": None, "int8@H200": None}, ended=False),
    ]


WORSE: Raw = {"state": "Regressed", "message": "loses 19 and gains 6 of 1,240 samples",
              "causes": ["outputDrift at /block.3/Add", "tensorrt 10.13.3 -> 11.1.0"], "record": "0123456789ab",
              "accepted": "ann, 2026-02-01T00:00:00Z: release 7"}  # fmt: skip


def beside() -> tuple[Raw, list[Raw]]:
    """A sweep whose answers were accepted before: one that passes and regressed, one that failed and was accepted."""
    return sweep(), [
        audit("bert", {"fp16@L4": "Passed", "int8@L4": "Passed"}, baseline=WORSE),
        audit("gpt", {"fp16@L4": "Passed", "int8@L4": "Passed"}, baseline={"state": "New"}),
        audit("t5", {"fp16@L4": "Failed", "int8@L4": "Failed"}, made="2026-03-01", worst=OVERFLOW),
        audit("vit", {"fp16@L4": "Passed", "int8@L4": "Passed"}, made="2026-03-01"),
        audit("vit", {"fp16@L4": "Failed", "int8@L4": "Failed"}, worst=DRIFT, baseline={"state": "Unchanged"}),
    ]


def advise(audit: Raw, candidate: str | None, message: str = "", cures: list[Raw] | None = None, **more: Any) -> Raw:
    """The audit, with what it recommends and what its repairs came to."""
    told = {"candidate": candidate} if candidate else {}
    audit["status"]["recommendation"] = {**told, "message": message, **more}
    if cures:
        audit["status"]["repairs"] = [{"name": "repair@L4", "state": "Finished", "cures": cures}]
    return audit


CURE: Raw = {"candidate": "fp16@L4", "remedy": "precision", "outcome": "Cured", "repaired": "fp16-precision@L4"}
NO_CURE: Raw = {"candidate": "int8@L4", "remedy": "calibration", "outcome": "NotCured"}


def advised() -> tuple[Raw, list[Raw]]:
    """A model that ships as it is, one that ships a cure on one product, one of which nothing may be shipped."""
    failed: dict[str, str | None] = {"fp16@L4": "Failed", "int8@L4": "Failed"}
    plan = {"plan": "s3://audits/t5/recommended/model.plan", "model": "s3://audits/t5/recommended/model.onnx"}
    why = "fp16-precision is the only candidate that passed; it is a repair of fp16."
    return sweep(), [
        advise(audit("bert", {"fp16@L4": "Passed", "int8@L4": "Passed"}), "int8@L4", "int8 is the fastest."),
        advise(audit("gpt", failed, worst=DRIFT), None, "No candidate passed.", [NO_CURE]),
        advise(audit("t5", failed, worst=OVERFLOW), "fp16-precision@L4", why, [NO_CURE, CURE], deploy=plan),
        advise(audit("t5", {"fp16@H200": "Passed", "int8@H200": "Passed"}), "fp16@H200", "fp16 is the fastest."),
        audit("vit", {"fp16@L4": None, "int8@L4": None}, ended=False),
    ]  # fmt: skip


OLD, NEW = "r:10", "r:11"


def upgrade() -> tuple[Raw, list[Raw]]:
    """An upgrade that breaks a model, cures one, and needs a remedy for one; with an existing plan that fails."""
    whole = sweep(targets=[{"gpuProduct": "L4", "driver": "570.86"}])
    candidates = [{"name": "fp16"}, {"name": "serving", "engine": {"uri": "s3://engines/{model}.plan"}}]
    whole["spec"] = {"upgrade": {"fromImage": OLD, "toImage": NEW}, "template": {"candidates": candidates}}
    better = {"state": "Changed", "message": "loses 1 and gains 1 of 1,240 samples, which is within chance"}
    audits = [
        audit("bert", {"fp16@L4": "Passed"}, image=OLD), audit("bert", {"fp16@L4": "Failed"}, image=NEW, worst=DRIFT),
        audit("gpt", {"fp16@L4": "Failed"}, image=OLD, worst=OVERFLOW), audit("gpt", {"fp16@L4": "Passed"}, image=NEW),
        audit("t5", {"fp16@L4": "Passed"}, image=OLD), audit("t5", {"fp16@L4": "Failed"}, image=NEW, worst=OVERFLOW),
        audit("vit", {"fp16@L4": "Passed"}, image=OLD), audit("vit", {"fp16@L4": "Passed"}, image=NEW),
        audit("vit", {"serving@L4": "Failed"}, image=OLD, worst=DRIFT),
    ]  # fmt: skip
    cure = {"candidate": "fp16@L4", "remedy": "precision", "outcome": "Cured", "repaired": "fp16-repaired@L4"}
    audits[5]["status"]["repairs"] = [{"name": "repair@L4", "state": "Finished", "cures": [cure]}]
    for number in (3, 7):
        audits[number]["status"]["candidates"][0]["compared"] = better
    for number, each in enumerate(audits):
        each["metadata"]["name"] += f"-{number}"
    return whole, audits


def many(models: int = 500, candidates: int = 5) -> tuple[Raw, list[Raw]]:
    """Ten thousand cells on four products, a tenth of which failed for three causes."""
    audits = []
    for number in range(models):
        for product in ("A100", "H100", "H200", "L4"):
            bad = number % 10 == 0
            worst = {**OVERFLOW, "node": f"/layer.{number % 3}/Mul"}
            verdicts: dict[str, str | None] = {
                f"c{each}@{product}": "Failed" if bad else "Passed" for each in range(candidates)
            }
            audits.append(audit(f"family-{number % 7}/model-{number:04}", verdicts, worst=worst))
            audits[-1]["metadata"]["name"] += f"-{product.lower()}"
            cure = {"candidate": f"c0@{product}", "remedy": "precision", "outcome": "Cured",
                    "repaired": f"c0-precision@{product}"}  # fmt: skip
            key = cure["repaired"] if bad else f"c1@{product}"
            advise(audits[-1], key, f"{key} is the fastest that passed. " * 4, [cure] if bad else None)
    return sweep(), audits
