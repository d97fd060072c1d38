"""Scores hide behind boxes in no output, whatever put them into one; and what is small by the data alone is no scale.

Each head holds boxes up to 600 and scores up to 1. The candidate is the same model whose output is rounded to steps of
eight bits over all of it, 4.7 wide: every score is lost, 0 dB, and the boxes keep some 46 dB.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.graphs.uniform_axes import Alike, uniform_axes
from assay_runner.statistics.layouts import layout
from assay_runner.tensors import Array
from tests.models import Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import measured

A, C = 16, 7
X = random(20, 12, seed=2)
SCALES = np.array([600.0] * 4 + [1.0] * 3, np.float32)
PLACES = np.random.default_rng(0).permutation(A * C)
WEIGHTS: dict[str, Array] = {
    "w": random(12, A * C, seed=5, scale=0.5),
    "narrow": random(12, 51, seed=6, scale=0.5),
    "shape": np.array([0, A, C]),
    "sizes": np.array([4, 3]),
    "big": np.array(600, np.float32),
    "scales": SCALES,
    "behind": np.array([0, 0, 0, 0, 0, 3]),
    "before": np.array([0, 0, 4, 0, 0, 0]),
    "odd": np.array([0, 14, 8]),
    "row": np.array([-1]),
    "first": np.array([0]),
    "places": PLACES,
    "mask": SCALES > 1,
    "scattered": PLACES.reshape(A, C) % 2 == 0,
    "diagonal": np.diag(SCALES),
    "taps": np.diag(SCALES)[:, :, None],
    "points": np.diag(np.array([640, 640, 1] * 17, np.float32)),
    "quantities": np.diag(np.array([640, 640, 60, 60, 3, 10, 1, 1] + [0] * 43, np.float32))[:, :8].copy(),
    "zeros": np.zeros(C, np.float32),
    "ones": np.ones(C, np.float32),
    "chosen": np.tile(np.arange(4), (1, A, 1)),
    "fours": np.full(4, 600, np.float32),
    "threes": np.ones(3, np.float32),
    "full": np.tile(SCALES, (A, 1)),
}
HEAD = [node("MatMul", "x w", "h"), node("Reshape", "h shape", "r"), node("Sigmoid", "r", "s")]
BOXES = [*HEAD, node("Split", "s sizes", "b c", axis=2), node("Mul", "b big", "bm")]
PADDED = [*BOXES, node("Pad", "bm behind", "bp"), node("Pad", "c before", "cp"), node("Add", "bp cp", "j")]
JOINED = [*BOXES, node("Concat", "bm c", "j", axis=2)]
LARGE = [*HEAD, node("Mul", "s big", "large")]
TURNED = [*HEAD, node("Transpose", "s", "t", perm=[0, 2, 1])]
ROW = [node("MatMul", "x narrow", "h"), node("Sigmoid", "h", "s")]


class Head(NamedTuple):
    """The nodes of a model, the shape of its output, and the channels that are lost."""

    nodes: list[onnx.NodeProto]
    shape: tuple[int | str, ...]
    lost: str = "channels 4–6,"


HEADS: dict[str, Head] = {
    "padded and added": Head([*PADDED, node("Identity", "j", "y")], ("N", A, C)),
    "padded, one sample": Head([*PADDED, node("Identity", "j", "y")], (1, A, C)),
    "padded, squeezed": Head([*PADDED, node("Squeeze", "j first", "y")], (A, C)),
    "padded, channels first": Head([*PADDED, node("Transpose", "j", "y", perm=[0, 2, 1])], ("N", C, A)),
    "padded, samples second": Head([*PADDED, node("Transpose", "j", "y", perm=[1, 0, 2])], (A, "N", C)),
    "interleaved": Head([*JOINED, node("Flatten", "j", "y")], ("N", A * C), "channels 4–6 of every 7,"),
    "one row": Head([*JOINED, node("Reshape", "j row", "y")], (A * C,), "channels 4–6 of every 7,"),
    "rows of another length": Head([*JOINED, node("Reshape", "j odd", "y")], ("N", 14, 8), "channels 4–6 of every 7,"),
    "turned and cut anew": Head(
        [*JOINED, node("Transpose", "j", "t", perm=[0, 2, 1]), node("Reshape", "t odd", "y")],
        ("N", 14, 8),
        "channels 8–13,",
    ),
    "in any order": Head(
        [*JOINED, node("Flatten", "j", "f"), node("Gather", "f places", "y", axis=1)],
        ("N", A * C),
        " other runs of them,",
    ),
    "chosen by a mask": Head([*LARGE, node("Where", "mask large s", "y")], ("N", A, C)),
    "chosen anywhere": Head([*LARGE, node("Where", "scattered large s", "y")], ("N", A, C), " other runs of them,"),
    "a diagonal product": Head([*HEAD, node("MatMul", "s diagonal", "y")], ("N", A, C)),
    "an Einsum": Head([*HEAD, node("Einsum", "s diagonal", "y", equation="nac,cd->nad")], ("N", A, C)),
    "a convolution": Head([*TURNED, node("Conv", "t taps", "y")], ("N", C, A)),
    "a BatchNormalization": Head([*TURNED, node("BatchNormalization", "t scales zeros zeros ones", "y")], ("N", C, A)),
    "factors of each element": Head([*HEAD, node("Mul", "s full", "y")], ("N", A, C)),
    "factors put together": Head(
        [*HEAD, node("Concat", "fours threes", "v", axis=0), node("Mul", "s v", "y")], ("N", A, C)
    ),
    "scattered into": Head([*BOXES, node("ScatterElements", "s chosen bm", "y", axis=2)], (1, A, C)),
    "points and whether they are seen": Head(
        [*ROW, node("MatMul", "s points", "y")], ("N", 51), "channel 2 of every 3,"
    ),
    "quantities without a gap": Head([*ROW, node("MatMul", "s quantities", "y")], ("N", 8), "channels 4 and 6–7,"),
}


def built(nodes: Sequence[onnx.NodeProto], shape: Sequence[int | str], **more: Array) -> onnx.ModelProto:
    read = {name for each in nodes for name in each.input}
    weights = [constant(name, array) for name, array in (WEIGHTS | more).items() if name in read]
    samples = "N" if "N" in shape else 1
    return model(nodes, [value("x", samples, 12)], [value("y", *shape)], weights, opset=13)


def rounded(head: Head, largest: float) -> onnx.ModelProto:
    """The same model, its output rounded to 127 steps up to its largest magnitude."""
    nodes = [onnx.NodeProto.FromString(each.SerializeToString()) for each in head.nodes]
    nodes[-1].output[0], nodes[-1].name = "exact", "exact"
    nodes += [node("QuantizeLinear", "exact step zero", "eight"), node("DequantizeLinear", "eight step zero", "y")]
    return built(nodes, head.shape, step=np.array(largest / 127, np.float32), zero=np.array(0, np.int8))


def judged(golden: onnx.ModelProto, candidate: onnx.ModelProto | str, folder: Path) -> Finding:
    batch = 5 if golden.graph.input[0].type.tensor_type.shape.dim[0].dim_param else 1
    asked, own = ("fp32", candidate) if isinstance(candidate, onnx.ModelProto) else (candidate, None)
    [found] = measured(golden, asked, Samples({"x": X}, batch=batch), folder, OutputDrift(), own=own).findings
    return found


def outputs(proto: onnx.ModelProto, x: Array = X) -> Array:
    """Bare ONNX Runtime's, sample by sample."""
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.stack([np.asarray(session.run(None, {"x": x[index : index + 1]})[0]) for index in range(len(x))])


