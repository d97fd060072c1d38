"""What to ship: the fastest that passed, as far as that can be known."""

from __future__ import annotations

import math
from typing import Any

import pytest

from assay_api.audit import Candidate
from assay_api.entries import BuildEntry, MetricEntry, OutputEntry
from assay_api.model import parse
from assay_api.repair import Deployable, RemedyEntry, RepairEntry
from assay_api.report import CandidateReport, Latency, Verdict
from assay_runner.tasks.recommendation import recommend

PASSED, FAILED, UNKNOWN = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def one(
    name: str,
    verdict: Verdict,
    ms: float | None = None,
    precision: str = "fp16",
    emulated: bool = False,
    batch: int = 8,
) -> CandidateReport:
    latency = None if ms is None else Latency(median_ms=ms, p99_ms=ms, batch=batch, runs=9)
    return CandidateReport(
        name=name,
        candidate=name.split("@")[0],
        verdict=verdict,
        backend="tensorrt",
        precision=precision,
        emulated=emulated,
        latency=latency,
    )


@pytest.mark.parametrize(
    ("candidates", "chosen", "words"),
    [
        ([], None, "no candidate passed"),
        ([one("a", FAILED, 1), one("b", UNKNOWN, 1)], None, "no candidate passed, so there is none to ship: see a, b"),
        ([one("a", PASSED, 9), one("b", FAILED, 1)], "a", "the only candidate that passed"),
        (
            [one("a", PASSED, 9), one("b", PASSED, 3), one("c", FAILED, 1)],
            "b",
            "fastest of the 2 candidates that passed",
        ),
        ([one("a", PASSED), one("b", PASSED, 3, "int8")], "b", "not comparable"),
        ([one("a", PASSED, 1, batch=1), one("b", PASSED, 3, "int8")], "b", "not comparable"),
        ([one("a", PASSED, 1, "fp32", True), one("b", PASSED, 3, "bf16", True)], "b", "the latencies are emulated"),
        ([one("a@x", PASSED, 1), one("a@y", FAILED, 1), one("b@x", PASSED, 5), one("b@y", PASSED, 5)], "b", "only"),
        ([one("a@x", PASSED, 1), one("a@y", PASSED, 9), one("b@x", PASSED, 5), one("b@y", PASSED, 5)], "b", "fastest"),
    ],
)
def test_the_fastest_that_passed(candidates: list[CandidateReport], chosen: str | None, words: str) -> None:
    found = recommend(tuple(candidates))
    assert found.candidate == chosen
    assert words in found.message


QAT = {"model": {"uri": "file:///qat.onnx"}}
PTQ = {"calibration": {"uri": "file:///calib/"}}


def asked(name: str, how: dict[str, Any], precision: str = "int8", backend: str = "tensorrt") -> Candidate:
    return parse(Candidate, {"name": name, "backend": backend, "precision": precision, **how})


def judged(name: str, top1: float | None = None, snr: float | None = None, **more: Any) -> CandidateReport:
    """A candidate that passed at 1 ms, with what was measured of its accuracy."""
    accuracy = {} if top1 is None else {"top1": top1, "goldenTop1": 1.0}
    outputs = () if snr is None else (OutputEntry(name="y", metrics={"snr": MetricEntry(worst=snr)}),)
    made = one(name, PASSED, 1, "int8")
    return made.model_copy(update={"accuracy": accuracy, "outputs": outputs, **more})


