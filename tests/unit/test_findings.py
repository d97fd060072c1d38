"""What findings tell beside their verdict: figures, the place, and how many of what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.checks.batch_invariance import BatchInvariance
from assay_runner.checks.finite import Finite
from assay_runner.checks.label_accuracy import LabelAccuracy
from assay_runner.checks.latency import LatencyCheck
from assay_runner.checks.layer_constraints import LayerConstraints
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.checks.run_to_run import RunToRun
from assay_runner.evidence import (
    EightBitReads,
    Error,
    Fault,
    LabelRanks,
    LayerError,
    LayerErrors,
    OutputDrifts,
    OutputsFound,
    Reproduction,
    ShownTensors,
    TensorFaults,
)
from assay_runner.evidence.eight_bit import EightBitRead
from assay_runner.evidence.reruns import Comparison, Difference, Invariance, Repeats, Timing
from assay_runner.tensors import Site
from tests.evidence import proof
from tests.wire import details

SITE = Site("t", "n", "Op")
INF = float("inf")
PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def labelled(both: int, golden: int, candidate: int, neither: int, classes: int = 10, **given: Any) -> Finding:
    """So many samples whose label both hit, golden alone, the candidate alone, and neither."""
    miss = classes - 1
    ranks = np.repeat([[0, 0], [0, miss], [miss, 0], [miss, miss]], [both, golden, candidate, neither], axis=0)
    check = LabelAccuracy(**given)
    found = LabelRanks("t", classes, ranks[:, 0], ranks[:, 1])
    [finding] = check.judge(proof(found, check=check, samples=len(ranks)))
    return finding


@pytest.mark.parametrize(
    ("golden", "candidate", "keep", "verdict"),
    [(5, 5, 1.0, PASSED), (5, 4, 1.0, FAILED), (20, 10, 0.9, PASSED), (20, 9, 0.9, FAILED)],
)
def test_accuracy_is_kept_at_the_bar_and_not_below(golden: int, candidate: int, keep: float, verdict: Verdict) -> None:
    """Of 100 hits of golden's the candidate has 100 and 99, and 90 and 89."""
    found = labelled(100 - golden, golden, candidate, 0, keep=keep, interval="none")
    assert (found.verdict, found.metric, found.limit) == (verdict, "top1Kept", keep)
    assert found.value == pytest.approx((100 - golden + candidate) / 100)


@pytest.mark.parametrize("metric", ["top1", "top5"])
def test_accuracy_is_told_of_both_and_by_who_hits(metric: str) -> None:
    told = details(labelled(80, 6, 4, 10, metric=metric))
    assert (told[metric], told[f"golden{metric.capitalize()}"]) == (0.84, 0.86)
    assert [told[f"{who}"] for who in ("bothHit", "onlyGoldenHits", "onlyCandidateHits", "neitherHits")] == [
        80,
        6,
        4,
        10,
    ]
    assert {"top1", "goldenTop1", "top5", "goldenTop5"} & told.keys() == {metric, f"golden{metric.capitalize()}"}


def test_what_labels_cannot_tell_is_said_with_the_way_out() -> None:
    check = LabelAccuracy()
    nothing = np.zeros(0, np.int64)
    [found] = check.judge(proof(LabelRanks("t", 10, nothing, nothing), check=check, samples=4))
    assert (found.verdict, "not compared with any output" in found.message) == (INCONCLUSIVE, True)
    single = labelled(4, 0, 0, 0, classes=1)
    way = "name an output with a score per class in labelAccuracy.output, or judge this one by outputDrift"
    assert (single.verdict, single.message.endswith(f": {way}")) == (INCONCLUSIVE, True)
    at_the_bar = labelled(990, 10, 0, 0, keep=0.99)
    assert (at_the_bar.verdict, at_the_bar.message.endswith("no number of samples like these would settle it")) == (
        INCONCLUSIVE,
        True,
    )
    assert "samplesToSettle" not in details(at_the_bar)


def test_latency_tells_time_size_and_memory() -> None:
    check = LatencyCheck()
    timing = Timing((2.0, 4.0, 9.0), 8, device=True, emulated=False, engine=3_000_000, memory=7_000_000)
    [found] = check.judge(proof(timing, check=check, samples=8))
    told = {"medianMs": 4.0, "p99Ms": 9.0, "throughput": 2000.0, "engineMB": 3.0, "deviceMemoryMB": 7.0}
    assert {name: details(found)[name] for name in told} == told
    [emulated] = check.judge(proof(replace(timing, emulated=True, memory=None), check=check, samples=8))
    assert {"engineMB", "deviceMemoryMB"}.isdisjoint(details(emulated))


