"""Q/DQ graphs as TensorRT's parser takes them, and what they compute held against numpy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from assay_runner.backends.schemes import own_pairs
from assay_runner.errors import CannotBuild
from assay_runner.graphs.documents import opset
from assay_runner.graphs.eight_bit import FORMATS, NEUTRAL_SCALE, EightBit
from assay_runner.tensors import Array
from tests.models import Samples, constant, convolutions, loaded, mlp, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate

KINDS: tuple[EightBit, ...] = ("int8", "fp8")
DTYPES = {"int8": np.dtype(np.int8), "fp8": np.dtype(ml_dtypes.float8_e4m3fn)}


def quantised(proto: onnx.ModelProto, kind: str, folder: Path, x: Array, **calibration: Any) -> onnx.ModelProto:
    made = build(loaded(proto, folder), asked(kind, **calibration), folder, Samples({"x": x}))
    onnx.checker.check_model(str(made.path), full_check=True)
    return onnx.load(str(made.path))


def asked(kind: str, **calibration: Any) -> Any:
    return candidate(kind, calibration={"uri": "file:///c.npz", "method": "minmax", **calibration})


def weights_of(proto: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def pairs(proto: onnx.ModelProto, op: str = "DequantizeLinear") -> list[onnx.NodeProto]:
    return [found for found in proto.graph.node if found.op_type == op]


def stored(proto: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The DequantizeLinear behind each weight, by the weight's own name."""
    weights = weights_of(proto)
    return {n.input[0].partition("__")[0]: n for n in pairs(proto) if n.input[0] in weights}


def products() -> onnx.ModelProto:
    """One of each operator that is quantised, a tensor read twice, a weight used twice, and products of integers."""
    return model(
        [
            node("Conv", "x kernel bias", "c", kernel_shape=[3, 3]),
            node("ConvTranspose", "c spread", "t", kernel_shape=[2, 2]),
            node("Conv", "c apart", "g", kernel_shape=[1, 1], group=16),
            node("GlobalAveragePool", "t", "p"),
            node("Flatten", "p", "f"),
            node("Gemm", "f square other", "m1", transB=1),
            node("Gemm", "f square", "m2"),
            node("Add", "m1 m2", "sum"),
            node("MatMul", "sum square", "h"),
            node("MatMul", "sum stack", "batched"),
            node("ReduceSum", "batched first", "flat", keepdims=0),
            node("Transpose", "h", "h_t", perm=[1, 0]),
            node("MatMul", "h h_t", "self"),
            node("MatMul", "square h_t", "left"),
            node("Cast", "f", "whole", to=TensorProto.INT32),
            node("MatMul", "whole whole_weight", "integers"),
            node("Add", "h square_row", "y"),
        ],
        [value("x", "N", 16, 8, 8)],
        [value(name, *shape) for name, shape in (("y", ("N", 16)), ("flat", ("N", 16)), ("self", ("N", "N")))]
        + [value("left", 16, "N"), value("g", "N", 16, 6, 6), value("integers", "N", 16, kind=TensorProto.INT32)],
        [
            constant("kernel", random(32, 16, 3, 3)[:16]),
            constant("bias", random(16, seed=1)),
            constant("spread", random(16, 16, 2, 2, seed=2)),
            constant("apart", random(16, 1, 1, 1, seed=3)),
            constant("square", random(16, 16, seed=4)),
            constant("other", random(16, seed=5)),
            constant("stack", random(3, 16, 16, seed=6)),
            constant("first", np.array([0])),
            constant("whole_weight", np.ones((16, 16), np.int32)),
            constant("square_row", random(16, seed=7)),
        ],
    )


X = random(8, 16, 8, 8, seed=9)


