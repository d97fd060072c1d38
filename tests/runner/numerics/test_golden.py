"""The golden run in double precision: exact where it is rewritten, said where it is not."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from assay_runner.errors import InvalidInput
from assay_runner.golden.model import golden_model
from assay_runner.golden.run import golden_outputs
from assay_runner.graphs.kernels import REFUSE_DOUBLE
from assay_runner.tensors import Array
from tests.models import Heard, Samples, branching, constant, convolutions, loaded, mlp, model, node, random, value


def golden(
    proto: onnx.ModelProto, data: Samples, folder: Path, precision: Any = "fp64"
) -> tuple[dict[str, Array], Any]:
    run = golden_outputs(loaded(proto, folder), data, precision, folder / "golden", Heard())
    parts = [outputs for _, outputs in run]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}, run


def convolved(x: Array, w: Array, b: Array, pads: Any, strides: Any, dilations: Any, group: int) -> Array:
    """Convolution over any number of axes, by its definition, in float64."""
    rank = w.ndim - 2
    widths = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    x = np.pad(x.astype(np.float64), widths)
    sizes = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], strides, dilations, strict=True)
    ]
    y = np.zeros((len(x), len(w), *sizes))
    for position in product(*map(range, w.shape[2:])):
        where: Any = tuple(
            slice(p * d, p * d + s * (n - 1) + 1, s)
            for p, d, s, n in zip(position, dilations, strides, sizes, strict=True)
        )
        window = x[:, :, *where]
        at: Any = (slice(None), slice(None), *position)
        kernel = w.astype(np.float64)[at]
        inputs = np.split(window, group, axis=1)
        parts = [np.einsum("mc,nc...->nm...", k, i) for k, i in zip(np.split(kernel, group), inputs, strict=True)]
        y += np.concatenate(parts, axis=1)
    return y + b.astype(np.float64).reshape(1, -1, *[1] * rank)


CONVOLUTIONS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((6, 4, 3, 3), {}),
    "strided": ((6, 4, 3, 3), {"strides": [2, 3]}),
    "padded unevenly": ((6, 4, 3, 2), {"pads": [1, 0, 2, 1]}),
    "dilated": ((6, 4, 3, 3), {"dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    "grouped": ((6, 2, 3, 3), {"group": 2}),
    "depthwise": ((8, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "pointwise": ((5, 4, 1, 1), {}),
    "one axis": ((6, 4, 5), {"pads": [2, 2]}),
    "three axes": ((3, 4, 2, 2, 2), {"strides": [2, 1, 1]}),
}


@pytest.mark.parametrize("opset", [11, 17, 20])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_in_double_is_exact(case: str, opset: int, tmp_path: Path) -> None:
    shape, attributes = CONVOLUTIONS[case]
    rank = len(shape) - 2
    w, b, x = random(*shape), random(shape[0], seed=1), random(3, 4, *[9] * rank, seed=2)
    proto = model(
        [node("Conv", "x w b", "y", **attributes)],
        [value("x", "N", 4, *(f"d{i}" for i in range(rank)))],
        [value("y", "N", shape[0], *(f"e{i}" for i in range(rank)))],
        [constant("w", w), constant("b", b)],
        opset,
    )
    outputs, run = golden(proto, Samples({"x": x}, batch=2), tmp_path)
    full: dict[str, Any] = {
        "pads": [0] * 2 * rank,
        "strides": [1] * rank,
        "dilations": [1] * rank,
        "group": 1,
    } | attributes
    expected = convolved(x, w, b, **full)
    assert outputs["y"].dtype == np.float64
    assert np.abs(outputs["y"] - expected).max() <= 1e-13 * np.abs(expected).max()
    assert run.details["fp32Nodes"] == []


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_a_network_in_double_agrees_with_numpy(opset: int, tmp_path: Path) -> None:
    proto, x = convolutions(opset), random(5, 4, 9, 9, seed=9)
    outputs, run = golden(proto, Samples({"x": x}, batch=2), tmp_path)
    w = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in proto.graph.initializer}
    c = convolved(x, w["w"], w["b"], [1, 0, 2, 1], [2, 1], [1, 1], 1)
    scale, shift, average, spread = (w[n].reshape(1, -1, 1, 1) for n in ("scale", "shift", "average", "spread"))
    n = (c - average) / np.sqrt(spread + 1e-5) * scale + shift
    expected = np.maximum(n, 0).mean(axis=(2, 3)) @ w["fc"]
    assert np.abs(outputs["logits"] - expected).max() < 1e-9
    assert run.details["rewrittenNodes"] == 2


def test_same_padding_that_follows_the_input_is_an_island(tmp_path: Path) -> None:
    proto = model(
        [node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])],
        [value("x", "N", 1, "H", "W")],
        [value("y", "N", 1, "h", "w")],
        [constant("w", random(1, 1, 3, 3))],
    )
    outputs, run = golden(proto, Samples({"x": random(2, 1, 7, 8)}), tmp_path)
    assert outputs["y"].shape == (2, 1, 4, 4)
    assert run.details["fp32Nodes"] == ["y.node (Conv)"]
    assert any("y.node" in note for note in run.notes)


def test_control_flow_stays_and_is_named(tmp_path: Path) -> None:
    x = np.abs(random(3, 4))
    outputs, run = golden(branching(), Samples({"x": x}), tmp_path)
    assert np.allclose(outputs["z"], np.exp(2.5 * x.astype(np.float64)), rtol=1e-5)
    assert run.details["fp32Nodes"] == ["y.node (If)"]


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_what_refuses_double_only_when_it_runs_is_an_island(op: str, gates: int, tmp_path: Path) -> None:
    assert op in REFUSE_DOUBLE
    x = random(6, 3, 5)
    proto = model(
        [node("Transpose", "x", "t", perm=[1, 0, 2]), node(op, "t w r", "all last", hidden_size=4)],
        [value("x", "N", 3, 5)],
        [value("all", 3, 1, "N", 4)],
        [constant("w", random(1, 4 * gates, 5)), constant("r", random(1, 4 * gates, 4))],
    )
    _, details = golden_model(loaded(proto, tmp_path), "fp64", tmp_path)
    assert details["fp32Nodes"] == [f"all.node ({op})"]
    made = convert(proto)
    with pytest.raises(Exception, match="does not support double"):
        ort.InferenceSession(made.SerializeToString()).run(None, {"x": x.astype(np.float64)})


def convert(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every float32 called float64, whatever comes of it."""
    for weight in proto.graph.initializer:
        weight.CopyFrom(constant(weight.name, numpy_helper.to_array(weight).astype(np.float64)))
    for info in (*proto.graph.input, *proto.graph.output):
        info.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    return proto


