"""A report of an audit whose int8 candidate was repaired, and one whose repair found nothing."""

from __future__ import annotations

from assay_api.audit import AuditSpec
from assay_api.model import parse, to_wire
from assay_api.repair import CalibrationEntry, CoverageEntry, Deployable, RemedyEntry, RepairEntry, TrialEntry
from assay_api.report import Recommendation, Report, Verdict
from tests.unit.report import samples

FOLDER = "s3://audits/vision/digits-cnn/3f9a/repair/int8-precision"
SPEC = parse(AuditSpec, {**to_wire(samples.SPEC), "remedies": {"auto": {}, "budget": {"builds": 40, "minutes": 60}}})


def trials(count: int) -> tuple[TrialEntry, ...]:
    """Every third passes; the last is the audit on unseen samples."""
    made = [
        TrialEntry(
            number=n + 1, remedy="precision", oracle="build" if n % 3 == 0 else "emulation", split="search",
            words=f"{count - n} nodes in FP16: conv1, conv2", wide=count - n,
            verdict=samples.PASSED if n % 3 == 0 else samples.FAILED,
            because="logits: largest absolute error too large", metric="maxAbs", value=0.02 if n % 3 == 0 else 0.2 + n,
            limit=0.05, seconds=12.5, latency_ms=0.5 if n % 3 == 0 else None, known=n == 1,
        )
        for n in range(count)
    ]  # fmt: skip
    return (*made[:-1], made[-1].model_copy(update={"split": "unseen", "verdict": samples.PASSED, "value": 0.03}))


def repaired(count: int = 9) -> Report:
    """One of two candidates failed, and is cured by precision; calibration did not help."""
    before = samples.failed()
    (fp16, found), (_, _) = samples.fp16(), samples.int8()
    name = {"name": "int8-precision", "candidate": "int8-precision", "repaired": "int8", "precision": "int8"}
    after = fp16.model_copy(update=name)
    judged = tuple(finding.model_copy(update={"candidate": "int8-precision"}) for finding in found)
    wide = {"conv1": "fp16", "bn1": "fp16", "conv2": "fp32"}
    deploy = Deployable(model=f"{FOLDER}/model.onnx", reproduce=f"{FOLDER}/reproduce.sh", plan=f"{FOLDER}/model.plan")
    cured = RemedyEntry(
        candidate="int8", remedy="precision", outcome="Cured",
        message="3 nodes must run wider; it passes on 180 samples",
        repaired="int8-precision", wide=wide, minimal="Proved",
        deploy=deploy,
    )  # fmt: skip
    other = RemedyEntry(candidate="int8", remedy="calibration", outcome="NotCured", message="all methods fail")
    entry = RepairEntry(
        remedies=(other, cured), trials=trials(count), search_samples=180, unseen_samples=180, builds=4, proposals=6,
        seconds=340.0, valid_for={"model": "ab" * 32, "tensorrt": "10.6.0 NVIDIA H200"},
    )  # fmt: skip
    recommendation = Recommendation(candidate="int8-precision", message="it is a repair of int8", deploy=cured.deploy)
    update = {
        "candidates": (*before.candidates, after), "findings": (*before.findings, *judged), "repair": (entry,),
        "recommendation": recommendation, "spec": SPEC,
    }  # fmt: skip
    return before.model_copy(update=update)


def recalibrated() -> Report:
    """Cured by another calibration."""
    ways = (
        CalibrationEntry(
            method="percentile", percentile=99.9, source="dataset", samples=192, per_channel=True,
            verdict=samples.PASSED, check="labelAccuracy", metric="top1Kept", value=1.0, limit=0.98, margin=0.4,
            chosen=True,
        ),
        CalibrationEntry(method="mse", samples=256, per_channel=False, verdict=samples.FAILED),
    )  # fmt: skip
    covered = CoverageEntry(
        samples=384, inside=0.99999999, least={"relu1.out": 0.9}, clipped={"gelu": 0.225}, mending=(64, 7)
    )
    entry = RemedyEntry(
        candidate="int8", remedy="calibration", outcome="Cured", message="percentile 99.9", calibrations=ways,
        coverage=covered,
    )  # fmt: skip
    return samples.failed().model_copy(update={"repair": (RepairEntry(remedies=(entry,)),), "spec": SPEC})


def in_vain() -> Report:
    """The repair task's own report, where nothing could be repaired."""
    entry = RemedyEntry(
        candidate="plan", remedy="precision", outcome="DoesNotApply", message="plan is an existing plan"
    )
    update = {
        "candidates": (), "findings": (), "repair": (RepairEntry(remedies=(entry,)),), "recommendation": None,
        "task": "repair", "verdict": Verdict.INCONCLUSIVE,
    }  # fmt: skip
    return samples.failed().model_copy(update=update)