def drifts(**given: Any) -> OutputDrifts:
    """Four samples of an output that agrees to 30 dB, but for what is given."""
    usual = {
        "max_abs": np.full(4, 0.1), "max_rel": np.full(4, 0.2), "cosine": np.full(4, 0.999), "psnr": np.full(4, 40.0),
        "snr": np.full(4, 30.0), "broken": np.zeros(4, bool), "nan": np.zeros(4, bool), "void": np.zeros(4, bool),
        "compared": np.full(4, 10), "as_golden": np.zeros(4, np.int64), "top_k": {},
    }  # fmt: skip
    return OutputDrifts(**{**usual, **given}, site=SITE, classes=10, elements=10)


def test_drift_is_told_by_every_measure_and_on_which_side_it_must_be() -> None:
    check = OutputDrift(psnr=45)
    [found] = check.judge(proof(OutputsFound((drifts(),)), check=check, samples=4))
    assert (found.verdict, found.metric, found.value) == (FAILED, "psnr", 40)
    assert "must be at least 45 dB" in found.message
    told = {name: details(found)[name]["worst"] for name in ("maxAbs", "maxRel", "cosine", "psnr", "snr")}
    assert told == {"maxAbs": 0.1, "maxRel": 0.2, "cosine": 0.999, "psnr": 40, "snr": 30}
    check = OutputDrift(max_abs=0.05)
    [found] = check.judge(proof(OutputsFound((drifts(),)), check=check, samples=4))
    assert (found.verdict, "must be at most 0.05" in found.message) == (FAILED, True)


def test_an_output_that_was_asked_for_and_not_measured_is_no_pass() -> None:
    check = OutputDrift(outputs=("t", "another"))
    there, missing = check.judge(proof(OutputsFound((drifts(),)), check=check, candidate="fp16", samples=4))
    assert (there.verdict, missing.verdict) == (PASSED, INCONCLUSIVE)
    assert (missing.candidate, missing.tensor) == ("fp16", "another")
    assert missing.message == "output 'another' was not measured"


FLAGS = np.array([False, False, True, False])


@pytest.mark.parametrize(
    ("given", "verdict", "said"),
    [
        ({"broken": FLAGS}, FAILED, "is NaN or Inf in one of the two only, in 1 rows, first in row 2"),
        ({"void": FLAGS}, FAILED, "is NaN or Inf in one of the two only, in 1 rows, first in row 2"),
        ({}, PASSED, "agrees to 30.0 dB in row 0, the worst of 4 rows"),
    ],
    ids=["in the second run", "in the first run", "in neither"],
)
def test_what_is_not_finite_in_one_of_two_runs_fails_whichever_it_is(
    given: dict[str, Any], verdict: Verdict, said: str
) -> None:
    check = BatchInvariance()
    same = Comparison((drifts(**given),), tuple(f"row {row}" for row in range(4)), {"t": (0, 1)})
    [found] = check.judge(proof(Invariance(None, same), check=check, samples=4))
    assert found.verdict is verdict
    assert said in found.message
    if verdict is PASSED:
        assert (details(found)["rows"], details(found)["otherBits"], details(found)["maxAbs"]) == (4, 2, 0.1)


@pytest.mark.parametrize(("notes", "said"), [((), "no output could be compared"), (("a", "b"), "a; b")])
def test_where_no_output_is_compared_nothing_passes(notes: tuple[str, ...], said: str) -> None:
    check = BatchInvariance()
    [found] = check.judge(proof(Invariance(None, None, notes), check=check, samples=4))
    assert (found.verdict, found.message) == (INCONCLUSIVE, said)


def test_of_many_differences_twenty_are_listed_and_all_are_counted() -> None:
    check = RunToRun()
    many = tuple(Difference(SITE, "sameSession", batch, 1, 0.5) for batch in range(25))
    [found] = check.judge(proof(Repeats(25, 5, many), check=check, samples=25))
    assert (found.verdict, found.value) == (FAILED, 25)
    assert [entry["batch"] for entry in details(found)["differences"]] == [*range(20)]


