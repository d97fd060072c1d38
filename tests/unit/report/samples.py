"""Reports as the runner writes them for the digits models, one builder per thing a reader may be told."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from assay_api.audit import AuditSpec
from assay_api.entries import MetricEntry
from assay_api.model import parse
from assay_api.output_details import OutputDriftDetails, SpreadEntry
from assay_api.report import (
    CandidateReport,
    DatasetEntry,
    Finding,
    GoldenEntry,
    Latency,
    OutputEntry,
    Recommendation,
    Report,
    TensorEntry,
    Verdict,
    worst,
)
from assay_api.tensor_details import LayerDriftDetails, LayerDriftEntry

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
NAN, INF = math.nan, math.inf

CNN = (
    *(
        f"{name}{i}:{op}"
        for i in "12"
        for name, op in (("conv", "Conv"), ("bn", "BatchNormalization"), ("relu", "Relu"))
    ),
    *("pool2:MaxPool", "conv3:Conv", "bn3:BatchNormalization", "relu3:Relu"),
    *("gap:GlobalAveragePool", "flatten:Flatten", "fc:Gemm"),
)
FINITE = "All 13 tensors are finite in all 360 samples."

DATASET = DatasetEntry(
    uri="file://./digits/data/", samples=360, shards=4, batch=32, labels="label", ignored=("writer", "index")
)
GOLDEN = GoldenEntry(precision="fp32", backend="onnxruntime 1.32.0")
ENVIRONMENT = {"assay": "0.1.0", "onnxruntime": "1.32.0", "numpy": "2.4.6", "cpu": "2 cores, x86_64", "python": "3.11"}
SPEC = parse(AuditSpec, {
    "model": {"uri": "file://./digits/digits-cnn.onnx"},
    "dataset": {"uri": "file://./digits/data/", "labels": "label"},
    "candidates": [
        {"name": "fp16", "backend": "tensorrt", "precision": "fp16"},
        {"name": "int8", "backend": "tensorrt", "precision": "int8", "calibration": {"uri": "file://./digits/calib/"}},
    ],
    "checks": [{"finite": {}}, {"outputDrift": {"cosine": 0.999, "maxAbs": 0.05}}, {"labelAccuracy": {"keep": 0.99}}],
    "artifacts": {"uri": "s3://audits/"},
})  # fmt: skip


def layers(snr: float, *, broken_at: int | None = None, names: Sequence[str] = CNN) -> tuple[TensorEntry, ...]:
    """The CNN's tensors: error grows from `snr` dB, most of it starts at bn2; NaN from `broken_at` on."""
    rows = []
    for depth, entry in enumerate(names):
        name, _, op = entry.partition(":")
        starts = 0.55 if name == "bn2" else 0.45 / len(names)
        row = TensorEntry(
            name="logits" if name == "fc" else f"{name}.out",
            node=name,
            op=op or "Conv",
            local_snr=INF if op in ("Relu", "Flatten") else snr + 6 - (15 if name == "bn2" else depth % 3),
            accumulated_snr=snr - depth * 0.9 - (9 if depth >= 4 else 0),
            local_rms=2.1e-4 * (1 + depth),
            accumulated_rms=4.4e-4 * (1 + depth),
            starts_here=starts,
            min=-3.2 - depth,
            max=4.6 + depth,
            non_finite=0,
        )
        if broken_at is not None and depth >= broken_at:
            lost = {"accumulated_snr": NAN, "local_snr": NAN, "max": INF, "non_finite": 41, "starts_here": NAN}
            row = row.model_copy(update=lost)
        rows.append(row)
    return tuple(rows)


