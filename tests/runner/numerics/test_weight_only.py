"""Golden of a model whose weights alone are quantised: its own arithmetic, dequantised weights times FP32 activations.

ONNX Runtime would fuse the two, and quantise the activations on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay_runner.golden import golden_outputs
from assay_runner.tensors import Array
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate

WIDTH = 64
TYPES = {
    "int8": (TensorProto.INT8, -127, 128, 0),
    "uint8": (TensorProto.UINT8, 0, 256, 121),
    "int4": (TensorProto.INT4, -8, 8, 0),
    "uint4": (TensorProto.UINT4, 0, 16, 7),
}
SCALES: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "per tensor": ((), {}),
    "per channel": ((WIDTH,), {"axis": 1}),
    "blocked": ((WIDTH // 16, WIDTH), {"axis": 0, "block_size": 16}),
}


def dequantised(kind: str, scales: str) -> tuple[list[onnx.TensorProto], onnx.NodeProto, Array]:
    """A weight `w` of (WIDTH, WIDTH) behind a DequantizeLinear: its initialisers, the node, its value in FP64."""
    element, low, high, zero = TYPES[kind]
    shape, attributes = SCALES[scales]
    stored = np.random.default_rng(3).integers(low, high, (WIDTH, WIDTH))
    scale = np.abs(random(*shape, seed=4)).astype(np.float32) * np.float32(0.01) + np.float32(0.01)
    zeros = np.full(shape, zero)
    weights = [
        helper.make_tensor("q", element, stored.shape, stored.reshape(-1).tolist()),
        constant("s", scale),
        helper.make_tensor("z", element, shape, zeros.reshape(-1).tolist()),
    ]
    wide = np.repeat(scale, 16, 0) if scales == "blocked" else scale
    return weights, node("DequantizeLinear", "q s z", "w", **attributes), (stored - zero) * wide.astype(np.float64)


def noise(wanted: Array, found: Array) -> float:
    """dB of the signal over the difference."""
    power = float(((wanted - found.astype(np.float64)) ** 2).sum())
    return 10 * np.log10(float((wanted**2).sum()) / power) if power else np.inf


READERS: dict[str, tuple[onnx.NodeProto, onnx.ValueInfoProto, Array, Callable[[Array, Array], Array]]] = {
    "MatMul": (node("MatMul", "x w", "y"), value("x", "N", WIDTH), random(16, WIDTH), lambda x, w: x @ w),
    "Gemm": (
        node("Gemm", "x w b", "y", transB=1),
        value("x", "N", WIDTH),
        random(16, WIDTH),
        lambda x, w: x @ w.T + random(WIDTH, seed=9),
    ),
    "Gather": (
        node("Gather", "w x", "y"),
        value("x", "N", 5, kind=TensorProto.INT64),
        np.random.default_rng(1).integers(0, WIDTH, (16, 5)),
        lambda x, w: w[x.astype(int)],
    ),
}


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("reader", READERS)
def test_golden_is_the_dequantised_product(reader: str, kind: str, scales: str, tmp_path: Path) -> None:
    reads, given, x, by_hand = READERS[reader]
    weights, dequantise, w = dequantised(kind, scales)
    proto = model([dequantise, reads], [given], [], [*weights, constant("b", random(WIDTH, seed=9))], opset=21)
    proto.graph.output.append(value("y", "N", *[""] * by_hand(x[:1], w)[0].ndim))
    proto.ir_version = 10
    loaded_model, data = loaded(proto, tmp_path), Samples({"x": x}, batch=16)
    [(_, golden)] = golden_outputs(loaded_model, data, "fp32", tmp_path / "golden", Heard())
    wanted = by_hand(x.astype(np.float64), w)
    assert noise(wanted, golden["y"]) > 120
    with ORT.open(build(loaded_model, candidate("fp32"), tmp_path)) as session:
        assert noise(wanted, session.run({"x": x})["y"]) > 120


def test_golden_of_a_convolution_is_that_of_dequantised_weights(tmp_path: Path) -> None:
    stored = np.random.default_rng(3).integers(-127, 128, (8, 4, 3, 3)).astype(np.int8)
    scale = np.linspace(0.01, 0.02, 8).astype(np.float32)
    plain = stored * scale[:, None, None, None]
    nodes = [node("DequantizeLinear", "q s", "w", axis=0), node("Conv", "x w", "y")]
    shapes = [value("x", "N", 4, 9, 9)], [value("y", "N", 8, 7, 7)]
    data = Samples({"x": random(8, 4, 9, 9)})
    found = []
    for name, proto in {
        "stored": model(nodes, *shapes, [constant("q", stored), constant("s", scale)], opset=19),
        "plain": model(nodes[1:], *shapes, [constant("w", plain)], opset=19),
    }.items():
        run = golden_outputs(loaded(proto, tmp_path / name), data, "fp32", tmp_path / name / "golden", Heard())
        found += [golden["y"] for _, golden in run]
    assert noise(found[1].astype(np.float64), found[0]) > 120
