"""Where two reports part: what counts as worse, and what is within the noise that the reports themselves tell."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from assay_api.details_base import Details
from assay_api.entries import EngineEntry, Latency, MetricEntry, OutputEntry, Provenance
from assay_api.output_details import LabelAccuracyDetails
from assay_api.report import CandidateReport, DatasetEntry, Finding, GoldenEntry, Report, Verdict
from assay_runner.report.difference_page import render_differences
from assay_runner.report.difference_words import conclusion, figure_rows, verdict_rows, wire
from assay_runner.report.differences import Differences, Measured, differences

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def candidate(name: str = "fp16", verdict: Verdict = PASSED, **fields: Any) -> CandidateReport:
    return CandidateReport(name=name, candidate=name, verdict=verdict, backend="tensorrt", **fields)


def report(*candidates: CandidateReport, model: str = "m", data: str = "d", **fields: Any) -> Report:
    findings = fields.pop("findings", None)
    made = [Finding(candidate=c.name, check="outputDrift", verdict=c.verdict, message="told") for c in candidates]
    provenance = Provenance(runtime="onnxruntime", model=model)
    return Report(
        audit="digits", run="r", task="summary", created="2026-11-26T12:00:00Z", verdict=PASSED, candidates=candidates,
        findings=tuple(made if findings is None else findings), golden=GoldenEntry(provenance=provenance),
        dataset=DatasetEntry(identity=data), **fields,
    )  # fmt: skip


def drift(snr: float, floor: float | None) -> CandidateReport:
    return candidate(outputs=(OutputEntry(name="y", metrics={"snr": MetricEntry(worst=snr, floor=floor)}),))


def only(found: Differences) -> Measured:
    (figure,) = found.figures
    return figure


@pytest.mark.parametrize(
    ("old", "new", "worse", "lost"),
    [
        (PASSED, PASSED, False, False),
        (PASSED, FAILED, True, False),
        (INCONCLUSIVE, FAILED, True, False),
        (FAILED, FAILED, False, False),
        (FAILED, PASSED, False, False),
        (PASSED, INCONCLUSIVE, False, True),
        # From a breach to no judgement is no step up to a gate, but nothing that was in order is lost.
        (FAILED, INCONCLUSIVE, False, False),
    ],
)
def test_what_a_gate_is_told_of_verdicts(old: Verdict, new: Verdict, worse: bool, lost: bool) -> None:
    found = differences(report(candidate(verdict=old)), report(candidate(verdict=new)))
    assert (found.worse(figures=False), found.lost) == (worse, lost)


def test_a_candidate_that_is_gone_is_no_longer_judged_and_a_new_one_that_fails_is_worse() -> None:
    both, one = report(candidate("a"), candidate("b")), report(candidate("a"))
    assert differences(both, one).lost
    assert not differences(one, both).lost
    assert differences(one, report(candidate("a"), candidate("b", FAILED))).worse(figures=False)


def test_what_is_judged_for_the_first_time_is_new_and_told_by_its_candidate() -> None:
    """Nothing got better where nothing was before; a candidate that came or went as a whole is one line."""
    one, both = report(candidate("a")), report(candidate("a"), candidate("b"))
    found = differences(one, both)
    assert {each.change for each in found.verdicts if each.candidate == "b"} == {"new"}
    assert list(verdict_rows(found)) == [("b", "all checks", "-", "Passed", "new")]
    told = list(conclusion(found))
    assert "New: b." in told
    assert not any(line.startswith("Better") for line in told)
    gone = differences(both, one)
    assert list(verdict_rows(gone)) == [("b", "all checks", "Passed", "-", "worse")]
    assert "No longer judged: b." in list(conclusion(gone))
    failed = differences(one, report(candidate("a"), candidate("b", FAILED)))
    assert [row[1] for row in verdict_rows(failed)] == ["all checks", "outputDrift"]
    finite = Finding(candidate="a", check="finite", verdict=PASSED, message="told")
    drifted = Finding(candidate="a", check="outputDrift", verdict=PASSED, message="told")
    more = differences(one, report(candidate("a"), findings=(drifted, finite)))
    assert "New: a: finite." in list(conclusion(more))


def test_a_check_that_is_gone_is_no_longer_judged() -> None:
    one = candidate()
    finding = Finding(candidate="fp16", check="finite", verdict=PASSED, message="told")
    assert differences(report(one, findings=(finding,)), report(one)).lost


def test_decibels_move_with_goldens_own_noise() -> None:
    """An error of power P beside golden's own of power F lies between (sqrt P - sqrt F)^2 and (sqrt P + sqrt F)^2."""
    found = only(differences(report(drift(20.0, 40.0)), report(drift(20.8, 40.0))))
    error, noise = 10 ** (-20.8 / 20), 10 ** (-40 / 20)
    assert found.noise == pytest.approx(20 * math.log10((error + noise) / error))
    assert found.change == "same"
    assert only(differences(report(drift(20.0, 40.0)), report(drift(19.0, 40.0)))).change == "worse"
    assert only(differences(report(drift(20.0, 140.0)), report(drift(20.001, 140.0)))).change == "better"


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (math.inf, math.inf, "same"), (math.inf, 60.0, "worse"), (60.0, math.inf, "better"), (60.0, math.nan, "worse"),
        (math.nan, 60.0, "better"), (math.nan, math.nan, "same"), (60.0, -math.inf, "worse"),
    ],
)  # fmt: skip
def test_figures_that_are_not_finite_are_judged(old: float, new: float, change: str) -> None:
    found = only(differences(report(drift(old, math.inf)), report(drift(new, math.inf))))
    assert found.change == change
    json.dumps(wire(differences(report(drift(old, None)), report(drift(new, None)))), allow_nan=False)


