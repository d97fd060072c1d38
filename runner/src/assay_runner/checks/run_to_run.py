"""Does the same input give the same bits?"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field

from assay_api.report import Finding, Verdict
from assay_runner.behaviour_evidence import Condition, Difference, Repeats
from assay_runner.checks.check import Check, place
from assay_runner.evidence import Evidence, Need, Site

WORDS: Mapping[Condition, str] = MappingProxyType(
    {
        "sameSession": "one session",
        "newSession": "a new session",
        "newProcess": "a new process",
        "otherStream": "another stream",
        "underLoad": "under load",
    }
)


class RunToRun(Check):
    """Does the same input give the same bits, again in one session, in a new session, in a new process, under load?

    Anything else is a defect; where the model draws random numbers, or has custom operators (plugins), it says so.
    """

    name: ClassVar[str] = "runToRun"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.RUNS})

    runs: int = Field(default=5, ge=2, le=1000)
    """Runs of each batch in one session, and under load. Default 5."""
    batches: int = Field(default=4, ge=1, le=1000)
    """How many batches are run again, from the dataset's start. Default 4."""
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=5, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """How they are run again: sameSession, newSession, newProcess, otherStream (of the device), underLoad (while
    another session runs the same). Default: all that the backend offers."""

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first difference in graph order, or that all bits are equal."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        repeats = evidence.behaviour.repeats.get((self.runs, self.batches, self.conditions))
        if repeats is None or repeats.batches < 1:
            return (self.inconclusive(evidence, "no batch was run again"),)
        if repeats.differences:
            return (self._failed(evidence, repeats),)
        ways = ", ".join(WORDS[condition] for condition in repeats.tried)
        if repeats.untried:
            missing = "; ".join(f"{condition} could not be tried: {why}" for condition, why in repeats.untried.items())
            found = f"; bitwise equal otherwise ({ways})" if ways else ""
            return (self.inconclusive(evidence, missing + found),)
        message = f"bitwise equal over {repeats.runs} runs of {repeats.batches} batches ({ways})"
        if repeats.random:
            message += f", although {place(repeats.random[0])} draws random numbers"
        return (self.finding(evidence, Verdict.PASSED, message, metric="differences", value=0, limit=0),)

    def _failed(self, evidence: Evidence, repeats: Repeats) -> Finding:
        first = repeats.differences[0]
        differing = list(dict.fromkeys(difference.condition for difference in repeats.differences))
        more = f" (and {', '.join(WORDS[c] for c in differing[1:])})" if differing[1:] else ""
        message = (
            f"output {first.site.tensor!r} of batch {first.batch} has other bits {_when(first)}{more}, "
            f"by up to {first.max_abs:.3g}: {_cause(repeats)}"
        )
        details: dict[str, Any] = {
            "differences": [_entry(difference) for difference in repeats.differences[:20]],
            "random": _sites(repeats.random),
            "custom": _sites(repeats.custom),
            "tried": list(repeats.tried),
            "untried": dict(repeats.untried),
        }
        count = len(repeats.differences)
        return self.finding(
            evidence, Verdict.FAILED, message, first.site, metric="differences", value=count, limit=0, details=details
        )


def _when(difference: Difference) -> str:
    match difference.condition:
        case "sameSession":
            return f"in run {difference.run} of one session"
        case "underLoad":
            return f"in run {difference.run} under load"
        case condition:
            return f"in {WORDS[condition]}"


def _cause(repeats: Repeats) -> str:
    if repeats.random:
        return (
            f"{place(repeats.random[0])} draws random numbers, and goes on drawing others from run to run even with a "
            "seed, so take it out or feed the numbers as an input"
        )
    if repeats.custom:
        return (
            f"{place(repeats.custom[0])} is a custom operator (plugin), whose code may be what differs, so try without "
            "it; else it is a defect of what runs the model, so report it with this audit"
        )
    return "for the same input that is a defect of what runs it, so report it with this audit"


def _sites(sites: tuple[Site, ...]) -> list[dict[str, Any]]:
    return [{"tensor": s.tensor, "node": s.node, "op": s.op} for s in sites[:20]]


def _entry(difference: Difference) -> dict[str, Any]:
    return {
        "output": difference.site.tensor,
        "batch": difference.batch,
        "run": difference.run,
        "condition": difference.condition,
        "maxAbs": difference.max_abs,
    }
