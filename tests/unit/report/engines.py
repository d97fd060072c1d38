"""Reports as they come from real engines: precision per layer, device memory, ranges, histograms, many candidates."""

from __future__ import annotations

import math
import random

from assay_api.behaviour_details import AchievedPrecisionDetails
from assay_api.entries import EngineTensorEntry
from assay_api.report import (
    CandidateReport,
    EngineEntry,
    EngineLayerEntry,
    Finding,
    HistogramEntry,
    Latency,
    Report,
    TensorEntry,
    Verdict,
)
from tests.unit.report import samples

PRECISIONS = ("FP16", "FP32", "INT8")
WARNINGS = (
    "[W] Detected layernorm nodes in FP16: /encoder/norm1/Div",
    "[W] Running layernorm after self-attention in FP16 may cause overflow.",
)


def engine_layers(count: int) -> tuple[EngineLayerEntry, ...]:
    """An engine of `count` layers, mostly FP16."""
    rng = random.Random(3)
    rows = []
    for index in range(count):
        kind = rng.choice(("CaskConvolution", "Myelin", "Reformat", "CaskGemmMatrixMultiply"))
        precision = rng.choices(PRECISIONS, (7, 1, 2))[0]
        shape = (1, 64 << index % 4, 56 >> index % 3, 56 >> index % 3)
        read, made = (
            EngineTensorEntry(name=f"t{place}", format=f"{precision} channel-last", shape=shape)
            for place in (index, index + 1)
        )
        rows.append(
            EngineLayerEntry(
                name=f"/stage{index // 500}/conv_{index}/Conv + /stage{index // 500}/relu_{index}/Relu",
                type=kind,
                precision=precision,
                inputs=(read,),
                outputs=(made,),
                tactic=f"sm90_xmma_fprop_implicit_gemm_f16f16_{rng.randrange(40)}_tilesize128x128x64",
                nodes=(f"/stage{index // 500}/conv_{index}/Conv", f"/stage{index // 500}/relu_{index}/Relu"),
            )
        )
    return tuple(rows)


def achieved(layers: tuple[EngineLayerEntry, ...]) -> dict[str, int]:
    """Layers by precision."""
    return {name: count for name in PRECISIONS if (count := sum(row.precision == name for row in layers))}


def histogram(tensor: str, node: str, *, centre: float, beyond: bool = False) -> HistogramEntry:
    """A bell around 2^centre; what FP16 cannot hold is cut off in the candidate."""
    low = -40
    golden = [round(4e6 * math.exp(-(((power - centre) / 4.5) ** 2))) for power in range(low, 24)]
    candidate = [count if -24 <= power < 16 else 0 for power, count in zip(range(low, 24), golden, strict=True)]
    lost = sum(golden) - sum(candidate)
    return HistogramEntry(
        tensor=tensor,
        node=node,
        op="Pow",
        low=low,
        golden=tuple(golden),
        candidate=tuple(candidate),
        golden_zeros=120,
        candidate_zeros=120 if beyond else 120 + lost,
        non_finite=lost if beyond else 0,
    )


def with_ranges(rows: tuple[TensorEntry, ...]) -> tuple[TensorEntry, ...]:
    """The layers with what was counted against FP16; one of them overflows."""
    rng = random.Random(5)
    out = []
    for index, row in enumerate(rows):
        top = 2.0 ** rng.uniform(-2, 8)
        if index == len(rows) // 3:
            top = 101_210.0
        counts = {"overflow": 41 if top > 65504 else 0, "underflow": rng.randrange(40), "subnormal": rng.randrange(900)}
        small = {"smallest": 2.0 ** rng.uniform(-30, -10), "golden_min": -top / 3, "golden_max": top}
        out.append(row.model_copy(update={**small, **counts}))
    return tuple(out)


def _deep(rows: tuple[TensorEntry, ...], snr: float) -> tuple[TensorEntry, ...]:
    """The layers with an error that grows slowly down to `snr`, most of it by one node; every third adds none."""
    rng = random.Random(11)
    out = []
    for depth, row in enumerate(rows):
        fall = 40 * depth / len(rows) + (9 if depth > len(rows) * 0.6 else 0)
        local = math.inf if depth % 3 == 1 else snr + 46 + rng.gauss(0, 5)
        accumulated = snr + 49 - fall + rng.gauss(0, 1)
        out.append(row.model_copy(update={"accumulated_snr": accumulated, "local_snr": local}))
    noisiest = int(len(rows) * 0.6)
    out[noisiest] = out[noisiest].model_copy(update={"local_snr": snr + 8, "starts_here": 0.43})
    return tuple(out)


