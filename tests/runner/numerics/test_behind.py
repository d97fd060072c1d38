"""INT8 of weights that an exporter leaves behind other nodes: a scale per output channel, as plain ones have."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay_runner.backends import Built
from assay_runner.errors import CannotBuild
from assay_runner.tensors import Array
from tests.models import Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate, int8, measured

READ, MADE = 32, 8
# Output channels of very different scale: one scale for all of them would lose the small ones.
W = (random(READ, MADE, seed=1) * 10.0 ** np.linspace(-3, 1, MADE)).astype(np.float32)
X = random(64, READ)
HALF = W.astype(np.float16)


class Kept(NamedTuple):
    """Nodes that make `w` of weights, and those weights; what reads it, if that is not a MatMul from the right."""

    nodes: list[onnx.NodeProto]
    weights: list[onnx.TensorProto]
    reader: onnx.NodeProto = node("MatMul", "x w", "y")


def dequantised(dtype: type, zero: int) -> Kept:
    """Stored in 8 bits, one scale for each channel."""
    scale = (np.abs(W).max(0) / 100).astype(np.float32)
    stored = (np.rint(W / scale) + zero).astype(dtype)
    zeros: Array = np.full(MADE, zero, dtype)
    weights = [constant("q", stored), constant("s", scale), constant("z", zeros)]
    return Kept([node("DequantizeLinear", "q s z", "w", axis=1)], weights)


def by_floats() -> Kept:
    """A Constant node that lists its numbers."""
    made = helper.make_node("Constant", [], ["flat"], name="flat.node", value_floats=W.reshape(-1).tolist())
    return Kept([made, node("Reshape", "flat shape", "w")], [constant("shape", np.array([READ, MADE]))])


KEPT = {
    "plain": Kept([], [constant("w", W)]),
    "transposed": Kept([node("Transpose", "t", "w", perm=[1, 0])], [constant("t", W.T)]),
    "cast": Kept([node("Cast", "h", "w", to=TensorProto.FLOAT)], [constant("h", HALF)]),
    "cast and transposed": Kept(
        [node("Cast", "h", "t", to=TensorProto.FLOAT), node("Transpose", "t", "w", perm=[1, 0])],
        [constant("h", HALF.T)],
    ),
    "double": Kept([node("Cast", "d", "w", to=TensorProto.FLOAT)], [constant("d", W.astype(np.float64))]),
    "identity": Kept([node("Identity", "i", "w")], [constant("i", W)]),
    "reshaped": Kept(
        [node("Reshape", "f s", "w")], [constant("f", W.reshape(-1)), constant("s", np.array([READ, MADE]))]
    ),
    "unsqueezed": Kept(
        [node("Unsqueeze", "u a", "v"), node("Squeeze", "v a", "w")],
        [constant("u", W), constant("a", np.array([0]))],
    ),
    "scaled": Kept([node("Mul", "v g", "w")], [constant("v", W / np.abs(W).max(0)), constant("g", np.abs(W).max(0))]),
    "sliced": Kept(
        [node("Slice", "wide zero end axis", "w")],
        [
            constant("wide", np.concatenate([W, W], 1)),
            *(constant(name, np.array([at])) for name, at in (("zero", 0), ("end", MADE), ("axis", 1))),
        ],
    ),
    "listed": by_floats(),
    "int8": dequantised(np.int8, 0),
    "uint8": dequantised(np.uint8, 120),
    "Gemm": Kept([node("Identity", "i", "w")], [constant("i", W)], node("Gemm", "x w", "y")),
    "Gemm transB": Kept([node("Identity", "i", "w")], [constant("i", W.T)], node("Gemm", "x w", "y", transB=1)),
}


def built_of(kept: Kept, folder: Path) -> Built:
    proto = model([*kept.nodes, kept.reader], [value("x", "N", READ)], [value("y", "N", MADE)], kept.weights)
    return build(loaded(proto, folder), int8(method="minmax"), folder, Samples({"x": X}))


@pytest.mark.parametrize("how", KEPT)
def test_each_output_channel_keeps_its_scale(how: str, tmp_path: Path) -> None:
    built = built_of(KEPT[how], tmp_path)
    with ORT.open(built) as session:
        found = session.run({"x": X})["y"]
    step = np.float32(np.abs(X).max() / 127)
    wanted = (np.clip(np.rint(X / step), -128, 127) * step) @ W
    # Of each channel for itself: half a step of its own scale in each of 32 products.
    noise = np.sqrt(((found - wanted) ** 2).mean(0) / (wanted**2).mean(0))
    assert noise.max() < 0.02
    graph = onnx.load(str(built.path)).graph
    assert [n.op_type for n in graph.node if n.op_type == "QuantizeLinear"] == ["QuantizeLinear"]
    stored = {t.name: t for t in graph.initializer if t.data_type == TensorProto.INT8 and len(t.dims) > 1}
    assert len(stored) == 1
    assert not {t.data_type for t in graph.initializer if len(t.dims) > 1} - {TensorProto.INT8}
    assert not [n for n in graph.node if n.op_type in ("Cast", "Transpose", "Identity", "Mul", "Slice")]


def test_a_weight_that_is_stored_in_the_format_keeps_its_numbers(tmp_path: Path) -> None:
    kept = dequantised(np.int8, 0)
    graph = onnx.load(str(built_of(kept, tmp_path).path)).graph
    stored = next(t for t in graph.initializer if t.name == "q")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(stored), onnx.numpy_helper.to_array(kept.weights[0]))
    assert [n.op_type for n in graph.node] == ["DequantizeLinear", "QuantizeLinear", "DequantizeLinear", "MatMul"]


@pytest.mark.parametrize("shape", [(3, 16, 8), (1, 16, 8)])
@pytest.mark.parametrize("left", [False, True])
def test_stacked_products_have_a_scale_per_output_channel(shape: tuple[int, ...], left: bool, tmp_path: Path) -> None:
    w = (random(*shape, seed=2) * 10.0 ** np.linspace(-3, 1, shape[-1])).astype(np.float32)
    x = random(6, shape[0], 5, 16)
    data = {"x": x.swapaxes(2, 3) if left else x}
    made = (6, shape[0], 8, 5) if left else (6, shape[0], 5, 8)
    reads = node("MatMul", "w x" if left else "x w", "y")
    weights = [constant("w", w.swapaxes(1, 2) if left else w)]
    proto = model([reads], [value("x", "N", *data["x"].shape[1:])], [value("y", "N", *made[1:])], weights)
    with ORT.open(build(loaded(proto, tmp_path), int8(method="minmax"), tmp_path, Samples(data))) as session:
        found = session.run(data)["y"]
    plain = np.matmul(w.swapaxes(1, 2), data["x"]) if left else np.matmul(x, w)
    axis = tuple(i for i in range(4) if i != (2 if left else 3))
    noise = np.sqrt(((found - plain) ** 2).mean(axis) / (plain**2).mean(axis))
    assert noise.max() < 0.03


def test_a_transposed_convolution_reads_a_weight_behind_a_cast(tmp_path: Path) -> None:
    w = (random(4, 8, 2, 2, seed=3) * (10.0 ** np.linspace(-3, 1, 8))[:, None, None]).astype(np.float16)
    nodes = [node("Cast", "h", "w", to=TensorProto.FLOAT), node("ConvTranspose", "x w", "y")]
    proto = model(nodes, [value("x", "N", 4, 6, 6)], [value("y", "N", 8, 7, 7)], [constant("h", w)])
    x = random(8, 4, 6, 6)
    model_here = loaded(proto, tmp_path)
    with ORT.open(build(model_here, int8(method="minmax"), tmp_path / "int8", Samples({"x": x}))) as session:
        found = session.run({"x": x})["y"]
    with ORT.open(build(model_here, candidate("fp32"), tmp_path / "fp32")) as session:
        plain = session.run({"x": x})["y"]
    assert (np.sqrt(((found - plain) ** 2).mean((0, 2, 3)) / (plain**2).mean((0, 2, 3)))).max() < 0.03


def test_who_else_reads_such_a_weight_reads_it_as_it_is(tmp_path: Path) -> None:
    """As an embedding that is the transposed weight of the last layer."""
    nodes = [
        node("Transpose", "t", "w", perm=[1, 0]),
        node("MatMul", "x w", "y"),
        node("Gather", "w row", "first"),
        node("Mul", "y first", "z"),
    ]
    weights = [constant("t", W.T), constant("row", np.array(0))]
    proto = model(nodes, [value("x", "N", READ)], [value("z", "N", MADE)], weights)
    report, findings = measured(
        proto, int8(method="minmax"), Samples({"x": X}), tmp_path, calibration=Samples({"x": X})
    )
    assert {layer.name for layer in report.layers} == {"w", "y", "first", "z"}
    assert {f.verdict for f in findings} == {"Passed"}


@pytest.mark.parametrize(
    ("nodes", "weights", "told"),
    [
        ([node("MatMul", "w v", "m"), node("Mul", "x m", "y")], ["w", "v"], "weights alone"),
        (
            [
                node("Cast", "x", "i", to=6),
                node("Cast", "w", "j", to=6),
                node("MatMul", "i j", "k"),
                node("Cast", "k", "y", to=1),
            ],
            ["w"],
            "no floating-point numbers",
        ),
    ],
)
def test_what_cannot_be_quantised_is_told(
    nodes: list[onnx.NodeProto], weights: list[str], told: str, tmp_path: Path
) -> None:
    held = [constant(name, random(4, 4)) for name in weights]
    proto = model(nodes, [value("x", 4, 4)], [value("y", 4, 4)], held)
    with pytest.raises(CannotBuild, match=told) as error:
        build(loaded(proto, tmp_path), int8(), tmp_path, Samples({"x": random(4, 4)}, batch=4))
    assert "has none of" not in str(error.value)