@pytest.mark.parametrize("name", HEADS)
def test_scores_hide_behind_boxes_nowhere(name: str, tmp_path: Path) -> None:
    head = HEADS[name]
    golden = built(head.nodes, head.shape)
    exact = outputs(golden).astype(np.float64)
    eight = outputs(rounded(head, float(np.abs(exact).max())))
    axes = tuple(range(1, exact.ndim))
    whole = 10 * np.log10((exact**2).sum(axes) / ((eight - exact) ** 2).sum(axes))
    assert whole.min() > 30
    found = judged(golden, rounded(head, float(np.abs(exact).max())), tmp_path)
    assert (found.verdict, found.metric) == (Verdict.FAILED, "snr"), found.message
    assert head.lost in found.message
    peaks = np.abs(exact).max(axis=0)
    # What has steps of 4.7 keeps nothing of numbers up to 2.3.
    small = peaks <= (1 if name != "quantities without a gap" else 3)
    power, noise = ((part[:, small] ** 2).sum(axis=1) for part in (exact, eight - exact))
    usual = np.maximum(power, power.mean())
    assert found.value == pytest.approx((10 * np.log10(usual / noise)).min(), abs=1e-4)
    for precision in ("fp16", "bf16"):
        assert judged(golden, precision, tmp_path / precision).verdict is Verdict.PASSED


