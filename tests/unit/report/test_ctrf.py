"""The Common Test Report Format: what its own published schema takes, and the story that junit.xml tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_api.report import Report
from assay_runner.report import render_ctrf, render_junit, results_of
from assay_runner.report.suites import broken_off
from tests.unit.report import samples
from tests.unit.report.test_page import hostile

SCHEMA = Path(__file__).parent / "schemas" / "ctrf-0.0.json"
REPORTS = [samples.passed, samples.failed, samples.emulated, samples.inconclusive, samples.report]


@cache
def validator() -> jsonschema.Draft7Validator:
    schema = json.loads(SCHEMA.read_text())
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())


def checked(content: bytes) -> dict[str, Any]:
    """The document, which the schema takes, and whose counts are those of its tests."""
    told: dict[str, Any] = json.loads(content)
    validator().validate(told)
    tests, summary = told["results"]["tests"], told["results"]["summary"]
    assert summary["tests"] == len(tests)
    for status in ("passed", "failed", "skipped", "pending", "other"):
        assert summary[status] == sum(test["status"] == status for test in tests)
    assert summary["duration"] == summary["stop"] - summary["start"]
    assert len({test["testId"] for test in tests}) == len(tests)
    return told


def ctrf(report: Report) -> dict[str, Any]:
    return checked(render_ctrf(results_of(report)))


@pytest.mark.parametrize("build", REPORTS)
def test_it_tells_what_junit_tells(build: Callable[[], Report]) -> None:
    results = results_of(build())
    told, root = checked(render_ctrf(results)), ElementTree.fromstring(render_junit(results))
    cases = list(root.iter("testcase"))
    assert [test["name"] for test in told["results"]["tests"]] == [
        f"{suite.get('name')}: {case.get('name')}" for suite in root for case in suite.iter("testcase")
    ]
    for case, test in zip(cases, told["results"]["tests"], strict=True):
        unhappy = next((child for child in case if child.tag in ("failure", "error")), None)
        assert (test["status"] == "failed") == (unhappy is not None)
        assert test.get("message") == (unhappy.get("message") if unhappy is not None else None)
    assert told["results"]["summary"]["failed"] == int(root.get("failures", "")) + int(root.get("errors", ""))


def test_what_could_not_be_judged_stops_a_gate_and_says_that_it_is_no_breach() -> None:
    tests = ctrf(samples.inconclusive())["results"]["tests"]
    assert {(test["status"], test["rawStatus"]) for test in tests} == {("failed", "Inconclusive")}


def test_cases_keep_their_identity_from_run_to_run() -> None:
    first, again = samples.failed(), samples.failed().model_copy(update={"created": "2026-03-15T03:02:11Z"})
    before, after = ctrf(first), ctrf(again)
    assert [t["testId"] for t in before["results"]["tests"]] == [t["testId"] for t in after["results"]["tests"]]
    assert before["reportId"] != after["reportId"]
    assert before["timestamp"] == "2026-03-14T03:02:11Z"


def test_a_run_that_was_broken_off_is_one_failure() -> None:
    told = checked(render_ctrf(broken_off("audit.yaml", "InvalidInput", "model.uri: is missing")))
    (test,) = told["results"]["tests"]
    assert (test["status"], test["rawStatus"], test["message"]) == ("failed", "InvalidInput", "model.uri: is missing")
    assert "timestamp" not in told


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_name_breaks_the_file(name: str) -> None:
    ctrf(hostile(name))


def test_the_schema_refuses_what_is_none() -> None:
    told = ctrf(samples.passed())
    told["results"]["tests"][0]["status"] = "green"
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(told)
