"""Sums inside operators, against what numpy says they come to: by the axes that each operator set means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.checks.fp16_range import Fp16Range
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import measured
from tests.wire import details

ROWS = random(6, 4, 16, 16, scale=40.0)
LOUD = random(6, 4, 16, 16) + np.float32(300)
WIDE = ROWS.astype(np.float64)
HIGH = LOUD.astype(np.float64)
AFFINE = (constant("s", np.ones(4, np.float32)), constant("b", np.zeros(4, np.float32)))


def graph(
    op: str, opset: int = 17, *weights: onnx.TensorProto, inputs: str = "x", ir: int = 8, **given: Any
) -> onnx.ModelProto:
    """One operator; what it makes is made small by a Tanh, so that no tensor but its own counts."""
    nodes = [node(op, inputs, "made", **given), node("Tanh", "made", "y")]
    proto = model(nodes, [value("x", "N", 4, 16, 16)], [], weights, opset)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None))
    proto.ir_version = ir
    return proto


def inner(proto: onnx.ModelProto, data: np.typing.NDArray[Any], folder: Path, **given: Any) -> dict[str, Any]:
    """The finding's verdict, and the inner sums of its details by their words."""
    [found] = measured(proto, "fp16", Samples({"x": data}, batch=4), folder, Fp16Range(**given)).findings
    return {"verdict": found.verdict, "message": found.message} | {
        entry["sum"]: (entry["largest"], entry["samples"], entry["summedInFp32"])
        for entry in details(found).get("innerSums", ())
    }