def labelled(golden: int, own: int, samples: int = 1000) -> Report:
    details = LabelAccuracyDetails(
        top1=0.9, both_hit=samples - golden - own, only_golden_hits=golden, only_candidate_hits=own, neither_hits=0,
        kept_lower_bound=0.9, kept_upper_bound=1.0, interval="paired",
    )  # fmt: skip
    hit = (samples - golden) / samples
    one = candidate(samples=samples, accuracy={"top1": hit, "goldenTop1": 0.9})
    return report(one, findings=(finding_of(details),))


def finding_of(details: Details) -> Finding:
    return Finding(candidate="fp16", check="labelAccuracy", verdict=PASSED, message="told", details=details)


def test_labels_are_noisy_by_the_samples_on_which_the_runs_disagree() -> None:
    found = only(differences(labelled(10, 10), labelled(20, 10)))
    assert found.metric == "top1"
    assert found.noise == pytest.approx(1.959964 * math.sqrt(50) / 1000)
    assert found.change == "same"
    assert only(differences(labelled(10, 0), labelled(40, 0))).change == "worse"


def timed(median: float, p99: float, gpu: str = "H200", batch: int = 8) -> CandidateReport:
    latency = Latency(median_ms=median, p99_ms=p99, batch=batch, runs=100)
    return candidate(latency=latency, engine=EngineEntry(gpu=gpu))


def test_a_latency_is_held_against_one_of_the_same_gpu_and_batch_alone() -> None:
    assert only(differences(report(timed(1.0, 1.1)), report(timed(1.05, 1.1)))).change == "same"
    assert only(differences(report(timed(1.0, 1.1)), report(timed(1.2, 1.21)))).change == "worse"
    for other in (timed(2.0, 2.1, gpu="L4"), timed(2.0, 2.1, batch=1)):
        assert not differences(report(timed(1.0, 1.1)), report(other)).figures


@pytest.mark.parametrize("other", [{"model": "n"}, {"data": "e"}, {"model": ""}, {"data": ""}])
def test_figures_of_something_else_are_not_compared_and_that_is_said(other: dict[str, str]) -> None:
    found = differences(report(drift(60.0, 140.0)), report(drift(20.0, 140.0), **other))
    assert not found.figures
    assert "not compared" in " ".join(conclusion(found))
    assert not found.worse(figures=True)


def test_inputs_that_differ_are_named_field_by_field() -> None:
    old = report(candidate(engine=EngineEntry(tensorrt="10.6.0")), environment={"onnxruntime": "1.30"})
    new = report(candidate(engine=EngineEntry(tensorrt="10.9.0")), environment={"onnxruntime": "1.31"}, model="n")
    assert differences(old, new).inputs == {
        "model": ("m", "n"), "onnxruntime": ("1.30", "1.31"), "fp16: TensorRT": ("10.6.0", "10.9.0"),
    }  # fmt: skip


def test_figures_gate_only_where_they_are_asked_for() -> None:
    found = differences(report(drift(60.0, 140.0)), report(drift(50.0, 140.0)))
    assert not found.worse(figures=False)
    assert found.worse(figures=True)
    assert [row[-1] for row in figure_rows(found)] == ["worse"]


def test_no_name_becomes_markup() -> None:
    evil = candidate("<script>alert(1)</script>", FAILED)
    old = report(candidate("<script>alert(1)</script>"))
    page = render_differences(old, report(evil), differences(old, report(evil))).decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
