"""What the check says of engines whose layers ran in this and that."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from assay_api.entries import EngineEntry
from assay_api.report import Verdict
from assay_runner.checks.achieved_precision import WIDE, AchievedPrecision
from assay_runner.evidence import EngineFacts, EngineLayer, EngineTensor, Evidence
from tests.wire import details

CASES: dict[str, tuple[str, Mapping[str, int], float, Verdict, str]] = {
    "all of it": ("fp16", {"FP16": 12}, 0, Verdict.PASSED, "12 of 12 layers that compute ran in it"),
    "one is enough": ("fp16", {"FP32": 11, "FP16": 1}, 0, Verdict.PASSED, "11 FP32, 1 FP16"),
    "all wider": ("fp16", {"FP32": 12}, 0, Verdict.FAILED, "fp16 was asked for, and all 12 layers ran in FP32"),
    "none, of two kinds": ("int8", {"FP32": 3, "FP16": 2}, 0, Verdict.FAILED, "none of 5 layers ran in it"),
    "below the share": ("bf16", {"FP32": 6, "BF16": 4}, 0.5, Verdict.FAILED, "only 4 of 10 layers"),
    "at the share": ("bf16", {"FP32": 5, "BF16": 5}, 0.5, Verdict.PASSED, "5 of 10"),
    "unknown decides": ("fp8", {"FP16": 5, "": 2}, 0, Verdict.INCONCLUSIVE, "2 of 7 layers"),
    "unknown does not decide": ("fp8", {"FP8": 5, "": 2}, 0, Verdict.PASSED, "2 unknown"),
    "unknown is not enough": ("fp16", {"FP32": 8, "": 1, "FP16": 1}, 0.5, Verdict.FAILED, "only 1 of 10"),
    "fp32 as it is": ("fp32", {"FP32": 4}, 0, Verdict.PASSED, "no layer of 4"),
    "fp32 narrowed": ("fp32", {"FP32": 4, "FP16": 1}, 0, Verdict.FAILED, "1 of 5 layers ran in 1 FP16"),
    "fp32 with TF32": ("fp32", {"FP32": 4, "TF32": 1}, 0, Verdict.FAILED, "1 TF32"),
    "tf32": ("tf32", {"FP32": 4, "TF32": 1}, 0, Verdict.PASSED, "no layer of 5"),
    "fp32, one not told": ("fp32", {"FP32": 4, "": 1}, 0, Verdict.PASSED, "1 do not tell theirs"),
    "fp32, not told": ("fp32", {"": 4}, 0, Verdict.INCONCLUSIVE, "4 of 4"),
    "a plan": ("", {"FP16": 4}, 0, Verdict.INCONCLUSIVE, "no precision was asked for"),
    "nothing shown": ("fp16", {}, 0, Verdict.INCONCLUSIVE, "no layer that computes: leave achievedPrecision out"),
    "nothing shown of a plan": ("", {}, 0, Verdict.INCONCLUSIVE, "build it with profiling verbosity detailed"),
}


def engine(counts: Mapping[str, int]) -> EngineFacts:
    """Layers that compute, and copies in the precision asked for that must not count."""
    moves = tuple(
        EngineLayer(f"m{kind}", kind, "FP16")
        for kind in ("Reformat", "Shuffle", "Constant", "NoOp", "Slice", "Concatenation")
    )
    return EngineFacts((*moves, *(EngineLayer("l", "gemm", name) for name, n in counts.items() for _ in range(n))))


@pytest.mark.parametrize("case", CASES)
def test_verdicts(case: str) -> None:
    precision, counts, share, verdict, said = CASES[case]
    evidence = Evidence("c", samples=4, precision=precision, engine=engine(counts))
    [found] = AchievedPrecision(share=share).judge(evidence)
    assert found.verdict is verdict, found.message
    assert said in found.message
    metric = "narrowerLayers" if precision in WIDE else "layersShare"
    assert found.metric == (metric if counts and precision else None)
    if counts:
        assert details(found).get("achieved", engine(counts).achieved()) == engine(counts).achieved()


@pytest.mark.parametrize(
    ("precision", "counts", "warnings", "said"),
    [
        ("fp16", {"FP16": 1, "FP32": 2}, (), "only 1 of 3 layers that compute ran in it: 2 FP32, 1 FP16; the builder"),
        ("int8", {"FP32": 9, "INT8": 1}, (), "look where the Q/DQ pairs stand, or set share to have this fail"),
        ("fp8", {"FP16": 9, "FP8": 1}, (), "look where the Q/DQ pairs stand, or set share to have this fail"),
        (
            "int8",
            {"FP32": 24, "INT8": 1},
            ("Missing scale and zero-point for tensor t, expect fall back to non-int8 implementation",),
            "ask for calibration.quantization: explicit to reach more",
        ),
    ],
)
def test_little_passes_with_a_remark(
    precision: str, counts: Mapping[str, int], warnings: tuple[str, ...], said: str
) -> None:
    facts = EngineFacts(engine(counts).layers, EngineEntry(warnings=warnings))
    [found] = AchievedPrecision().judge(Evidence("c", samples=4, precision=precision, engine=facts))
    assert (found.verdict, details(found).get("remark")) == (Verdict.PASSED, True)
    assert said in found.message
    [half] = AchievedPrecision().judge(Evidence("c", 4, "fp16", engine=engine({"FP16": 1, "FP32": 1})))
    assert "remark" not in details(half)


def test_no_share_asked_for_is_no_limit() -> None:
    evidence = Evidence("c", samples=4, precision="fp16", engine=engine({"FP32": 2}))
    assert [AchievedPrecision(share=s).judge(evidence)[0].limit for s in (0, 0.5)] == [None, 0.5]


@pytest.mark.parametrize(
    ("shown", "said"), [((), "leave achievedPrecision out"), (("Float",), "read and make FP32, and cast inside")]
)
def test_a_layer_that_does_not_tell_says_why(shown: tuple[str, ...], said: str) -> None:
    layer = EngineLayer("l", "kgen", outputs=tuple(EngineTensor("y", words) for words in shown))
    [found] = AchievedPrecision().judge(Evidence("c", 4, "fp16", engine=EngineFacts((layer,))))
    assert (found.verdict, found.message.endswith(said)) == (Verdict.INCONCLUSIVE, True)


def test_what_is_no_engine_is_not_judged() -> None:
    [found] = AchievedPrecision().judge(Evidence("c", samples=4, precision="fp16"))
    assert (found.verdict, found.message.startswith("the candidate is no engine, so")) == (Verdict.INCONCLUSIVE, True)
    assert found.message.endswith("chosen by no builder: audit it on backend tensorrt to have this judged")


def test_strong_typing_is_told_apart() -> None:
    facts = EngineFacts(engine({"FP32": 2}).layers, typing="strong")
    [found] = AchievedPrecision().judge(Evidence("c", samples=4, precision="fp16", engine=facts))
    assert "strong typing" in found.message


@pytest.mark.parametrize(
    ("wide", "verdict"),
    [
        (None, Verdict.FAILED),
        (frozenset({"pow", "mean"}), Verdict.FAILED),
        (frozenset({"mean"}), Verdict.INCONCLUSIVE),
        (frozenset(), Verdict.INCONCLUSIVE),
    ],
)
def test_a_kernel_that_converts_inside_is_not_known_to_be_wide(wide: frozenset[str] | None, verdict: Verdict) -> None:
    layer = EngineLayer("l", "kgen", "FP32", nodes=("pow", "mean"))
    facts = EngineFacts((layer,), typing="strong", wide=wide)
    [found] = AchievedPrecision().judge(Evidence("c", samples=4, precision="fp16", engine=facts))
    assert found.verdict is verdict, found.message
    assert ("converts inside" in found.message) is (verdict is Verdict.INCONCLUSIVE)
