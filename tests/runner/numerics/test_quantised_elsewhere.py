"""Candidates that onnxruntime.quantization made: their own names, pairs, and operators of 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from assay_api.report import Verdict
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.graphs.unclipped import unclipped
from assay_runner.tensors import Array
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import candidate, measured
from tests.wire import details

X = random(40, 16, seed=1)
INT8 = candidate("int8", model={"uri": "file:///made.onnx"})
BETWEEN = ("a", "ra", "b", "rb", "y")
"""What the model makes, and what of it the quantised one still has by name."""


def three_products() -> onnx.ModelProto:
    weights = [constant(f"w{n}", random(*shape, seed=n) / 3) for n, shape in enumerate(((16, 32), (32, 32), (32, 8)))]
    nodes = [
        node("MatMul", "x w0", "a"), node("Relu", "a", "ra"), node("MatMul", "ra w1", "b"), node("Relu", "b", "rb"),
        node("MatMul", "rb w2", "y"),
    ]  # fmt: skip
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 8)], weights)


class _Fed(CalibrationDataReader):  # type: ignore[misc]  # It has no types.
    def __init__(self) -> None:
        self._left: Iterator[dict[str, Array]] = iter([{"x": row[None]} for row in X])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._left, None)


def quantised(folder: Path, form: QuantFormat, plain: onnx.ModelProto | None = None, **how: Any) -> onnx.ModelProto:
    """As TensorRT takes it; as the quantiser does it by default, where a model is given."""
    given, made = folder / "plain.onnx", folder / "made.onnx"
    onnx.save(plain or three_products(), str(given))
    options = {} if plain else {"ActivationSymmetric": True, "WeightSymmetric": True}
    kinds = how or {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
    quantize_static(str(given), str(made), _Fed(), quant_format=form, extra_options=options, **kinds)
    return onnx.load(str(made))


def shown(proto: onnx.ModelProto) -> dict[str, Array]:
    """Bare ONNX Runtime's tensors, those of these names that the model makes."""
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    made = {name for each in proto.graph.node for name in each.output}
    names = [name for name in BETWEEN if name in made]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "y")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"x": X}), strict=True))


def test_pairs_of_ones_own_leave_nothing_uncompared(tmp_path: Path) -> None:
    """What a pair makes of a tensor that golden has too is rounding, and no tensor that golden lacks."""
    own = quantised(tmp_path, QuantFormat.QDQ)
    wanted, found = shown(three_products()), shown(own)
    found_by = measured(three_products(), INT8, Samples({"x": X}), tmp_path, LayerDrift(), own=own)
    [finding] = found_by.findings
    assert finding.verdict is Verdict.PASSED, finding.message
    layers = {layer.name: layer for layer in found_by.report.layers}
    # Products that a ReLU follows are quantised behind it, so all of golden's tensors are there.
    assert layers.keys() == set(BETWEEN)
    for name in BETWEEN:
        noise = ((found[name].astype(np.float64) - wanted[name]) ** 2).sum()
        snr = 10 * np.log10((wanted[name].astype(np.float64) ** 2).sum() / noise)
        assert layers[name].accumulated_snr == pytest.approx(snr, abs=0.2)
    assert details(finding)["notCompared"] <= 1  # What `y` was before its own pair, which golden has by no name.


def convolutions() -> onnx.ModelProto:
    """Clipped from below by a ReLU, and from both sides."""
    shapes = {"w0": (4, 1, 3, 3), "w1": (4, 4, 3, 3), "w2": (4, 4, 3, 3)}
    weights = [constant(name, random(*shape, seed=shape[1] + len(name)) / 3) for name, shape in shapes.items()]
    weights += [constant(name, np.array(size, np.float32)) for name, size in (("zero", 0), ("six", 6))]
    weights += [constant("square", np.array([-1, 1, 4, 4])), constant("row", np.array([-1, 64]))]
    pads = {"pads": [1] * 4}
    nodes = [
        node("Reshape", "x square", "s"), node("Conv", "s w0", "a", **pads), node("Relu", "a", "ra"),
        node("Conv", "ra w1", "b", **pads), node("Clip", "b zero six", "rb"), node("Conv", "rb w2", "c", **pads),
        node("Reshape", "c row", "y"),
    ]  # fmt: skip
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 64)], weights)


