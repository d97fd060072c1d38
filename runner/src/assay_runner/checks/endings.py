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
    whole = "where a whole row is -Inf, " if ending.site.op == "Softmax" else ""
    made, samples = "NaN" if fault.nan else "no number", fault.own or fault.samples
    return f"{behind(ending)} makes {made} of it {whole}in {samples} samples"
