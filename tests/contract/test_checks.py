"""What every check must do, whatever it asks: refuse to pass on nothing, on NaN, and survive its own format."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assay_api.audit import AuditSpec
from assay_api.descriptions import descriptions
from assay_api.model import parse, to_wire
from assay_api.report import Finding, Verdict
from assay_runner.checks import CHECKS, Check, parse_checks
from assay_runner.checks.label_accuracy import LabelAccuracy
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.errors import InvalidInput
from assay_runner.evidence import (
    DetectionsFound,
    EightBitReads,
    EngineFacts,
    EngineLayer,
    Error,
    Evidence,
    Fault,
    LabelRanks,
    LayerError,
    LayerErrors,
    OutputDrifts,
    OutputsFound,
    OutputsWanted,
    Ranges,
    Reproduction,
    Scores,
    ShownTensors,
    TensorFaults,
    TensorsWanted,
)
from assay_runner.evidence.eight_bit import EightBitRead
from assay_runner.evidence.ranges import TensorRange
from assay_runner.evidence.reruns import (
    Comparison,
    Difference,
    ExtraOutput,
    Invariance,
    Repeats,
    Timing,
)
from assay_runner.passes import PASSES
from assay_runner.report.figures import METRICS
from assay_runner.tensors import Site
from tests.evidence import ASKED, proof
from tests.wire import details

SITE = Site("t", "n", "Op")
INF = float("inf")
PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "finite": [{}],
    "outputDrift": [
        {},
        {"outputs": ["t"], "maxAbs": 0.1, "maxRel": 1, "cosine": 0.9, "psnr": 30, "snr": 20, "topK": 2},
        {"topKAgreement": 0.9},
    ],
    "labelAccuracy": [{}, {"metric": "top5", "keep": 0.999, "interval": "none", "output": "t"}],
    "layerDrift": [{}, {"snr": 5, "localSnr": 12.5, "equal": 0.9, "worst": 3, "tensors": "all"}],
    "runToRun": [{}, {"runs": 2, "batches": 1, "conditions": ["newProcess"]}],
    "batchInvariance": [{}, {"exact": True, "batches": 3}],
    "extraOutput": [{}, {"exact": True, "tensor": "t", "batches": 3}],
    "metric": [{"name": "m"}, {"name": "m", "atLeast": 0.5, "output": "t"}],
    "detections": [
        {"scoreColumn": 4},
        {"boxes": "t", "columns": "first", "format": "cxcywh", "classScoresFrom": 4, "most": 10, "lost": 0.5},
        {"scores": "s", "classes": "t", "count": "t", "boxColumns": [1, 0, 3, 2], "minScore": 0.5, "iou": 0.4},
    ],
    "latency": [{"medianMs": 5, "p99Ms": 7.5, "throughput": 1}, {"engineMB": 4, "medianMs": 5, "runs": 5, "warmUp": 0}],
    "achievedPrecision": [{}, {"share": 0.5}],
    "layerConstraints": [{}, {"keepWide": ["Softmax", "Conv"]}],
    "fp16Range": [{}, {"underflow": 0.5, "subnormal": 0.5, "accumulator": "fp16"}],
}
CASES = [(name, given) for name, several in PARAMETERS.items() for given in several]


def made(name: str, given: dict[str, Any]) -> Check:
    return parse(CHECKS[name], given)


def evidence(check: Check, good: bool, samples: int = 1000, reproduction: Reproduction | None = None) -> Evidence:
    """Everything measured that the check asks for: all as it should be, or all NaN."""
    values = np.full(samples, 0.0 if good else np.nan)
    high = np.full(samples, INF if good else np.nan)
    drifts = OutputDrifts(
        site=SITE,
        max_abs=values,
        max_rel=values,
        cosine=np.full(samples, 1.0 if good else np.nan),
        psnr=high,
        snr=high,
        broken=np.full(samples, not good),
        nan=np.full(samples, not good),
        void=np.zeros(samples, np.bool_),
        compared=np.full(samples, 10),
        as_golden=np.zeros(samples, np.int64),
        top_k={k: np.full(samples, good) for k in (1, 2)},
        classes=10,
        elements=10,
    )
    zeros = np.zeros(samples, np.int64)
    error = Error(0, 0, INF, 1) if good else Error(INF, INF, -INF, -1)
    layer = LayerError(SITE, samples, 0, 1, 0, 1, 0 if good else samples, error, error, None if good else 1.0)
    fault = Fault(SITE, samples, samples, 0, 0, 0, samples)
    repeats = Repeats(4, 5, () if good else (Difference(SITE, "sameSession", 0, 2, INF),))
    rows = tuple(range(samples))
    same = Comparison((drifts,), tuple(f"sample {row}" for row in rows), {"t": () if good else rows})
    shown = ShownTensors(
        TensorFaults(1, () if good else (fault,)), LayerErrors((layer,), ()), reproduction or Reproduction(True, INF)
    )
    found = proof(
        OutputsFound((drifts,)),
        LabelRanks("t", 10, zeros, zeros if good else zeros + 10),
        Scores(SITE, np.ones(samples), values + 1),
        DetectionsFound(SITE, np.tile([2, 2, 2, *([0] * 4 if good else [2] * 4), 1, 0], (samples, 1)).astype(float)),
        shown,
        repeats,
        Invariance(same, same),
        ExtraOutput(SITE, same),
        Timing((1.0 if good else np.nan,) * 5, 8, device=True, emulated=False, engine=1000),
        Ranges((TensorRange(SITE, "tensor", 9, 0 if good else 9, 0, 0, 0, 1, 1, 0, 0),), (), 0),
        EightBitReads(() if good else (EightBitRead(SITE, "Softmax", "x", "INT8", "graph"),)),
        check=check,
        samples=samples,
        precision="fp16",
        engine=EngineFacts((EngineLayer("l", "gemm", "FP16" if good else "FP32"),)),
    )
    for need in check.needs:
        assert need in found.found, (
            f"nothing is made up here for {type(need).__name__}, which {check.name} needs: give the proof(...) in "
            "evidence() of tests/contract/test_checks.py evidence of its type, good and bad, and ASKED of "
            "tests/evidence.py a line for it"
        )
    return found


def verdicts(findings: tuple[Finding, ...]) -> set[Verdict]:
    return {finding.verdict for finding in findings}


def test_every_check_is_tried() -> None:
    assert PARAMETERS.keys() == CHECKS.keys()
    assert all(check.name == name and check.__doc__ for name, check in CHECKS.items())
    # What an engine is made of is always there.
    assert [name for name, given in CASES if not made(name, given).needs] == ["achievedPrecision", "achievedPrecision"]


@pytest.mark.parametrize(("name", "given"), CASES)
def test_what_a_check_needs_is_measured_by_a_pass(name: str, given: dict[str, Any]) -> None:
    kinds = {type(need) for need in made(name, given).needs}
    unmeasured = [kind.__name__ for kind in kinds - PASSES.keys()]
    assert not unmeasured, f"{name} needs what no line in PASSES of assay_runner/passes/__init__.py provides"
    unmet = [kind.__name__ for kind in kinds - set(ASKED.values())]
    assert not unmet, f"{name} needs what no line in ASKED of tests/evidence.py has evidence for"


@pytest.mark.parametrize(("name", "given"), CASES)
def test_every_metric_has_a_sign_and_a_unit(name: str, given: dict[str, Any]) -> None:
    check = made(name, given)
    seen = [Evidence(candidate="c"), evidence(check, True, samples=5000), evidence(check, True), evidence(check, False)]
    told = {finding.metric for each in seen for finding in check.judge(each) if finding.metric}
    unlisted = (told | check.limits_on("t").keys()) - METRICS.keys()
    assert not unlisted, (
        f"{name} tells metrics without a row in METRICS of assay_runner/report/figures.py, which says whether more is "
        "better, and the unit"
    )


@pytest.mark.parametrize("name", CHECKS)
def test_defaults_are_told(name: str) -> None:
    """`kubectl explain` shows what a docstring says and nothing else: the definition itself has no defaults."""
    fields, told = CHECKS[name].model_fields, descriptions(CHECKS[name])
    given = {field for field, info in fields.items() if not info.is_required() and info.default is not None}
    untold = [field for field in given if "default" not in told.get(field, "").lower()]
    assert not untold, "the docstring of a field with a default says: Default ..."


@pytest.mark.parametrize(("name", "given"), CASES)
def test_nothing_measured_is_inconclusive(name: str, given: dict[str, Any]) -> None:
    for nothing in (Evidence(candidate="c"), Evidence(candidate="c", samples=5)):
        assert verdicts(made(name, given).judge(nothing)) == {Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(("name", "given"), CASES)
def test_what_is_missing_is_said(name: str, given: dict[str, Any]) -> None:
    check = made(name, given)
    missing = dict.fromkeys(check.needs, "the probe broke")
    found = check.judge(Evidence(candidate="c", samples=5, missing=missing))
    assert verdicts(found) == {Verdict.INCONCLUSIVE}
    assert all(not missing or "the probe broke" in finding.message for finding in found)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_perfect_evidence_passes(name: str, given: dict[str, Any]) -> None:
    check = made(name, given)
    assert verdicts(check.judge(evidence(check, good=True, samples=5000))) == {Verdict.PASSED}


@pytest.mark.parametrize(("name", "given"), CASES)
def test_nan_never_passes(name: str, given: dict[str, Any]) -> None:
    check = made(name, given)
    assert verdicts(check.judge(evidence(check, good=False))) == {Verdict.FAILED}


@pytest.mark.parametrize(("name", "given"), CASES)
def test_findings_are_one_sentence_about_this_candidate(name: str, given: dict[str, Any]) -> None:
    check = made(name, given)
    for seen in (evidence(check, True), evidence(check, False), Evidence(candidate="c")):
        found = check.judge(seen)
        assert found
        for finding in found:
            assert (finding.candidate, finding.check) == ("c", name)
            assert finding.message
            assert "\n" not in finding.message
            assert ". " not in finding.message.rstrip(".")
            assert Finding.model_validate_json(finding.model_dump_json(by_alias=True))
            assert len(json.dumps(details(finding))) < 8000


@pytest.mark.parametrize(("name", "given"), CASES)
def test_parameters_come_back_from_json(name: str, given: dict[str, Any]) -> None:
    check = made(name, given)
    assert parse(CHECKS[name], json.loads(json.dumps(to_wire(check)))) == check


@pytest.mark.parametrize(("name", "given"), CASES)
def test_tensors_that_are_not_those_served_pass_nothing(name: str, given: dict[str, Any]) -> None:
    check = made(name, given)
    other = evidence(check, good=True, samples=5000, reproduction=Reproduction(False, 3.0))
    shown = any(isinstance(need, TensorsWanted) for need in check.needs)
    assert verdicts(check.judge(other)) == {Verdict.INCONCLUSIVE if shown else Verdict.PASSED}


def spec(*checks: dict[str, Any], labels: str | None = "label") -> AuditSpec:
    dataset = {"uri": "file:///d.npz"} | ({"labels": labels} if labels else {})
    return parse(
        AuditSpec,
        {
            "model": {"uri": "file:///m.onnx"},
            "dataset": dataset,
            "candidates": [{"name": "a", "backend": "onnxruntime", "precision": "fp16"}],
            "artifacts": {"uri": "file:///out"},
            "checks": list(checks),
        },
    )


@pytest.mark.parametrize("labels", ["label", None])
def test_the_default_set(labels: str | None) -> None:
    names = [check.name for check in parse_checks(spec(labels=labels))]
    assert names == ["finite", "outputDrift", "runToRun", *(["labelAccuracy"] if labels else [])]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown check": ({"finit": {}}, "unknown check; there are finite"),
    "unknown field": ({"finite": {"x": 1}}, "spec.checks[0].finite.x: unknown field"),
    "out of range": ({"labelAccuracy": {"keep": 2}}, "spec.checks[0].labelAccuracy.keep"),
    "wrong type": ({"runToRun": {"runs": "many"}}, "spec.checks[0].runToRun.runs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named(case: str) -> None:
    entry, message = REFUSED[case]
    with pytest.raises(InvalidInput) as caught:
        parse_checks(spec(entry))
    assert message in str(caught.value)


def test_too_few_samples_are_inconclusive_with_the_number_that_would_do() -> None:
    check = LabelAccuracy(keep=0.999)
    [found] = check.judge(evidence(check, good=True, samples=12))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert details(found)["samplesToSettle"] > 2995
    assert str(details(found)["samplesToSettle"]) in found.message


def test_a_fixed_validation_set_needs_no_interval() -> None:
    check = LabelAccuracy(keep=0.999, interval="none")
    [found] = check.judge(evidence(check, good=True, samples=12))
    assert found.verdict is Verdict.PASSED


def test_golden_that_hits_nothing_tells_nothing() -> None:
    missed = np.full(50, 3)
    [found] = LabelAccuracy().judge(proof(LabelRanks("t", 10, missed, missed), samples=50))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "golden's top1 is 0" in found.message


def test_one_bad_sample_decides() -> None:
    check = OutputDrift()
    drifts = evidence(check, good=True, samples=400).of(OutputsWanted(1))
    assert drifts
    snr = np.full(400, 30.0)
    snr[123] = 3
    worse = OutputsFound((replace(drifts.drifts[0], snr=snr),))
    [found] = check.judge(proof(worse, check=check, samples=400))
    assert (found.verdict, found.value, found.limit) == (Verdict.FAILED, 3, 17)
    assert "sample 123" in found.message


def test_golden_without_the_tensor_is_no_excuse() -> None:
    fault = Fault(SITE, 3, 3, 0, 0, 0, None)
    [found] = CHECKS["finite"]().judge(proof(ShownTensors(TensorFaults(4, (fault,))), samples=9))
    assert found.verdict is Verdict.FAILED
