"""Do operators run in 8 bits that should not?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from pydantic import Field

from assay_api.report import Finding, Verdict
from assay_api.tensor_details import EightBitEntry, LayerConstraintsDetails
from assay_runner.checks.check import Check
from assay_runner.evidence import EightBitWanted, Evidence, Need, OutputsWanted
from assay_runner.evidence.eight_bit import EightBitRead

LISTED = 20
READS, OUTPUTS = EightBitWanted(), OutputsWanted()
KEEP_WIDE = (
    "LayerNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "RMSNormalization",
    "SkipLayerNormalization",
    "Softmax",
    "LogSoftmax",
    "Gelu",
    "Erf",
    "Sigmoid",
    "Tanh",
    "Exp",
    "Log",
    "Sqrt",
    "Pow",
)


class LayerConstraints(Check):
    """Does an operator read INT8 or FP8 that needs a wider range or resolution?

    Looks for Q/DQ pairs in front of such operators in the candidate's graph, and for 8-bit inputs of the engine's
    layers; a LayerNormalization spelt out in single nodes is known too.
    """

    name: ClassVar[str] = "layerConstraints"

    keep_wide: tuple[str, ...] = Field(default=KEEP_WIDE, min_length=1, max_length=64)
    """Operators that must read no 8-bit activations. Default: normalisations, softmax, GELU, Erf, Sigmoid, Tanh, Exp,
    Log, Sqrt and Pow."""

    @property
    def needs(self) -> tuple[Need[Any], ...]:
        """What reads 8 bits, and the outputs, to say what harm it does."""
        return (READS, OUTPUTS)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first such node, or that there is none."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        found = evidence.of(READS)
        if found is None:
            return (self.inconclusive(evidence, "the candidate's graph was not looked at"),)
        wide = {name.casefold() for name in self.keep_wide}
        breaches = [r for r in found.reads if {r.operator.casefold(), (r.site.op or "").casefold()} & wide]
        if breaches:
            return (self._failed(evidence, breaches, len(found.reads)),)
        unseen = not found.reads and not found.engine and "DequantizeLinear" not in found.operators
        if unseen and evidence.precision in ("int8", "fp8", ""):
            reason = "there is no Q/DQ pair in the graph and no layer of an engine to see, so what runs in 8 bits is"
            # What is built here always tells of its layers.
            way = "leave layerConstraints out" if evidence.precision else "build it with profiling verbosity detailed"
            return (self.inconclusive(evidence, f"{reason} not known: {way}"),)
        where = "in the graph or the engine" if found.engine else "in the graph"
        message = f"none of the {len(found.reads)} nodes that read 8 bits {where} is of an operator to keep wide"
        if not found.reads:
            message = f"no node reads 8 bits {where}"
            message += " but weights" if "DequantizeLinear" in found.operators else ""
        if strange := self._strange(found.operators):
            message += f"; the graph has no operator {strange}, so look how keepWide spells it"
        fields: dict[str, Any] = {"metric": "nodesIn8Bits", "value": 0, "limit": 0}
        details = LayerConstraintsDetails(read=len(found.reads))
        return (self.finding(evidence, Verdict.PASSED, message, details=details, **fields),)

    def _strange(self, operators: Collection[str]) -> str:
        """Operators of the user's own that the graph does not have: a slip of the pen would never be found."""
        known = {name.casefold() for name in (*KEEP_WIDE, *operators)}
        return ", ".join(repr(name) for name in self.keep_wide if name.casefold() not in known)

    def _failed(self, evidence: Evidence, breaches: Sequence[EightBitRead], total: int) -> Finding:
        first = breaches[0]
        part = f", part of a {first.operator}" if first.operator != first.site.op else ""
        more = f"; such nodes: {len(breaches)}" if len(breaches) > 1 else ""
        message = (
            f"node {first.site.node!r} ({first.site.op}{part}) reads tensor {first.tensor!r} in {first.format}{more}"
            f"{_harm(evidence)}; {_way_out(first)}"
        )
        fields: dict[str, Any] = {"metric": "nodesIn8Bits", "value": len(breaches), "limit": 0}
        details = LayerConstraintsDetails(nodes=tuple(map(_entry, breaches[:LISTED])), read=total)
        return self.finding(evidence, Verdict.FAILED, message, first.site, details=details, **fields)


def _harm(evidence: Evidence) -> str:
    """The worst output's signal-to-noise ratio, where there is one."""
    found = evidence.of(OUTPUTS)
    worst = [
        (float(o.snr[o.measured].min()), o.site.tensor) for o in (found.drifts if found else ()) if o.measured.size
    ]
    if not worst:
        return ""
    snr, name = min(worst)
    return f", and the worst sample of output {name!r} has {snr:.1f} dB" if snr == snr else ""


def _way_out(read: EightBitRead) -> str:
    if read.where == "engine":
        return "hold that layer in fp16 or fp32, or give the model Q/DQ pairs in front of its products only"
    return "take that Q/DQ pair out, so that the operator reads fp16 or fp32, and keep pairs in front of products only"


def _entry(read: EightBitRead) -> EightBitEntry:
    return EightBitEntry(
        node=read.site.node,
        op=read.site.op,
        operator=read.operator,
        tensor=read.tensor,
        format=read.format,
        where=read.where,
    )