@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_is_one_that_tensorrt_takes(kind: EightBit, tmp_path: Path) -> None:
    made = quantised(products(), kind, tmp_path, X)
    weights = weights_of(made)
    users = Counter(name for n in made.graph.node for name in n.input)
    assert len(pairs(made)) > len(pairs(made, "QuantizeLinear")) > 0
    for n in (*pairs(made), *pairs(made, "QuantizeLinear")):
        assert len(n.input) == 3
        scale, zero = weights[n.input[1]], weights[n.input[2]]
        assert scale.dtype == np.float32
        assert np.isfinite(scale).all()
        assert (scale > 0).all()
        assert zero.dtype == DTYPES[kind]
        assert zero.shape == scale.shape
        assert not zero.astype(np.float32).any()
    assert all(users[n.output[0]] == 1 for n in (*pairs(made), *pairs(made, "QuantizeLinear")))
    assert all(not weights[n.input[1]].shape for n in pairs(made, "QuantizeLinear"))
    assert "bias" in {name for n in made.graph.node for name in n.input}
    assert not {"whole", "whole_weight"} & {n.input[0] for n in pairs(made, "QuantizeLinear")}


def test_weights_have_a_scale_per_output_channel(tmp_path: Path) -> None:
    made = quantised(products(), "int8", tmp_path, X)
    weights, original = weights_of(made), weights_of(products())
    axes: dict[str, list[int | None]] = {}
    for n in pairs(made):
        name = n.input[0].partition("__")[0]
        if n.input[0] in weights:
            axis = next((a.i for a in n.attribute if a.name == "axis"), None)
            axes.setdefault(name, []).append(axis)
            scale = weights[n.input[1]]
            shape = [-1 if i == axis else 1 for i in range(original[name].ndim)]
            restored = weights[n.input[0]].astype(np.float32) * scale.reshape(shape if axis is not None else ())
            assert np.abs(restored - original[name]).max() <= scale.max() * 0.501
            assert np.abs(weights[n.input[0]].astype(int)).max() == 127
    # Twice by Gemm (rows, then columns), once by MatMul from the right, once from the left.
    assert axes.pop("square") == [0, 1, 1, 0]
    assert axes == {"kernel": [0], "spread": [1], "apart": [0], "stack": [2]}
    assert weights["other"].dtype == np.float32
    # One stored copy per axis.
    assert len({n.input[0] for n in pairs(made) if n.input[0].startswith("square__")}) == 2
    assert "kernel" not in weights


@pytest.mark.parametrize(
    ("kernel", "group", "runs"),
    [
        ((16, 16, 3, 3), 1, True),
        ((32, 16, 1, 1), 1, True),
        ((16, 3, 3, 3), 1, False),
        ((8, 16, 3, 3), 1, False),
        ((24, 16, 3, 3), 1, False),
        ((16, 16, 7, 7), 1, False),
        ((16, 8, 1, 1), 2, False),
        ((24, 24, 3, 3), 1, True),
    ],
)
def test_fp8_convolutions_are_those_tensorrt_has(kernel: Any, group: int, runs: bool, tmp_path: Path) -> None:
    channels = kernel[1] * group
    proto = model(
        [
            node("Conv", "x w", "c", group=group, kernel_shape=kernel[2:]),
            node("GlobalAveragePool", "c", "p"),
            node("Flatten", "p", "f"),
            node("MatMul", "f v", "y"),
        ],
        [value("x", "N", channels, 8, 8)],
        [value("y", "N", 4)],
        [constant("w", random(*kernel)), constant("v", random(kernel[0], 4))],
    )
    x = random(4, channels, 8, 8)
    built = build(loaded(proto, tmp_path), asked("fp8"), tmp_path, Samples({"x": x}))
    found = {n.input[0].partition("__")[0] for n in pairs(onnx.load(str(built.path)))}
    assert ("w" in found) == runs
    assert any("no FP8 kernel: c.node" in note for note in built.notes) != runs