def test_rows_whose_number_the_data_decide_have_columns_all_the_same(tmp_path: Path) -> None:
    """Rows with a score above 0.5 are kept: of no two samples as many."""
    nodes = [
        *PADDED,
        node("Gather", "c zero", "score", axis=2),
        node("Squeeze", "score first", "flat"),
        node("Greater", "flat half", "kept"),
        node("Squeeze", "j first", "rows"),
        node("Compress", "rows kept", "y", axis=0),
    ]
    more = {"zero": np.array(0), "half": np.array(0.5, np.float32)}
    golden, own = (built(each, ("rows", C), **more) for each in (nodes, [*nodes[:2], *nodes[2:]]))
    for proto in (golden, own):
        proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    # The candidate loses the scores behind the choice of rows.
    own.graph.node[-1].output[0] = "all"
    own.graph.node.append(node("Mul", "all lost", "y"))
    own.graph.node[-1].name = "lost"
    own.graph.initializer.append(constant("lost", np.array([1, 1, 1, 1, 0, 0, 0], np.float32)))
    assert len({len(row) for row in (built_rows(golden))}) > 1
    found = judged(golden, own, tmp_path)
    assert found.verdict is Verdict.FAILED
    assert found.value == pytest.approx(0, abs=1e-6)
    assert "channels 4–6, up to " in found.message


def built_rows(proto: onnx.ModelProto) -> list[Array]:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(session.run(None, {"x": X[index : index + 1]})[0]) for index in range(len(X))]


@pytest.mark.parametrize("fill", [-1e4, -1e9, -3e38])
def test_what_fills_masked_classes_hides_no_other(fill: float, tmp_path: Path) -> None:
    """Classes that are never used are filled with a number that no noise reaches: all others are lost, and 0 dB."""
    used = np.arange(64) < 57
    nodes = [node("MatMul", "x w", "h"), node("Where", "used h fill", "y")]
    weights = {"w": random(12, 64, seed=3), "used": used, "fill": np.array(fill, np.float32)}
    golden, own = (alone(nodes, (12,), ("N", 64), **{**weights, "w": weights["w"] * f}) for f in (1, np.float32(0)))
    [found] = measured(golden, "fp32", Samples({"x": X}, batch=4), tmp_path, OutputDrift(), own=own).findings
    assert found.verdict is Verdict.FAILED
    assert found.value == pytest.approx(0, abs=1e-6)
    assert "channels 0–56, up to " in found.message


