"""What to ship: the fastest that passed, as far as that can be known."""

from __future__ import annotations

import pytest

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