def outputs(max_abs: float, cosine: float, limit: float = 0.05) -> tuple[OutputEntry, ...]:
    """Drift of the logits."""
    rows = {
        "maxAbs": MetricEntry(worst=max_abs, p50=max_abs / 8, p99=max_abs / 1.4, limit=limit, worst_sample=317),
        "maxRel": MetricEntry(worst=max_abs * 3, p50=max_abs / 9, p99=max_abs * 2, worst_sample=12),
        "cosine": MetricEntry(worst=cosine, p50=0.9999998, p99=(1 + cosine) / 2, limit=0.999, worst_sample=317),
        "psnr": MetricEntry(worst=51.234, p50=68.1, p99=54.9, worst_sample=317),
        "snr": MetricEntry(worst=38.77, p50=55.01, p99=41.2, worst_sample=317),
        "topKAgreement": MetricEntry(worst=0.9972, k=1, worst_sample=44),
    }
    return (OutputEntry(name="logits", metrics=rows),)


def fp16() -> tuple[CandidateReport, list[Finding]]:
    """A candidate that passes everything."""
    found = [
        Finding(candidate="fp16", check="finite", verdict=PASSED, message=FINITE),
        Finding(
            candidate="fp16", check="outputDrift", verdict=PASSED, tensor="logits", node="fc", metric="maxAbs",
            value=0.0061, limit=0.05, message="logits: largest absolute error 0.0061 in sample 317, within 0.05.",
        ),
        Finding(
            candidate="fp16", check="labelAccuracy", verdict=PASSED, metric="top1", value=0.975, limit=0.9653,
            message="top-1 accuracy is 97.50 %, as golden's; at least 99 % of it is kept with 95 % confidence.",
        ),
    ]  # fmt: skip
    report = CandidateReport(
        name="fp16", verdict=PASSED, backend="tensorrt", precision="fp16", typing="strong", samples=360, size=146_432,
        latency=Latency(median_ms=0.412, p99_ms=0.533, batch=32, runs=200), outputs=outputs(0.0061, 0.999998),
        accuracy={"top1": 0.975, "goldenTop1": 0.975, "top5": 0.9986, "goldenTop5": 0.9986}, layers=layers(74.0),
    )  # fmt: skip
    return report, found


def int8() -> tuple[CandidateReport, list[Finding]]:
    """A candidate that drifts, and loses accuracy."""
    found = [
        Finding(
            candidate="int8", check="outputDrift", verdict=FAILED, tensor="logits", node="fc", metric="maxAbs",
            value=0.3127, limit=0.05,
            details=OutputDriftDetails(samples=360, max_abs=SpreadEntry(worst=0.3127, p99=0.22, p50=0.039)),
            message="logits: largest absolute error 0.3127 in sample 317, above the limit 0.05, in 58 of 360 samples.",
        ),
        Finding(
            candidate="int8", check="layerDrift", verdict=FAILED, tensor="bn2.out", node="bn2", metric="localSnr",
            value=23.1, limit=30.0, details=LayerDriftDetails(
                compared=13, not_compared=0, inside_fused_layers=0, without_local_error=3, origins=(),
                worst=(LayerDriftEntry(tensor="bn2.out", accumulated_snr=23.1),),
            ),
            message="bn2.out (BatchNormalization bn2) adds noise of 23.1 dB, below 30 dB: 55 % of the error starts "
            "here; keep bn2 in fp16.",
        ),
        Finding(candidate="int8", check="finite", verdict=PASSED, message=FINITE),
    ]  # fmt: skip
    report = CandidateReport(
        name="int8", verdict=FAILED, backend="tensorrt", precision="int8", typing="strong", samples=360, size=81_920,
        latency=Latency(median_ms=0.207, p99_ms=0.266, batch=32, runs=200), outputs=outputs(0.3127, 0.9871),
        accuracy={"top1": 0.9611, "goldenTop1": 0.975}, layers=layers(41.0),
        notes=("Calibrated with 256 samples (entropy, per channel).",),
    )  # fmt: skip
    return report, found