@pytest.mark.parametrize(("own", "samples"), [(2, 2), (None, 5)])
def test_what_is_not_finite_only_when_it_is_shown_is_counted_where_golden_is_finite(
    own: int | None, samples: int
) -> None:
    fault = Fault(SITE, 5, 5, 0, 0, 0, own)
    shown = ShownTensors(TensorFaults(1, (fault,)), reproduction=Reproduction(bitwise=False, snr=-INF))
    [found] = Finite().judge(proof(shown, samples=9))
    assert found.verdict is INCONCLUSIVE
    assert f"is not finite when it is shown, in {samples} of 9 samples" in found.message


def test_an_output_that_is_finite_only_when_tensors_are_shown_says_so() -> None:
    broken = OutputsFound((drifts(broken=FLAGS, nan=FLAGS),))
    for precision, hint in (("fp16", True), ("bf16", False)):
        [found] = Finite().judge(proof(broken, ShownTensors(TensorFaults(3, ())), samples=4, precision=precision))
        assert (found.verdict, found.tensor, found.value) == (FAILED, "t", 1)
        assert "it is finite in the run that shows every tensor" in found.message
        assert ("fp16Range names" in found.message) is hint


@pytest.mark.parametrize(
    ("precision", "way"),
    [
        ("fp32", "look at what else differs between the two models"),
        ("fp16", "in a wider precision, or use bf16 where the range is what lacks"),
        ("", "in a wider precision, or use bf16 where the range is what lacks"),
        ("bf16", "in a wider precision"),
        ("int8", "in a wider precision"),
    ],
)
def test_the_way_out_of_what_is_not_finite_is_the_precisions(precision: str, way: str) -> None:
    fault = Fault(SITE, 3, 1, 2, 3, 4, 3)
    [found] = Finite().judge(proof(ShownTensors(TensorFaults(1, (fault,))), samples=9, precision=precision))
    assert (found.verdict, found.message.endswith(way)) == (FAILED, True)
    assert (
        "is the first that is not finite: NaN and +Inf and -Inf in 3 of 9 samples, first in sample 4" in found.message
    )
    assert details(found)["tensors"][0]["what"] == "NaN and +Inf and -Inf"


@pytest.mark.parametrize(
    ("where", "way"),
    [
        ("engine", "hold that layer in fp16 or fp32, or give the model Q/DQ pairs in front of its products only"),
        ("graph", "take that Q/DQ pair out"),
    ],
)
def test_the_way_out_of_8_bits_is_where_they_come_from(where: Any, way: str) -> None:
    read = EightBitRead(SITE, "Softmax", "x", "INT8", where)
    [found] = LayerConstraints().judge(proof(EightBitReads((read,), engine=True), samples=4, precision="int8"))
    assert (found.verdict, f"; {way}" in found.message) == (FAILED, True)


@pytest.mark.parametrize(
    ("precision", "way"), [("int8", "leave layerConstraints out"), ("", "build it with profiling verbosity detailed")]
)
def test_8_bits_that_nobody_can_see_are_not_known(precision: str, way: str) -> None:
    [found] = LayerConstraints().judge(proof(EightBitReads(()), samples=4, precision=precision))
    assert found.verdict is INCONCLUSIVE
    assert found.message.startswith("there is no Q/DQ pair in the graph and no layer of an engine to see")
    assert found.message.endswith(f"so what runs in 8 bits is not known: {way}")


def test_tensors_that_pass_name_the_farthest_and_where_none_were_compared_that_is_said() -> None:
    check = LayerDrift()
    layers = tuple(
        LayerError(Site(f"t{i}", f"n{i}", "Op"), 9, 0, 1, 0, 1, 0, Error(0, 0, snr, 1), Error(0, 0, 60, 1), None)
        for i, snr in enumerate((50.0, 40.0, 45.0))
    )
    [found] = check.judge(proof(ShownTensors(TensorFaults(3, ()), LayerErrors(layers, ())), check=check, samples=9))
    assert (found.verdict, found.tensor, found.node, found.value) == (PASSED, "t1", "n1", 40)
    assert "the farthest is tensor 't1' of node 'n1' (Op) with 40.0 dB" in found.message
    [found] = check.judge(proof(ShownTensors(TensorFaults(3, ())), check=check, samples=9))
    assert (found.verdict, found.message) == (INCONCLUSIVE, "the tensors were not compared with golden's")
