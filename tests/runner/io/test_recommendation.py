"""What to ship: the fastest that passed, as far as that can be known."""

from __future__ import annotations

from typing import Any

import pytest

from assay_api.audit import Candidate
from assay_api.model import parse
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
        name=name, verdict=verdict, backend="tensorrt", precision=precision, emulated=emulated, latency=latency
    )


@pytest.mark.parametrize(
    ("candidates", "chosen", "words"),
    [
        ([], None, "no candidate passed"),
        ([one("a", FAILED, 1), one("b", UNKNOWN, 1)], None, "no candidate passed, so there is none to ship: see a, b"),
        ([one("a", PASSED, 9), one("b", FAILED, 1)], "a", "the only candidate that passed"),
        ([one("a", PASSED, 9), one("b", PASSED, 3), one("c", FAILED, 1)], "b", "fastest of the candidates that passed"),
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


def judged(name: str, top1: float | None = None, snr: float | str | None = None, **more: Any) -> CandidateReport:
    """A candidate that passed at 1 ms, with what was measured of its accuracy."""
    accuracy = {} if top1 is None else {"top1": top1, "goldenTop1": 1.0}
    outputs = () if snr is None else ({"name": "y", "metrics": {"snr": {"worst": snr}}},)
    made = one(name, PASSED, 1, "int8")
    return made.model_copy(update={"accuracy": accuracy, "outputs": outputs, **more})


@pytest.mark.parametrize(
    ("candidates", "specs", "words"),
    [
        (
            [judged("p", 0.97), judged("q", 0.98)],
            [asked("p", PTQ), asked("q", QAT)],
            "; in int8, q (QAT) is more accurate than p (PTQ): top1 98.00 % against 97.00 %",
        ),
        (
            [judged("p", 0.99), judged("q", 0.98)],
            [asked("p", PTQ), asked("q", QAT)],
            "; in int8, p (PTQ) is more accurate than q (QAT): top1 99.00 % against 98.00 %",
        ),
        (
            [judged("p", 0.98), judged("q", 0.98)],
            [asked("p", PTQ), asked("q", QAT)],
            "; in int8, q (QAT) and p (PTQ) are equally accurate: top1 98.00 %",
        ),
        (
            [judged("p1", 0.97), judged("p2", 0.975), judged("q", 0.98)],
            [asked("p1", PTQ), asked("p2", PTQ), asked("q", QAT)],
            "q (QAT) is more accurate than p2 (PTQ, the best of 2): top1 98.00 % against 97.50 %",
        ),
        # Without labels, by the worst output; also where one of them alone has no label metric.
        (
            [judged("p", snr=20.04), judged("q", snr=18)],
            [asked("p", PTQ), asked("q", QAT)],
            "p (PTQ) is more accurate than q (QAT): worst output SNR 20.0 dB against 18.0 dB",
        ),
        (
            [judged("p", 0.9, snr="Infinity"), judged("q", snr=18)],
            [asked("p", PTQ), asked("q", QAT)],
            "p (PTQ) is more accurate than q (QAT): worst output SNR inf dB against 18.0 dB",
        ),
        # The worst GPU product counts.
        (
            [judged("p@x", 0.99), judged("p@y", 0.9), judged("q@x", 0.95), judged("q@y", 0.96)],
            [asked("p", PTQ), asked("q", QAT)],
            "q (QAT) is more accurate than p (PTQ): top1 95.00 % against 90.00 %",
        ),
        # Accuracy is told of those that did not pass, too; speed stays what is recommended.
        (
            [judged("p", 0.9, verdict=FAILED), judged("q", 0.98)],
            [asked("p", PTQ), asked("q", QAT)],
            "q is the only candidate that passed; in int8, q (QAT) is more accurate",
        ),
        (
            [judged("p", 0.9), judged("q", 0.95), judged("e", 0.95), judged("f", 0.9)],
            [
                asked("p", PTQ),
                asked("q", QAT),
                asked("e", PTQ, backend="onnxruntime"),
                asked("f", QAT, backend="onnxruntime"),
            ],
            "; in int8 on tensorrt, q (QAT) is more accurate than p (PTQ): top1 95.00 % against 90.00 %"
            "; in int8 on onnxruntime, e (PTQ) is more accurate than f (QAT): top1 95.00 % against 90.00 %",
        ),
    ],
)
def test_the_more_accurate_way_to_8_bits_is_named(
    candidates: list[CandidateReport], specs: list[Candidate], words: str
) -> None:
    assert words in recommend(tuple(candidates), tuple(specs)).message


@pytest.mark.parametrize(
    ("candidates", "specs"),
    [
        ([judged("p", 0.97), judged("p2", 0.98)], [asked("p", PTQ), asked("p2", PTQ)]),
        ([judged("q", 0.97)], [asked("q", QAT)]),
        ([judged("p", 0.97), judged("q", 0.98)], [asked("p", PTQ), asked("q", QAT, "fp8")]),
        ([judged("p", 0.97), judged("q", 0.98)], [asked("p", PTQ), asked("q", QAT, "fp16")]),
        ([judged("p", 0.97), judged("q", error="no GPU", verdict=UNKNOWN)], [asked("p", PTQ), asked("q", QAT)]),
        ([judged("p"), judged("q")], [asked("p", PTQ), asked("q", QAT)]),
        ([judged("p", snr="NaN"), judged("q", snr=3)], [asked("p", PTQ), asked("q", QAT)]),
        ([judged("p", 0.97)], [asked("p", PTQ), asked("q", QAT)]),
    ],
)
def test_nothing_is_said_of_what_was_not_measured_both_ways(
    candidates: list[CandidateReport], specs: list[Candidate]
) -> None:
    assert "accurate" not in recommend(tuple(candidates), tuple(specs)).message


def test_without_latencies_the_most_accurate_of_the_narrowest_is_recommended() -> None:
    emulated = {"emulated": True}
    candidates = (judged("wide", 1.0, precision="fp16", **emulated), judged("a", 0.9, **emulated))
    found = recommend((*candidates, judged("b", 0.95, **emulated), judged("c", 0.95, **emulated)))
    assert found.candidate == "b"
    assert found.message.startswith("b is the most accurate in the narrowest precision that passed (wide, a, b, c)")


def test_the_fastest_is_recommended_whichever_is_more_accurate() -> None:
    slow = judged("q", 0.99).model_copy(update={"latency": Latency(median_ms=3, p99_ms=3, batch=8, runs=9)})
    found = recommend((judged("p", 0.9), slow), (asked("p", PTQ), asked("q", QAT)))
    assert found.candidate == "p"
    assert "q (QAT) is more accurate" in found.message
