"""The cells of a sweep for CI systems: green only where every cell passed."""

from __future__ import annotations

from assay_runner.report import render_ctrf
from assay_runner.report.suites import Results
from assay_runner.report.sweep_cells import sweep_shown
from assay_runner.report.sweep_suites import results_of_sweep
from tests.unit.report.sweeps import audit, many, some, sweep
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
