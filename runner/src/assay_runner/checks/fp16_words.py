"""What `fp16Range` says of what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from assay_api.tensor_details import Fp16RangeDetails, InnerSumEntry, RangeEntry
from assay_runner.checks.check import CONTROL_FLOW, NAMED, spoken, why_not_served
from assay_runner.checks.endings import behind, settled
from assay_runner.checks.vanishing import named, remedy, unguarded
from assay_runner.evidence import Evidence, TensorsWanted
from assay_runner.evidence.ranges import Accumulation, Divisor, InnerDivisor, Ranges, TensorRange
from assay_runner.tensors import Site

LISTED = 12
CHANGED = 2.0**-9
"""Relative change of a constant that is told: four times what rounding to 11 bits makes at most."""
MULTIPLY = ("Mul", "Div", "MatMul", "Gemm", "Conv", "ConvTranspose")
"""They make zero of a weight that is zero."""
NORMALISING = ("Pow", "Mul", "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2")
HOW: Mapping[str, str] = MappingProxyType(
    {
        "tensors": "measured on golden's values, all elements of all samples",
        "weights": "measured",
        "totals inside reductions, poolings, softmax, attention and normalisations": "measured from golden's values",
        "partial sums, and sums inside products": "not measured: their order is the kernel's choice",
    }
)


def place(entry: TensorRange) -> str:
    """A tensor, weight or graph input as people look for it."""
    site = entry.site
    if entry.kind == "tensor":
        return f"tensor {site.tensor!r} of node {site.node!r} ({site.op})"
    return f"{entry.kind} {site.tensor!r}, which node {site.node!r} ({site.op}) reads,"


def how(entry: TensorRange, evidence: Evidence) -> str:
    """How many elements overflow, where, and how far."""
    where = f" in {entry.samples} of {evidence.samples} samples, first in sample {entry.first}"
    found = f"{entry.overflow:,} of {entry.elements:,} elements{'' if entry.samples is None else where}"
    return f"{found}, the largest {spoken(entry.largest)} (FP16 ends at 65,504)"


def aftermath(first: TensorRange, evidence: Evidence) -> str:
    """What becomes of an overflow, and whether the candidate shows it, where every tensor of it was looked at."""
    ending, shown = first.ending, evidence.any(TensorsWanted)
    seen = shown.faults if shown else None
    told = settled(ending, seen) if ending else ""
    does = f"; {told}" if told else ""
    if seen is None or not seen.looked_at or why_not_served(evidence) or any(fault.own != 0 for fault in seen.faults):
        return does
    if ending and ending.divides:
        return f"{does}, so no tensor shows it" + (
            " even where the engine does hold it in FP16" if evidence.engine else ""
        )
    if seen.fused:
        made = f"; none of the {seen.looked_at} tensors that the engine makes is infinite for it"
        return f"{does}{made}, but {seen.fused} lie inside fused layers, where it may be"
    if does or evidence.engine is None:
        return f"{does}; no tensor of this candidate was infinite for it"
    return "; no tensor of this candidate was infinite for it, so what ran it computes wider or saturates"


def spared(found: Sequence[TensorRange], evidence: Evidence) -> str:
    """What would overflow and was computed wider."""
    first = found[0]
    what = "its node" if first.kind == "tensor" else "all that reads it"
    more = f"; others that would, and do not: {len(found) - 1}" if len(found) > 1 else ""
    told = f"{place(first)} would overflow in fp16, {how(first, evidence)}"
    if evidence.engine is None:
        return f"{told}, but {what} is held to a wider precision{more}"
    return f"{told}, but the engine runs {what} wider{more}; another build or GPU need not, so {cure(first)}"


def cure(entry: TensorRange) -> str:
    """What to do about an overflow."""
    if entry.kind == "weight":
        advice = "rescale it, or keep its readers in bf16 or fp32"
        if entry.largest < 0:
            return f"if it is a mask, use -10000 instead; else {advice}"
        if entry.site.op == "BatchNormalization":
            return f"fold the BatchNormalization into the product before it, or {advice}"
        return advice
    if entry.constant:
        mask = "if it is a mask, use -10000 instead; else " if entry.largest < 0 else ""
        return f"{mask}make a smaller constant, or keep its node and its readers in bf16 or fp32"
    if entry.kind == "graph input":
        return "scale or clip it before it is fed, or keep its readers in bf16 or fp32"
    if entry.site.op in CONTROL_FLOW:
        return "use bf16, clamp its input, or export the model without control flow, which cannot be kept wider"
    advice = (
        "keep this node, and those that read it until the values fit again, in bf16 or fp32, clamp its input, or "
        "retrain with a penalty on large activations"
    )
    if entry.site.op in NORMALISING:
        return f"if it is part of a LayerNormalization, export that as one operator (opset 17); else {advice}"
    return advice


def divisor(first: Divisor, evidence: Evidence, others: int) -> str:
    """What vanishes, what divides by it, and what to do about it."""
    entry, guard = first.range, first.guard
    where = f" in {first.samples} of {evidence.samples} samples, first in sample {first.first}"
    found = f"{entry.underflow:,} of {entry.elements:,} elements{'' if first.samples is None else where}"
    golden = f"{found}, where golden has down to {spoken(entry.smallest)}"
    more = f"; other such tensors: {others}" if others else ""
    then = f"and {behind(first.ending)} {first.ending.what}{more}"
    if guard:
        return f"{named(guard)} is 0 in fp16, so {place(entry)} becomes 0 in {golden}, {then}; {remedy(guard)}"
    return f"{place(entry)} becomes 0 in fp16 in {golden}, {then}; {unguarded(first)}"


def held_by_fp16(ranges: Ranges, evidence: Evidence) -> str:
    """That golden fits, and which weights are lost, or held with few bits, and harm nothing."""
    lost = [entry for entry in ranges.tensors if entry.kind == "weight" and _changed(entry)]
    total = len(ranges.tensors)
    count = f"{total - len(lost)} of the {total}" if lost else f"all {total}"
    told = f"FP16 holds {count} weights and tensors of golden on {evidence.samples} samples"
    if not lost:
        return told
    first, more = lost[0], f"; other weights that change: {len(lost) - 1}" if len(lost) > 1 else ""
    became = float(np.float16(first.largest))
    harm = ", but nothing that divides is 0 for that" if not became else ""
    return f"{told}; {place(first)} becomes {spoken(became)} ({spoken(first.largest)}){harm}{more}"


def _changed(entry: TensorRange) -> bool:
    """Whether nothing is left of a weight, or a single number is another one."""
    if 0 < entry.elements == entry.underflow:
        return True
    single = entry.elements == 1 and entry.subnormal == 1
    return single and abs(float(np.float16(entry.largest)) - entry.largest) > CHANGED * abs(entry.largest)


def inner_sum(entry: Accumulation, evidence: Evidence) -> str:
    """How large a sum becomes inside a node."""
    return (
        f"{entry.what} inside node {entry.site.node!r} ({entry.site.op}) reaches {spoken(entry.largest)} in "
        f"{entry.samples} of {evidence.samples} samples, and FP16 ends at 65,504"
    )


def inside(entry: TensorRange) -> str:
    """That a weight inside control flow overflows, and what to do."""
    mask = "if it is a mask, use -10000 instead; else " if entry.largest < 0 else ""
    return (
        f"every tensor that can be shown fits, but weight {entry.site.tensor!r} inside the control flow of node "
        f"{entry.site.node!r} ({entry.site.op}) overflows in fp16 with {spoken(entry.largest)} (FP16 ends at 65,504), "
        f"and whether what reads it is run is not known: {mask}rescale it, or use bf16"
    )


def unsummed(nodes: Sequence[Site], ask: bool) -> str:
    """Why sums inside control flow are not known, and what to do; `ask`: for what sums are taken in."""
    shown = ", ".join(f"{site.node!r} ({site.op})" for site in nodes[:NAMED])
    way = "say accumulator fp32 if you know, or " if ask else ""
    return (
        f"every tensor fits, but what operators sum inside the control flow of {shown} was not measured: {way}export "
        "the model without control flow"
    )


def inner_divisor(entry: InnerDivisor, evidence: Evidence) -> str:
    """What vanishes inside a node that divides or multiplies by it."""
    does = "multiplies" if entry.multiplies else "divides"
    return (
        f"{entry.what} by which node {entry.site.node!r} ({entry.site.op}) {does} is {spoken(entry.smallest)} in "
        f"{entry.samples} of {evidence.samples} samples, first in sample {entry.first}, which FP16 makes 0"
    )


def largest(tensors: Sequence[TensorRange]) -> str:
    """Where the largest value is."""
    entry = max(tensors, key=lambda entry: abs(entry.largest))
    return f"; the largest value is {spoken(entry.largest)}, in {entry.kind} {entry.site.tensor!r}"


def details(ranges: Ranges, over: Sequence[TensorRange]) -> Fp16RangeDetails:
    """What the finding tells beyond its one figure."""
    small = sorted((e for e in ranges.tensors if e.underflow), key=lambda e: -e.underflow / max(1, e.elements))
    return Fp16RangeDetails(
        tensors=len(ranges.tensors),
        overflow=tuple(map(_entry, over[:LISTED])),
        underflow=tuple(map(_entry, small[:LISTED])),
        inner_sums=tuple(map(_inner_sum, ranges.accumulations[:LISTED])),
        inner_sums_measured=ranges.summed,
        how=dict(HOW),
    )


def _entry(entry: TensorRange) -> RangeEntry:
    return RangeEntry(
        tensor=entry.site.tensor,
        node=entry.site.node,
        op=entry.site.op,
        kind=entry.kind,
        elements=entry.elements,
        overflow=entry.overflow,
        underflow=entry.underflow,
        subnormal=entry.subnormal,
        largest=entry.largest,
        samples=entry.samples,
        first_sample=entry.first,
    )


def _inner_sum(entry: Accumulation) -> InnerSumEntry:
    return InnerSumEntry(
        node=entry.site.node,
        op=entry.site.op,
        sum=entry.what,
        largest=entry.largest,
        samples=entry.samples,
        summed_in_fp32=entry.wide,
    )
