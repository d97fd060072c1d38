"""Does FP16 hold every value the model computes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import Field

from assay_api.report import Finding, Verdict
from assay_api.tensor_details import Fp16RangeDetails, InnerSumEntry, RangeEntry
from assay_runner.checks.check import Check, spoken, unseen, why_not_served
from assay_runner.checks.ran_wider import RanWider
from assay_runner.evidence import Evidence, RangesWanted, TensorsWanted
from assay_runner.evidence.ranges import Accumulation, Ranges, TensorRange

LISTED = 12
RANGES = RangesWanted()
LARGEST = 65504.0
# An element this much smaller than the largest of its tensor is lost in rounding to 11 bits anyway.
MATTERS = 2.0**11
# Below these an element that becomes zero, or a subnormal one, is not lost in rounding anyway.
ZERO_REACH, SUBNORMAL_REACH = 2.0**-25 * MATTERS, 2.0**-14 * MATTERS
NORMALISING = ("Pow", "Mul", "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2")
HOW: Mapping[str, str] = MappingProxyType(
    {
        "tensors": "measured on golden's values, all elements of all samples",
        "weights": "measured",
        "totals inside reductions, poolings, softmax and normalisations": "measured from golden's values",
        "partial sums, and sums inside products": "not measured: their order is the kernel's choice",
    }
)


class Fp16Range(Check):
    """Does FP16 hold every weight and every value that golden computes, over the whole dataset?

    Names the first node whose values overflow, in how many samples, and what to do; counts what becomes zero or
    subnormal. For a candidate in another precision it only tells what fp16 would do.
    """

    name: ClassVar[str] = "fp16Range"

    underflow: float = Field(default=0.01, ge=0, le=1)
    """Largest share of a tensor's elements that may become zero, where its largest value is small enough for them to
    matter. Default 0.01."""
    subnormal: float = Field(default=1, ge=0, le=1)
    """Largest share of a tensor's elements that may become subnormal, likewise. Default 1: none fails for it."""
    accumulator: Literal["unknown", "fp16", "fp32"] = "unknown"
    """What sums inside operators are taken in: a total that exceeds FP16 is Failed with fp16, told with fp32, and
    Inconclusive with unknown, the default. A node that the engine ran wider is excused."""

    @property
    def needs(self) -> tuple[RangesWanted]:
        """Golden's values."""
        return (RANGES,)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first overflow, else what underflows, else a sum that may overflow, else that all fits."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        ranges = evidence.of(RANGES)
        if ranges is None or not ranges.tensors:
            return (self.inconclusive(evidence, "the ranges of golden's tensors were not measured"),)
        over = [entry for entry in ranges.tensors if entry.overflow]
        details = _details(ranges, over)
        if evidence.precision != "fp16":
            return (self._told(evidence, ranges, over, details),)
        wider = _ran_wider(evidence)
        spared = [entry for entry in over if wider.keeps(entry)]
        if left := [entry for entry in over if entry not in spared]:
            return (self._overflow(evidence, left, details),)
        if lost := [entry for entry in ranges.tensors if self._lost(entry) and not wider.keeps(entry)]:
            return (self._underflow(evidence, lost, details),)
        sums = [entry for entry in ranges.accumulations if not entry.wide and not wider.sums(entry)]
        if sums and self.accumulator != "fp32":
            return (self._sums(evidence, sums, spared, details),)
        if reason := unseen(evidence):
            return (self.inconclusive(evidence, reason, details=details),)
        if spared:
            return (self._found(evidence, Verdict.PASSED, _spared(spared, evidence), spared[0], 0, details),)
        message = f"FP16 holds all {len(ranges.tensors)} weights and tensors of golden on {evidence.samples} samples"
        message += _largest(ranges.tensors)
        if ranges.accumulations:
            first = ranges.accumulations[0]
            who = "engine" if evidence.engine else "candidate"
            wide = not first.wide and wider.sums(first)
            why = f"the {who} runs the node wider" if wide else "it is taken in FP32"
            message += f"; {_sum(first, evidence)}, which fits because {why}"
        return (self._found(evidence, Verdict.PASSED, message, None, 0, details),)

    def _lost(self, entry: TensorRange) -> bool:
        live = entry.elements - entry.zeros
        if live < 2 and entry.kind == "weight":
            return False  # An epsilon that is added and vanishes changes nothing; one that divides shows in `finite`.
        zero = abs(entry.largest) < ZERO_REACH and entry.underflow > self.underflow * live
        return zero or (abs(entry.largest) < SUBNORMAL_REACH and entry.subnormal > self.subnormal * live)

    def _told(
        self, evidence: Evidence, ranges: Ranges, over: Sequence[TensorRange], details: Fp16RangeDetails
    ) -> Finding:
        who = f"the candidate runs in {evidence.precision or 'a precision that is not known'}"
        if over:
            message = f"{who}; in fp16, {_place(over[0])} would be the first to overflow, {_how(over[0], evidence)}"
        else:
            message = f"{who}; fp16 would hold all {len(ranges.tensors)} weights and tensors{_largest(ranges.tensors)}"
        if over and not evidence.precision:
            return self.inconclusive(evidence, f"{message}; whether it matters cannot be told", details=details)
        return self._found(evidence, Verdict.PASSED, message, over[0] if over else None, len(over), details, limit=None)

    def _overflow(self, evidence: Evidence, over: Sequence[TensorRange], details: Fp16RangeDetails) -> Finding:
        first = over[0]
        more = f"; others that overflow: {len(over) - 1}" if len(over) > 1 else ""
        message = (
            f"{_place(first)} overflows in fp16, the first to do so: {_how(first, evidence)}{more}"
            f"{_unharmed(evidence)}; {_way_out(first)}"
        )
        return self._found(evidence, Verdict.FAILED, message, first, len(over), details)

    def _underflow(self, evidence: Evidence, lost: Sequence[TensorRange], details: Fp16RangeDetails) -> Finding:
        first = lost[0]
        live = max(1, first.elements - first.zeros)
        message = (
            f"{_place(first)} loses small values in fp16: of {live:,} elements that are not zero {first.underflow:,} "
            f"become zero and {first.subnormal:,} subnormal, and its largest is {first.largest:.3g}; tensors that do: "
            f"{len(lost)}; scale it up, or keep its node in a wider precision such as bf16"
        )
        fields = {"metric": "underflow", "value": first.underflow / live, "limit": self.underflow}
        if not first.underflow > self.underflow * live:
            fields = {"metric": "subnormal", "value": first.subnormal / live, "limit": self.subnormal}
        return self.finding(evidence, Verdict.FAILED, message, first.site, **fields, details=details)

    def _sums(
        self,
        evidence: Evidence,
        sums: Sequence[Accumulation],
        spared: Sequence[TensorRange],
        details: Fp16RangeDetails,
    ) -> Finding:
        first = sums[0]
        fields = {"metric": "innerSum", "value": first.largest, "limit": LARGEST}
        if self.accumulator == "fp16":
            message = f"{_sum(first, evidence)}, so it overflows where sums are taken in fp16; keep the node in FP32"
            return self.finding(evidence, Verdict.FAILED, message, first.site, **fields, details=details)
        fits = f"{_spared(spared, evidence)}; all others fit" if spared else "every tensor fits"
        message = (
            f"{fits}, but {_sum(first, evidence)}: whether it overflows depends on what the kernel sums "
            "in; say accumulator fp32 or fp16 if you know, or keep the node in FP32"
        )
        return self.inconclusive(evidence, message, first.site, **fields, details=details)

    def _found(
        self,
        evidence: Evidence,
        verdict: Verdict,
        message: str,
        entry: TensorRange | None,
        count: int,
        details: Fp16RangeDetails,
        limit: int | None = 0,
    ) -> Finding:
        site = entry.site if entry else None
        fields = {"metric": "tensorsThatOverflow", "value": count, "limit": limit, "details": details}
        return self.finding(evidence, verdict, message, site, **fields)


