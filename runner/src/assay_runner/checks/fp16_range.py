"""Does FP16 hold every value the model computes?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from assay_api.report import Finding, Verdict
from assay_api.tensor_details import Fp16RangeDetails
from assay_runner.checks import fp16_words as words
from assay_runner.checks.check import Check, unseen
from assay_runner.checks.ran_wider import RanWider
from assay_runner.evidence import Evidence, RangesWanted
from assay_runner.evidence.ranges import Accumulation, Divisor, InnerDivisor, Ranges, TensorRange

RANGES = RangesWanted()
LARGEST = 65504.0
# An element this much smaller than the largest of its tensor is lost in rounding to 11 bits anyway.
MATTERS = 2.0**11
# Below these an element that becomes zero, or a subnormal one, is not lost in rounding anyway.
ZERO_REACH, SUBNORMAL_REACH = 2.0**-25 * MATTERS, 2.0**-14 * MATTERS


class Fp16Range(Check):
    """Does FP16 hold every weight and every value that golden computes, over the whole dataset?

    Names the first node whose values overflow, in how many samples, and what to do, or what divides by a value that
    becomes zero; counts what becomes zero or subnormal. For a candidate in another precision it only tells what fp16
    would do.
    """

    name: ClassVar[str] = "fp16Range"

    underflow: float = Field(default=0.01, ge=0, le=1)
    """Largest share of a tensor's elements that may become zero, where its largest value is small enough for them to
    matter. Default 0.01."""
    subnormal: float = Field(default=1, ge=0, le=1)
    """Largest share of a tensor's elements that may become subnormal, likewise. Default 1: none fails for it."""
    accumulator: Literal["unknown", "fp16", "fp32"] = "unknown"
    """What sums inside operators are taken in: a total that exceeds FP16, or a variance and its epsilon that vanish in
    it, is Failed with fp16, told with fp32, and Inconclusive with unknown, the default. A node that the engine ran
    wider is excused."""

    @property
    def needs(self) -> tuple[RangesWanted]:
        """Golden's values."""
        return (RANGES,)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first overflow, else what underflows, else a sum that may overflow, else that all fits."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        ranges = evidence.of(RANGES)
        if ranges is not None and ranges.integers:
            message = "golden holds no floating-point number, so there is none that FP16 could not hold"
            return (self.finding(evidence, Verdict.PASSED, message),)
        if ranges is None or not ranges.tensors:
            return (self.inconclusive(evidence, "the ranges of golden's tensors were not measured"),)
        over = [entry for entry in ranges.tensors if entry.overflow]
        details = words.details(ranges, over)
        if evidence.precision != "fp16":
            return (self._told(evidence, ranges, over, details),)
        return (self._of_tensors(evidence, ranges, over, details),)

    def _of_tensors(
        self, evidence: Evidence, ranges: Ranges, over: Sequence[TensorRange], details: Fp16RangeDetails
    ) -> Finding:
        """What overflows or vanishes in an fp16 candidate, but for what ran wider."""
        wider = _ran_wider(evidence)
        spared = [entry for entry in over if wider.keeps(entry)]
        gone = [each for each in ranges.divisors if not wider.keeps(each.range)]
        if left := [entry for entry in over if entry not in spared]:
            # The inverse of an epsilon may overflow: a larger one is the cure, not another format for that node.
            gone = [each for each in gone if each.guard and each.inverts(left[0])]
            return self._divisors(evidence, gone, details) if gone else self._overflow(evidence, left, details)
        if gone:
            return self._divisors(evidence, gone, details)
        if lost := [entry for entry in ranges.tensors if self._lost(entry) and not wider.keeps(entry)]:
            return self._underflow(evidence, lost, details)
        return self._of_insides(evidence, ranges, wider, spared, details)

    def _of_insides(
        self,
        evidence: Evidence,
        ranges: Ranges,
        wider: RanWider,
        spared: Sequence[TensorRange],
        details: Fp16RangeDetails,
    ) -> Finding:
        """What overflows or vanishes inside operators; else that all fits."""
        sums = [entry for entry in ranges.accumulations if not entry.wide and not wider.sums(entry)]
        if sums and self.accumulator != "fp32":
            return self._sums(evidence, sums, spared, details)
        inner = [each for each in ranges.inner_divisors if not each.wide and not wider.ran(each.site.node)]
        if inner and self.accumulator != "fp32":
            return self._inner_divisors(evidence, inner[0], details)
        if reason := unseen(evidence):
            return self.inconclusive(evidence, reason, details=details)
        if ranges.inside:
            return self.inconclusive(evidence, words.inside(ranges.inside[0]), ranges.inside[0].site, details=details)
        if ranges.unsummed and self.accumulator != "fp32":
            return self.inconclusive(
                evidence, words.unsummed(ranges.unsummed, self.accumulator == "unknown"), details=details
            )
        if spared:
            return self._found(evidence, Verdict.PASSED, words.spared(spared, evidence), spared[0], 0, details)
        message = words.held_by_fp16(ranges, evidence) + words.largest(ranges.tensors)
        if ranges.accumulations:
            first = ranges.accumulations[0]
            who = "engine" if evidence.engine else "candidate"
            wide = not first.wide and wider.sums(first)
            why = f"the {who} runs the node wider" if wide else "it is taken in FP32"
            message += f"; {words.inner_sum(first, evidence)}, which fits because {why}"
        if ranges.inner_divisors:
            message += f"; {words.inner_divisor(ranges.inner_divisors[0], evidence)}, and is computed in FP32"
        return self._found(evidence, Verdict.PASSED, message, None, 0, details)

    def _lost(self, entry: TensorRange) -> bool:
        live = entry.elements - entry.zeros
        if (entry.addend and entry.underflow == entry.elements) or (
            live < 2 and entry.kind == "weight" and entry.site.op not in words.MULTIPLY
        ):
            return False  # An epsilon that is added and vanishes changes nothing; where it does it is a divisor.
        zero = abs(entry.largest) < ZERO_REACH and entry.underflow > self.underflow * live
        return zero or (abs(entry.largest) < SUBNORMAL_REACH and entry.subnormal > self.subnormal * live)

    def _told(
        self, evidence: Evidence, ranges: Ranges, over: Sequence[TensorRange], details: Fp16RangeDetails
    ) -> Finding:
        who = f"the candidate runs in {evidence.precision or 'a precision that is not known'}"
        if over:
            first = over[0]
            message = (
                f"{who}; in fp16, {words.place(first)} would be the first to overflow, {words.how(first, evidence)}"
            )
        elif ranges.divisors:
            message = f"{who}; in fp16, {words.divisor(ranges.divisors[0], evidence, len(ranges.divisors) - 1)}"
        else:
            message = (
                f"{who}; fp16 would hold all {len(ranges.tensors)} weights and tensors{words.largest(ranges.tensors)}"
            )
        if over and not evidence.precision:
            return self.inconclusive(evidence, f"{message}; whether it matters cannot be told", details=details)
        return self._found(evidence, Verdict.PASSED, message, over[0] if over else None, len(over), details, limit=None)

    def _overflow(self, evidence: Evidence, over: Sequence[TensorRange], details: Fp16RangeDetails) -> Finding:
        first = over[0]
        more = f"; others that overflow: {len(over) - 1}" if len(over) > 1 else ""
        message = (
            f"{words.place(first)} overflows in fp16, the first to do so: {words.how(first, evidence)}{more}"
            f"{words.aftermath(first, evidence)}; {words.cure(first)}"
        )
        return self._found(evidence, Verdict.FAILED, message, first, len(over), details)

    def _divisors(self, evidence: Evidence, gone: Sequence[Divisor], details: Fp16RangeDetails) -> Finding:
        first = gone[0]
        site = first.guard.site if first.guard and first.guard.kind != "attribute" else first.range.site
        fields = {"metric": "zeroDivisors", "value": first.range.underflow, "limit": 0, "details": details}
        message = words.divisor(first, evidence, len(gone) - 1)
        return self.finding(evidence, Verdict.FAILED, message, site, **fields)

    def _underflow(self, evidence: Evidence, lost: Sequence[TensorRange], details: Fp16RangeDetails) -> Finding:
        first = lost[0]
        live = max(1, first.elements - first.zeros)
        who = "its readers" if first.kind == "weight" else "its node"
        message = (
            f"{words.place(first)} loses small values in fp16: of {live:,} elements that are not zero "
            f"{first.underflow:,} become zero and {first.subnormal:,} subnormal, and its largest is "
            f"{first.largest:.3g}; tensors that do: {len(lost)}; scale it up, or keep {who} in a wider "
            "precision such as bf16"
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
            message = words.inner_sum(first, evidence)
            message += ", so it overflows where sums are taken in fp16; keep the node in FP32"
            return self.finding(evidence, Verdict.FAILED, message, first.site, **fields, details=details)
        fits = f"{words.spared(spared, evidence)}; all others fit" if spared else "every tensor fits"
        message = (
            f"{fits}, but {words.inner_sum(first, evidence)}: whether it overflows depends on what the kernel sums "
            "in; say accumulator fp32 or fp16 if you know, or keep the node in FP32"
        )
        return self.inconclusive(evidence, message, first.site, **fields, details=details)

    def _inner_divisors(self, evidence: Evidence, first: InnerDivisor, details: Fp16RangeDetails) -> Finding:
        fields = {"metric": "zeroDivisors", "value": first.samples, "limit": 0, "details": details}
        message = words.inner_divisor(first, evidence)
        cure = "keep the node in FP32"
        if not first.multiplies:
            cure = f"raise its epsilon, to 1e-5 for example, or {cure}"
        if self.accumulator == "fp16":
            return self.finding(evidence, Verdict.FAILED, f"{message}; {cure}", first.site, **fields)
        message += (
            ": whether it is 0 depends on what the kernel computes in; say accumulator fp32 or fp16 if you know, or "
            f"{cure}"
        )
        return self.inconclusive(evidence, message, first.site, **fields)

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


def _ran_wider(evidence: Evidence) -> RanWider:
    if evidence.engine is None:
        return RanWider((), held=evidence.wide)
    return RanWider(evidence.engine.layers, evidence.engine.wide)
