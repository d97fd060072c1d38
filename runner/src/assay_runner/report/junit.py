"""The report as JUnit XML, the one format every CI system shows: a suite per candidate, a case per check.

A case is named by candidate and check alone, so that a CI system sees the same case from run to run, whatever tensor it
fails on. What could not be judged is an `error`, which no CI system shows as green; a verdict that the findings do not
explain gets a case of its own for the same reason. The layout is the common subset of the schemas of Jenkins, GitLab
and Ant: <https://github.com/jenkinsci/xunit-plugin> `junit-10.xsd`.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

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
    one_line,
    overall,
    recommendation,
    visible,
    worst_figure,
)

_UNHAPPY = {Verdict.FAILED: "failure", Verdict.INCONCLUSIVE: "error"}
_SECONDS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def render_junit(report: Report) -> bytes:
    """The report as JUnit XML in UTF-8.

    Args:
        report: the report of an audit or of one task.

    Returns:
        A `testsuites` document; green only where every candidate passed.
    """
    root = Element("testsuites", name=one_line(f"assay {report.audit}"))
    for candidate in report.candidates:
        _suite(root, report, candidate)
    shown = worst([candidate_verdict(report, c) for c in judged(report.candidates) if not left_whole(c)])
    strangers = [f for f in report.findings if f.candidate not in {c.name for c in report.candidates}]
    nothing = report.recommendation is not None and all(map(left_whole, report.candidates))
    if strangers or overall(report) is not shown or not report.candidates or nothing:
        _audit_suite(root, report, strangers)
    for suite in root:
        _count(suite)
    for attribute in ("tests", "failures", "errors"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    return _written(root)


def broken_off(audit: str, kind: str, message: str) -> bytes:
    """A run that has no report, as JUnit XML in UTF-8: one error.

    Args:
        audit: what was to be run.
        kind: of error, for example InvalidInput.
        message: its sentence.
    """
    root = Element("testsuites", name=one_line(f"assay {audit}"), tests="1", failures="0", errors="1")
    suite = SubElement(root, "testsuite", name="audit", package=one_line(audit))
    told = SubElement(_new_case(suite, "run"), "error", type=kind, message=one_line(message))
    told.text = visible(message)
    _count(suite)
    return _written(root)


def _written(root: Element) -> bytes:
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _suite(root: Element, report: Report, candidate: CandidateReport) -> None:
    suite = _new_suite(root, report, candidate.name, _properties(report, candidate))
    found = findings_of(report, candidate.name)
    for check in dict.fromkeys(f.check for f in report.findings if f.candidate == candidate.name):
        _case(suite, check, [f for f in found if f.check == check], candidate.seconds.get(check, 0.0))
    for entry in candidate.left:
        if entry.check is not None:
            SubElement(_new_case(suite, entry.check), "skipped", message=one_line(f"{LEFT}: {entry.message}"))
    verdict = candidate_verdict(report, candidate)
    if left_whole(candidate) and candidate.error is None and not found:
        why = next(entry.message for entry in candidate.left if entry.check is None)
        SubElement(_new_case(suite, "verdict"), "skipped", message=one_line(f"{LEFT}: {why}"))
    elif candidate.error is not None or verdict is not worst(f.verdict for f in found) or not found:
        reason = candidate.error or f"{candidate.name} is {verdict}, and no finding says why."
        _unexplained(suite, verdict, reason)
    out = "\n".join(([EMULATED] if candidate.emulated else []) + [*candidate.notes, *built_beside(candidate)])
    if out:
        SubElement(suite, "system-out").text = visible(out)


def _audit_suite(root: Element, report: Report, findings: list[Finding]) -> None:
    """What belongs to no candidate, so that it is not lost."""
    suite = _new_suite(root, report, "audit", [])
    for check in dict.fromkeys(f.check for f in findings):
        _case(suite, check, [f for f in findings if f.check == check])
    _unexplained(suite, overall(report), f"The audit {report.audit} is {overall(report)}.")


def _new_suite(root: Element, report: Report, name: str, more: list[tuple[str, str]]) -> Element:
    suite = SubElement(root, "testsuite", name=one_line(name), package=one_line(report.audit))
    seconds = _SECONDS.match(report.created)
    if seconds:
        suite.set("timestamp", seconds[0])
    properties = SubElement(suite, "properties")
    for key, value in [
        ("audit", report.audit),
        ("run", report.run),
        ("content", report.content or ""),
        ("task", report.task),
        *more,
    ]:
        SubElement(properties, "property", name=key, value=one_line(value))
    return suite


def _properties(report: Report, candidate: CandidateReport) -> list[tuple[str, str]]:
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
    return [(key, value) for key, value in properties.items() if value is not None]


def _case(suite: Element, check: str, findings: list[Finding], seconds: float = 0.0) -> None:
    """One check on one candidate; its worst finding decides, all of them are told."""
    case = _new_case(suite, check)
    case.set("time", f"{seconds:.3f}")
    leading = findings[0]
    text = visible("\n".join(_told(f) for f in findings))
    if leading.verdict in _UNHAPPY:
        told = SubElement(case, _UNHAPPY[leading.verdict], type=one_line(f"{check}.{leading.verdict}"))
        told.set("message", one_line(leading.message))
        told.text = text
    else:
        SubElement(case, "system-out").text = text


def _told(finding: Finding) -> str:
    lines = [f"{finding.verdict}: {finding.message}"]
    facts = (("tensor", finding.tensor), ("node", finding.node))
    lines += [f"  {name}: {value}" for name, value in facts if value]
    if finding.value is not None:
        lines.append(f"  figure: {worst_figure(finding)}")
    return "\n".join(lines)


def _unexplained(suite: Element, verdict: Verdict, reason: str) -> None:
    case = _new_case(suite, "verdict")
    if verdict in _UNHAPPY:
        told = SubElement(case, _UNHAPPY[verdict], type=f"verdict.{verdict}", message=one_line(reason))
        told.text = visible(reason)


def _new_case(suite: Element, check: str) -> Element:
    classname = f"{suite.get('package', '')}.{suite.get('name', '')}"
    return SubElement(suite, "testcase", name=one_line(check), classname=classname, time="0.000")


def _count(suite: Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
