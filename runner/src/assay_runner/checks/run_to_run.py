"""Does the same input give the same bits?"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, TypedDict

import numpy as np
from pydantic import Field

from assay_api.behaviour_details import DifferenceEntry, InnerDifferenceEntry, InsideEntry, RunToRunDetails
from assay_api.report import Finding, Verdict
from assay_runner.checks.check import Check, place
from assay_runner.checks.suspicion import although, cause, listed
from assay_runner.evidence import Evidence, RerunsWanted
from assay_runner.evidence.reruns import Condition, Difference, Inside, Repeats, Suspects
from assay_runner.tensors import Site

WORDS: Mapping[Condition, str] = MappingProxyType(
    {
        "sameSession": "one session",
        "newSession": "a new session",
        "newProcess": "a new process",
        "otherStream": "another stream",
        "usedMemory": "memory that held something else",
        "underLoad": "under load",
    }
)

SCATTERS = frozenset({"Scatter", "ScatterElements", "ScatterND"})


class RunToRun(Check):
    """Does the same input give the same bits: again, in a new session, in a new process, in used memory, under load?

    Anything else is a defect: it is run again with its tensors shown, to name the first that differs; where that one
    comes from random numbers, or from custom operators (plugins), it says so.
    """

    name: ClassVar[str] = "runToRun"

    runs: int | None = Field(default=None, ge=2, le=1000)
    """Runs of each batch in one session, in used memory (at least 4 there), and under load. Default 5; of an emulation,
    in which no kernel of an engine runs, 2."""
    batches: int = Field(default=4, ge=1, le=1000)
    """How many batches are run again, from the dataset's start. Default 4."""
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=6, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    """How they are run again: sameSession, newSession, newProcess, otherStream (of the device), usedMemory (what they
    compute in and write to is filled with NaN, zeros and other numbers beforehand), underLoad (while another session
    runs the same). Default: all that the backend offers."""

    @property
    def needs(self) -> tuple[RerunsWanted]:
        """The same batches again."""
        return (RerunsWanted(self.runs, self.batches, self.conditions),)

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding: the first difference in graph order, or that all bits are equal."""
        if reason := self.unmeasured(evidence):
            return (self.inconclusive(evidence, reason),)
        repeats = evidence.of(*self.needs)
        if repeats is None or repeats.batches < 1:
            return (self.inconclusive(evidence, "no batch was run again"),)
        if repeats.differences:
            return (self._failed(evidence, repeats),)
        ways = ", ".join(WORDS[condition] for condition in repeats.tried)
        if repeats.untried:
            missing = "; ".join(f"{condition} could not be tried: {why}" for condition, why in repeats.untried.items())
            names = ", ".join(repeats.tried)
            found = f"; bitwise equal otherwise ({ways}): set runToRun.conditions: [{names}] to judge by these alone"
            found = found if ways else ""
            return (self.inconclusive(evidence, missing + found),)
        message = f"bitwise equal over {repeats.runs} runs of {repeats.batches} batches ({ways})"
        message += although(Suspects(repeats.random))
        return (self.finding(evidence, Verdict.PASSED, message, metric="differences", value=0, limit=0),)

    def _failed(self, evidence: Evidence, repeats: Repeats) -> Finding:
        first, inside = repeats.differences[0], repeats.inside or Inside(reason="no tensor was shown")
        differing = list(dict.fromkeys(difference.condition for difference in repeats.differences))
        more = f" (and {', '.join(WORDS[c] for c in differing[1:])})" if differing[1:] else ""
        message = (
            f"output {first.site.tensor!r} of batch {first.batch} has other bits {_when(first)}{more}, "
            f"{_far(first)}: {_inside(first, inside)}{_cause(repeats, (inside.first or first).site)}"
        )
        details = RunToRunDetails(
            differences=tuple(DifferenceEntry(output=d.site.tensor, **_figures(d)) for d in repeats.differences[:20]),
            inside=_looked(inside),
            random=listed(repeats.suspects.random),
            custom=listed(repeats.suspects.custom),
            tried=repeats.tried,
            untried={str(condition): why for condition, why in repeats.untried.items()},
            unwritten_memory=repeats.memory.site is not None if repeats.memory else None,
        )
        site, count = (inside.first or first).site, len(repeats.differences)
        return self.finding(
            evidence, Verdict.FAILED, message, site, metric="differences", value=count, limit=0, details=details
        )


def _when(difference: Difference) -> str:
    if difference.condition == "sameSession":
        return f"in {difference.differing} of {difference.runs} further runs of one session"
    words = WORDS[difference.condition]
    within = words if words.startswith("under") else f"in {words}"
    return within if difference.runs == 1 else f"in {difference.differing} of {difference.runs} runs {within}"


def _far(difference: Difference) -> str:
    if np.isnan(difference.max_abs):
        return "and another shape"
    if np.isinf(difference.max_abs):
        return "NaN or Inf in one run only among them"
    return (
        f"by up to {difference.max_abs:.3g}" if difference.max_abs else "though equal in value (a zero's sign, or NaN)"
    )


def _inside(output: Difference, inside: Inside) -> str:
    """What was seen inside, to be followed by the cause."""
    first = f"{inside.before}, then " if inside.before else ""
    shown = f"with {first}{inside.tensors} tensor{'' if inside.tensors == 1 else 's'} shown"
    if inside.first:
        found = inside.first
        what = "it is also the first" if found.site == output.site else f"{place(found.site)} is the first"
        return f"{shown}, {what} to differ, {_when(found)}, {_far(found)}; "
    if not inside.tried:
        return f"which tensor inside is the first to differ is not known ({inside.reason}); "
    ways = ", ".join(f"{count} x {WORDS[condition]}" for condition, count in inside.tried.items())
    return (
        f"{shown}, none differs ({ways}), so showing tensors changes what runs, and"
        " which of them is the first to differ in what is served is not known; "
    )


def _cause(repeats: Repeats, site: Site) -> str:
    suspected = cause(repeats.suspects, site)
    if repeats.memory and repeats.memory.site:
        unwritten = _unwritten(repeats.memory.site, repeats.memory.suspects)
        return f"{suspected}; {unwritten}" if repeats.suspects.random else unwritten
    if repeats.suspects.random:
        return suspected
    if suspected:
        return f"{suspected}; else it is a defect of what runs the model, so report it with this audit"
    if site.op in SCATTERS:
        return (
            f"where the indices of a {site.op} repeat, the order of its writes decides and may be any on a GPU, so "
            "make them unique; if they are, it is a defect of what runs it, so report it with this audit"
        )
    return "for the same input that is a defect of what runs it, so report it with this audit"


def _unwritten(site: Site, suspects: Suspects) -> str:
    plugin = cause(Suspects(custom=suspects.custom), site)
    way_out = plugin or "build it with another typing, precision or TensorRT version, and report it with this audit"
    return (
        f"output {site.tensor!r} follows what lay in memory before the run: equal bits there give equal ones in it, "
        "other bits give others, so something that is run reads memory that nothing has written; do not ship it: "
        f"{way_out}"
    )


class _Figures(TypedDict):
    batch: int
    condition: str
    run: int
    differing: int
    runs: int
    max_abs: float


def _figures(difference: Difference) -> _Figures:
    """Fields of a `DifferenceFigures`."""
    return {
        "batch": difference.batch,
        "condition": difference.condition,
        "run": difference.run,
        "differing": difference.differing,
        "runs": difference.runs,
        "max_abs": difference.max_abs,
    }


def _looked(inside: Inside) -> InsideEntry:
    return InsideEntry(
        tensors=inside.tensors,
        samples=inside.samples,
        tried={str(condition): runs for condition, runs in inside.tried.items()},
        first=_first(inside.first) if inside.first else None,
        before=inside.before or None,
        reason=inside.reason or None,
    )


def _first(difference: Difference) -> InnerDifferenceEntry:
    site = difference.site
    return InnerDifferenceEntry(tensor=site.tensor, node=site.node, **_figures(difference))
