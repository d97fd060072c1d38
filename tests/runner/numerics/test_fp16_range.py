"""What FP16 cannot hold, on models that show it: named at the first node, counted, and told apart from what it can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.backends.subject import Subject
from assay_runner.checks.finite import Finite
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.evidence import (
    EngineFacts,
    EngineLayer,
    EngineTensor,
    Evidence,
    Fault,
    Ranges,
    RangesWanted,
    Reproduction,
    ShownTensors,
    TensorFaults,
)
from assay_runner.evidence.ranges import Accumulation, TensorRange
from assay_runner.golden.reference import Reference
from assay_runner.golden.run import golden_outputs
from assay_runner.passes.setting import Setting
from assay_runner.statistics.ranges import RangeCounts
from assay_runner.tensors import Site
from assay_runner.trial.trial import trial
from tests.evidence import proof
from tests.models import Heard, Samples, constant, layer_norm, loaded, mlp, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate, measured
from tests.wire import details

LONG = 65536
WIDE = np.where(np.arange(16) % 2, 300, -300).astype(np.float32) * np.ones((9, 1), np.float32)


def judged(proto: onnx.ModelProto, folder: Path, data: Samples, precision: str = "fp16", **given: Any) -> Finding:
    [found] = measured(proto, precision, data, folder, Fp16Range(**given)).findings
    return found


def one(op: str, length: int, out: int = 1, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    return model([node(op, "x", "y", **attributes)], [value("x", "N", length)], [value("y", "N", out)], opset=opset)


def test_a_decomposed_layer_norm_is_named_at_its_pow(tmp_path: Path) -> None:
    values = WIDE.copy()
    values[:4] /= 300
    found = judged(layer_norm(), tmp_path, Samples({"x": values}, batch=4))
    assert (found.verdict, found.node, found.tensor, found.value) == (Verdict.FAILED, "squared.node", "squared", 3)
    assert "80 of 144 elements in 5 of 9 samples, first in sample 4" in found.message
    assert "the largest 90,000 (FP16 ends at 65,504)" in found.message
    assert "opset 17" in found.message


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_for_another_precision_it_is_only_told(precision: str, tmp_path: Path) -> None:
    found = judged(layer_norm(), tmp_path, Samples({"x": WIDE}), precision)
    assert (found.verdict, found.node, found.limit) == (Verdict.PASSED, "squared.node", None)
    assert f"runs in {precision}; in fp16," in found.message


def test_the_fused_operator_holds_what_the_decomposed_one_does_not(tmp_path: Path) -> None:
    fused = model(
        [node("LayerNormalization", "x scale", "y", axis=-1)],
        [value("x", "N", 16)],
        [value("y", "N", 16)],
        [constant("scale", np.ones(16, np.float32))],
    )
    found = judged(fused, tmp_path, Samples({"x": WIDE}))
    assert found.verdict is Verdict.PASSED
    assert "the sum of squared deviations inside node 'y.node'" in found.message
    assert details(found)["innerSums"][0]["summedInFp32"] is True


def test_a_mask_constant_is_named_with_its_node(tmp_path: Path) -> None:
    proto = model(
        [node("Mul", "keep mask", "bias"), node("Add", "x bias", "scores"), node("Softmax", "scores", "y", axis=-1)],
        [value("x", "N", 4), value("keep", "N", 4)],
        [value("y", "N", 4)],
        [constant("mask", np.float32(-1e12))],
    )
    data = {"x": random(6, 4), "keep": np.tile(np.array([0, 0, 0, 1], np.float32), (6, 1))}
    found = judged(proto, tmp_path, Samples(data))
    assert (found.verdict, found.node, found.tensor) == (Verdict.FAILED, "bias.node", "mask")
    assert "weight 'mask', which node 'bias.node' (Mul) reads, overflows" in found.message
    assert "-1e12" in found.message
    assert "use -10000 instead" in found.message


def test_a_sum_over_many_elements_overflows_as_a_tensor(tmp_path: Path) -> None:
    found = judged(
        one("ReduceSum", LONG, keepdims=1), tmp_path, Samples({"x": np.ones((3, LONG), np.float32)}, batch=2)
    )
    assert (found.verdict, found.node) == (Verdict.FAILED, "y.node")
    assert "in 3 of 3 samples" in found.message


SUMS = {
    "Softmax": (one("Softmax", LONG, LONG, axis=-1), 0.0, "the sum of exponentials"),
    "ReduceMean": (one("ReduceMean", LONG, axes=[-1]), 2.0, "the sum before the division"),
    "ReduceL2": (one("ReduceL2", 4096, axes=[-1]), 5.0, "the sum of squares before the root"),
}


@pytest.mark.parametrize("op", SUMS)
@pytest.mark.parametrize(
    ("accumulator", "verdict"),
    [("unknown", Verdict.INCONCLUSIVE), ("fp16", Verdict.FAILED), ("fp32", Verdict.PASSED)],
)
def test_sums_inside_operators(op: str, accumulator: str, verdict: Verdict, tmp_path: Path) -> None:
    proto, fill, what = SUMS[op]
    length = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    values = np.full((2, length), fill, np.float32)
    found = judged(proto, tmp_path, Samples({"x": values}), accumulator=accumulator, underflow=1)
    assert found.verdict is verdict, found.message
    assert f"{what} inside node 'y.node' ({op})" in found.message
    assert "in 2 of 2 samples" in found.message
    if verdict is not Verdict.PASSED:
        assert (found.metric, found.limit) == ("innerSum", 65504)
    [listed] = details(found)["innerSums"]
    assert (listed["node"], listed["op"], listed["samples"]) == ("y.node", op, 2)


def test_values_that_vanish(tmp_path: Path) -> None:
    tiny = random(6, 8, scale=1e-9)
    found = judged(mlp(), tmp_path, Samples({"x": tiny}))
    assert (found.verdict, found.tensor, found.metric) == (Verdict.FAILED, "x", "underflow")
    assert judged(mlp(), tmp_path / "again", Samples({"x": tiny}), underflow=1).verdict is Verdict.PASSED


def test_padding_is_not_counted_and_ordinary_values_pass(tmp_path: Path) -> None:
    data = Samples({"x": random(6, 8)}, batch=4, fixed=True)
    found = judged(mlp(), tmp_path, data)
    assert found.verdict is Verdict.PASSED
    assert "holds all" in found.message


def test_layers_of_the_report_carry_the_counts(tmp_path: Path) -> None:
    data = Samples({"x": WIDE})
    report, _ = measured(layer_norm(), "fp16", data, tmp_path, Finite(), LayerDrift(), Fp16Range())
    squared = next(layer for layer in report.layers if layer.name == "squared")
    assert (squared.overflow, squared.underflow, squared.subnormal) == (144, 0, 0)
    assert squared.smallest == 90000


SQUARED = TensorRange(Site("squared", "squared.node", "Pow"), "tensor", 9, 9, 0, 0, 0, 9e4, 1.0, 3, 0)


@pytest.mark.parametrize(
    ("precision", "made", "verdict"),
    [
        ("FP32", "FP32 row major", Verdict.PASSED),
        ("FP32", "FP16 row major", Verdict.FAILED),
        ("FP32", "Half", Verdict.FAILED),
        ("FP16", "FP16", Verdict.FAILED),
        ("", "", Verdict.FAILED),
    ],
)
def test_a_node_that_the_engine_ran_wider_is_spared(precision: str, made: str, verdict: Verdict) -> None:
    layer = EngineLayer("l", "kgen", precision, outputs=(EngineTensor("squared", made),), nodes=("squared.node",))
    proof = judged_on(Ranges((SQUARED,), (), 0), engine=EngineFacts((layer,)))
    [found] = Fp16Range().judge(proof)
    assert (found.verdict, found.node) == (verdict, "squared.node")


def judged_on(*found: Any, **facts: Any) -> Evidence:
    return proof(*found, samples=3, precision="fp16", **facts)


def engine(*layers: tuple[str, str, str, str, str]) -> EngineFacts:
    """Layers of type, precision, "NAME FORMAT" read, "NAME FORMAT" made, nodes."""
    return EngineFacts(
        tuple(
            EngineLayer("l", kind, precision, (tensor(given),), (tensor(made),), nodes=tuple(nodes.split()))
            for kind, precision, given, made, nodes in layers
        )
    )


def tensor(text: str) -> EngineTensor:
    name, _, words = text.partition(" ")
    return EngineTensor(name, words)


CHAIN = "mean.node squared.node centred.node variance.node y.node deviation.node safe.node"
# As TensorRT 10.6 built the decomposed LayerNormalization with FP16 allowed, names of tensors and all.
AS_FP32 = engine(
    ("shape_call", "", "none", "none", ""),
    ("kgen", "FP32", "x Float", "y'.1_4 Float", CHAIN),
    ("gemm", "FP32", "y'.1_4 Float", "out Float", "head.node"),
)
COPIED = engine(
    ("kgen", "FP32", "x Float", "y'.1_4 Float", CHAIN),
    ("Reformat", "FP32", "y'.1_4 Float", "half Half", "head.node"),
    ("gemm", "FP16", "half Half", "out Float", "head.node"),
)
SPLIT = engine(
    ("kgen", "FP32", "x Float", "a Float", "mean.node centred.node squared.node"),
    ("kgen", "FP16", "a Half", "b Float", "variance.node y.node deviation.node safe.node"),
)
CUT = engine(
    ("kgen", "FP32", "x Float", "squared Float", "mean.node centred.node squared.node"),
    ("Reformat", "FP32", "squared Float", "half Half", ""),
    ("kgen", "FP16", "half Half", "b Float", "variance.node y.node deviation.node safe.node"),
)


@pytest.mark.parametrize(
    ("built", "verdict", "said"),
    [
        (AS_FP32, Verdict.PASSED, "but the engine runs its node wider; others that would, and do not: 2"),
        (COPIED, Verdict.PASSED, "but the engine runs its node wider"),
        (SPLIT, Verdict.FAILED, "tensor 'variance' of node 'variance.node' (ReduceMean) overflows in fp16"),
        (CUT, Verdict.FAILED, "tensor 'squared' of node 'squared.node' (Pow) overflows in fp16"),
        (EngineFacts(), Verdict.FAILED, "tensor 'squared' of node 'squared.node' (Pow) overflows in fp16"),
    ],
    ids=["one FP32 kernel", "its result in FP16", "split", "squared in FP16", "no engine"],
)
def test_a_chain_that_ran_in_fp32_is_named_and_spared(
    built: EngineFacts, verdict: Verdict, said: str, tmp_path: Path
) -> None:
    made = loaded(layer_norm(), tmp_path)
    data = Samples({"x": WIDE})
    outputs = [kept for _, kept in golden_outputs(made, data, "fp32", tmp_path / "golden", Heard())]
    subject = Subject("c", ORT, build(made, candidate("fp16"), tmp_path), made)
    evidence = trial(Setting(subject, Reference(made, data, outputs, "fp32", tmp_path), Heard()), [RangesWanted()])
    found = evidence.of(RangesWanted())
    assert found
    assert [total.site.node for total in found.accumulations] == ["variance.node"]
    [told] = Fp16Range().judge(replace(evidence, engine=built))
    assert told.verdict is verdict, told.message
    assert said in told.message


NEVER = TensorRange(Site("never", "mask.node", "Mul"), "weight", 1, 1, 0, 0, 0, -1e12, 1e12, None, -1, ("mask.node",))


@pytest.mark.parametrize(
    ("readers", "verdict"), [(("mask.node",), Verdict.PASSED), (("mask.node", "other.node"), Verdict.FAILED)]
)
def test_a_weight_is_spared_where_all_that_reads_it_ran_wider(readers: tuple[str, ...], verdict: Verdict) -> None:
    built = engine(
        ("kgen", "FP32", "x Float", "y Float", "mask.node scores.node"),
        ("kgen", "FP16", "y Half", "z Half", "other.node"),
    )
    ranges = Ranges((replace(NEVER, readers=readers),), (), 0)
    [found] = Fp16Range().judge(judged_on(ranges, engine=built))
    assert (found.verdict, found.node) == (verdict, "mask.node")
    assert ("but the engine runs all that reads it wider" in found.message) is (verdict is Verdict.PASSED)


def test_nameless_nodes_are_those_that_the_parser_names_after_their_output() -> None:
    mean = Site("m", "ReduceMean:m", "ReduceMean")
    tensor = TensorRange(mean, "tensor", 9, 9, 0, 0, 0, 9e4, 1.0, 3, 0, ("Sub:c",))
    total = Accumulation(mean, "the sum before the division", 1e6, 3, 0, wide=False)
    built = engine(
        ("Reduce", "FP32", "x Float", "m Float", "node_of_m"), ("kgen", "FP32", "m Float", "c Float", "node_of_c")
    )
    [found] = Fp16Range().judge(judged_on(Ranges((tensor,), (total,), 1), engine=built))
    assert (found.verdict, found.node) == (Verdict.PASSED, "ReduceMean:m")


@pytest.mark.parametrize(("precision", "verdict"), [("FP32", Verdict.PASSED), ("FP16", Verdict.INCONCLUSIVE)])
def test_a_sum_inside_a_node_that_ran_in_fp32_fits(precision: str, verdict: Verdict) -> None:
    total = Accumulation(Site("m", "mean.node", "ReduceMean"), "the sum before the division", 1e6, 3, 0, wide=False)
    small = replace(SQUARED, overflow=0, largest=9.0)
    built = engine(("Reduce", precision, "x Float", "m Float", "mean.node"))
    [found] = Fp16Range().judge(judged_on(Ranges((small,), (total,), 1), engine=built))
    assert found.verdict is verdict
    assert ("which fits because the engine runs the node wider" in found.message) is (verdict is Verdict.PASSED)


@pytest.mark.parametrize(("faults", "said"), [((), True), ((Fault(SQUARED.site, 3, 0, 3, 0, 0, 3),), False)])
def test_a_candidate_that_got_away_with_it_is_told(faults: tuple[Fault, ...], said: bool) -> None:
    ranges = Ranges((SQUARED,), (), 0)
    [found] = Fp16Range().judge(judged_on(ranges, ShownTensors(TensorFaults(4, faults))))
    assert found.verdict is Verdict.FAILED
    assert ("no tensor of this candidate was infinite" in found.message) is said
    hidden = judged_on(ranges, ShownTensors(TensorFaults(2, faults, fused=6)))
    [found] = Fp16Range().judge(hidden)
    told = "none of the 2 tensors that the engine makes is infinite for it, but 6 lie inside fused layers, where it may"
    assert (told in found.message) is said
    assert "no tensor of this candidate" not in found.message


@pytest.mark.parametrize(
    ("looked_at", "reproduction", "said"),
    [(4, Reproduction(True, np.inf), True), (0, Reproduction(True, np.inf), False), (4, Reproduction(False, 3), False)],
    ids=["all were looked at", "none was", "those of another engine were"],
)
def test_no_tensor_is_said_to_be_finite_that_was_not_looked_at(
    looked_at: int, reproduction: Reproduction, said: bool
) -> None:
    shown = ShownTensors(TensorFaults(looked_at, ()), reproduction=reproduction)
    [found] = Fp16Range().judge(judged_on(Ranges((SQUARED,), (), 0), shown))
    assert found.verdict is Verdict.FAILED
    assert ("no tensor of this candidate was infinite" in found.message) is said


EDGES = np.array([0, 65519, -65520, 2.0**-25, 2.0**-24, 2.0**-14, 1e9, np.inf, np.nan, 2.0**-15], np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_agree_with_rounding(dtype: Any) -> None:
    values = np.concatenate([EDGES, random(200_000, scale=1e-5), random(100_000, scale=3e4)]).astype(dtype)
    counts = RangeCounts()
    counts.add(values[:70_000])
    counts.add(values[70_000:])
    kept = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        half = kept.astype(np.float16)
    normal = np.abs(kept) < 2.0**-14
    assert counts.elements == kept.size
    assert counts.overflow == np.isinf(half).sum()
    assert counts.underflow == ((half == 0) & (kept != 0)).sum()
    assert counts.subnormal == ((half != 0) & normal).sum()
    assert counts.zeros == (kept == 0).sum()
    assert abs(counts.largest) == np.abs(kept).max()
    assert counts.smallest == np.abs(kept[kept != 0]).min()
