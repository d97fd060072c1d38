"""The cells of a sweep for CI systems: green only where every cell passed."""

from __future__ import annotations

from assay_runner.report import render_ctrf, render_junit
from assay_runner.report.suites import Results
from assay_runner.report.sweep_cells import sweep_shown
from assay_runner.report.sweep_suites import results_of_sweep
from tests.unit.report.sweeps import audit, beside, many, some, sweep
from tests.unit.report.test_ctrf import checked


def outcomes(results: Results) -> dict[str, str]:
    return {f"{suite.name}/{case.name}": case.outcome for suite in results.suites for case in suite.cases}


def test_what_regressed_what_goes_on_and_what_nobody_could_judge_is_not_green() -> None:
    given = sweep(counts={"cells": 8, "passed": 1}), some()[1]
    results = results_of_sweep(sweep_shown(*given))
    assert outcomes(results) == {
        "bert/fp16@H200": "passed", "bert/fp16@L4": "failure", "bert/int8@H200": "failure", "bert/int8@L4": "failure",
        "vit/fp16@H200": "error", "vit/fp16@L4": "error", "vit/int8@H200": "error", "vit/int8@L4": "failure",
    }  # fmt: skip
    kinds = {case.name: case.kind for case in results.suites[0].cases}
    assert (kinds["fp16@L4"], kinds["int8@H200"]) == ("regressed.Failed", "cell.Failed")
    assert "still being audited" in next(c.message for c in results.suites[1].cases if c.name == "fp16@H200")


def test_what_is_worse_than_what_was_accepted_is_a_failure_though_it_passes_its_limits() -> None:
    results = results_of_sweep(sweep_shown(*beside()))
    found = {f"{suite.name}/{case.name}": case for suite in results.suites for case in suite.cases}
    assert {name: case.outcome for name, case in found.items() if name.endswith("fp16@L4")} == {
        "bert/fp16@L4": "failure", "gpt/fp16@L4": "passed", "t5/fp16@L4": "failure", "vit/fp16@L4": "failure",
    }  # fmt: skip
    bert = found["bert/fp16@L4"]
    why = (
        "Regressed beside what was accepted: loses 19 and gains 6 of 1,240 samples (outputDrift at /block.3/Add; "
        "tensorrt 10.13.3 -> 11.1.0); accepted by ann, 2026-02-01T00:00:00Z: release 7"
    )
    assert (bert.kind, bert.message) == ("cell.Regressed", why)
    assert bert.text == f"{why}\nPassed: fp16@L4 told (audit nightly-bert-2026-03-02)"
    assert found["gpt/fp16@L4"].text.endswith("\nNew beside what was accepted")
    # It failed when it was accepted, so that it is no regression; what it fails is told.
    assert found["vit/fp16@L4"].kind == "cell.Failed"
    told = checked(render_ctrf(results))
    (test,) = [each for each in told["results"]["tests"] if each["name"] == "bert: fp16@L4"]
    assert (test["status"], test["rawStatus"], test["message"]) == ("failed", "Regressed", why)
    assert render_junit(results).decode().count("loses 19 and gains 6 of 1,240 samples") >= 2


def test_what_cannot_be_judged_and_is_worse_is_a_failure() -> None:
    given = sweep(), [audit("bert", {"fp16": "Inconclusive"}, baseline={"state": "Regressed", "message": "loses 30"})]
    (case,) = results_of_sweep(sweep_shown(*given)).suites[0].cases
    assert (case.outcome, case.kind) == ("failure", "cell.Regressed")
    assert case.message.startswith("Regressed beside what was accepted: loses 30 (")


def test_cells_without_an_audit_are_an_error_and_so_is_no_cell() -> None:
    counts = {"cells": 5, "passed": 1, "overBudget": 3}
    results = results_of_sweep(sweep_shown(sweep(counts=counts), [audit("bert", {"fp16": "Passed"})]))
    assert outcomes(results) == {"bert/fp16": "passed", "sweep/cells": "error"}
    assert results.suites[-1].cases[0].message == "4 cells have no audit (3 are over the budget)"
    assert outcomes(results_of_sweep(sweep_shown(sweep(counts={}), []))) == {"sweep/cells": "error"}


def test_an_audit_that_cannot_be_read_is_told() -> None:
    given = sweep(counts={"cells": 1, "passed": 1}), [audit("bert", {"fp16": "Passed"}), {}]
    assert outcomes(results_of_sweep(sweep_shown(*given)))["sweep/cells"] == "error"


def test_ten_thousand_cells_are_cases_of_their_own() -> None:
    told = checked(render_ctrf(results_of_sweep(sweep_shown(*many()))))
    summary = told["results"]["summary"]
    assert (summary["tests"], summary["failed"], summary["suites"]) == (10000, 1000, 500)
