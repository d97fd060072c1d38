"""What a sentence about outputs that drifted adds: which samples, what it means for labels, and what to do next."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from assay_runner.evidence import Evidence, LabelsWanted, OutputDrifts, TensorsWanted
from assay_runner.tensors import Floats

LISTED: Final = 5
"""Samples that a sentence names."""
ALIKE: Final = 0.99
"""Share of samples with golden's top-1 from which on the label may be all that counts."""
NARROW: Final = frozenset({"tf32", "fp16", "bf16", "int8", "fp8"})


def breaching(values: Floats, samples: NDArray[np.intp], limit: float, more_is_better: bool) -> str:
    """How many samples are beyond a limit and which, the worst first; NaN is beyond every limit.

    Args:
        values: one per sample, at least one beyond the limit.
        samples: their indices.
        limit: of the metric.
        more_is_better: whether that is the least it may be.
    """
    worse = values if more_is_better else -values
    order = np.argsort(np.where(np.isnan(worse), -np.inf, worse), kind="stable")
    beyond = ~(values >= limit) if more_is_better else ~(values <= limit)
    found = samples[order[beyond[order]]]
    if values.size == 1:
        return ""
    if found.size == values.size:
        return f"; all {values.size:,} samples breach it"
    if found.size == 1:
        return f"; the other {values.size - 1:,} hold it"
    named = ", ".join(str(sample) for sample in found[:LISTED])
    more = f" and {found.size - LISTED:,} more" if found.size > LISTED else ""
    return f"; {found.size:,} of {values.size:,} samples breach it, the worst first: {named}{more}"


def meaning(evidence: Evidence, drifts: OutputDrifts) -> str:
    """What labels and the largest elements say of the same output; empty where nothing was measured of them."""
    told = []
    for k, agreement in drifts.top_k.items():
        if drifts.classes > k and drifts.judged.size:
            agreed = agreement[drifts.judged]
            told.append(f"top-{k} is golden's in {int(agreed.sum()):,} of {agreed.size:,} samples")
    for ranks in evidence.each(LabelsWanted):
        if ranks.output == drifts.site.tensor:
            right = [int((found < 1).sum()) for found in (ranks.candidate, ranks.golden)]
            told.append(f"the label is right in {right[0]:,} (golden: {right[1]:,})")
    return f"; all the same, {', and '.join(told)}" if _alike(drifts) else "".join(f"; {each}" for each in told)


def next_step(evidence: Evidence, drifts: OutputDrifts) -> str:
    """What to do about it."""
    steps = []
    if _alike(drifts) and not drifts.broken.any():
        steps.append("judge by `topKAgreement` of outputDrift or by labelAccuracy if the label is all that is used")
    if evidence.any(TensorsWanted) is None:
        steps.append("add layerDrift to see where the error starts")
    if evidence.precision in NARROW:
        steps.append("let `assay repair` look for what to keep wider")
    return f"; next: {', or '.join(steps)}" if steps else ""


def _alike(drifts: OutputDrifts) -> bool:
    agreement = drifts.top_k.get(1)
    if agreement is None or drifts.classes < 2 or not drifts.judged.size:
        return False
    return float(agreement[drifts.judged].mean()) >= ALIKE
