"""The base of every check."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from assay_api.model import Model
from assay_api.report import Finding, Verdict
from assay_runner.evidence import Evidence, Need, Reproduction, RerunsWanted, TensorsWanted
from assay_runner.tensors import Site

REPRODUCES_DB = 20.0
"""Where the run that shows every tensor agrees less with the plain run, its tensors are not those that are served."""

NAMED = 3
"""Nodes that a sentence names."""
CONTROL_FLOW = ("If", "Loop", "Scan")
"""Nodes that cannot be held to a precision of their own."""
MOST_UNSEEN = 0.5
"""Part of a graph may go unseen (what is no number, or cannot be shown) and is told; beyond half of it a pass would be
a guess."""


class Check(Model):
    """A frozen model of a check's parameters, what it needs measured, and a pure judgement over the evidence.

    The docstring of the class says which question the check answers; the docstrings of the fields, what they mean.
    Both are what `kubectl explain` prints.
    """

    name: ClassVar[str]
    """Key in `spec.checks`."""

    @property
    @abstractmethod
    def needs(self) -> tuple[Need[Any], ...]:
        """What must be measured."""

    @property
    def outputs_read(self) -> tuple[str, ...]:
        """Names of outputs that its parameters name: each must be one of the model's."""
        return ()

    @property
    def engine_only(self) -> str:
        """What of it only an engine can answer, as the subject of a sentence; empty: an emulation answers it."""
        return ""

    def limits_on(self, output: str) -> Mapping[str, float]:
        """Limits that it holds the figures of an output against, by metric, for the report to show beside them."""
        return {}

    @abstractmethod
    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding or more; what was not measured is Inconclusive."""

    def finding(
        self, evidence: Evidence, verdict: Verdict, message: str, site: Site | None = None, **more: Any
    ) -> Finding:
        """A finding of this check; `more` are further fields of `Finding`, None left out; `site` is where it is."""
        fields = {key: value for key, value in more.items() if value is not None}
        if site is not None:
            fields |= {"tensor": site.tensor} | ({"node": site.node} if site.node else {})
        return Finding(candidate=evidence.candidate, check=self.name, verdict=verdict, message=message, **fields)

    def inconclusive(self, evidence: Evidence, reason: str, site: Site | None = None, **more: Any) -> Finding:
        """What could not be measured."""
        return self.finding(evidence, Verdict.INCONCLUSIVE, reason, site, **more)

    def unmeasured(self, evidence: Evidence) -> str:
        """Why what this check needs was not measured; empty where nothing is known to be missing."""
        if evidence.samples < 1:
            return "no sample was run, so nothing was measured"
        return "; ".join(dict.fromkeys(evidence.missing[need] for need in self.needs if need in evidence.missing))


def place(site: Site) -> str:
    """A tensor as people look for it."""
    if site.node is None:
        return f"tensor {site.tensor!r}"
    return f"tensor {site.tensor!r} of node {site.node!r}" + (f" ({site.op})" if site.op else "")


def spoken(value: float) -> str:
    """A measured value in a sentence: all digits where they can be read, else four."""
    if 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.4g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def decibels(value: float, limit: float) -> str:
    """A ratio in dB, to as many digits as tell it from its limit."""
    if value == math.inf:
        return "infinite (bitwise equal)"
    short = f"{value:.4g}"
    return f"{f'{value:.6g}' if float(short) == limit else short} dB"


def unseen(evidence: Evidence) -> str:
    """Why not all float tensors were looked at; empty where they were."""
    if not evidence.hidden:
        return ""
    shown = ", ".join(f"{site.node!r} ({site.op})" for site in evidence.hidden[:NAMED])
    more = len(evidence.hidden) - NAMED
    others = f" and of {more} more" if more > 0 else ""
    held = any(site.op == "If" for site in evidence.hidden)
    way = "unroll it, or export the model without control flow"
    if held:
        way = (
            "hold what decides it constant in dataset.inputs, where that is an input and the same for all samples, or "
            "export the model without control flow"
        )
    return (
        f"tensors inside the control flow of node{'s' * (len(evidence.hidden) > 1)} {shown}{others} cannot be shown, "
        f"so they were not looked at: {way}, to have them judged"
    )


def inconclusive_if_unrounded(findings: Iterable[Finding], evidence: Evidence) -> list[Finding]:
    """The findings; nothing passes where the candidate's precision did not reach a part of its graph.

    Why is said in the first of them; the others refer to it.
    """
    if not evidence.unrounded:
        return list(findings)
    first = evidence.unrounded[0]
    why = (
        f"not the whole candidate was emulated: at or inside node {first.node!r} ({first.op}) there are tensors whose "
        "type is not FP32 or not known, which were not rounded"
    )
    told: list[Finding] = []
    first_check = ""
    for finding in findings:
        if finding.verdict is Verdict.PASSED:
            told.append(inconclusive_if(why, finding))
            where = f"node {first.node!r} ({first.op}), see {first_check or finding.check}"
            why = f"not the whole candidate was emulated: {where}"
            first_check = first_check or finding.check
        else:
            told.append(finding)
    return told


def inconclusive_if(doubt: str, finding: Finding) -> Finding:
    """The finding; where there is a doubt, nothing passes, and the sentence begins with it."""
    if finding.verdict is not Verdict.PASSED or not doubt:
        return finding
    message = f"{doubt}; as it stands, {finding.message}"
    return finding.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "message": message})


def probe_disagrees(seen: Reproduction | None) -> str:
    """That the run that shows tensors is another one than the plain run, and how far; empty where it is not."""
    if seen is None or seen.bitwise or seen.snr >= REPRODUCES_DB:
        return ""
    found = f"{seen.snr:.1f} dB" if math.isfinite(seen.snr) else "one of them is not finite or has another shape"
    return f"the run that shows every tensor does not reproduce the plain run's outputs ({found})"


def why_not_served(evidence: Evidence) -> str:
    """Why the tensors that were shown say nothing about the plain run; empty where they do."""
    shown = evidence.any(TensorsWanted)
    told = probe_disagrees(shown.reproduction) if shown else ""
    if not told:
        return ""
    said = f"{told}, so its tensors are not those that are served"
    if any(repeats.differences for repeats in evidence.each(RerunsWanted)):
        return f"{said}; nor does the candidate reproduce itself, see runToRun"
    weak = evidence.engine is not None and evidence.engine.typing == "weak"
    way_out = ": under typing: strong showing tensors changes less of what is built" if weak else ""
    return f"{said}{way_out}"