def overflow() -> tuple[CandidateReport, list[Finding]]:
    """A candidate whose tensors overflow, with nothing left to compare."""
    message = (
        "bn1.out (BatchNormalization bn1) is the first tensor with NaN or Inf, in 41 of 360 samples; its largest value "
        "101210 is beyond 65504: keep bn1 wider than fp16."
    )
    found = [
        Finding(
            candidate="fp16", check="finite", verdict=FAILED, tensor="bn1.out", node="bn1", metric="nonFinite",
            value=41, limit=0, message=message,
        ),
        Finding(
            candidate="fp16", check="outputDrift", verdict=FAILED, tensor="logits", metric="maxAbs",
            value=NAN, limit=0.05, message="logits: NaN in 41 samples.",
        ),
    ]  # fmt: skip
    report = CandidateReport(
        name="fp16", verdict=FAILED, backend="onnxruntime", precision="fp16", emulated=True, samples=360,
        accuracy={"top1": 0.112, "goldenTop1": 0.975}, outputs=outputs(NAN, NAN), layers=layers(70.0, broken_at=1),
    )  # fmt: skip
    return report, found


def unmeasured() -> tuple[CandidateReport, list[Finding]]:
    """A candidate that nobody could measure."""
    error = "No GPU here: tensorrt needs an NVIDIA GPU; run it in a cluster that has one, or add --backend onnxruntime."
    found = [Finding(candidate="fp16-strong", check="finite", verdict=INCONCLUSIVE, message=error)]
    report = CandidateReport(
        name="fp16-strong", verdict=INCONCLUSIVE, backend="tensorrt", precision="fp16", typing="strong", error=error
    )
    return report, found


def report(
    *parts: tuple[CandidateReport, list[Finding]], ship: str | None = None, why: str = "", **changes: Any
) -> Report:
    """A summary report of the candidates."""
    candidates = tuple(c for c, _ in parts)
    values: dict[str, Any] = {
        "audit": "vision/digits-cnn",
        "run": "3f9a1c22b7d04e58",
        "task": "summary",
        "created": "2026-03-14T03:02:11Z",
        "verdict": worst(c.verdict for c in candidates),
        "emulated": any(c.emulated for c in candidates),
        "recommendation": Recommendation(candidate=ship, message=why),
        "candidates": candidates,
        "findings": tuple(f for _, found in parts for f in found),
        "golden": GOLDEN,
        "dataset": DATASET,
        "environment": ENVIRONMENT,
        "spec": SPEC,
        "reproduce": "assay run -f audit.yaml --out out/",
    }
    return Report(**{**values, **changes})


def passed() -> Report:
    """Everything passed."""
    return report(fp16(), ship="fp16", why="fp16 is the fastest candidate that passed: 0.412 ms per batch of 32.")


def failed() -> Report:
    """One candidate breached, the other may be shipped."""
    why = (
        "fp16 is the fastest candidate that passed: 0.412 ms per batch of 32; int8 is faster but breached outputDrift."
    )
    return report(fp16(), int8(), ship="fp16", why=why)


def inconclusive() -> Report:
    """Nothing could be measured on the only candidate."""
    return report(unmeasured(), why="No candidate passed, so there is nothing to ship.")


def emulated() -> Report:
    """A poisoned model, emulated on CPU."""
    return report(overflow(), why="No candidate passed, so there is nothing to ship.")


def deep(count: int = 5_000) -> Report:
    """A network of `count` tensors."""
    rng = random.Random(7)
    ops = ("Conv", "BatchNormalization", "Relu", "Add", "MatMul", "LayerNormalization")
    names = [f"/stage{i // 500}/block{i // 20}/{ops[i % 6].lower()}_{i}:{ops[i % 6]}" for i in range(count)]
    rows = []
    for depth, row in enumerate(layers(90.0, names=names)):
        accumulated = 88 - 40 * depth / count + rng.gauss(0, 1.5)
        noise = {"local_snr": 80 + rng.gauss(0, 6), "starts_here": rng.random() ** 9 / 40}
        rows.append(row.model_copy(update={"accumulated_snr": accumulated, **noise}))
    if count > 3210:
        rows[3210] = rows[3210].model_copy(update={"starts_here": 0.31, "local_snr": 31.0})
    candidate, found = int8()
    return report((candidate.model_copy(update={"layers": tuple(rows)}), found), why="No candidate passed.")