def test_fp8_has_one_scale_per_weight_and_no_transposed_convolution(tmp_path: Path) -> None:
    made = quantised(products(), "fp8", tmp_path, X, perChannel=True)
    weights = weights_of(made)
    assert stored(made)
    assert all(not weights[n.input[1]].shape for n in pairs(made))
    assert not {"spread", "apart"} & stored(made).keys()
    assert all(weights[n.input[0]].dtype == DTYPES["fp8"] for n in stored(made).values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_the_model_computes_what_numpy_computes(kind: EightBit, per_channel: bool, tmp_path: Path) -> None:
    x = random(64, 8)
    built = build(loaded(mlp(), tmp_path), asked(kind, perChannel=per_channel), tmp_path, Samples({"x": x[:32]}))
    with ORT.open(built) as session:
        found = session.run({"x": 2 * x})["logits"]
    weights = weights_of(mlp())

    def fake(values: Array, peak: Array) -> Array:
        scale = np.asarray(peak / (127 if kind == "int8" else 448), np.float32)
        ratio = np.clip(values / scale, -128, 127) if kind == "int8" else np.clip(values / scale, -448, 448)
        rounded = np.rint(ratio) if kind == "int8" else ratio.astype(DTYPES["fp8"]).astype(np.float32)
        return np.asarray(rounded * scale)

    def weight(name: str) -> Array:
        axis = 0 if per_channel and kind == "int8" else None
        return fake(weights[name], np.abs(weights[name]).max(axis=axis))

    def hidden(values: Array, exact: bool) -> Array:
        product = values @ weights["w1"] if exact else fake(values, np.abs(x[:32]).max()) @ weight("w1")
        return np.asarray(np.maximum(product + weights["b1"], 0))

    peak = np.abs(hidden(x[:32], exact=True)).max()
    expected = fake(hidden(2 * x, exact=False), peak) @ weight("w2")
    # A sum in another order may fall on the other side of a rounding: a few elements, one step.
    assert np.mean(np.abs(found - expected) > 1e-4 * np.abs(expected).max()) < 0.05
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_always_zero_gets_a_positive_scale(kind: EightBit, tmp_path: Path) -> None:
    proto = mlp()
    dead = numpy_helper.from_array(np.full(16, -1000, np.float32), "b1")
    next(t for t in proto.graph.initializer if t.name == "b1").CopyFrom(dead)
    w2 = numpy_helper.from_array(np.zeros((16, 4), np.float32), "w2")
    next(t for t in proto.graph.initializer if t.name == "w2").CopyFrom(w2)
    made = quantised(proto, kind, tmp_path, random(16, 8))
    weights = weights_of(made)
    [activation] = [n for n in pairs(made, "QuantizeLinear") if n.input[0] == "h3"]
    for scale in (weights[activation.input[1]], weights[stored(made)["w2"].input[1]]):
        assert (scale == np.float32(NEUTRAL_SCALE)).all()


@pytest.mark.parametrize("peak", [0.0, 1e-45, 1e-38, 1e-30, 1.0, 3.4e38])
@pytest.mark.parametrize("kind", KINDS)
def test_every_finite_range_has_a_normal_positive_scale(kind: EightBit, peak: float) -> None:
    scale = FORMATS[kind].scale(peak)
    assert np.finfo(np.float32).tiny <= scale < np.inf


@pytest.mark.parametrize("version", [8, 11, 13, 17, 18, 19, 21])
def test_fp8_of_old_and_new_operator_sets(version: int, tmp_path: Path) -> None:
    made = quantised(mlp(version), "fp8", tmp_path, random(16, 8))
    assert opset(made) == max(version, 19)
    assert made.ir_version >= 9


def test_weights_too_large_for_one_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = random(32, 4, 9, 9)
    inside = build(loaded(convolutions(), tmp_path / "a"), asked("int8"), tmp_path / "a", Samples({"x": x}))
    monkeypatch.setattr("assay_runner.graphs.weights.INSIDE_LIMIT", 0)
    beside = build(loaded(wide(), tmp_path / "b"), asked("fp8"), tmp_path / "b", Samples({"x": random(8, 64)}))
    assert [path.name for path in inside.path.parent.glob("weights*")] == []
    assert (beside.path.parent / "weights.bin").stat().st_size >= 64 * 64
    with ORT.open_tapped(beside) as session:
        assert session.run({"x": random(3, 64)}).keys() == {"h", "y"}


def wide() -> onnx.ModelProto:
    return model(
        [node("MatMul", "x w", "h"), node("MatMul", "h w", "y")],
        [value("x", "N", 64)],
        [value("y", "N", 64)],
        [constant("w", random(64, 64))],
    )


def test_a_weight_that_is_also_used_in_floating_point_stays(tmp_path: Path) -> None:
    proto = model(
        [node("MatMul", "x w", "h"), node("Add", "h w", "y")],
        [value("x", 8, 8)],
        [value("y", 8, 8)],
        [constant("w", random(8, 8))],
    )
    weights = weights_of(quantised(proto, "int8", tmp_path, random(8, 8)))
    assert weights["w"].dtype == np.float32
    assert weights["w__quantised"].dtype == np.int8


def test_a_weight_that_is_not_finite_is_named(tmp_path: Path) -> None:
    proto = mlp()
    bad = random(16, 4)
    bad[0, 0] = np.nan
    next(t for t in proto.graph.initializer if t.name == "w2").CopyFrom(numpy_helper.from_array(bad, "w2"))
    with pytest.raises(CannotBuild, match="'w2' holds values that are not finite"):
        quantised(proto, "int8", tmp_path, random(8, 8))


def test_what_has_pairs_already_is_not_quantised_twice(tmp_path: Path) -> None:
    first = quantised(mlp(), "int8", tmp_path / "a", random(16, 8))
    with pytest.raises(CannotBuild, match=r"has Q/DQ pairs inside already.*: remove calibration"):
        quantised(first, "int8", tmp_path / "b", random(16, 8))
    # Of another format: to remove calibration would lead to being told to give it.
    with pytest.raises(CannotBuild, match=r"pairs of another format inside already \(INT8\): choose the precision"):
        quantised(first, "fp8", tmp_path / "c", random(16, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_its_own_are_recognised_by_their_format(kind: EightBit, tmp_path: Path) -> None:
    made = quantised(mlp(), kind, tmp_path, random(16, 8))
    path = tmp_path / "own.onnx"
    onnx.save(made, str(path))
    own_pairs(path, kind)
    other: EightBit = "fp8" if kind == "int8" else "int8"
    held = "only FLOAT8E4M3FN" if kind == "fp8" else "only INT8"
    with pytest.raises(CannotBuild, match=held):
        own_pairs(path, other)


def dynamic() -> onnx.ModelProto:
    """Scales of activations that are found anew in every run."""
    return model(
        [
            node("DynamicQuantizeLinear", "x", "xq xs xz"),
            node("MatMulInteger", "xq wq xz", "yi"),
            node("Cast", "yi", "yf", to=TensorProto.FLOAT),
            node("Mul", "yf xs", "y"),
        ],
        [value("x", "N", 8)],
        [value("y", "N", 4)],
        [constant("wq", np.ones((8, 4), np.int8))],
    )


def test_another_scheme_than_pairs_is_named(tmp_path: Path) -> None:
    given = loaded(dynamic(), tmp_path)
    said = r"given.onnx is quantised dynamically.*\(DynamicQuantizeLinear\).*precision: fp32"
    with pytest.raises(CannotBuild, match=said):
        own_pairs(given.path, "int8")
    with pytest.raises(CannotBuild, match=r"nothing to run in INT8 in given.onnx: it is quantised dynamically"):
        build(given, asked("int8"), tmp_path, Samples({"x": random(8, 8)}))
    # The way out that it names is one.
    built = build(given, candidate("fp32"), tmp_path / "fp32")
    assert any("quantised dynamically" in note and "in a batch" in note for note in built.notes)
    with ORT.open(built) as session:
        assert session.run({"x": random(8, 8)})["y"].shape == (8, 4)


def test_why_nothing_runs_in_fp8_is_said_with_the_rule_and_a_node(tmp_path: Path) -> None:
    shapes = [value("x", "N", 3, 8, 8)], [value("y", "N", 8, 8, 8)]
    # Too old for FP8: what is quantised is a newer model of another file.
    proto = model([node("Conv", "x w", "y")], *shapes, [constant("w", random(8, 3, 1, 1))], opset=13)
    said = r"in FP8 in given.onnx: .*at least 16 .*channels.*3 and 8 channels \(y.node\)"
    with pytest.raises(CannotBuild, match=said):
        build(loaded(proto, tmp_path), asked("fp8"), tmp_path, Samples({"x": random(4, 3, 8, 8)}))


def test_a_quantised_activation_without_a_zero_point_is_of_8_bits(tmp_path: Path) -> None:
    proto = model(
        [node("QuantizeLinear", "x s", "q"), node("DequantizeLinear", "q s", "y")],
        [value("x", "N", 8)],
        [value("y", "N", 8)],
        [constant("s", np.float32(0.1))],
    )
    path = loaded(proto, tmp_path).path
    own_pairs(path, "int8")
    with pytest.raises(CannotBuild):
        own_pairs(path, "fp8")
