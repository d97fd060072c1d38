"""What is said of a zero that was none and is divided by: the cause, and the cure that works."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from assay_api.report import Finding
from assay_runner.checks.check import spoken
from assay_runner.evidence import Ending, Evidence, Guard, LayerError, LayerErrors, RangesWanted
from assay_runner.evidence.ranges import INVERSE, Divisor
from assay_runner.tensors import Site

NAMED = 5
SMALLEST: Mapping[str, str] = MappingProxyType({"fp16": "6e-8", "bf16": "9.2e-41"})
"""The smallest number other than zero."""
LARGEST: Mapping[str, float] = MappingProxyType({"fp16": 65504.0, "bf16": 3.38e38})


@dataclass(frozen=True)
class Zero:
    """Why a node divides by zero, and what to do about it, in words."""

    why: str
    cure: str


def zero_behind(evidence: Evidence, site: Site, layers: LayerErrors | None) -> Zero | None:
    """Why what a node makes is not finite: it divides by what the candidate's precision made zero; None: not known.

    Args:
        evidence: tells which epsilons vanish, and, where that was measured, which divisors.
        site: what the node makes, the first tensor that is not finite.
        layers: golden's range of it, where that was measured: a quotient that golden itself has beyond the format
            overflows, whatever keeps the divisor from zero.
    """
    layer = next((each for each in (layers.layers if layers else ()) if each.site.tensor == site.tensor), None)
    limit = LARGEST.get(evidence.precision, float("inf"))
    if layer and site.op not in INVERSE and max(abs(layer.golden_low), abs(layer.golden_high)) > limit:
        return None
    if guard := next((each for each in evidence.vanished if each.ending.site.node == site.node), None):
        divides = f"node {site.node!r} ({site.op}) {_does(guard.ending)}"
        why = f"{named(guard)} is 0 in {guard.precision}, so nothing keeps from 0 what {divides}"
        return Zero(why, remedy(guard))
    ranges = evidence.any(RangesWanted) if evidence.precision == "fp16" else None
    for each in ranges.divisors if ranges else ():
        if each.ending.site.node == site.node:
            does = _does(each.ending)
            return Zero(f"tensor {each.range.site.tensor!r}, which it {does}, becomes 0 in fp16", unguarded(each))
    return None


def named(guard: Guard) -> str:
    """An epsilon as people look for it, ready for a verb."""
    site, value = guard.site, spoken(guard.value)
    if guard.kind == "attribute":
        return f"attribute {site.tensor} = {value} of node {site.node!r} ({site.op})"
    if guard.kind == "constant":
        return f"constant {site.tensor!r} ({value}), which node {site.node!r} ({site.op}) makes,"
    return f"weight {site.tensor!r} ({value}), which node {site.node!r} ({site.op}) reads,"


def remedy(guard: Guard) -> str:
    """What to do about an epsilon that vanishes."""
    what = guard.site.tensor if guard.kind == "attribute" else repr(guard.site.tensor)
    if "logarithm" in guard.ending.what:
        held = f"hold {_held(guard.ending.through)} to fp32{', or use bf16' if guard.precision == 'fp16' else ''}"
        return f"{held}; a larger value, such as 1e-5, would be held too, and change what the logarithm of it is"
    held = "" if guard.ending.site.op in INVERSE else f", or hold {_held(guard.ending.through)} to fp32"
    other = ", or use bf16" if guard.precision == "fp16" else ""
    return (
        f"give {what} a value that {guard.precision} holds, such as 1e-5 (its smallest is "
        f"{SMALLEST[guard.precision]}){held}{other}"
    )


def unguarded(divisor: Divisor) -> str:
    """What to do about a divisor that vanishes in FP16, and that nothing is known to keep from zero."""
    maker = (divisor.range.site.node or "",) if divisor.range.kind == "tensor" else ()
    held = _held((*divisor.before, *maker, *divisor.ending.through))
    return f"scale it up, add what FP16 holds, such as 1e-5 (its smallest is 6e-8), or hold {held} to fp32, or use bf16"


def _does(ending: Ending) -> str:
    return "takes the logarithm of" if "logarithm" in ending.what else "divides by"


def _held(names: Sequence[str]) -> str:
    """Nodes that must be held together, by name."""
    if len(names) == 1:
        return f"node {names[0]!r}"
    shown = [repr(name) for name in names[:NAMED]]
    if len(names) > NAMED:
        return f"nodes {', '.join(shown)} and {len(names) - NAMED} more up to {names[-1]!r} together"
    return f"nodes {', '.join(shown[:-1])} and {shown[-1]} together"


def with_divisor(finding: Finding, evidence: Evidence, layers: Sequence[LayerError], errors: LayerErrors) -> Finding:
    """The finding; where the first tensor that is not finite was divided by what became zero, with that."""
    first = next((layer for layer in layers if layer.accumulated.max_abs == math.inf), None)
    zero = zero_behind(evidence, first.site, errors) if first else None
    if zero is None:
        return finding
    return finding.model_copy(update={"message": f"{finding.message}; {zero.why}: {zero.cure}"})