@pytest.mark.parametrize(
    ("candidates", "specs", "words"),
    [
        (
            [judged("p", 0.97), judged("q", 0.98)],
            [asked("p", PTQ), asked("q", QAT)],
            "; in int8, q (own Q/DQ) is more accurate than p (PTQ): top1 98.00 % against 97.00 %",
        ),
        (
            [judged("p", 0.99), judged("q", 0.98)],
            [asked("p", PTQ), asked("q", QAT)],
            "; in int8, p (PTQ) is more accurate than q (own Q/DQ): top1 99.00 % against 98.00 %",
        ),
        (
            [judged("p", 0.98), judged("q", 0.98)],
            [asked("p", PTQ), asked("q", QAT)],
            "; in int8, q (own Q/DQ) and p (PTQ) are equally accurate: top1 98.00 %",
        ),
        (
            [judged("p1", 0.97), judged("p2", 0.975), judged("q", 0.98)],
            [asked("p1", PTQ), asked("p2", PTQ), asked("q", QAT)],
            "q (own Q/DQ) is more accurate than p2 (PTQ, the best of 2): top1 98.00 % against 97.50 %",
        ),
        # Without labels, by the worst output; also where one of them alone has no label metric.
        (
            [judged("p", snr=20.04), judged("q", snr=18)],
            [asked("p", PTQ), asked("q", QAT)],
            "p (PTQ) is more accurate than q (own Q/DQ): worst output SNR 20.0 dB against 18.0 dB",
        ),
        (
            [judged("p", 0.9, snr=math.inf), judged("q", snr=18)],
            [asked("p", PTQ), asked("q", QAT)],
            "p (PTQ) is more accurate than q (own Q/DQ): worst output SNR inf dB against 18.0 dB",
        ),
        # The worst GPU product counts.
        (
            [judged("p@x", 0.99), judged("p@y", 0.9), judged("q@x", 0.95), judged("q@y", 0.96)],
            [asked("p", PTQ), asked("q", QAT)],
            "q (own Q/DQ) is more accurate than p (PTQ): top1 95.00 % against 90.00 %",
        ),
        # Accuracy is told of those that did not pass, too; speed stays what is recommended.
        (
            [judged("p", 0.9, verdict=FAILED), judged("q", 0.98)],
            [asked("p", PTQ), asked("q", QAT)],
            "q is the only candidate that passed; in int8, q (own Q/DQ) is more accurate",
        ),
        (
            [judged("p", 0.9), judged("q", 0.95), judged("e", 0.95), judged("f", 0.9)],
            [
                asked("p", PTQ),
                asked("q", QAT),
                asked("e", PTQ, backend="onnxruntime"),
                asked("f", QAT, backend="onnxruntime"),
            ],
            "; in int8 on tensorrt, q (own Q/DQ) is more accurate than p (PTQ): top1 95.00 % against 90.00 %"
            "; in int8 on onnxruntime, e (PTQ) is more accurate than f (own Q/DQ): top1 95.00 % against 90.00 %",
        ),
    ],
)
def test_the_more_accurate_way_to_8_bits_is_named(
    candidates: list[CandidateReport], specs: list[Candidate], words: str
) -> None:
    assert words in recommend(tuple(candidates), tuple(specs)).message


def repaired(name: str, of: str, top1: float, golden: float = 1.0, **more: Any) -> CandidateReport:
    """A repair that passed, judged on half of the samples."""
    made = judged(name, top1, repaired=of, samples=400, **more)
    return made.model_copy(update={"accuracy": {"top1": top1, "goldenTop1": golden}})


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        # Judged on other samples, so compared by what they keep of golden's on their own: 0.96 of 0.96 is all.
        (
            [judged("p", 0.5, verdict=FAILED, samples=800), judged("q", 0.98, samples=800),
             repaired("p-calibration", "p", 0.96, 0.96)],
            "in int8, p-calibration (PTQ, repaired, the best of 2) is more accurate than q (own Q/DQ): "
            "top1 kept of golden's 100.00 % against 98.00 %",
        ),
        (
            [judged("p", 0.5, verdict=FAILED, samples=800), judged("q", 0.98, samples=800),
             repaired("p-calibration", "p@x", 0.97), repaired("p-weightonly", "p", 0.99, weights_only=True)],
            "in int8, p-weightonly (weights alone, repaired) and q (own Q/DQ) cannot be ranked, top1 kept of golden's "
            "99.00 % and 98.00 % being within their 95 % interval; p-calibration (PTQ, repaired, the best of 2) less "
            "so",
        ),
        (
            [judged("p", 0.97, samples=400), judged("q", 0.99, samples=400),
             repaired("p-weightonly", "p", 0.99, weights_only=True)],
            "in int8, q (own Q/DQ) and p-weightonly (weights alone, repaired) are equally accurate, and more so than p "
            "(PTQ): top1 99.00 % against 97.00 %",
        ),
    ],
)  # fmt: skip
def test_repaired_candidates_and_weights_alone_are_compared_too(candidates: list[CandidateReport], words: str) -> None:
    assert words in recommend(tuple(candidates), (asked("p", PTQ), asked("q", QAT))).message


