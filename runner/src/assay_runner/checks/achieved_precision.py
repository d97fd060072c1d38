"""Did the engine run in the precision that was asked for?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field

from assay_api.behaviour_details import AchievedPrecisionDetails
from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check
from assay_runner.evidence import Evidence, Need
from assay_runner.evidence.engine import UNKNOWN

WIDE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "fp32": frozenset({"FP32", UNKNOWN}),
        "tf32": frozenset({"FP32", "TF32", UNKNOWN}),
        "fp64": frozenset({"FP64", "FP32", UNKNOWN}),
    }
)
"""What layers may run in where a wide precision was asked for; TF32 kernels often tell FP32."""
MOST_UNKNOWN = 0.5
MOST = 0.5
"""Share of the layers below which a finding that passes says that it is little."""
DETAILED = "build it with profiling verbosity detailed"
NO_RANGE = "Missing scale and zero-point"
"""How a warning of TensorRT begins where implicit calibration found no range for a tensor."""


class AchievedPrecision(Check):
    """Did the engine run in the precision that was asked for?

    A builder takes the kernels it finds fastest: an fp16 engine may compute in FP32 throughout. Counts the layers that
    compute, by the precision they ran in; layers that only move or reformat data do not count.
    """

    name: ClassVar[str] = "achievedPrecision"

    @property
    def needs(self) -> tuple[Need[Any], ...]:
        """Nothing: what an engine is made of its builder tells."""
        return ()

    @property
    def engine_only(self) -> str:
        """All of it."""
        return "the precision in which each layer runs"

    share: float = Field(default=0, ge=0, le=1)
    """Smallest share of the layers that compute which must have run in it. Default 0: one layer is enough, and below
    half of them the finding passes with a remark."""

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: enough layers ran in it, too few did, or it cannot be told."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        if evidence.engine is None:
            reason = "the candidate is no engine, so the precision of its layers was chosen by no builder"
            return (self.inconclusive(evidence, f"{reason}: audit it on backend tensorrt to have this judged"),)
        counts = evidence.engine.achieved()
        if not counts:
            # What is built here always tells of its layers.
            way = "leave achievedPrecision out" if evidence.precision else DETAILED
            reason = f"the engine shows no layer that computes: {way}"
            return (self.inconclusive(evidence, reason),)
        if not evidence.precision:
            reason = f"no precision was asked for, so there is none to judge by; the layers ran in {_said(counts)}"
            return (self.inconclusive(evidence, reason, details=AchievedPrecisionDetails(achieved=counts)),)
        if evidence.precision in WIDE:
            return (self._wide(evidence, counts),)
        return (self._narrow(evidence, counts),)

    def _wide(self, evidence: Evidence, counts: Mapping[str, int]) -> Finding:
        total = sum(counts.values())
        narrower = {name: count for name, count in counts.items() if name not in WIDE[evidence.precision]}
        found, unknown = sum(narrower.values()), counts.get(UNKNOWN, 0)
        if narrower:
            verdict = Verdict.FAILED
            message = (
                f"{evidence.precision} was asked for, and {found} of {total} layers ran in {_said(narrower)}: the "
                "model itself asks for it; export it in FP32, or ask for that precision"
            )
        elif unknown > MOST_UNKNOWN * total:
            verdict = Verdict.INCONCLUSIVE
            message = f"the engine does not tell in which precision {unknown} of {total} layers ran{_untold(evidence)}"
        else:
            verdict = Verdict.PASSED
            message = f"{evidence.precision} was asked for, and no layer of {total} ran in a narrower precision"
            message += f"; {unknown} do not tell theirs" if unknown else ""
        fields: dict[str, Any] = {"metric": "narrowerLayers", "value": found, "limit": 0}
        details = AchievedPrecisionDetails(achieved=dict(counts))
        return self.finding(evidence, verdict, message, **fields, details=details)

    def _narrow(self, evidence: Evidence, counts: Mapping[str, int]) -> Finding:
        total = sum(counts.values())
        found, unknown = counts.get(evidence.precision.upper(), 0), counts.get(UNKNOWN, 0)
        needed = max(1, math.ceil(self.share * total - 1e-9))
        asked = f"{evidence.precision} was asked for, and"
        remark = ""
        if found >= needed:
            verdict = Verdict.PASSED
            remark = _few(evidence, found, total)
            only = "only " if remark else ""
            message = f"{asked} {only}{found} of {total} layers that compute ran in it: {_said(counts)}"
            message += f"; {remark}" if remark else ""
        elif found + unknown >= needed:
            verdict = Verdict.INCONCLUSIVE
            message = (
                f"{asked} the engine does not tell in which precision {unknown} of {total} layers ran, which "
                f"decides{_untold(evidence)}"
            )
        elif inside := _converts_inside(evidence):
            verdict = Verdict.INCONCLUSIVE
            message = (
                f"{asked} {_instead(counts, found, total)}, but node {inside!r} is typed {evidence.precision} in the "
                "graph: its kernel converts inside, and what it computes in there is not told"
            )
        else:
            verdict = Verdict.FAILED
            message = f"{asked} {_instead(counts, found, total)}: {_why(evidence)}"
        fields: dict[str, Any] = {"metric": "layersShare", "value": found / total}
        # One layer is asked for where no share is; a limit of 0 would read as if none were enough.
        fields["limit"] = self.share or None
        details = AchievedPrecisionDetails(achieved=dict(counts), remark=True if remark else None)
        return self.finding(evidence, verdict, message, **fields, details=details)


def _few(evidence: Evidence, found: int, total: int) -> str:
    """What to do where most layers ran in something else; empty where they did not."""
    if found >= MOST * total:
        return ""
    ways = "set share to have this fail"
    warnings = evidence.engine.facts.warnings if evidence.engine else None
    if any(NO_RANGE in warning for warning in warnings or ()):
        return (
            "implicit quantization gives no range to some tensors (see the builder's warnings), and leaves what they "
            f"pass through wider; ask for calibration.quantization: explicit to reach more, or {ways}"
        )
    if evidence.precision in ("int8", "fp8"):
        return f"look where the Q/DQ pairs stand, or {ways}"
    return f"the builder found the rest faster in another precision, or could not do otherwise; {ways}"


def _untold(evidence: Evidence) -> str:
    """Why a layer that computes does not tell in what."""
    layers = [layer for layer in (evidence.engine.layers if evidence.engine else ()) if layer.computes]
    if all(layer.outputs for layer in layers if not layer.precision):
        return ": their kernels read and make FP32, and cast inside"
    return ", and neither does TensorRT elsewhere: judge it by what comes out, and leave achievedPrecision out"


def _converts_inside(evidence: Evidence) -> str:
    """A node of a wide layer that the graph's own types do not keep wide; empty: none, or the builder chose."""
    engine = evidence.engine
    if engine is None or engine.wide is None:
        return ""
    layers = (layer for layer in engine.layers if layer.computes and layer.precision.upper() in ("FP32", "TF32"))
    return next((node for layer in layers for node in layer.nodes if node not in engine.wide), "")


def _instead(counts: Mapping[str, int], found: int, total: int) -> str:
    if found:
        return f"only {found} of {total} layers ran in it ({_said(counts)})"
    if len(counts) == 1:
        return f"{'its one layer' if total == 1 else f'all {total} layers'} ran in {next(iter(counts))}"
    return f"none of {total} layers ran in it ({_said(counts)})"


def _why(evidence: Evidence) -> str:
    if evidence.precision in ("int8", "fp8"):
        return (
            "the builder found that faster, or no Q/DQ pair reaches an operator it runs in 8 bits; look where the "
            "pairs stand, or ship the wider precision and save the calibration"
        )
    if evidence.engine is not None and evidence.engine.typing == "strong":
        return (
            "under strong typing the types of the graph decide, and the candidate's layers or the model's own casts "
            "hold these there: hold fewer of them"
        )
    return (
        "the builder found that faster, or the candidate's own layers hold them there; ship fp32, which is no "
        "slower, or force the precision with typing: strong"
    )


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
