"""Results as JUnit XML, the one format every CI system shows: a suite per candidate, a case per check.

The layout is the common subset of the schemas of Jenkins, GitLab and Ant:
<https://github.com/jenkinsci/xunit-plugin> `junit-10.xsd`.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from assay_runner.report.suites import Case, Results, Suite
from assay_runner.report.wording import one_line, visible

_SECONDS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def render_junit(results: Results) -> bytes:
    """The results as JUnit XML in UTF-8: a `testsuites` document, green only where every case passed."""
    root = Element("testsuites", name=one_line(f"assay {results.of}"))
    for suite in results.suites:
        _suite(root, results, suite)
    for attribute in ("tests", "failures", "errors"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _suite(root: Element, results: Results, given: Suite) -> None:
    suite = SubElement(root, "testsuite", name=one_line(given.name), package=one_line(results.of))
    seconds = _SECONDS.match(results.created)
    if seconds:
        suite.set("timestamp", seconds[0])
    if given.properties:
        properties = SubElement(suite, "properties")
        for key, value in given.properties:
            SubElement(properties, "property", name=key, value=one_line(value))
    for case in given.cases:
        _case(suite, case)
    if given.out:
        SubElement(suite, "system-out").text = visible(given.out)
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    suite.set("tests", str(len(given.cases)))
    for attribute, outcome in counts.items():
        suite.set(attribute, str(sum(case.outcome == outcome for case in given.cases)))
    suite.set("time", f"{sum(case.seconds for case in given.cases):.3f}")


def _case(suite: Element, given: Case) -> None:
    classname = f"{suite.get('package', '')}.{suite.get('name', '')}"
    case = SubElement(
        suite, "testcase", name=one_line(given.name), classname=classname, time=f"{given.seconds:.3f}"
    )  # fmt: skip
    if given.outcome == "skipped":
        SubElement(case, "skipped", message=one_line(given.message))
    elif given.outcome != "passed":
        told = SubElement(case, given.outcome, type=one_line(given.kind), message=one_line(given.message))
        told.text = visible(given.text)
    elif given.text:
        SubElement(case, "system-out").text = visible(given.text)