@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8])
def test_what_the_quantiser_clips_by_the_ends_of_8_bits_is_no_error(kind: QuantType, tmp_path: Path) -> None:
    """It takes the ReLU out and gives its output's name to what the convolution makes, negative numbers and all."""
    own = quantised(tmp_path, QuantFormat.QDQ, convolutions(), activation_type=kind, weight_type=QuantType.QInt8)
    assert [each.op_type for each in own.graph.node if "ra" in each.output] == ["Conv"]
    data = Samples({"x": X})
    found = measured(convolutions(), INT8, data, tmp_path, LayerDrift(), OutputDrift(), own=own)
    assert [each.verdict for each in found.findings] == [Verdict.PASSED] * 2, found.findings
    layers = {layer.name: layer for layer in found.report.layers}
    assert {"s", "ra", "rb", "c", "y"} <= layers.keys()
    for name in ("ra", "rb"):  # Nothing is rounded before it, but weights.
        assert (layers[name].local_snr or 0) > 30
        assert (layers[name].min or 0) >= 0
    assert (layers["rb"].max or 0) <= 6
    [scale] = [tensor for tensor in own.graph.initializer if tensor.name == "ra_scale"]
    scale.CopyFrom(constant(scale.name, onnx.numpy_helper.to_array(scale) * np.float32(60)))
    [finding] = measured(convolutions(), INT8, data, tmp_path / "worse", LayerDrift(), own=own).findings
    assert finding.verdict is Verdict.FAILED


@pytest.mark.parametrize("lost", ["ra", "rb"])
def test_a_clip_that_the_zero_point_does_not_make_is_where_the_error_starts(lost: str, tmp_path: Path) -> None:
    """In the middle of the type it lets negative numbers through: the node is lost, and those behind it are well."""
    own = quantised(tmp_path, QuantFormat.QDQ, convolutions(), activation_type=QuantType.QInt8)
    for what, number in (("zero_point", np.array(0, np.int8)), ("scale", np.array(0.05, np.float32))):
        [tensor] = [each for each in own.graph.initializer if each.name == f"{lost}_{what}"]
        tensor.CopyFrom(constant(tensor.name, number))
    [finding] = measured(convolutions(), INT8, Samples({"x": X}), tmp_path, LayerDrift(), own=own).findings
    assert (finding.verdict, finding.tensor) == (Verdict.FAILED, lost), finding.message
    assert details(finding)["notCompared"] <= 1  # What `y` was before its own pair.


def pair(zero: np.generic | None, step: float, **given: Any) -> onnx.ModelProto:
    """What reads a tensor `r`, which golden's Relu or Clip makes."""
    weights = [constant("s", np.float32(step)), *([constant("z", np.array(zero))] if zero is not None else [])]
    nodes = [
        node("LeakyRelu", "x", "r"), node("QuantizeLinear", "r s z" if weights[1:] else "r s", "q", **given),
        node("DequantizeLinear", "q s z" if weights[1:] else "q s", "y"),
    ]  # fmt: skip
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights, 21)


@pytest.mark.parametrize(
    ("zero", "step", "low", "high"),
    [
        (np.uint8(0), 0.1, 0, 25.5), (np.int8(-128), 0.1, 0, 25.5), (None, 0.1, 0, 25.5),
        (np.int8(0), 0.1, -12.8, 12.7), (np.int8(-128), 0.01, 0, 6), (np.int8(-64), 0.1, -6.4, 19.1),
        (np.uint16(0), 1e-5, 0, 6), (ml_dtypes.int4(-8), 1, 0, 15), (ml_dtypes.int4(0), 1, -8, 7),
        (ml_dtypes.float8_e4m3fn(0), 0.1, -np.inf, np.inf),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(), (1,)], ids=["scalars", "of one element"])
def test_as_much_is_clipped_as_pair_and_node_both_clip(
    shape: tuple[int, ...], zero: np.generic | None, step: float, low: float, high: float, tmp_path: Path
) -> None:
    """ONNX Runtime takes bounds of one element, too."""
    bounds = [constant(name, np.full(shape, size, np.float32)) for name, size in (("zero", 0), ("six", 6))]
    plain = model([node("Clip", "x zero six", "r")], [value("x", "N", 16)], [value("r", "N", 16)], bounds)
    for name, proto in (("own", pair(zero, step)), ("golden", plain)):
        onnx.save(proto, str(tmp_path / name))
    found = unclipped(tmp_path / "own", tmp_path / "golden")
    assert found["r"] == pytest.approx((low, high))
    given = np.array([-100, -1, 3, 100, np.nan, np.inf], np.float16)
    np.testing.assert_array_equal(found["r"].of(given)[2:], np.array([3, min(high, 100), np.nan, np.inf], np.float16))