def test_weights_alone_are_not_taken_for_the_narrowest() -> None:
    """All their arithmetic is FP32's, so FP16 is faster; only FP32 is not."""
    alone = repaired("p-weightonly", "p", 1.0, weights_only=True, emulated=True)
    half, full = one("half", PASSED, 1, "fp16", True), one("full", PASSED, 1, "fp32", True)
    assert recommend((alone, half, full)).candidate == "half"
    assert recommend((alone, full)).candidate == "p-weightonly"


@pytest.mark.parametrize(
    ("candidates", "specs"),
    [
        ([judged("p", 0.97), judged("p2", 0.98)], [asked("p", PTQ), asked("p2", PTQ)]),
        ([judged("q", 0.97)], [asked("q", QAT)]),
        ([judged("p", 0.97), judged("q", 0.98)], [asked("p", PTQ), asked("q", QAT, "fp8")]),
        ([judged("p", 0.97), judged("q", 0.98)], [asked("p", PTQ), asked("q", QAT, "fp16")]),
        ([judged("p", 0.97), judged("q", error="no GPU", verdict=UNKNOWN)], [asked("p", PTQ), asked("q", QAT)]),
        ([judged("p"), judged("q")], [asked("p", PTQ), asked("q", QAT)]),
        ([judged("p", snr=math.nan), judged("q", snr=3)], [asked("p", PTQ), asked("q", QAT)]),
        ([judged("p", 0.97)], [asked("p", PTQ), asked("q", QAT)]),
    ],
)
def test_nothing_is_said_of_what_was_not_measured_both_ways(
    candidates: list[CandidateReport], specs: list[Candidate]
) -> None:
    message = recommend(tuple(candidates), tuple(specs)).message
    assert "Q/DQ" not in message
    assert "PTQ" not in message


@pytest.mark.parametrize(("samples", "ranked"), [(800, False), (800_000, True), (0, True)])
def test_nothing_is_ranked_within_what_the_samples_can_tell(samples: int, ranked: bool) -> None:
    found = [judged("p", 0.9762, samples=samples), judged("q", 0.9775, samples=samples)]
    message = recommend(tuple(found), (asked("p", PTQ), asked("q", QAT))).message
    assert ("q (own Q/DQ) is more accurate" in message) is ranked
    assert ("q (own Q/DQ) and p (PTQ) cannot be ranked, top1 97.75 % and 97.62 % being" in message) is not ranked


def test_what_labels_cannot_tell_apart_the_next_figure_does() -> None:
    common = {"emulated": True, "samples": 800}
    noisy, clean = judged("noisy", 0.9775, -1.79, **common), judged("clean", 0.9762, 12.0, **common)
    assert recommend((noisy, clean)).candidate == "clean"
    worse = judged("clean", 0.9, 12.0, **common)
    assert recommend((noisy, worse)).candidate == "noisy"


def test_without_latencies_the_most_accurate_of_the_narrowest_is_recommended() -> None:
    emulated = {"emulated": True}
    candidates = (judged("wide", 1.0, precision="fp16", **emulated), judged("a", 0.9, **emulated))
    found = recommend((*candidates, judged("b", 0.95, **emulated), judged("c", 0.95, **emulated)))
    assert found.candidate == "b"
    assert found.message.startswith("b is the most accurate in the narrowest precision of the 4 candidates that passed")


def test_the_fastest_is_recommended_whichever_is_more_accurate() -> None:
    slow = judged("q", 0.99).model_copy(update={"latency": Latency(median_ms=3, p99_ms=3, batch=8, runs=9)})
    found = recommend((judged("p", 0.9), slow), (asked("p", PTQ), asked("q", QAT)))
    assert found.candidate == "p"
    assert "q (own Q/DQ) is more accurate" in found.message


