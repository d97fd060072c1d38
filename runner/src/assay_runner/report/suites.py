"""Results as every CI system thinks of them: suites of cases, before they are XML or JSON.

A suite is a candidate, a case one check on it. A case is named by candidate and check alone, so that a CI system sees
the same case from run to run, whatever tensor it fails on. What could not be judged is an error, which no CI system
shows as green; a verdict that the findings do not explain gets a case of its own for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from assay_api.report import CandidateReport, Finding, Report, Verdict, worst
from assay_runner.report.figures import NOT_MEASURED, milliseconds
from assay_runner.report.left import LEFT, judged, left_whole
from assay_runner.report.times import served_latency
from assay_runner.report.wording import (
    EMULATED,
    accuracy,
    built_beside,
    candidate_verdict,
    findings_of,
    overall,
    recommendation,
    worst_figure,
)

Outcome = Literal["passed", "failure", "error", "skipped"]
OUTCOMES: Final[dict[Verdict, Outcome]] = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "failure",
    Verdict.INCONCLUSIVE: "error",
}


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: of the check.
        outcome: what came of it.
        kind: of an outcome that is not a pass, for machines: `outputDrift.Failed`.
        message: the one sentence; empty where it passed.
        text: all that is told of it.
        seconds: how long it took.
    """

    name: str
    outcome: Outcome
    kind: str = ""
    message: str = ""
    text: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Suite:
    """Cases that are of one thing.

    Attributes:
        name: of that thing: a candidate, a model.
        cases: its cases.
        properties: facts for dashboards.
        out: what is to be known of all its cases.
    """

    name: str
    cases: tuple[Case, ...]
    properties: tuple[tuple[str, str], ...] = ()
    out: str = ""


@dataclass(frozen=True)
class Results:
    """All suites of one audit or sweep.

    Attributes:
        of: its name.
        suites: its suites.
        created: when, in RFC 3339; empty where nothing tells.
        version: of Assay, where it is known.
        identity: what tells these results from others: a digest, a run.
    """

    of: str
    suites: tuple[Suite, ...]
    created: str = ""
    version: str = ""
    identity: str = ""


def results_of(report: Report) -> Results:
    """The results of an audit or of one task; all passed only where every candidate did."""
    suites = [_suite(report, candidate) for candidate in report.candidates]
    shown = worst([candidate_verdict(report, c) for c in judged(report.candidates) if not left_whole(c)])
    strangers = [f for f in report.findings if f.candidate not in {c.name for c in report.candidates}]
    nothing = report.recommendation is not None and all(map(left_whole, report.candidates))
    if strangers or overall(report) is not shown or not report.candidates or nothing:
        suites.append(_audit_suite(report, strangers))
    return Results(
        report.audit, tuple(suites), report.created, report.environment.get("assay", ""), report.content or report.run
    )


def broken_off(of: str, kind: str, message: str, created: str = "") -> Results:
    """A run that has no report: one error.

    Args:
        of: what was to be run.
        kind: of error, for example InvalidInput.
        message: its sentence.
        created: when it ended, in RFC 3339.
    """
    return Results(of, (Suite("audit", (Case("run", "error", kind, message, message),)),), created)


def unexplained(verdict: Verdict, reason: str) -> Case:
    """A verdict that no finding explains, in a case of its own."""
    outcome = OUTCOMES[verdict]
    if outcome == "passed":
        return Case("verdict", outcome)
    return Case("verdict", outcome, f"verdict.{verdict}", reason, reason)


def _suite(report: Report, candidate: CandidateReport) -> Suite:
    found = findings_of(report, candidate.name)
    cases = [
        _case(check, [f for f in found if f.check == check], candidate.seconds.get(check, 0.0))
        for check in dict.fromkeys(f.check for f in report.findings if f.candidate == candidate.name)
    ]
    cases += [_left(entry.check, entry.message) for entry in candidate.left if entry.check is not None]
    verdict = candidate_verdict(report, candidate)
    if left_whole(candidate) and candidate.error is None and not found:
        cases.append(_left("verdict", next(entry.message for entry in candidate.left if entry.check is None)))
    elif candidate.error is not None or verdict is not worst(f.verdict for f in found) or not found:
        reason = candidate.error or f"{candidate.name} is {verdict}, and no finding says why."
        cases.append(unexplained(verdict, reason))
    out = "\n".join(([EMULATED] if candidate.emulated else []) + [*candidate.notes, *built_beside(candidate)])
    return Suite(candidate.name, tuple(cases), (*_run(report), *_properties(report, candidate)), out)


def _audit_suite(report: Report, findings: list[Finding]) -> Suite:
    """What belongs to no candidate, so that it is not lost."""
    cases = [
        _case(check, [f for f in findings if f.check == check]) for check in dict.fromkeys(f.check for f in findings)
    ]
    last = unexplained(overall(report), f"The audit {report.audit} is {overall(report)}.")
    return Suite("audit", (*cases, last), _run(report))


def _run(report: Report) -> tuple[tuple[str, str], ...]:
    return (
        ("audit", report.audit),
        ("run", report.run),
        ("content", report.content or ""),
        ("task", report.task),
        *((("trace", report.trace),) if report.trace else ()),
    )


def _properties(report: Report, candidate: CandidateReport) -> tuple[tuple[str, str], ...]:
    """What a dashboard may want to read off a suite, measured or "not measured"."""
    latency = served_latency(report, candidate)
    properties = {
        "verdict": str(candidate_verdict(report, candidate)),
        "backend": candidate.backend,
        "precision": candidate.precision,
        "typing": candidate.typing,
        "emulated": "true" if candidate.emulated or report.emulated else "false",
        "samples": str(candidate.samples),
        "accuracy": accuracy(candidate),
        "leftForTheGpu": ", ".join(entry.check or "all" for entry in candidate.left) or None,
        "latencyMedian": milliseconds(latency.median_ms) if latency else NOT_MEASURED,
        "recommendation": recommendation(report) or None,
        "reproduce": report.reproduce or None,
    }
    return tuple((key, value) for key, value in properties.items() if value is not None)


def _left(name: str, why: str) -> Case:
    return Case(name, "skipped", message=f"{LEFT}: {why}")


def _case(check: str, findings: list[Finding], seconds: float = 0.0) -> Case:
    """One check on one candidate; its worst finding decides, all of them are told."""
    leading = findings[0]
    text = "\n".join(_told(f) for f in findings)
    outcome = OUTCOMES[leading.verdict]
    if outcome == "passed":
        return Case(check, outcome, text=text, seconds=seconds)
    return Case(check, outcome, f"{check}.{leading.verdict}", leading.message, text, seconds)


def _told(finding: Finding) -> str:
    lines = [f"{finding.verdict}: {finding.message}"]
    facts = (("tensor", finding.tensor), ("node", finding.node))
    lines += [f"  {name}: {value}" for name, value in facts if value]
    if finding.value is not None:
        lines.append(f"  figure: {worst_figure(finding)}")
    return "\n".join(lines)
