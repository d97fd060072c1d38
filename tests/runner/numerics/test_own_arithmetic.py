"""Golden is what the model says, whatever ONNX Runtime would make of it: held against numpy in FP64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay_runner.golden.run import golden_outputs
from assay_runner.tensors import Array
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate

X = random(32, 64)


def golden(proto: onnx.ModelProto, folder: Path, x: Array = X) -> list[Array]:
    """Golden's output, and that of an fp32 candidate."""
    given = loaded(proto, folder)
    [(_, outputs)] = golden_outputs(given, Samples({"x": x}, batch=len(x)), "fp32", folder / "golden", Heard())
    with ORT.open(build(given, candidate("fp32"), folder)) as session:
        return [outputs["y"], np.array(session.run({"x": x})["y"])]


def noise(wanted: Array, found: Array) -> float:
    """dB of the signal over the difference."""
    power = float(((wanted - found.astype(np.float64)) ** 2).sum())
    return 10 * np.log10(float((wanted**2).sum()) / power) if power else np.inf


def rounded(values: Array, scale: float) -> Array:
    return np.clip(np.rint(values / np.float32(scale)), -128, 127) * np.float64(np.float32(scale))


def test_two_pairs_in_a_row_round_twice(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x fine zero", "q1"),
        node("DequantizeLinear", "q1 fine zero", "d1"),
        node("QuantizeLinear", "d1 coarse zero", "q2"),
        node("DequantizeLinear", "q2 coarse zero", "y"),
    ]
    weights = [
        constant("fine", np.float32(0.024)),
        constant("coarse", np.float32(0.11)),
        constant("zero", np.int8(0)),
    ]
    proto = model(nodes, [value("x", "N", 64)], [value("y", "N", 64)], weights)
    for found in golden(proto, tmp_path):
        assert noise(rounded(rounded(X, 0.024), 0.11), found) > 120


@pytest.mark.parametrize("level", [0, 1, 2, 3, 4])
def test_packed_weights_are_multiplied_with_what_they_are_given(level: int, tmp_path: Path) -> None:
    """Whatever precision the operator's attribute would allow ONNX Runtime to bring the activations down to."""
    block, made = 16, 32
    stored = np.random.default_rng(1).integers(0, 16, (made, 64)).astype(np.uint8)
    scale = (np.random.default_rng(2).random((made, 64 // block)) * 0.1 + 0.01).astype(np.float32)
    packed = (stored[:, 0::2] | (stored[:, 1::2] << 4)).reshape(made, 64 // block, block // 2)
    w = ((stored.astype(np.float64) - 8).reshape(made, -1, block) * scale[..., None]).reshape(made, 64)
    attributes: dict[str, Any] = {"K": 64, "N": made, "bits": 4, "block_size": block, "accuracy_level": level}
    multiply = helper.make_node("MatMulNBits", ["x", "B", "s"], ["y"], "y.node", domain="com.microsoft", **attributes)
    weights = [constant("B", packed), constant("s", scale.reshape(-1))]
    proto = model([multiply], [value("x", "N", 64)], [value("y", "N", made)], weights)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    for found in golden(proto, tmp_path):
        assert noise(X.astype(np.float64) @ w.T, found) > 110


OVERFLOWING = {
    "product": ([node("Mul", "x huge", "a"), node("MatMul", "a w", "b"), node("Div", "b huge", "y")], 10.0),
    "reciprocal": ([node("Mul", "x tiny", "a"), node("Div", "one a", "b"), node("Mul", "b tiny", "y")], 1e-10),
}


@pytest.mark.parametrize("how", OVERFLOWING)
def test_what_overflows_between_two_nodes_does(how: str, tmp_path: Path) -> None:
    """A factor before a product that is taken away behind it; a reciprocal that is multiplied."""
    nodes, size = OVERFLOWING[how]
    factors = [constant(n, np.float32(v)) for n, v in (("huge", 2.5e38), ("tiny", 1e-30), ("one", 1))]
    weights = [*factors, constant("w", random(64, 64))]
    proto = model(nodes, [value("x", "N", 64)], [value("y", "N", 64)], weights)
    for found in golden(proto, tmp_path, (X * size).astype(np.float32)):
        assert not np.isfinite(found).any()


@pytest.mark.parametrize(("through", "cast"), [(TensorProto.DOUBLE, np.positive), (TensorProto.INT32, np.trunc)])
def test_a_cast_before_a_norm_that_is_spelt_out_is_kept(
    through: int, cast: Callable[[Array], Array], tmp_path: Path
) -> None:
    """ONNX Runtime's fusion looks past the cast and makes a node of types that it does not take."""
    nodes = [
        node("Cast", "x", "c", to=through),
        node("Cast", "c", "h", to=TensorProto.FLOAT),
        node("ReduceMean", "h", "mean", axes=[-1]),
        node("Sub", "h mean", "centred"),
        node("Pow", "centred two", "squared"),
        node("ReduceMean", "squared", "variance", axes=[-1]),
        node("Add", "variance epsilon", "safe"),
        node("Sqrt", "safe", "deviation"),
        node("Div", "centred deviation", "normal"),
        node("Mul", "normal gain", "scaled"),
        node("Add", "scaled gain", "y"),
    ]
    gain = random(64)
    weights = [constant("two", np.float32(2)), constant("epsilon", np.float32(1e-5)), constant("gain", gain)]
    proto = model(nodes, [value("x", "N", 64)], [value("y", "N", 64)], weights)
    centred = (given := cast(20 * X).astype(np.float64)) - given.mean(-1, keepdims=True)
    wanted = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gain + gain
    for found in golden(proto, tmp_path, 20 * X):
        assert noise(wanted, found) > 100
