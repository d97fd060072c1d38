"""What a report says in words: headline, order of the findings, the worst figure of a candidate.

Page, terminal and JUnit file must tell one story, so it is decided here, once, without markup. Names come from models
and data of unknown origin: whatever prints them takes their control characters out with `visible` first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from assay_api.report import BuildEntry, CandidateReport, Finding, Report, Verdict, worst
from assay_runner.report.figures import NOT_MEASURED, bound, breaches, figure, metric_of, number, percent
from assay_runner.report.left import judged, left_in_short, left_whole, limits_held

EMULATED = (
    "Emulated on CPU: ONNX Runtime stood in for the engine. This shows what the precision does to the model, "
    "not what an engine built from it computes."
)
SEVERITY = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}
SERVED = ("the engine", "the candidate")
UNDECIDED = "not decided"
"""Beside the figure of a candidate that could not be judged: the figure alone would read as if it held."""
LONGEST_NAME = 120
"""Characters of a name that are shown; report.json has it whole."""
MARKS = {Verdict.PASSED: "✔", Verdict.FAILED: "✘", Verdict.INCONCLUSIVE: "?"}

# C0 and C1 controls, bidirectional overrides, lone surrogates and the two non-characters that XML refuses.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def visible(text: str) -> str:
    """The text with control characters written out, so that no name can steer a terminal or break an XML file."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """`visible` text on one line."""
    return visible(" ".join(text.split()))


def shortened(name: str, width: int = LONGEST_NAME) -> str:
    """A long name with its middle left out: what tells tensors apart stands at the ends."""
    if len(name) <= width:
        return name
    head = (width - 1) // 3
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def sentence(finding: Finding) -> str:
    """The finding's sentence, names of thousands of characters shortened in it."""
    message = finding.message
    for name in (finding.tensor, finding.node):
        if name and len(name) > LONGEST_NAME:
            message = message.replace(name, shortened(name))
    return message


def told_once(findings: Iterable[Finding]) -> list[tuple[Finding, ...]]:
    """Findings in their order, those of one verdict and one sentence together: it holds for all of them."""
    groups: dict[tuple[Verdict, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.verdict, finding.message), []).append(finding)
    return [tuple(group) for group in groups.values()]


def overall(report: Report) -> Verdict:
    """The verdict to show: the report's own, or a worse one that stands in it, never a better one."""
    of_candidates = [candidate_verdict(report, c) for c in judged(report.candidates)] or [Verdict.INCONCLUSIVE]
    return worst([report.verdict, *of_candidates, *(f.verdict for f in report.findings)])


def candidate_verdict(report: Report, candidate: CandidateReport) -> Verdict:
    """The candidate's verdict, or a worse one among its findings; without any measurement never `Passed`."""
    of_findings = [f.verdict for f in findings_of(report, candidate.name)]
    unmeasured = [] if of_findings and candidate.error is None else [Verdict.INCONCLUSIVE]
    return worst([candidate.verdict, *of_findings, *unmeasured])


def headline(report: Report) -> str:
    """One sentence under the verdict: how many candidates fared how."""
    asked = [candidate for candidate in report.candidates if candidate.repaired is None]
    repaired = [candidate for candidate in report.candidates if candidate.repaired is not None]
    if not report.candidates:
        return "No candidate could be repaired." if report.repair else "No candidate was measured."
    left = left_in_short(report)
    limits = partial(limits_held, left=bool(left))
    said = [_headline(report, asked, limits)] if asked else []
    if repaired:
        verdicts = [candidate_verdict(report, candidate) for candidate in repaired]
        passed = verdicts.count(Verdict.PASSED)
        stay = "stays" if passed == 1 else "stay"
        several = f"Of {len(repaired)} repairs {passed} {stay} within {limits('every limit')}."
        said.append(_alone("repair", verdicts[0], limits) if len(repaired) == 1 else several)
    return " ".join((*said, left) if left else said)


def _headline(report: Report, candidates: Sequence[CandidateReport], limits: Callable[[str], str]) -> str:
    if all(map(left_whole, candidates)):
        return "Nothing could be judged here."
    candidates = judged(candidates)
    total = len(candidates)
    by = {v: sum(candidate_verdict(report, c) is v for c in candidates) for v in Verdict}
    if total == 1:
        return _alone("candidate", candidate_verdict(report, candidates[0]), limits)
    if by[Verdict.PASSED] == total:
        return f"All {total} candidates stay within {limits('their limits')}."
    told = (
        (by[Verdict.FAILED], f"of {total} candidates outside a limit"),
        (by[Verdict.INCONCLUSIVE], "could not be judged"),
        (by[Verdict.PASSED], f"within {limits('all limits')}"),
    )
    return "; ".join(f"{count} {what}" for count, what in told if count) + "."