def on_gpu(
    name: str, precision: str, ms: float, top1: float, snr: float, verdict: Verdict, *, layers: int = 0
) -> tuple[CandidateReport, list[Finding]]:
    """A candidate that ran on a GPU; its error along the depth follows `snr`."""
    if layers:
        names = [f"/block{i // 20}/node_{i}:{('Conv', 'Relu', 'Add')[i % 3]}" for i in range(layers)]
        tensors = with_ranges(_deep(samples.layers(snr + 45, names=names), snr))
    else:
        tensors = with_ranges(samples.layers(snr + 20))
    made = engine_layers(layers or 40)
    limit = 0.9653
    finding = Finding(
        candidate=name,
        check="labelAccuracy",
        verdict=verdict,
        metric="top1",
        value=top1,
        limit=limit,
        message=f"top-1 accuracy is {top1 * 100:.2f} %, golden's 97.50 %; the limit is {limit * 100:.2f} %.",
    )
    (logits,) = samples.outputs(0.3, 0.99)
    noise = logits.metrics["snr"].model_copy(update={"worst": snr})
    outputs = (logits.model_copy(update={"metrics": {**logits.metrics, "snr": noise}}),)
    report = CandidateReport(
        name=name,
        verdict=verdict,
        backend="tensorrt",
        precision=precision,
        typing="weak",
        samples=360,
        size=int(9e7 / (4 - len(precision) % 4 + 1)),
        memory=410_000_000,
        latency=Latency(median_ms=ms, p99_ms=ms * 1.2, batch=32, runs=400, throughput=32_000 / ms),
        accuracy={"top1": top1, "goldenTop1": 0.975},
        outputs=outputs,
        layers=tensors,
        achieved=achieved(made),
        engine=EngineEntry(
            tensorrt="10.6.0",
            gpu="NVIDIA H200",
            build_seconds=31.2,
            cached=False,
            typing="weak",
            verbosity="DETAILED",
            warnings=WARNINGS,
        ),
        engine_layers=made,
        histograms=(
            histogram("/encoder/norm1/Pow_output_0", "/encoder/norm1/Pow", centre=9, beyond=True),
            histogram("/encoder/softmax/Exp_output_0", "/encoder/softmax/Exp", centre=-19),
        ),
    )
    return report, [finding]


def fleet(layers: int = 0) -> Report:
    """A summary of seven candidates on a GPU."""
    passed, failed = Verdict.PASSED, Verdict.FAILED
    parts = (
        on_gpu("fp32", "fp32", 1.94, 0.975, 118.0, passed, layers=layers),
        on_gpu("tf32", "tf32", 1.21, 0.975, 71.0, passed, layers=layers),
        on_gpu("fp16", "fp16", 0.61, 0.9747, 58.0, passed, layers=layers),
        on_gpu("bf16", "bf16", 0.62, 0.9722, 44.0, passed, layers=layers),
        on_gpu("int8-ptq", "int8", 0.41, 0.9417, 21.0, failed, layers=layers),
        on_gpu("int8-qat", "int8", 0.42, 0.9694, 29.0, passed, layers=layers),
        samples.unmeasured(),
    )
    why = "int8-qat is the fastest of the candidates that passed (fp32, tf32, fp16, bf16, int8-qat): 0.42 ms."
    return samples.report(*parts, ship="int8-qat", why=why)


CROWD = (
    ("fp32", "fp32", 0.0390, 0.9887), ("tf32", "tf32", 0.0440, 0.9887), ("fp16", "fp16", 0.0535, 0.9887),
    ("bf16", "bf16", 0.0404, 0.9887), ("int8-entropy", "int8", 0.0408, 0.9900), ("int8-minmax", "int8", 0.0397, 0.9875),
    ("int8-percentile", "int8", 0.0429, 0.9887), ("int8-mse", "int8", 0.0400, 0.9887),
    ("int8-implicit-entropy", "int8", 0.0379, 0.9900), ("int8-implicit-minmax", "int8", 0.0362, 0.9875),
    ("fp8-mse", "fp8", 0.0677, 0.9875), ("int8-qat", "int8", 0.0402, 0.9887),
)  # fmt: skip
"""Name, precision, latency in ms and top-1 of twelve ways to build one network, as measured on an H200."""


def crowd() -> Report:
    """A summary of many candidates of nearly one latency and accuracy; one passed with a remark."""
    parts = [on_gpu(name, kind, ms, top1, 20.0, Verdict.PASSED) for name, kind, ms, top1 in CROWD]
    little = "fp8 was asked for, and only 1 of 10 layers that compute ran in it: 9 FP32, 1 FP8"
    remark = Finding(
        candidate="fp8-mse",
        check="achievedPrecision",
        verdict=Verdict.PASSED,
        metric="layersShare",
        value=0.1,
        message=little,
        details=AchievedPrecisionDetails(achieved={"FP32": 9, "FP8": 1}, remark=True),
    )
    parts[10][1].append(remark)
    why = "int8-implicit-minmax is the fastest of the 12 candidates that passed: 0.0362 ms for a batch of 64"
    return samples.report(*parts, ship="int8-implicit-minmax", why=why)


def candidate(layers: int = 0) -> Report:
    """One candidate's own report, from its task."""
    part = on_gpu("fp16", "fp16", 0.61, 0.9417, 38.0, Verdict.FAILED, layers=layers)
    return samples.report(part, recommendation=None, task="fp16")


def deep_candidate() -> Report:
    """One candidate of 5,000 tensors and 5,000 engine layers."""
    return candidate(5_000)


def deep_fleet() -> Report:
    """Seven candidates of 5,000 tensors each."""
    return fleet(5_000)
