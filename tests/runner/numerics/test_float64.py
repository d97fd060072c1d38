"""Models in float64: golden is their own arithmetic, and a candidate computes in FP32 at most, as TensorRT does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay_api.report import Verdict
from assay_runner.golden.run import golden_outputs
from assay_runner.tensors import Array
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate, int8, measured

SECOND = 1.7e9
DOUBLE = TensorProto.DOUBLE
TIMES = SECOND + 10 * np.random.default_rng(1).random((20, 4))
WEIGHT = np.random.default_rng(2).normal(size=(4, 3))


def since() -> onnx.ModelProto:
    """How long ago each time was, weighted: in FP32, where times lie 128 s apart, nothing is left of it."""
    return model(
        [node("Sub", "t start", "dt"), node("MatMul", "dt w", "y")],
        [value("t", "N", 4, kind=DOUBLE)],
        [value("y", "N", 3, kind=DOUBLE)],
        [constant("start", np.array([SECOND])), constant("w", WEIGHT)],
    )


def detour(*through: onnx.NodeProto, weights: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    """FP32 outside; nodes in float64 that make `late` of `d`, from which the second is taken away again."""
    nodes = [
        node("Cast", "x", "d", to=DOUBLE),
        *through,
        node("Sub", "late second", "again"),
        node("Cast", "again", "y", to=TensorProto.FLOAT),
    ]
    held = [constant("second", np.float64(SECOND)), *weights]
    return model(nodes, [value("x", "N", 4)], [value("y", "N", 4)], held)


DETOURS = {
    "weight": detour(node("Add", "d second", "late")),
    "constant": detour(
        helper.make_node("Constant", [], ["k"], name="k.node", value=constant("", np.float64(SECOND))),
        node("Add", "d k", "late"),
    ),
    "made": detour(
        node("Shape", "x", "shape"),
        helper.make_node(
            "ConstantOfShape", ["shape"], ["k"], name="k.node", value=constant("", np.array([SECOND], np.float64))
        ),
        node("Add", "d k", "late"),
    ),
    "sequence": detour(
        node("Add", "d second", "sum"),
        helper.make_node("SequenceEmpty", [], ["none"], name="none.node", dtype=DOUBLE),
        node("SequenceInsert", "none sum", "one"),
        node("SequenceAt", "one zero", "late"),
        weights=(constant("zero", np.int64(0)),),
    ),
    "like": detour(node("CastLike", "x second", "same"), node("Add", "same second", "late")),
}


def run(proto: onnx.ModelProto, precision: str, x: Array, folder: Path) -> Array:
    built = build(loaded(proto, folder), candidate(precision), folder)
    assert not built.unrounded
    with ORT.open(built) as session:
        return np.array(session.run({"x": x})["y"])


def golden_of(proto: onnx.ModelProto, name: str, x: Array, folder: Path) -> Array:
    data = Samples({name: x}, batch=len(x))
    [(_, outputs)] = golden_outputs(loaded(proto, folder), data, "fp32", folder / "golden", Heard())
    return outputs["y"]


@pytest.mark.parametrize("how", DETOURS)
@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_float64_inside_is_fp32_in_a_candidate(how: str, precision: str, tmp_path: Path) -> None:
    x = np.abs(random(6, 4)) + 5
    np.testing.assert_array_equal(run(DETOURS[how], precision, x, tmp_path), 0)
    np.testing.assert_allclose(golden_of(DETOURS[how], "x", x, tmp_path), x, rtol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_a_candidate_in_fp32_loses_what_float64_held(precision: str, tmp_path: Path) -> None:
    report, found = measured(since(), precision, Samples({"t": TIMES}), tmp_path)
    verdicts = {f.check: f.verdict for f in found}
    assert verdicts["outputDrift"] is verdicts["layerDrift"] is Verdict.FAILED
    assert any("TensorRT has no float64" in note for note in report.notes)


def test_golden_keeps_to_float64(tmp_path: Path) -> None:
    found = golden_of(since(), "t", TIMES, tmp_path)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, (TIMES - SECOND) @ WEIGHT, rtol=1e-12)


def test_golden_keeps_to_float64_beside_halves(tmp_path: Path) -> None:
    """Halves become FP32 for golden, and nothing else does."""
    proto = detour(node("Add", "d second", "late"))
    proto.graph.node.insert(0, node("Mul", "h two", "x"))
    proto.graph.input[0].CopyFrom(value("h", "N", 4, kind=TensorProto.FLOAT16))
    proto.graph.initializer.append(constant("two", np.float16(2)))
    h = np.abs(random(6, 4)).astype(np.float16) + np.float16(1)
    np.testing.assert_allclose(golden_of(proto, "h", h, tmp_path), 2 * h.astype(np.float64), rtol=1e-6)


def test_products_of_float64_are_quantised(tmp_path: Path) -> None:
    proto = model(
        [node("MatMul", "x w", "y")],
        [value("x", "N", 4, kind=DOUBLE)],
        [value("y", "N", 3, kind=DOUBLE)],
        [constant("w", WEIGHT)],
    )
    x = np.random.default_rng(3).normal(size=(64, 4))
    data = Samples({"x": x})
    report, _ = measured(proto, int8(method="minmax"), data, tmp_path, calibration=data)
    assert 30 < (report.outputs[0].metrics["snr"].p50 or 0) < 60
    assert any("weights per channel" in note for note in report.notes)


def test_pairs_of_the_candidates_own_stand_in_fp32(tmp_path: Path) -> None:
    """A model trained for 8 bits that computes in float64 elsewhere."""
    pair = [node("QuantizeLinear", "y scale zero", "q"), node("DequantizeLinear", "q scale zero", "z")]
    proto = detour(node("Add", "d second", "late"))
    proto.graph.node.extend(pair)
    proto.graph.output[0].name = "z"
    proto.graph.initializer.extend([constant("scale", np.float32(0.1)), constant("zero", np.int8(0))])
    built = build(loaded(proto, tmp_path), candidate("int8", model={"uri": "file:///own.onnx"}), tmp_path)
    with ORT.open(built) as session:
        np.testing.assert_array_equal(session.run({"x": random(6, 4)})["z"], 0)


def test_weights_beyond_fp32_are_named(tmp_path: Path) -> None:
    proto = detour(node("Mul", "d huge", "late"), weights=(constant("huge", np.float64(1e300)),))
    built = build(loaded(proto, tmp_path), candidate("fp32"), tmp_path)
    assert any("overflow in fp32: huge" in note for note in built.notes)


def test_an_fp32_model_is_run_as_it_is(tmp_path: Path) -> None:
    given = loaded(model([node("Exp", "x", "y")], [value("x", "N", 4)], [value("y", "N", 4)]), tmp_path)
    assert build(given, candidate("fp32"), tmp_path).path == given.path