def _alone(what: str, verdict: Verdict, limits: Callable[[str], str]) -> str:
    told = {Verdict.PASSED: f"stays within {limits('every limit')}", Verdict.FAILED: "is outside a limit"}
    return f"The {what} {told.get(verdict, 'could not be judged')}."


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Worst verdict first; the given order stays within a verdict."""
    return sorted(findings, key=lambda f: SEVERITY[f.verdict])


def remarkable(finding: Finding) -> bool:
    """Whether a finding that passed says something that must not be folded away."""
    return finding.verdict is Verdict.PASSED and finding.details.remark is True


def findings_of(report: Report, candidate: str) -> list[Finding]:
    """The findings of a candidate, worst first."""
    return sorted_findings(f for f in report.findings if f.candidate == candidate)


def worst_finding(report: Report, candidate: str) -> Finding | None:
    """The candidate's finding to name first: the worst, of equals one with a figure and the nearest to its limit."""
    return first(findings_of(report, candidate))


def first(findings: Iterable[Finding]) -> Finding | None:
    """The finding to name first: the worst, of equals one with a figure and the nearest to its limit."""
    return min(findings, key=lambda f: (SEVERITY[f.verdict], f.value is None, -strain(f)), default=None)


class Limited(Protocol):
    """A figure that may have a limit."""

    @property
    def metric(self) -> str | None:
        """What it is."""
        ...

    @property
    def value(self) -> float | None:
        """The figure."""
        ...

    @property
    def limit(self) -> float | None:
        """Its limit."""
        ...


def strain(finding: Limited) -> float:
    """How near to or beyond its limit a value lies, 1 at the limit; NaN is beyond everything."""
    value, limit = finding.value, finding.limit
    if value is None or limit is None:
        return 0.0
    if math.isnan(value):
        return math.inf
    if metric_of(finding.metric).unit == "dB":
        # A ratio of amplitudes, so that one of -20 dB is told from one of -2 dB.
        return 10 ** min((limit - value) / 20, 300.0) if value < math.inf else 0.0
    if metric_of(finding.metric).more_is_better:
        value, limit = limit, value
    if limit <= 0:
        return math.inf if breaches(finding.metric, finding.value, finding.limit) else 0.0
    ratio = value / limit
    return math.inf if math.isnan(ratio) else ratio


def worst_figure(finding: Finding | None) -> str:
    """A finding's figure, for example "maxAbs 0.31 (limit ≤ 0.05)"."""
    if finding is None or finding.value is None:
        return NOT_MEASURED
    name = finding.metric or "value"
    limit = "" if finding.limit is None else f" (limit {bound(finding.metric, finding.limit)})"
    return f"{name} {figure(finding.metric, finding.value)}{limit}"


def label_metrics(candidate: CandidateReport) -> list[tuple[str, float, float | None]]:
    """(metric, candidate's value, golden's value) for each label metric; `goldenTop1` belongs to `top1`."""
    golden = {f"golden{key[:1].upper()}{key[1:]}" for key in candidate.accuracy}
    return [
        (key, value, candidate.accuracy.get(f"golden{key[:1].upper()}{key[1:]}"))
        for key, value in candidate.accuracy.items()
        if key not in golden
    ]


def built_beside(candidate: CandidateReport) -> tuple[str, ...]:
    """What was built to look into the engine, what for and how long it took; nothing where nothing was."""
    beside = "; ".join(_built(entry) for entry in candidate.builds if entry.what not in SERVED)
    return (f"built beside the engine: {beside}",) if beside else ()


def _built(entry: BuildEntry) -> str:
    told = entry.what + (f" for {', '.join(entry.checks)}" if entry.checks else "")
    if entry.cached:
        return f"{told}, taken from an earlier build"
    took = f" {'after' if entry.refused else 'in'} {number(entry.seconds):.0f} s" if entry.seconds is not None else ""
    return f"{told}: refused{took}" if entry.refused else f"{told}{took}"


def accuracy(candidate: CandidateReport) -> str:
    """The first label metric, for example "97.22 %"."""
    metrics = label_metrics(candidate)
    return NOT_MEASURED if not metrics else f"{label_figure(*metrics[0][:2])}"


def label_figure(metric: str, value: float | None) -> str:
    """A label metric's value: per cent unless it is no share."""
    given = number(value)
    if given is not None and metric_of(metric).key not in ("top1", "top5") and not 0 <= given <= 1:
        return figure(metric, given)
    return percent(value)


def recommendation(report: Report) -> str:
    """What to ship, in one sentence; empty in the report of a single task, which cannot know."""
    given = report.recommendation
    if given is None:
        return ""
    if given.candidate is None:
        return given.message or "No candidate passed: there is nothing to ship."
    return given.message or f"Ship {given.candidate}: the fastest candidate that passed."
