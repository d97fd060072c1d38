"""Is every tensor finite?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from assay_api.report import Finding, Verdict
from assay_api.tensor_details import FaultEntry, FiniteDetails
from assay_runner.checks.check import CONTROL_FLOW, MOST_UNSEEN, Check, place, spoken, unseen, why_not_served
from assay_runner.checks.endings import ends
from assay_runner.checks.fused_layer import explained, with_inner
from assay_runner.checks.vanishing import Zero, zero_behind
from assay_runner.evidence import (
    Evidence,
    Fault,
    InnerTensor,
    Need,
    OutputDrifts,
    OutputsWanted,
    Overflow,
    ShownTensors,
    SplitLayer,
    TensorsWanted,
)
from assay_runner.tensors import Site

LISTED = 20
OUTPUTS, TENSORS = OutputsWanted(), TensorsWanted()
KEEP = "keep this node, and those that read it until the values fit again,"
"""What reads a value in the narrow precision rounds it to that as it reads it."""
PARTED = "keep one of these nodes in a wider precision, so that they are not fused"
BF16 = 3.38e38
MARGIN = 0.5
"""Share of the largest number up to which a value fits though it is a little off."""
FITS: Mapping[str, float] = MappingProxyType({"fp16": 65504.0, "bf16": BF16})
LARGEST: Mapping[str, str] = MappingProxyType({"fp16": "65,504", "bf16": "3.38953e38"})


class Finite(Check):
    """Is every tensor free of NaN and Inf, on every sample?

    Names the first tensor that is not, its node, and in how many samples; a value that is not finite in the golden run
    either is no fault of the candidate.
    """

    name: ClassVar[str] = "finite"

    @property
    def needs(self) -> tuple[Need[Any], ...]:
        """Every tensor; and the outputs as they are served, which showing tensors may change."""
        return (OUTPUTS, TENSORS)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """Failed at the first tensor with a value that is not finite and that golden does not have."""
        outputs, shown = evidence.of(OUTPUTS), evidence.of(TENSORS)
        hidden = next((o for o in (outputs.drifts if outputs else ()) if o.broken.any()), None)
        if shown is None or evidence.samples < 1:
            reason = self.unmeasured(evidence) or "the tensors of the candidate were not looked at"
            if hidden:
                return (self._hidden(evidence, hidden, f"which tensor is the first is not known: {reason}"),)
            return (self.inconclusive(evidence, reason),)
        own = [fault for fault in shown.faults.faults if fault.own is None or fault.own > 0]
        if own and not hidden and (reason := why_not_served(evidence)):
            return (self._doubtful(evidence, own[0], reason),)
        if own:
            return (self._failed(evidence, shown, own),)
        if hidden:
            why = "it is finite in the run that shows every tensor: showing them changes what is computed"
            why += "; fp16Range names what FP16 cannot hold" if evidence.precision == "fp16" else ""
            return (self._hidden(evidence, hidden, why),)
        if reason := why_not_served(evidence):
            return (self.inconclusive(evidence, reason),)
        if reason := unseen(evidence):
            return (self.inconclusive(evidence, reason),)
        seen = shown.faults
        if not seen.looked_at:
            return (self.inconclusive(evidence, "the candidate shows no tensor that could be looked at"),)
        looked_at, unshown = seen.looked_at, seen.unshown
        if unshown > MOST_UNSEEN * (looked_at + unshown):
            reason = f"only {looked_at} of {looked_at + unshown} tensors could be shown, and they are finite"
            return (self.inconclusive(evidence, reason),)
        return (self._passed(evidence, shown),)

    def _passed(self, evidence: Evidence, shown: ShownTensors) -> Finding:
        seen, overflows = shown.faults, _overflows(evidence, shown)
        if buried := [over for over in overflows if over.ending and over.ending.divides]:
            return self._buried(evidence, buried[0])
        shared = seen.faults
        what = f"all {seen.looked_at} tensors are" if seen.looked_at > 1 else "the only tensor is"
        message = f"{what} finite on {evidence.samples} samples"
        if seen.fused:
            message += f" ({seen.fused} more lie inside fused layers and are never made)"
        if seen.unshown:
            message += f" ({seen.unshown} could not be shown)"
        if shared:
            message += f", but for {len(shared)} that golden has the same values in, such as {place(shared[0].site)}"
        if overflows:
            ending = _ending(overflows[0], shown)
            message += f"; {_overflow(overflows[0])}, but no tensor after it is infinite for that{ending}"
        details = FiniteDetails(looked_at=seen.looked_at, as_golden=_listed(shared))
        return self.finding(evidence, Verdict.PASSED, message, metric="nonFinite", value=0, limit=0, details=details)

    def _failed(self, evidence: Evidence, shown: ShownTensors, own: Sequence[Fault]) -> Finding:
        first = own[0]
        users = [
            over for over in _overflows(evidence, shown) if any(site.node == first.site.node for site in over.users)
        ]
        if users:
            return self._overflown(evidence, users[0], own)
        if zero := zero_behind(evidence, first.site, shown.layers):
            return self._divided(evidence, zero, own)
        known = "golden has other values there" if first.own is not None else "golden has no such tensor"
        others = f"; later tensors follow: {len(own) - 1}" if len(own) > 1 else ""
        split = shown.split_layers.get(first.site.tensor)
        inside = explained(split, _not_finite, _not_finite)
        message = (
            f"{place(first.site)} is the first that is not finite: {_what(first)} in {first.own or first.samples} of "
            f"{evidence.samples} samples, first in sample {first.first}, and {known}{others}{inside}; "
            f"{PARTED if split and not _not_finite(split.split) else _way_out(evidence, first)}"
        )
        return self._found(evidence, own, message, first.site, first.own or first.samples, split)

    def _divided(self, evidence: Evidence, zero: Zero, own: Sequence[Fault]) -> Finding:
        """The first that is not finite was divided by what an epsilon no longer keeps from zero."""
        first = own[0]
        others = f"; later tensors follow: {len(own) - 1}" if len(own) > 1 else ""
        message = (
            f"{place(first.site)} is the first that is not finite: {_what(first)} in {first.own or first.samples} of "
            f"{evidence.samples} samples, first in sample {first.first}, for {zero.why}{others}; {zero.cure}"
        )
        return self._found(evidence, own, message, first.site, first.own or first.samples)

    def _buried(self, evidence: Evidence, overflow: Overflow) -> Finding:
        """What is infinite and makes 0 of all that is divided by it, so that no tensor shows it."""
        message = (
            f"{_overflow(overflow)}, so it is infinite{_ending(overflow, None)}, and no tensor shows it; rescale it, "
            f"or keep its readers in a wider precision{_such_as(overflow)}"
        )
        site = overflow.ending.site if overflow.ending else Site(overflow.tensor)
        site = Site(overflow.tensor, site.node, site.op)
        return self._found(evidence, (), message, site, overflow.samples or evidence.samples)

    def _doubtful(self, evidence: Evidence, first: Fault, reason: str) -> Finding:
        message = (
            f"{place(first.site)} is not finite when it is shown, in {first.own or first.samples} of "
            f"{evidence.samples} samples, and every output is finite when it is not: {reason}"
        )
        return self.inconclusive(evidence, message, first.site)

    def _overflown(self, evidence: Evidence, overflow: Overflow, own: Sequence[Fault]) -> Finding:
        user = next(site for site in overflow.users if site.node == own[0].site.node)
        message = (
            f"{_overflow(overflow)}, so it is the first that is not finite; node {user.node!r} ({user.op}) reads it, "
            f"tensors that follow: {len(own)}{_ending(overflow, evidence.of(TENSORS))}; "
            f"{'if it is a mask, use -10000 instead; else ' if overflow.value < 0 else ''}scale or clip it, or keep "
            f"its readers in a wider precision{_such_as(overflow)}"
        )
        site = Site(overflow.tensor, user.node, user.op)
        return self._found(evidence, own, message, site, overflow.samples or evidence.samples)

    def _found(
        self,
        evidence: Evidence,
        own: Sequence[Fault],
        message: str,
        site: Site,
        samples: int,
        split: SplitLayer | None = None,
    ) -> Finding:
        shown = evidence.of(TENSORS)
        shared = [fault for fault in shown.faults.faults if fault.own == 0] if shown else []
        details = FiniteDetails(tensors=_listed(own), as_golden=_listed(shared), in_all=len(own))
        details = with_inner(details, split, _not_finite)
        return self.finding(
            evidence, Verdict.FAILED, message, site, metric="nonFinite", value=samples, limit=0, details=details
        )

    def _hidden(self, evidence: Evidence, output: OutputDrifts, why: str) -> Finding:
        samples = int(output.broken.sum())
        message = f"output {output.site.tensor!r} is not finite in {samples} of {evidence.samples} samples; {why}"
        return self.finding(evidence, Verdict.FAILED, message, output.site, metric="nonFinite", value=samples, limit=0)


def _overflows(evidence: Evidence, shown: ShownTensors) -> tuple[Overflow, ...]:
    """Graph inputs, then weights."""
    return (*shown.overflows, *evidence.overflows)


def _not_finite(inner: InnerTensor) -> bool:
    return inner.not_finite > 0


def _overflow(overflow: Overflow) -> str:
    """What overflows, in words."""
    where, many = "", overflow.samples
    if many is not None:
        where = f" in {many} sample{'s' * (many != 1)}, first in sample {overflow.first},"
    return (
        f"{overflow.kind} {overflow.tensor!r} overflows in {overflow.precision}{where} with {spoken(overflow.value)} "
        f"(the largest number is {LARGEST[overflow.precision]})"
    )


def _such_as(overflow: Overflow) -> str:
    return ", such as bf16" if overflow.precision == "fp16" and abs(overflow.value) < BF16 else ""


def _ending(overflow: Overflow, shown: ShownTensors | None) -> str:
    """What makes a number of the infinity."""
    return f"; {ends(overflow.ending, shown.faults if shown else None)}" if overflow.ending else ""


def _way_out(evidence: Evidence, first: Fault) -> str:
    if evidence.precision == "fp32":
        return "the candidate computes in fp32 like golden, so look at what else differs between the two models"
    if first.site.op in CONTROL_FLOW:
        bf16 = "use bf16 where the range is what lacks, or " if evidence.precision == "fp16" else ""
        return f"{bf16}export the model without control flow, which cannot be kept in a wider precision"
    if _rounded_before(evidence, first):
        return (
            f"golden's are at most {spoken(first.golden or 0.0)}, which would fit, so it follows from the rounding of "
            "what this node reads: keep it and the nodes before it in a wider precision together"
        )
    if evidence.precision in ("fp16", ""):
        return f"{KEEP} in a wider precision, or use bf16 where the range is what lacks"
    return f"{KEEP} in a wider precision"


def _rounded_before(evidence: Evidence, fault: Fault) -> bool:
    """Whether a node of an emulation had another result than golden's for what it was given, and none too large.

    An engine may sum in less inside a node, and has none of golden's operators where it fuses them.
    """
    if evidence.engine is not None or not evidence.precision or fault.golden is None:
        return False
    return math.isfinite(fault.golden) and fault.golden <= MARGIN * FITS.get(evidence.precision, math.inf)


def _what(fault: Fault) -> str:
    kinds = (("NaN", fault.nan), ("+Inf", fault.positive), ("-Inf", fault.negative))
    return " and ".join(name for name, samples in kinds if samples)


def _listed(faults: Sequence[Fault]) -> tuple[FaultEntry, ...]:
    return tuple(
        FaultEntry(
            tensor=fault.site.tensor,
            node=fault.site.node,
            op=fault.site.op,
            what=_what(fault),
            samples=fault.samples,
            first_sample=fault.first,
        )
        for fault in faults[:LISTED]
    )
