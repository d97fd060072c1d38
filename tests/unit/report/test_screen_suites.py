"""The GPUs of a screening for CI systems: green only where every one was scanned and none deviated."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from assay_api.finding import Verdict
from assay_api.screening import DeviceClass, DeviceEntry, Difference, PhaseCount, ScreenReport
from assay_runner.report import render_ctrf, render_junit
from assay_runner.report.screen_suites import results_of_screen
from tests.unit.report.test_ctrf import checked

H100 = DeviceClass(product="NVIDIA H100", driver="580", ecc="Enabled")


def device(name: str, verdict: Verdict = Verdict.PASSED, **fields: Any) -> DeviceEntry:
    whole: dict[str, Any] = {"device": name, "kind": H100, "state": "Scanned", "message": f"{name} was looked at"}
    return DeviceEntry(**{**whole, "verdict": verdict, "runs": 1000, "seconds": 2.5, **fields})


def screened(*devices: DeviceEntry, verdict: Verdict = Verdict.PASSED, **fields: Any) -> ScreenReport:
    whole: dict[str, Any] = {
        "version": "1", "subject": "bert.plan", "sha256": "0" * 64, "inputs": "i", "host": "worker-1",
        "made": "2026-01-01T00:00:00Z", "rule": "majority", "verdict": verdict, "message": "in all", "devices": devices,
    }  # fmt: skip
    return ScreenReport(**{**whole, **fields})


def test_every_gpu_is_a_case_of_its_machine_and_one_that_is_skipped_is_not_green() -> None:
    wrong = device(
        "GPU-2", Verdict.FAILED, phases=(PhaseCount(name="warm", runs=1000, deviations=7),),
        differences=(Difference(input=3, tensor="y", elements=2, of=10, bits=(0, 7), period=5),),
    )  # fmt: skip
    busy = device("GPU-3", Verdict.INCONCLUSIVE, state="Skipped", message="in use by 1 process")
    away = device("node/b", Verdict.INCONCLUSIVE, state="Skipped", host="b")
    results = results_of_screen(screened(device("GPU-1"), wrong, busy, away, verdict=Verdict.FAILED), "nightly")
    root = ElementTree.fromstring(render_junit(results))
    assert (root.get("name"), root.get("tests"), root.get("failures"), root.get("errors")) == (
        "assay nightly", "4", "1", "2",
    )  # fmt: skip
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [("b", "1"), ("worker-1", "3")]
    told = checked(render_ctrf(results))["results"]["tests"]
    raw = {test["name"]: test["rawStatus"] for test in told}
    assert raw == {
        "b: node/b": "Skipped", "worker-1: GPU-1": "Passed", "worker-1: GPU-2": "Failed", "worker-1: GPU-3": "Skipped",
    }  # fmt: skip
    trace = next(test["trace"] for test in told if test["name"] == "worker-1: GPU-2")
    assert "class: NVIDIA H100, 580, ECC Enabled" in trace
    assert "warm: 1000 runs, 7 deviate" in trace
    assert "input 3, y: 2 of 10 elements differ, bits 0, 7, one in 5" in trace


def test_a_pass_is_green_and_says_where_the_cpu_stood_in() -> None:
    root = ElementTree.fromstring(render_junit(results_of_screen(screened(device("cpu-0"), emulated=True))))
    assert (root.get("name"), root.get("failures"), root.get("errors")) == ("assay bert.plan", "0", "0")
    assert "says nothing of any GPU" in (root.findtext("testsuite/system-out") or "")
    assert "healthy" not in ElementTree.tostring(root, encoding="unicode")


def test_a_verdict_that_no_gpu_explains_is_a_case_of_its_own() -> None:
    for report in (screened(verdict=Verdict.INCONCLUSIVE), screened(device("GPU-1"), verdict=Verdict.INCONCLUSIVE)):
        root = ElementTree.fromstring(render_junit(results_of_screen(report)))
        assert root.get("errors") == "1"
        assert root[-1].get("name") == "screening"
