"""What is said of where an infinity, or a zero that was none, ends."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from assay_runner.evidence import Ending, TensorFaults


def behind(ending: Ending) -> str:
    """The node, and what stands between it and where the value came from."""
    last = f", behind {ending.through[-2]!r}," if len(ending.through) > 1 else ""
    return f"node {ending.site.node!r} ({ending.site.op}){last}"


_NONE: Final[Mapping[str, str]] = MappingProxyType({"Mul": ": 0 × Inf is none", "Add": ": Inf - Inf is none"})


def ends(ending: Ending, seen: TensorFaults | None) -> str:
    """What the node does, or, where it was seen to make none, that it makes no number of it after all."""
    faults = {each.site.node: each for each in reversed(seen.faults if seen else ())}
    for name in ending.through[:-1]:
        on_the_way = faults.get(name)
        if on_the_way and on_the_way.nan and on_the_way.own:
            op = on_the_way.site.op or ""
            return f"node {name!r} ({op}) makes NaN of it in {on_the_way.nan} samples{_NONE.get(op, '')}"
    fault = faults.get(ending.site.node)
    if fault is None or fault.own == 0:
        return f"{behind(ending)} {ending.what}"
    if _open(ending) and not fault.nan:
        on = f"{behind(ending)} hands it on in {fault.samples} samples"
        return ends(ending.beyond, seen) if ending.beyond else on
    whole = "where a whole row is -Inf, " if ending.site.op == "Softmax" else ""
    made, samples = "NaN" if fault.nan else "no number", fault.own or fault.samples
    return f"{behind(ending)} makes {made} of it {whole}in {samples} samples"


def settled(ending: Ending, seen: TensorFaults | None) -> str:
    """The same where it is known; empty where the data decide, and what they decided was not seen."""
    told = ends(ending, seen)
    return "" if any(told.endswith(each.what) for each in (ending, ending.beyond) if each and _open(each)) else told


def _open(ending: Ending) -> bool:
    """Whether the data decide what the node does."""
    return ending.what.startswith("may ")