def test_a_pair_that_clips_nobody_knows_where_is_no_error_of_what_it_reads(tmp_path: Path) -> None:
    """As with a scale for each channel: if it does not clip as golden does, what reads it shows that."""
    own = pair(np.int8(-128), 0.1)
    for name, array in (("s", np.full(16, 0.1, np.float32)), ("z", np.full(16, -128, np.int8))):
        [tensor] = [each for each in own.graph.initializer if each.name == name]
        tensor.CopyFrom(constant(name, array))
    onnx.save(own, str(tmp_path / "own"))
    onnx.save(model([node("Relu", "x", "r")], [value("x", "N", 16)], [value("r", "N", 16)]), str(tmp_path / "golden"))
    assert unclipped(tmp_path / "own", tmp_path / "golden") == {"r": (0, np.inf)}


def test_bounds_of_golden_that_nobody_knows_clip_nothing(tmp_path: Path) -> None:
    plain = model([node("Clip", "x low", "r")], [value("x", "N", 16), value("low")], [value("r", "N", 16)])
    for name, proto in (("own", pair(np.int8(-128), 0.1)), ("golden", plain)):
        onnx.save(proto, str(tmp_path / name))
    assert unclipped(tmp_path / "own", tmp_path / "golden") == {}


def test_what_something_else_reads_too_is_compared_as_it_is(tmp_path: Path) -> None:
    own = pair(np.int8(-128), 0.1)
    own.graph.output.append(onnx.helper.make_tensor_value_info("r", onnx.TensorProto.FLOAT, ["N", 16]))
    onnx.save(own, str(tmp_path / "own"))
    onnx.save(model([node("Relu", "x", "r")], [value("x", "N", 16)], [value("r", "N", 16)]), str(tmp_path / "golden"))
    assert unclipped(tmp_path / "own", tmp_path / "golden") == {}


def test_a_step_that_is_far_too_large_is_where_the_error_starts(tmp_path: Path) -> None:
    """It is the scale of what the second product reads, so nothing that product makes of it is right."""
    own = quantised(tmp_path, QuantFormat.QDQ)
    [scale] = [tensor for tensor in own.graph.initializer if tensor.name == "ra_scale"]
    scale.CopyFrom(constant(scale.name, onnx.numpy_helper.to_array(scale) * np.float32(60)))
    [finding] = measured(three_products(), INT8, Samples({"x": X}), tmp_path, LayerDrift(), own=own).findings
    assert (finding.verdict, finding.tensor) == (Verdict.FAILED, "b"), finding.message
    assert finding.message.startswith("tensor 'b' of node 'b.node' (MatMul) adds most error of its own")
    assert "the Q/DQ pairs are the model's own, and stay" in finding.message


def test_a_tensor_that_golden_lacks_counts_where_no_pair_makes_it(tmp_path: Path) -> None:
    """Another graph is another graph, whether or not it has pairs."""
    own = quantised(tmp_path, QuantFormat.QDQ)
    for each in own.graph.node:
        for names in (each.input, each.output):
            names[:] = [f"other_{name}" if name in ("a", "ra", "b", "rb") else name for name in names]
    [finding] = measured(three_products(), INT8, Samples({"x": X}), tmp_path, LayerDrift(), own=own).findings
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "golden has no tensor 'other_a'" in finding.message


def test_operators_of_8_bits_are_told_before_a_gpu_is_needed(tmp_path: Path) -> None:
    own = quantised(tmp_path, QuantFormat.QOperator)
    assert "QLinearMatMul" in {each.op_type for each in own.graph.node}
    found = measured(three_products(), INT8, Samples({"x": X}), tmp_path, OutputDrift(), own=own)
    assert found.findings[0].verdict is Verdict.PASSED
    said = "computes in 8 bits by operators of their own (QLinearMatMul), which TensorRT does not have"
    assert [note for note in found.report.notes if said in note and "QuantFormat.QDQ" in note], found.report.notes
    own = quantised(tmp_path, QuantFormat.QDQ)
    pairs = measured(three_products(), INT8, Samples({"x": X}), tmp_path / "b", OutputDrift(), own=own)
    assert not [note for note in pairs.report.notes if "operators of their own" in note]
