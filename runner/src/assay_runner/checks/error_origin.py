"""What is said of where an error comes from: a node amplifies it, it starts at a wrong index, or it adds up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from assay_runner.checks.check import place
from assay_runner.checks.error_flow import AMPLIFIES_DB, GROWN_DB, ErrorFlow, Step
from assay_runner.checks.own_shares import NAMED_SHARES, UNTRIED, Origin
from assay_runner.evidence import Error, ExactError
from assay_runner.tensors import Site

GROWS_DB: Final = 1.0
"""Below that an error does not grow at a node."""


@dataclass(frozen=True)
class Cause:
    """Where an error comes from.

    Attributes:
        sentence: in words.
        tensor: the one that is to blame; empty where none is.
    """

    sentence: str
    tensor: str = ""


def cause_of(flow: ErrorFlow, origin: Origin, first: str, snr: float, local_snr: float) -> Cause:
    """Where the error of a tensor comes from that no node starts below the limit of local errors.

    Args:
        flow: the errors.
        origin: of the tensor that is farthest from golden.
        first: the first tensor that is too far from it.
        snr: limit of accumulated errors, dB.
        local_snr: limit of local ones.
    """
    worst = origin.target
    if step := flow.amplifier(worst, snr):
        source = flow.exact.get(step.source.tensor)
        # Other rows are kept since a mask or an index chose them.
        if source is None or not flow.reshaped(step.site.tensor):
            return Cause(amplified(flow, step), step.site.tensor)
        if earlier := flow.step(source.site.tensor):
            return Cause(amplified(flow, earlier), source.site.tensor)
        return Cause(started(source), source.site.tensor)
    if entry := flow.wrong_by_itself(worst):
        return Cause(wrong_by_itself(entry), entry.site.tensor)
    return Cause(_adding_up(flow, origin, first, local_snr))


def power(error: Error, reshaped: bool = False) -> str:
    """A signal-to-noise ratio as a predicate; an infinite error has none."""
    if reshaped:
        return "has another number of elements than golden's"
    return "holds NaN or Inf that golden does not" if error.max_abs == math.inf else f"has {error.snr:.1f} dB"


def unequal(different: int, elements: int) -> str:
    """How much of a tensor of integers or booleans is not golden's."""
    return f"{different} of {elements} elements are not golden's"


def amplified(flow: ErrorFlow, step: Step, named: Site | None = None) -> str:
    """What a node makes of the error that comes to it; `named`: the tensor last spoken of, with what it has."""
    came = f"its input, {place(step.source)}, has {step.before:.1f} dB"
    if (source := flow.exact.get(step.source.tensor)) is not None:
        came = f"of its input, {place(step.source)}, {unequal(source.different, source.elements)}"
    if (entry := flow.exact.get(step.site.tensor)) is not None:
        return f"{started(entry)}, though {came}"
    if step.site == named:
        return f"its node amplifies the error: {came}"
    layer = flow.floats[step.site.tensor]
    return f"{place(step.site)} amplifies the error: {came}, and it {power(layer.accumulated, layer.reshaped)}"


def started(entry: ExactError) -> str:
    """That integers are wrong, whatever made them so."""
    return f"{place(entry.site)} parts from golden's: {unequal(entry.different, entry.elements)}"


def wrong_by_itself(entry: ExactError) -> str:
    """That integers are wrong whatever comes to their node."""
    told = unequal(entry.local or 0, entry.elements)
    return f"{place(entry.site)} parts from golden's by itself: on golden inputs {told}"


def begun(origin: Origin, first: Site) -> str:
    """Which node is to blame, or that none alone is; its figures follow behind a colon, and then `weighed`.

    Args:
        origin: what the error is made of.
        first: the tensor of which figures follow.
    """
    top = origin.dominating
    if top and top.site == first:
        return f"the error starts at {place(first)}" if origin.helps else f"{place(first)} adds most error of its own"
    told = f"{spread(origin)}; " if origin.shares and not top else ""
    return f"{told}the first tensor whose own error is too large is {place(first)}"


def weighed(origin: Origin) -> str:
    """How much is the dominating node's own, and what keeping it wide brings; empty where none dominates."""
    top = origin.dominating
    if top is None:
        return ""
    who = "its node adds" if top.site.node is None else f"node {top.site.node!r} adds"
    told = f"; {who} {100 * top.share:.0f} % of what all nodes before tensor {origin.target!r} add"
    tried, helps = origin.tried, origin.helps
    if tried is None or helps is None:
        why = tried.untried if tried else UNTRIED
        return f"{told}, and whether keeping it wider helps was not tried: {why}"
    others = len(tried.nodes) - 1
    also = {0: "", 1: " and the node that reads it"}.get(others, f" and the {others} nodes that read it")
    then, now = _decibels(tried.after), _decibels(tried.before)
    where = f" in the first {tried.samples} samples" if tried.samples else ""
    if helps:
        return f"{told}, and with it{also} in FP32 that tensor has {then} instead of {now}{where}"
    same = f"still has {then}" if then == now else f"then has {then} instead of {now}"
    return f"{told}, but keeping it{also} in FP32 does not help: that tensor {same}{where}"


def spread(origin: Origin) -> str:
    """That no node alone is to blame, and which add most."""
    named = [f"{100 * each.share:.0f} % {place(each.site)}" for each in origin.shares[:NAMED_SHARES]]
    nodes = "1 node" if origin.spread == 1 else f"{origin.spread} nodes"
    return f"the error is spread over {nodes}, the largest own shares: {', '.join(named)}"


def _decibels(value: float) -> str:
    if math.isfinite(value):
        return f"{value:.1f} dB"
    return "no error at all" if value > 0 else "NaN or Inf"


def _adding_up(flow: ErrorFlow, origin: Origin, first: str, local_snr: float) -> str:
    """Where an error comes from that no node amplifies either: many small ones, or one that is most of it."""
    worst = origin.target
    behind = {name for name in flow.behind(worst) if name in flow.floats}
    if any(flow.local(name) is None for name in behind):
        return f"local errors were not measured, the first below the limit is {place(flow.site(first))}"
    noise = flow.own_noise(worst)
    together = -10 * math.log10(sum(noise.values())) if noise else math.inf
    grown = together - flow.decibels(worst)
    # Their own errors, left to themselves, come to much less than what is there.
    if grown > GROWN_DB:
        step = flow.steepest(worst)
        if step is None or step.gain < GROWS_DB:
            return f"no tensor starts an error below {local_snr:g} dB, and nothing that was measured accounts for it"
        return (
            f"no tensor starts an error below {local_snr:g} dB, and no node amplifies one by {AMPLIFIES_DB:g} dB: it "
            f"grows from node to node, most at {place(step.site)}, by {step.gain:.1f} dB"
        )
    if top := origin.dominating:
        return f"{begun(origin, top.site)}: on golden inputs it has {top.local:.1f} dB{weighed(origin)}"
    if len(noise) > 1:
        return (
            f"no single tensor starts an error below {local_snr:g} dB, it adds up: those of {len(noise)} tensors come "
            f"to {together:.1f} dB, and {spread(origin)}"
        )
    return f"no single tensor starts an error below {local_snr:g} dB, it adds up"