def _spared(spared: Sequence[TensorRange], evidence: Evidence) -> str:
    first = spared[0]
    what = "its node" if first.kind == "tensor" else "all that reads it"
    more = f"; others that would, and do not: {len(spared) - 1}" if len(spared) > 1 else ""
    told = f"{_place(first)} would overflow in fp16, {_how(first, evidence)}"
    if evidence.engine is None:
        return f"{told}, but {what} is held to a wider precision{more}"
    return f"{told}, but the engine runs {what} wider{more}; another build or GPU need not, so {_way_out(first)}"


def _ran_wider(evidence: Evidence) -> RanWider:
    if evidence.engine is None:
        return RanWider((), held=evidence.wide)
    return RanWider(evidence.engine.layers, evidence.engine.wide)


def _unharmed(evidence: Evidence) -> str:
    """That the candidate got away with it, where every tensor of it was looked at; fused layers may hide it."""
    shown = evidence.any(TensorsWanted)
    seen = shown.faults if shown else None
    if seen is None or not seen.looked_at or why_not_served(evidence) or any(fault.own != 0 for fault in seen.faults):
        return ""
    if not seen.fused:
        return "; no tensor of this candidate was infinite for it, so what ran it computes wider or saturates"
    made = f"; none of the {seen.looked_at} tensors that the engine makes is infinite for it"
    return f"{made}, but {seen.fused} lie inside fused layers, where it may be"


def _place(entry: TensorRange) -> str:
    site = entry.site
    if entry.kind == "tensor":
        return f"tensor {site.tensor!r} of node {site.node!r} ({site.op})"
    return f"{entry.kind} {site.tensor!r}, which node {site.node!r} ({site.op}) reads,"


def _how(entry: TensorRange, evidence: Evidence) -> str:
    where = f" in {entry.samples} of {evidence.samples} samples, first in sample {entry.first}"
    found = f"{entry.overflow:,} of {entry.elements:,} elements{'' if entry.samples is None else where}"
    return f"{found}, the largest {spoken(entry.largest)} (FP16 ends at 65,504)"


def _way_out(entry: TensorRange) -> str:
    if entry.kind == "weight":
        return "if it is a mask, use -10000 instead; else rescale it, or keep its readers in bf16 or fp32"
    if entry.kind == "graph input":
        return "scale or clip it before it is fed, or keep its readers in bf16 or fp32"
    advice = (
        "keep this node, and those that read it until the values fit again, in bf16 or fp32, clamp its input, or "
        "retrain with a penalty on large activations"
    )
    if entry.site.op in NORMALISING:
        return f"if it is part of a LayerNormalization, export that as one operator (opset 17); else {advice}"
    return advice


def _sum(entry: Accumulation, evidence: Evidence) -> str:
    return (
        f"{entry.what} inside node {entry.site.node!r} ({entry.site.op}) reaches {spoken(entry.largest)} in "
        f"{entry.samples} of {evidence.samples} samples, and FP16 ends at 65,504"
    )


def _largest(tensors: Sequence[TensorRange]) -> str:
    entry = max(tensors, key=lambda entry: abs(entry.largest))
    return f"; the largest value is {spoken(entry.largest)}, in {entry.kind} {entry.site.tensor!r}"


def _details(ranges: Ranges, over: Sequence[TensorRange]) -> Fp16RangeDetails:
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
