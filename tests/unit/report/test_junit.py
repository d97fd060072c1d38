"""JUnit XML that any CI system reads, and that is green only where everything passed."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_api.report import CandidateReport, Finding, Report, Verdict
from assay_runner.report import render_junit, results_of
from tests.unit.report import samples
from tests.unit.report.test_page import HOSTILE, hostile

# The common schema: element -> (attributes it needs, attributes it may have, children in their order).
COUNTS = {"tests", "failures", "errors"}
SCHEMA = {
    "testsuites": ({"name"} | COUNTS, {"time", "disabled"}, ["testsuite"]),
    "testsuite": (
        {"name"} | COUNTS,
        {"package", "timestamp", "skipped", "time", "hostname", "id", "disabled"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, set(), []),
    "testcase": (
        {"name", "classname"},
        {"time", "status"},
        ["skipped", "error", "failure", "system-out", "system-err"],
    ),
    "failure": (set(), {"message", "type"}, []),
    "error": (set(), {"message", "type"}, []),
    "system-out": (set(), set(), []),
}
Build = Callable[[], Report]


def check_schema(element: Element) -> None:
    needed, allowed, order = SCHEMA[element.tag]
    given = set(element.keys())
    assert needed <= given <= needed | allowed, (element.tag, given)
    places = [order.index(child.tag) for child in element]
    assert places == sorted(places), (element.tag, [c.tag for c in element])
    for child in element:
        check_schema(child)


def parse(report: Report) -> Element:
    root = ElementTree.fromstring(render_junit(results_of(report)))
    check_schema(root)
    for element in (root, *root.findall("testsuite")):
        for attribute, path in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
            assert int(element.get(attribute, "")) == len(element.findall(f".//{path}"))
    return root


@pytest.mark.parametrize(
    ("build", "tests", "failures", "errors"),
    [
        (samples.passed, 3, 0, 0),
        (samples.failed, 6, 2, 0),
        (samples.emulated, 2, 2, 0),
        (samples.inconclusive, 2, 0, 2),
        (samples.report, 1, 0, 1),
    ],
)
def test_counts_follow_the_verdicts(build: Build, tests: int, failures: int, errors: int) -> None:
    root = parse(build())
    assert [root.get(a) for a in ("tests", "failures", "errors")] == [str(tests), str(failures), str(errors)]


def test_a_case_per_check_tells_every_finding_of_it() -> None:
    candidate, found = samples.int8()
    other = found[0].model_copy(update={"tensor": "boxes", "message": "boxes: too far."})
    root = parse(samples.report((candidate, [other, *found])))
    (case,) = [c for c in root.iter("testcase") if c.get("name") == "outputDrift"]
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "boxes: too far."
    assert failure.text is not None
    assert "boxes: too far." in failure.text
    assert "logits: largest absolute error 0.3127" in failure.text
    assert "figure: maxAbs 0.3127 (limit ≤ 0.05)" in failure.text


def test_cases_keep_their_names_whatever_fails() -> None:
    def names(report: Report) -> list[tuple[str | None, str | None]]:
        return [(c.get("classname"), c.get("name")) for c in parse(report).iter("testcase")]

    candidate, found = samples.int8()
    healed = [f.model_copy(update={"verdict": Verdict.PASSED, "tensor": None}) for f in found]
    assert names(samples.report((candidate, found))) == names(
        samples.report((candidate.model_copy(update={"verdict": Verdict.PASSED}), healed))
    )


@pytest.mark.parametrize(
    ("verdict", "found", "unhappy"),
    [
        (Verdict.FAILED, Verdict.PASSED, "failure"),
        (Verdict.INCONCLUSIVE, Verdict.PASSED, "error"),
        (Verdict.PASSED, None, "error"),
    ],
)
def test_a_verdict_no_finding_explains_is_not_green(verdict: Verdict, found: Verdict | None, unhappy: str) -> None:
    candidate = CandidateReport(name="x", verdict=verdict, backend="tensorrt")
    findings = [Finding(candidate="x", check="finite", verdict=found, message="m")] if found else []
    (case,) = [c for c in parse(samples.report((candidate, findings))).iter("testcase") if c.get("name") == "verdict"]
    assert case.find(unhappy) is not None


def test_findings_of_no_candidate_are_not_lost() -> None:
    stray = Finding(candidate="gone", check="finite", verdict=Verdict.FAILED, message="lost?")
    root = parse(samples.report(samples.fp16(), findings=(*samples.fp16()[1], stray)))
    assert next(f.get("message") for f in root.iter("failure")) == "lost?"


def test_properties_carry_what_a_dashboard_reads() -> None:
    suite = parse(samples.failed()).findall("testsuite")[1]
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    expected = {"verdict": "Failed", "precision": "int8", "latencyMedian": "0.207 ms", "emulated": "false"}
    assert expected.items() <= properties.items()
    assert suite.get("timestamp") == "2026-03-14T03:02:11"
    assert "Emulated on CPU" in (parse(samples.emulated()).findtext("testsuite/system-out") or "")


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_name_breaks_the_file(name: str) -> None:
    root = parse(hostile(name))
    assert [c.get("name") is None for c in root.iter("testcase")] == [False, False]


def test_control_characters_are_written_out() -> None:
    root = parse(hostile(HOSTILE))
    assert "\\u0000\\u001b[31m\\u202e" in (root.find("testsuite") or root).get("name", "")
