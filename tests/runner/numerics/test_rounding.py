"""Emulated precisions: held bit by bit against numpy's and ml_dtypes' rounding, node by node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from assay_runner.data.rows import bits_equal
from assay_runner.graphs.rounding import rounder
from assay_runner.tensors import Array, Arrays
from tests.models import (
    branching,
    constant,
    convolutions,
    layer_norm,
    load,
    loaded,
    mlp,
    model,
    node,
    random,
    resizing,
    value,
)
from tests.runner.numerics.candidates import ORT, build, candidate, tapped

DTYPES = {"fp16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
NETWORKS: dict[str, tuple[Callable[[], onnx.ModelProto], Arrays]] = {
    "mlp": (mlp, {"x": random(5, 8, seed=9)}),
    "convolutions": (convolutions, {"x": random(3, 4, 9, 9, seed=9)}),
    "layer norm": (layer_norm, {"x": random(4, 16, seed=9)}),
    "overflowing layer norm": (layer_norm, {"x": random(4, 16, seed=9, scale=300)}),
}


def through(array: Array, precision: str) -> Array:
    """What the precision keeps of a float32 array, by numpy."""
    with np.errstate(over="ignore"):
        return array.astype(DTYPES[precision]).astype(np.float32)


def alone(made: onnx.NodeProto, inputs: dict[str, Array], opset: int) -> Array:
    """One node in float32, run without anything around it."""
    names = [name for name in made.input if name]
    kinds = [onnx.helper.np_dtype_to_tensor_dtype(inputs[name].dtype) for name in names]
    proto = model(
        [made],
        [onnx.helper.make_tensor_value_info(n, k, list(inputs[n].shape)) for n, k in zip(names, kinds, strict=True)],
        [onnx.ValueInfoProto(name=made.output[0])],
        opset=opset,
    )
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {name: inputs[name] for name in names})[0]
    return result


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_tensor_is_its_node_on_rounded_inputs_rounded(network: str, precision: str, tmp_path: Path) -> None:
    build_network, inputs = NETWORKS[network]
    proto = build_network()
    tensors = tapped(proto, precision, inputs, tmp_path)
    known = {name: through(array, precision) for name, array in inputs.items()}
    known |= {
        w.name: through(a, precision) if (a := numpy_helper.to_array(w)).dtype == np.float32 else a
        for w in proto.graph.initializer
    }
    for made in proto.graph.node:
        name = made.output[0]
        expected = through(alone(made, known | tensors, proto.opset_import[0].version), precision)
        assert bits_equal(tensors[name], expected), name
    assert {n.output[0] for n in proto.graph.node} <= tensors.keys()


@pytest.mark.parametrize("network", NETWORKS)
def test_plain_run_gives_the_bits_of_the_tapped_run(network: str, tmp_path: Path) -> None:
    build_network, inputs = NETWORKS[network]
    proto = build_network()
    tensors = tapped(proto, "fp16", inputs, tmp_path)
    built = build(load(tmp_path / "given.onnx", tmp_path), candidate("fp16"), tmp_path)
    with ORT.open(built) as session:
        outputs = session.run(inputs)
    assert outputs
    assert all(bits_equal(array, tensors[name]) for name, array in outputs.items())


def test_beyond_the_range_of_fp16_is_infinite(tmp_path: Path) -> None:
    proto = model([node("Mul", "x w", "y")], [value("x", "N", 4)], [value("y", "N", 4)], [constant("w", np.float32(1))])
    x = np.array([[65504, 65519, 65520, -1e6]], np.float32)
    assert tapped(proto, "fp16", {"x": x}, tmp_path)["y"].tolist() == [[65504, 65504, np.inf, -np.inf]]


def test_weights_that_overflow_are_named(tmp_path: Path) -> None:
    mask = constant("mask", np.array([0, -1e12, 0, 0], np.float32))
    proto = model([node("Add", "x mask", "y")], [value("x", "N", 4)], [value("y", "N", 4)], [mask])
    built = build(loaded(proto, tmp_path), candidate("fp16"), tmp_path)
    assert any("overflow" in note and "mask" in note for note in built.notes)


@pytest.mark.parametrize("precision", DTYPES)
def test_rounding_is_a_conversion_there_and_back(precision: str) -> None:
    """Every FP16 number, what lies right between two of them, both neighbours of each, and any bits whatever."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = np.sort(halves[np.isfinite(halves)].astype(np.float64))
    exact = np.concatenate([numbers, (numbers[1:] + numbers[:-1]) / 2, [65519.996, 65520, 1e38]]).astype(np.float32)
    near = [exact, *(np.nextafter(exact, np.float32(end)) for end in (-np.inf, np.inf))]
    any_bits = np.random.default_rng(0).integers(0, 1 << 32, 5_000_000, dtype=np.uint32).view(np.float32)
    for given_ in (*near, any_bits, any_bits.reshape(1000, -1)[::2, ::3], np.array(0.1, np.float32)):
        with np.errstate(all="ignore"):
            wanted = given_.astype(DTYPES[precision]).astype(np.float32)
        assert bits_equal(rounder(precision)(given_), wanted)


