"""What is said of where an infinity, or a zero that was none, ends."""

from __future__ import annotations

from assay_runner.evidence import Ending, TensorFaults


def behind(ending: Ending) -> str:
    """The node, and what stands between it and where the value came from."""
    last = f", behind {ending.through[-2]!r}," if len(ending.through) > 1 else ""
    return f"node {ending.site.node!r} ({ending.site.op}){last}"


def ends(ending: Ending, seen: TensorFaults | None) -> str:
    """What the node does, or, where it was seen to make none, that it makes no number of it after all."""
    fault = next((each for each in (seen.faults if seen else ()) if each.site.node == ending.site.node), None)
    if fault is None or fault.own == 0:
        return f"{behind(ending)} {ending.what}"
    whole = "where a whole row is -Inf, " if ending.site.op == "Softmax" else ""
    made, samples = "NaN" if fault.nan else "no number", fault.own or fault.samples
    return f"{behind(ending)} makes {made} of it {whole}in {samples} samples"