def windowed(values: np.typing.NDArray[np.float64]) -> float:
    """The largest sum over 15 by 15 elements, three of them outside on each side, stride 2."""
    padded = np.pad(values, ((0, 0), (0, 0), (3, 3), (3, 3)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (15, 15), (2, 3))[:, :, ::2, ::2]
    return float(np.abs(views.sum((-1, -2))).max())


POOL: dict[str, Any] = {"kernel_shape": [15, 15], "pads": [3, 3, 3, 3], "strides": [2, 2]}
SQUARES, MEAN = "the sum of squares", "the sum behind the mean"
AROUND = ((HIGH - HIGH.mean((2, 3), keepdims=True)) ** 2).sum((2, 3)).max()
CHANNELS = np.add.reduce([np.pad(HIGH**2, ((0, 0), (1, 1), (0, 0), (0, 0)))[:, k : k + 4] for k in range(3)])
CASES: dict[str, tuple[onnx.ModelProto, np.typing.NDArray[Any], str, float, bool]] = {
    "lp": (graph("LpNormalization", axis=-1), ROWS * 4, SQUARES, 16 * (WIDE**2).sum(-1).max(), False),
    "lp-axis": (graph("LpNormalization", axis=2), ROWS * 4, SQUARES, 16 * (WIDE**2).sum(2).max(), False),
    "lp-1": (
        graph("LpNormalization", axis=1, p=1),
        LOUD * 100,
        "the sum of magnitudes",
        np.abs((LOUD * 100).astype(np.float64)).sum(1).max(),
        False,
    ),
    "rms": (
        graph("RMSNormalization", 23, constant("s", np.ones(16, np.float32)), inputs="x s", ir=10),
        ROWS * 4,
        SQUARES,
        16 * (WIDE**2).sum(-1).max(),
        True,
    ),
    "instance": (
        graph("InstanceNormalization", 17, *AFFINE, inputs="x s b"),
        LOUD,
        MEAN,
        HIGH.sum((2, 3)).max(),
        False,
    ),
    "layer": (
        graph("LayerNormalization", 17, constant("s", np.ones((16, 16), np.float32)), inputs="x s", axis=2),
        LOUD,
        MEAN,
        HIGH.sum((2, 3)).max(),
        True,
    ),
    "layer-all": (
        graph("LayerNormalization", 17, constant("s", np.ones((4, 16, 16), np.float32)), inputs="x s", axis=-3),
        LOUD,
        MEAN,
        HIGH.sum((1, 2, 3)).max(),
        True,
    ),
    "group": (
        graph(
            "GroupNormalization",
            21,
            *(constant(name, np.ones(4, np.float32)) for name in "sb"),
            inputs="x s b",
            ir=10,
            num_groups=2,
        ),
        LOUD,
        SQUARES,
        (HIGH**2).reshape(6, 2, -1).sum(-1).max(),
        True,
    ),
    "mean-of-inputs": (
        graph("Mean", inputs="x x x x"),
        LOUD * 100,
        "the sum before the division",
        4 * np.abs((LOUD * 100).astype(np.float64)).max(),
        False,
    ),
    "mean-variance": (
        graph("MeanVarianceNormalization", axes=[2, 3]),
        ROWS,
        SQUARES,
        (WIDE**2).sum((2, 3)).max(),
        False,
    ),
    "mean-variance-whole": (
        graph("MeanVarianceNormalization"),
        ROWS[:4],
        SQUARES,
        (WIDE[:4] ** 2).sum((0, 2, 3)).max(),
        False,
    ),
    "global-lp": (
        graph("GlobalLpPool"),
        ROWS,
        "the sum of squares before the root",
        (WIDE**2).sum((2, 3)).max(),
        False,
    ),
    "global-lp-3": (
        graph("GlobalLpPool", p=3),
        ROWS,
        "the sum of magnitudes to the power 3 before the root",
        (np.abs(WIDE) ** 3).sum((2, 3)).max(),
        False,
    ),
    "lp-pool": (
        graph("LpPool", **POOL),
        ROWS,
        "the sum of squares before the root",
        windowed(WIDE**2),
        False,
    ),
    "pool": (graph("AveragePool", **POOL), LOUD * 2, "the sum before the division", 2 * windowed(HIGH), False),
    "pool-counting": (
        graph("AveragePool", count_include_pad=1, **POOL),
        LOUD * 2,
        "the sum before the division",
        2 * windowed(HIGH),
        False,
    ),
    "neighbours": (graph("LRN", size=3), LOUD, f"{SQUARES} over channels", CHANNELS.max(), False),
    "log-sum": (
        graph("ReduceLogSum", axes=[2, 3]),
        LOUD,
        "the sum before the logarithm",
        HIGH.sum((2, 3)).max(),
        False,
    ),
    "mean-18": (
        graph("ReduceMean", 18, constant("a", np.array([2, -1])), inputs="x a", keepdims=0),
        LOUD,
        "the sum before the division",
        HIGH.sum((2, 3)).max(),
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_total_is_what_numpy_says(name: str, tmp_path: Path) -> None:
    proto, data, what, largest, wide = CASES[name]
    found = inner(proto, data, tmp_path, accumulator="fp16", underflow=1)
    assert what in found, found
    assert found[what] == (pytest.approx(largest, rel=1e-5), len(data), wide)
    assert found["verdict"] is (Verdict.PASSED if wide else Verdict.FAILED), found["message"]


def test_deviations_are_from_the_mean(tmp_path: Path) -> None:
    proto = graph("InstanceNormalization", 17, *AFFINE, inputs="x s b")
    found = inner(proto, LOUD * 20, tmp_path, accumulator="fp16")
    assert found["the sum of squared deviations"][0] == pytest.approx(400 * AROUND, rel=1e-3)
    assert "the sum of squared deviations" not in inner(proto, LOUD, tmp_path / "quiet", accumulator="fp16")


def test_windows_at_the_edge_sum_what_lies_inside(tmp_path: Path) -> None:
    """All windows but those inside have fewer elements than the kernel, and only 9 · 9 · 900 exceeds FP16."""
    data = np.full((2, 4, 16, 16), 900, np.float32)
    proto = graph("AveragePool", kernel_shape=[9, 9], pads=[4, 4, 4, 4], strides=[16, 16])
    assert inner(proto, data, tmp_path, accumulator="fp16")["verdict"] is Verdict.PASSED
    inside = graph("AveragePool", kernel_shape=[9, 9])
    assert inner(inside, data, tmp_path / "inside", accumulator="fp16")["verdict"] is Verdict.FAILED


@pytest.mark.parametrize(("opset", "axis"), [(11, 1), (12, None), (11, -3), (13, 1), (13, None)])
def test_softmax_sums_along_what_its_operator_set_means(opset: int, axis: int | None, tmp_path: Path) -> None:
    """Results along one axis say nothing of a sum over all of them, and none of 1024 elements can overflow."""
    given: dict[str, Any] = {} if axis is None else {"axis": axis}
    for op in ("Softmax", "LogSoftmax"):
        found = inner(graph(op, opset, **given), ROWS, tmp_path / op, accumulator="fp16")
        assert found["verdict"] is Verdict.PASSED, found["message"]


@pytest.mark.parametrize(("op", "opset"), [("Softmax", 12), ("LogSoftmax", 11), ("ReduceLogSumExp", 17)])
def test_a_flattened_sum_of_exponentials(op: str, opset: int, tmp_path: Path) -> None:
    nodes = [node(op, "x", "made", **({"axes": [1, 2]} if op[0] == "R" else {})), node("Tanh", "made", "y")]
    proto = model(nodes, [value("x", "N", 300, 300)], [], (), opset)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None))
    data = random(2, 300, 300, scale=0.01)
    wide = data.astype(np.float64)
    total = np.exp(wide - wide.max((1, 2), keepdims=True)).sum((1, 2)).max()
    found = inner(proto, data, tmp_path, accumulator="fp16", underflow=1)
    assert found["the sum of exponentials"] == (pytest.approx(total, rel=1e-5), 2, False)


def in_a_branch(op: str, **given: Any) -> onnx.ModelProto:
    """One operator in both branches of an If that the data decide; what it makes is the If's own output."""
    then, orelse = (
        onnx.helper.make_graph([node(op, "x", name, **given)], name, [], [onnx.ValueInfoProto(name=name)])
        for name in ("then", "else")
    )
    nodes = [
        node("ReduceMax", "x", "most", keepdims=0),
        node("Greater", "most zero", "which"),
        onnx.helper.make_node("If", ["which"], ["y"], "y.node", then_branch=then, else_branch=orelse),
    ]
    proto = model(nodes, [value("x", "N", 4, 16, 16)], [], [constant("zero", np.float32(0))])
    proto.graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None))
    return proto


@pytest.mark.parametrize(
    ("accumulator", "verdict"),
    [("unknown", Verdict.INCONCLUSIVE), ("fp16", Verdict.INCONCLUSIVE), ("fp32", Verdict.PASSED)],
)
def test_what_is_summed_inside_control_flow_is_not_said_to_fit(
    accumulator: str, verdict: Verdict, tmp_path: Path
) -> None:
    """The sum of each plane reaches 77,000, and the mean that all can see 300."""
    assert HIGH.sum((2, 3)).max() > 65504
    found = inner(in_a_branch("ReduceMean", axes=[2, 3]), LOUD, tmp_path, accumulator=accumulator)
    assert found["verdict"] is verdict
    told = "what operators sum inside the control flow of 'y.node' (If) was not measured" in found["message"]
    assert told == (verdict is Verdict.INCONCLUSIVE)
    assert ("say accumulator fp32" in found["message"]) == (accumulator == "unknown")


def test_few_exponentials_inside_control_flow_fit(tmp_path: Path) -> None:
    found = inner(in_a_branch("Softmax", axis=-1), ROWS, tmp_path, accumulator="fp16", underflow=1)
    assert found["verdict"] is Verdict.PASSED, found["message"]