def timed(name: str, median: float, p99: float, top1: float, runs: int = 100) -> CandidateReport:
    latency = Latency(median_ms=median, p99_ms=p99, batch=64, runs=runs)
    return judged(name, top1).model_copy(update={"latency": latency})


@pytest.mark.parametrize(
    ("candidates", "chosen", "words"),
    [
        # Measured on one GPU: the standard errors of the medians are 1 % and 2 %, so 4.7 % may be noise.
        (
            (timed("minmax", 0.0362, 0.0508, 0.9875), timed("entropy", 0.0379, 0.0548, 0.99)),
            "entropy",
            "entropy is the most accurate of the 2 fastest of 2 candidates that passed, which are equally fast within "
            "noise: 0.0379 ms for a batch of 64; minmax (0.0362 ms)",
        ),
        (
            (timed("fp16", 0.088, 0.1075, 0.9824), timed("int8", 0.09, 0.1157, 0.9774)),
            "fp16",
            "fp16 is the fastest of the 2 candidates that passed: 0.0880 ms for a batch of 64; as fast within noise, "
            "and not more accurate: int8 (0.0900 ms)",
        ),
        # Steady times, or many of them, tell the same difference apart.
        ((timed("a", 0.0362, 0.037, 0.9875), timed("b", 0.0379, 0.039, 0.99)), "a", "a is the fastest"),
        ((timed("a", 0.0362, 0.0508, 0.98, 9999), timed("b", 0.0379, 0.0548, 0.99, 9999)), "a", "a is the fastest"),
        # What was timed badly does not win by it.
        ((timed("a", 0.088, 0.1075, 0.98), timed("b", 0.0993, 0.2115, 0.99)), "a", "a is the fastest"),
        # Equally fast and equally accurate: the one whose median is lower.
        ((timed("b", 0.0379, 0.0548, 0.99), timed("a", 0.0362, 0.0508, 0.99)), "a", "not more accurate: b"),
    ],
)
def test_within_the_noise_of_their_times_the_more_accurate_is_recommended(
    candidates: tuple[CandidateReport, ...], chosen: str, words: str
) -> None:
    found = recommend(candidates)
    assert (found.candidate, words in found.message) == (chosen, True), found.message


def test_a_sentence_names_a_few_of_many() -> None:
    many = tuple(one(name, FAILED, 1) for name in "abcdefgh")
    assert recommend(many).message.endswith("none to ship: see a, b, c and 5 more")
    equal = recommend(tuple(timed(name, 1, 1, 0.9) for name in "abcdefgh"))
    assert equal.message.endswith("not more accurate: b (1.00 ms), c (1.00 ms), d (1.00 ms) and 4 more")


def test_it_is_said_where_little_of_what_is_recommended_ran_in_its_precision() -> None:
    made = one("int8", PASSED, 1, "int8").model_copy(update={"achieved": {"FP32": 24, "INT8": 1}})
    assert recommend((made,)).message.endswith("passed; only 1 of the 25 layers of int8 ran in int8")
    for precision in ("fp32", "tf32"):
        wide = made.model_copy(update={"precision": precision, "achieved": {"FP32": 4}})
        assert "only" not in recommend((wide, one("b", PASSED, 2))).message


def passing(snr: float, **more: Any) -> CandidateReport:
    """An engine that passes with this SNR, its limit 17 dB."""
    outputs = (
        OutputEntry(name="y", metrics={"snr": MetricEntry(worst=snr, limit=17), "cosine": MetricEntry(worst=1)}),
    )
    builds = (BuildEntry.model_validate({"for": "the engine"}),)
    return one("fp16", PASSED, 1).model_copy(update={"outputs": outputs, "builds": builds, **more})