def test_what_is_no_fp32_is_rounded_once() -> None:
    """To FP32 first, it would be right between two FP16 numbers, and then go the other way."""
    given_ = np.array([1 + 2.0**-11 + 2.0**-40])
    assert rounder("fp16")(given_) == np.float32(1 + 2.0**-10)


@given(st.floats(2.0**-120, 2.0**110, width=32), st.sampled_from([1, -1]))
def test_tf32_keeps_eleven_bits_to_nearest(size: float, sign: int) -> None:
    x = np.float32(sign * size)
    rounded = rounder("tf32")(np.array([x]))[0]
    exponent = np.floor(np.log2(abs(float(x))))
    unit = 2.0 ** (exponent - 10)
    assert float(rounded) / unit == round(float(rounded) / unit)
    assert abs(float(rounded) - float(x)) <= unit / 2


def test_tf32_rounds_the_operands_of_products_only(tmp_path: Path) -> None:
    proto, x = mlp(), random(5, 8, seed=3)
    tensors = tapped(proto, "tf32", {"x": x}, tmp_path)
    weights = {w.name: numpy_helper.to_array(w) for w in proto.graph.initializer}
    split = rounder("tf32")
    product = alone(proto.graph.node[0], {"x": split(x), "w1": split(weights["w1"])}, 17)
    assert bits_equal(tensors["h1"], product)
    assert bits_equal(tensors["h2"], product + weights["b1"])


def test_what_decides_shapes_is_not_rounded(tmp_path: Path) -> None:
    x = random(1, 1, 3000)
    assert tapped(resizing(), "fp16", {"x": x}, tmp_path)["y"].shape == (1, 1, 3001)


def test_control_flow_computes_on_rounded_tensors(tmp_path: Path) -> None:
    for sign in (1, -1):
        x = np.abs(random(2, 4, seed=4)) * sign
        tensors = tapped(branching(), "fp16", {"x": x.astype(np.float32)}, tmp_path / str(sign))
        rounded = through(x.astype(np.float32), "fp16")
        half = through(rounded * np.float32(0.5), "fp16")
        inner = through(half * np.float32(3), "fp16") + rounded if sign > 0 else half
        assert bits_equal(tensors["y"], through(inner, "fp16"))
    notes = build(loaded(branching(), tmp_path), candidate("fp16"), tmp_path).notes
    assert any("control flow of y.node" in note for note in notes)


@pytest.mark.parametrize(("precision", "opset"), [("fp16", 7), ("tf32", 7), ("bf16", 7), ("bf16", 11), ("fp16", 21)])
def test_old_and_new_operator_sets(precision: str, opset: int, tmp_path: Path) -> None:
    x = random(5, 8, seed=9)
    old, new = (tapped(mlp(o), precision, {"x": x}, tmp_path / str(o)) for o in (opset, 17))
    assert bits_equal(old["logits"], new["logits"])


def in_float16(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all its float32 tensors stored as float16."""
    for weight in proto.graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            weight.CopyFrom(constant(weight.name, numpy_helper.to_array(weight).astype(np.float16)))
    for info in (*proto.graph.input, *proto.graph.output):
        info.type.tensor_type.elem_type = TensorProto.FLOAT16
    return proto


@pytest.mark.parametrize("precision", ["fp16", "bf16", "tf32", "fp32"])
def test_a_model_stored_in_float16_is_rounded_like_one_in_float32(precision: str, tmp_path: Path) -> None:
    half = random(5, 8, seed=9).astype(np.float16)
    wide = mlp()
    for weight in wide.graph.initializer:
        rounded = numpy_helper.to_array(weight).astype(np.float16).astype(np.float32)
        weight.CopyFrom(constant(weight.name, rounded))
    expected = tapped(wide, precision, {"x": half.astype(np.float32)}, tmp_path / "wide")
    found = tapped(in_float16(mlp()), precision, {"x": half}, tmp_path / "half")
    assert np.array_equal(found["logits"].astype(np.float32), expected["logits"])


def test_external_data_and_weights_of_any_size(tmp_path: Path) -> None:
    proto = mlp()
    expected = tapped(proto, "fp16", {"x": random(5, 8)}, tmp_path / "inside")
    outside = tmp_path / "outside"
    outside.mkdir()
    onnx.save(proto, str(outside / "m.onnx"), save_as_external_data=True, location="m.bin", size_threshold=0)
    built = build(load(outside / "m.onnx", tmp_path / "outside"), candidate("fp16"), tmp_path)
    with ORT.open_tapped(built) as session:
        assert bits_equal(session.run({"x": random(5, 8)})["logits"], expected["logits"])