def test_an_input_passed_through_as_an_output(tmp_path: Path) -> None:
    x = random(50, 4)
    proto = model([node("Relu", "x", "y")], [value("x", "N", 4)], [value("y", "N", 4), value("x", "N", 4)])
    for precision in ("fp32", "fp64"):
        outputs, _ = golden(proto, Samples({"x": x}, batch=3), tmp_path / precision, precision)
        assert np.array_equal(outputs["x"], x)


def test_double_is_closer_than_single(tmp_path: Path) -> None:
    proto, x = mlp(), random(64, 8, seed=5)
    w = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in proto.graph.initializer}
    exact = np.maximum(x.astype(np.float64) @ w["w1"] + w["b1"], 0) @ w["w2"]
    wide, _ = golden(proto, Samples({"x": x}), tmp_path / "64")
    single, _ = golden(proto, Samples({"x": x}), tmp_path / "32", "fp32")
    assert single["logits"].dtype == np.float32
    assert np.abs(wide["logits"] - exact).max() < 1e-13 < np.abs(single["logits"] - exact).max()


def test_double_model_and_double_input(tmp_path: Path) -> None:
    proto = model(
        [node("Mul", "x w", "y")],
        [value("x", "N", 3, kind=onnx.TensorProto.DOUBLE)],
        [value("y", "N", 3, kind=onnx.TensorProto.DOUBLE)],
        [constant("w", np.float64(1 / 3))],
    )
    x = np.random.default_rng(0).standard_normal((4, 3))
    for precision in ("fp32", "fp64"):
        outputs, _ = golden(proto, Samples({"x": x}), tmp_path / precision, precision)
        assert np.array_equal(outputs["y"], x * (1 / 3))


def test_padding_is_cut_off(tmp_path: Path) -> None:
    data = Samples({"x": random(10, 8)}, batch=4, fixed=True)
    outputs, _ = golden(mlp(), data, tmp_path, "fp32")
    assert outputs["logits"].shape == (10, 4)


def fixed_inside(samples: int) -> onnx.ModelProto:
    """A model that says it takes any number of samples, and views them as so many."""
    nodes = [node("Reshape", "x rows", "v"), node("Relu", "v", "y")]
    return model(nodes, [value("x", "N", 6)], [value("y", "N", 2, 3)], [constant("rows", [samples, 2, 3])])


def test_a_number_of_samples_that_is_fixed_inside_is_told_with_the_way_out(tmp_path: Path) -> None:
    x = random(7, 6)
    with pytest.raises(InvalidInput, match=r"and runs on one: set dataset\.batch to 1, or export it"):
        golden(fixed_inside(1), Samples({"x": x}), tmp_path / "one", "fp32")
    outputs, _ = golden(fixed_inside(1), Samples({"x": x}, batch=1), tmp_path / "told", "fp32")
    assert np.array_equal(outputs["y"], np.maximum(x, 0).reshape(7, 2, 3))
    with pytest.raises(InvalidInput, match=r"it ran on batches of 3, and the last one has 1: .* dataset\.samples to 6"):
        golden(fixed_inside(3), Samples({"x": x}, batch=3), tmp_path / "three", "fp32")
    outputs, _ = golden(fixed_inside(3), Samples({"x": x[:6]}, batch=3), tmp_path / "six", "fp32")
    assert np.array_equal(outputs["y"], np.maximum(x[:6], 0).reshape(6, 2, 3))


@pytest.mark.parametrize("wrong", [2, 8])
def test_a_sample_that_cannot_be_run_is_not_taken_for_a_number_of_them(wrong: int, tmp_path: Path) -> None:
    nodes = [node("Gather", "table x", "y")]
    ints = onnx.TensorProto.INT64
    proto = model(nodes, [value("x", "N", kind=ints)], [value("y", "N", 4)], [constant("table", random(5, 4))])
    x = np.where(np.arange(9) == wrong, 7, np.arange(9) % 5)
    with pytest.raises(InvalidInput, match="indices element out of data bounds") as raised:
        golden(proto, Samples({"x": x}, batch=6), tmp_path, "fp32")
    assert "dataset." not in str(raised.value)