def test_what_cancels_is_next_to_nothing(tmp_path: Path) -> None:
    """A column that is the difference of a million and a million has nothing but rounding in it, in golden too."""
    x = np.abs(random(20, 4, seed=1)) * np.float32(1e6) + np.float32(1e6)
    proto = alone(
        [node("MatMul", "x w", "y")], (4,), ("N", 3), w=np.array([[1, 0, 1]] * 2 + [[1, 1, -1]] * 2, np.float32)
    )
    x[:, 2:] = x[:, :2] + np.float32(0.25)
    [found] = measured(proto, "tf32", Samples({"x": x}, batch=4), tmp_path, OutputDrift()).findings
    assert found.verdict is Verdict.PASSED, found.message


def alone(
    nodes: Sequence[onnx.NodeProto], given: Sequence[int | str], shape: Sequence[int | str], **weights: Array
) -> onnx.ModelProto:
    held = [constant(name, array) for name, array in weights.items()]
    return model(nodes, [value("x", "N", *given)], [value("y", *shape)], held, opset=13)


def groups(proto: onnx.ModelProto, x: Array, folder: Path) -> tuple[Verdict, str]:
    [found] = measured(proto, "bf16", Samples({"x": x}, batch=4), folder, OutputDrift()).findings
    return found.verdict, json.dumps(found.message)


def test_dark_bars_of_pictures_are_no_scale(tmp_path: Path) -> None:
    """A convolution does the same everywhere: rows that are dark in every picture are so by the data alone."""
    x = np.abs(random(8, 3, 24, 24, seed=1)).clip(0.1, 2) * np.float32(100)
    x[:, :, :6] *= np.float32(0.002)
    proto = alone(
        [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "y")],
        (3, 24, 24),
        ("N", 3, 24, 24),
        w=np.abs(random(3, 3, 3, 3, seed=2, scale=0.1)),
    )
    assert layout(np.abs(outputs(proto, x)[:, 0]).max(axis=0), {1}) is not None
    verdict, message = groups(proto, x, tmp_path)
    assert (verdict, "for themselves" in message) == (Verdict.PASSED, False)


def test_dark_bars_of_pictures_whose_size_nobody_knows_are_no_scale(tmp_path: Path) -> None:
    """Cut to a size that the data decide, as where a picture is put together of parts of pixels."""
    x = np.abs(random(8, 3, 24, 24, seed=1)).clip(0.1, 2) * np.float32(100)
    x[:, :, :6] *= np.float32(0.002)
    nodes = [node("Shape", "x", "size"), node("Mul", "size one", "same"), node("Reshape", "x same", "y")]
    proto = alone(nodes, ("C", "H", "W"), ("N", 3, "H", "W"), one=np.array([1, 1, 1, 1]))
    assert not uniform_axes(loaded(proto, tmp_path / "shape").path)["y"].rank
    verdict, message = groups(proto, x, tmp_path)
    assert (verdict, "for themselves" in message) == (Verdict.PASSED, False)


def test_confidence_does_not_hide_behind_depth(tmp_path: Path) -> None:
    """Two maps out of one convolution: metres, and a number up to 2 or so; and the same two beside a bright spot."""
    x, w = random(16, 3, 8, 8, seed=3), random(2, 3, 1, 1, seed=4) * np.array([6, 0.2]).reshape(2, 1, 1, 1)
    weights: dict[str, Array] = {"w": w.astype(np.float32), "b": np.array([40, 0.5], np.float32)}
    golden = alone([node("Conv", "x w b", "y")], (3, 8, 8), ("N", 2, 8, 8), **weights)
    steps: dict[str, Array] = {"step": np.array(0.7, np.float32), "zero": np.array(0, np.int8)}
    rounding = [node("QuantizeLinear", "c step zero", "q"), node("DequantizeLinear", "q step zero", "y")]
    lost = alone([node("Conv", "x w b", "c"), *rounding], (3, 8, 8), ("N", 2, 8, 8), **weights, **steps)
    exact, eight = (outputs(proto, x)[:, 0].astype(np.float64) for proto in (golden, lost))
    whole, own = (
        10 * np.log10((e**2).sum((1, 2, 3)) / ((f - e) ** 2).sum((1, 2, 3)))
        for e, f in ((exact, eight), (exact[:, 1:], eight[:, 1:]))
    )
    assert whole.min() > 30
    assert own.min() < 17
    data = Samples({"x": x}, batch=4)
    [found] = measured(golden, "fp32", data, tmp_path, OutputDrift(), own=lost).findings
    assert found.verdict is Verdict.FAILED
    assert "channel 1," in found.message
    assert groups(golden, x, tmp_path / "bf16")[0] is Verdict.PASSED
    spot = np.abs(random(3, 8, 8, seed=5)).clip(0.5, 2)
    spot[0, :2] *= 20
    assert layout(spot, [0]) is None