def test_it_is_said_where_another_build_of_what_is_recommended_may_fail() -> None:
    message = recommend((passing(18.9),)).message
    assert "fp16 passes by little, snr 18.9 dB (≥ 17 dB) of output 'y', and builds of one order differ" in message
    for told in (passing(20.1), passing(18.9, emulated=True), passing(18.9, builds=()), passing(float("inf"))):
        assert "by little" not in recommend((told,)).message
    kept = {"topKAgreement": MetricEntry(worst=1, limit=0.99)}
    assert "by little" not in recommend((passing(0, outputs=(OutputEntry(name="y", metrics=kept),)),)).message


def repair(name: str, of: str, verdict: Verdict, ms: float | None = None, **more: Any) -> CandidateReport:
    return one(name, verdict, ms, **more).model_copy(update={"repaired": of})


def done(*pairs: tuple[str, str]) -> tuple[RepairEntry, ...]:
    """Repairs of (candidate, its repair)."""
    entries = [
        RemedyEntry(
            candidate=of, remedy="precision", outcome="Cured", message=f"2 nodes of {of} in FP32", repaired=key,
            deploy=Deployable(model=f"file:///{key}/model.onnx"),
        )
        for of, key in pairs
    ]  # fmt: skip
    return (RepairEntry(remedies=tuple(entries)),)


@pytest.mark.parametrize(
    ("candidates", "chosen", "deploy", "words"),
    [
        (
            [one("a", FAILED, 1), repair("a-p", "a", PASSED, 2)],
            "a-p",
            "file:///a-p/model.onnx",
            "a-p is the only candidate that passed; it is a repair of a: 2 nodes of a in FP32",
        ),
        ([one("a", FAILED, 1), repair("a-p", "a", FAILED, 2)], None, None, "no candidate passed, and no repair of one"),
        (
            [one("a", FAILED, 1), one("b", PASSED, 5), repair("a-p", "a", PASSED, 2)],
            "a-p",
            "file:///a-p/model.onnx",
            "fastest",
        ),
        ([one("a", FAILED, 1), one("b", PASSED, 1), repair("a-p", "a", PASSED, 2)], "b", None, "fastest"),
        ([one("a", FAILED, 1), one("b", PASSED, 2), repair("a-p", "a", PASSED, 2)], "b", None, "b is the fastest"),
        # Emulated: the narrowest, and of those one that needs no repair.
        (
            [
                one("a", FAILED, 1, "fp16", True),
                repair("a-p", "a", PASSED, 2, emulated=True),
                one("b", PASSED, 3, "fp32", True),
            ],
            "a-p",
            "file:///a-p/model.onnx",
            "the narrowest precision",
        ),
        (
            [
                one("a", FAILED, 1, "fp16", True),
                repair("a-p", "a", PASSED, 2, emulated=True),
                one("b", PASSED, 3, "fp16", True),
            ],
            "b",
            None,
            "the narrowest precision",
        ),
        # On one of two products it failed: there its repair stands in for it, and on the other it is as it was.
        (
            [one("a@x", FAILED, 1), one("a@y", PASSED, 1), repair("a-p@x", "a@x", PASSED, 2)],
            "a-p",
            "file:///a-p@x/model.onnx",
            "a-p is the only candidate that passed",
        ),
        # It is cured on one and not on the other.
        (
            [one("a@x", FAILED, 1), one("a@y", FAILED, 1), repair("a-p@x", "a@x", PASSED, 2)],
            None,
            None,
            "no candidate passed",
        ),
        (
            [
                one("a@x", FAILED, 1),
                one("a@y", FAILED, 1),
                repair("a-p@x", "a@x", PASSED),
                repair("a-p@y", "a@y", PASSED),
            ],
            "a-p",
            None,
            "2 nodes of a@y in FP32",
        ),
    ],
)
def test_a_repair_that_passes_may_be_shipped(
    candidates: list[CandidateReport], chosen: str | None, deploy: str | None, words: str
) -> None:
    cured = done(*((c.repaired, c.name) for c in candidates if c.repaired))
    found = recommend(tuple(candidates), (), cured)
    assert found.candidate == chosen
    assert (found.deploy.model if found.deploy else None) == deploy
    assert words in found.message