def test_a_class_that_a_model_is_sure_of_is_no_scale(tmp_path: Path) -> None:
    """The logarithm of a probability near 1 is near 0: its last bits are lost in any format, and nothing with them."""
    x = np.stack([np.linspace(3, 12, 8), np.zeros(8)], axis=1).astype(np.float32)
    proto = alone([node("LogSoftmax", "x", "y", axis=-1)], (2,), ("N", 2))
    assert layout(np.abs(outputs(proto, x)[:, 0]).max(axis=0), {0}) is not None
    verdict, message = groups(proto, x, tmp_path)
    assert (verdict, "channel" in message) == (Verdict.PASSED, False)


@pytest.mark.parametrize("seed", range(5))
def test_features_of_any_size_are_one_scale(seed: int, tmp_path: Path) -> None:
    """Sizes that spread as those of a network's channels do: some are 100 times others, and nothing lies between."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(1.2 * rng.normal(size=64)).astype(np.float32) * 20
    proto = alone(
        [node("MatMul", "x w", "h"), node("Relu", "h", "y")], (12,), ("N", 64), w=random(12, 64, seed=seed) * sizes
    )
    verdict, message = groups(proto, X, tmp_path)
    assert (verdict, "for themselves" in message) == (Verdict.PASSED, False)


def test_what_is_alike_is_read_from_operators(tmp_path: Path) -> None:
    conv = node("Conv", "x w", "c")
    ways: list[tuple[list[onnx.NodeProto], tuple[int, ...], tuple[int | str, ...], set[int]]] = [
        ([node("Conv", "x w", "y")], (3, 8, 8), ("N", 4, 8, 8), {0, 2, 3}),
        ([conv, node("Mul", "c m", "y")], (3, 8, 8), ("N", 4, 8, 8), {0, 3}),
        ([conv, node("Concat", "c c", "y", axis=3)], (3, 8, 8), ("N", 4, 8, 16), {0, 2}),
        ([node("MatMul", "x v", "y")], (5, 12), ("N", 5, 7), {0, 1}),
        ([node("MatMul", "u x", "y")], (5, 12), ("N", 7, 12), {0}),
        ([node("MatMul", "x v", "h"), node("Transpose", "h", "y", perm=[0, 2, 1])], (5, 12), ("N", 7, 5), {0, 2}),
        ([node("Softmax", "x", "y")], (5, 12), ("N", 5, 12), {0, 1, 2}),
        ([node("Pad", "x p", "y")], (5, 12), ("N", 5, 13), set()),
    ]
    weights = {"w": random(4, 3, 1, 1), "m": random(8, 1), "v": random(12, 7), "u": random(7, 5)}
    weights["p"] = np.array([0, 0, 0, 0, 0, 1])
    for index, (nodes, given, shape, wanted) in enumerate(ways):
        read = {name: array for name, array in weights.items() if any(name in each.input for each in nodes)}
        path = loaded(alone(nodes, given, shape, **read), tmp_path / str(index)).path
        assert uniform_axes(path)["y"] == Alike(frozenset(wanted), len(shape)), nodes
