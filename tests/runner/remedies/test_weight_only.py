"""Weights alone in 8 bits: what is written, that it computes what it says, and that it cures what activations broke."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from assay_api.report import Verdict
from assay_runner.backends.order import BuildOrder, Quantisation
from assay_runner.backends.quantisation import quantised_model
from assay_runner.backends.subject import Subject
from assay_runner.backends.tensorrt.configuration import Offered, settings
from assay_runner.checks import CHECKS
from assay_runner.errors import CannotBuild
from assay_runner.golden.reference import Reference
from assay_runner.golden.run import golden_outputs
from assay_runner.passes.setting import Setting
from assay_runner.tensors import Array
from assay_runner.trial.measure import measure
from tests.models import Heard, Samples, constant, convolutions, loaded, mlp, model, node, random, value
from tests.runner.numerics.candidates import ORT
from tests.runner.remedies.calibrated import DIGITS, audit, entry, int8, repaired

ALONE = Quantisation(weights_only=True)


def dequantised(weight: Array, axis: int | None) -> Array:
    """A weight after symmetric rounding to 8 bits, by hand."""
    others = None if axis is None else tuple(a for a in range(weight.ndim) if a != axis)
    scale = (np.abs(weight.astype(np.float64)).max(axis=others, keepdims=True) / 127).astype(np.float32)
    found: Array = (np.clip(np.rint(weight / scale), -127, 127) * scale).astype(np.float32)
    return found


def snr(wanted: Array, found: Array) -> float:
    """In dB; infinite where both are equal, as on processors on which NumPy and ONNX Runtime sum in one order."""
    noise = float(((wanted - found) ** 2.0).sum())
    return float(10 * np.log10((wanted**2.0).sum() / noise)) if noise else np.inf


@pytest.mark.parametrize("per_channel", [True, False])
def test_products_read_dequantised_weights_and_activations_as_they_are(per_channel: bool, tmp_path: Path) -> None:
    proto, how = mlp(), Quantisation(weights_only=True, per_channel=per_channel)
    given = loaded(proto, tmp_path)
    path = quantised_model(given.path, how, None, tmp_path, Heard()).path
    written = onnx.load(str(path))
    assert [n.op_type for n in written.graph.node if "Quantize" in n.op_type] == []
    dequantise = [n for n in written.graph.node if n.op_type == "DequantizeLinear"]
    stored = {w.name: w.data_type for w in written.graph.initializer}
    assert [stored[n.input[0]] for n in dequantise] == [onnx.TensorProto.INT8] * 2
    weights = {w.name: numpy_helper.to_array(w) for w in proto.graph.initializer}
    x = random(64, 8, seed=5, scale=30)
    hidden = np.maximum(x @ dequantised(weights["w1"], 1 if per_channel else None) + weights["b1"], 0)
    wanted = hidden @ dequantised(weights["w2"], 1 if per_channel else None)
    # As a reader of the file runs it, and as it is served here: no optimisation puts activations in 8 bits.
    order = BuildOrder("onnxruntime", "int8", quantisation=how)
    built = ORT.build(given, order, None, tmp_path / "built", Heard())
    with ORT.open(built) as session:
        assert snr(wanted, session.run({"x": x})["logits"]) > 120
    assert any("activations as they are" in note for note in built.notes)
    plain = onnxruntime.SessionOptions()
    plain.add_session_config_entry("session.disable_quant_qdq", "1")
    bare = onnxruntime.InferenceSession(str(path), plain, providers=["CPUExecutionProvider"])
    assert snr(wanted, bare.run(None, {"x": x})[0]) > 120


def test_convolutions_and_held_nodes(tmp_path: Path) -> None:
    given = loaded(convolutions(), tmp_path)
    for name in "ab":
        (tmp_path / name).mkdir()
    every = onnx.load(str(quantised_model(given.path, ALONE, None, tmp_path / "a", Heard()).path))
    products = [n for n in every.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    made = {n.output[0] for n in every.graph.node if n.op_type == "DequantizeLinear"}
    assert products
    assert all(n.input[1] in made and n.input[0] not in made for n in products)
    first = products[0].name
    some = onnx.load(
        str(quantised_model(given.path, ALONE, None, tmp_path / "b", Heard(), held={first: "fp32"}).path)
    )  # fmt: skip
    made = {n.output[0] for n in some.graph.node if n.op_type == "DequantizeLinear"}
    assert {n.name for n in some.graph.node if n.op_type in ("Conv", "Gemm", "MatMul") and n.input[1] not in made} == {
        first
    }


def test_a_model_without_weights_is_told(tmp_path: Path) -> None:
    inputs = [value("a", "N", 4, 4), value("b", "N", 4, 4)]
    given = loaded(model([node("MatMul", "a b", "y")], inputs, [value("y", "N", 4, 4)], [constant("w", 1.0)]), tmp_path)
    with pytest.raises(CannotBuild, match=r"no product in given\.onnx reads a weight"):
        quantised_model(given.path, ALONE, None, tmp_path, Heard())


@pytest.mark.parametrize("weak", [True, False])
def test_tensorrt_calibrates_nothing_for_it(weak: bool) -> None:
    """Neither where it has calibrators of its own nor where it has none; types are as written."""
    offered = Offered(weak=weak, implicit=weak, capability=(9, 0), version="10.6" if weak else "11.1")
    found = settings(BuildOrder("tensorrt", "int8", typing="strong", quantisation=ALONE), offered)
    assert (found.typing, found.implicit, found.flags) == ("strong", False, ())
    weakly = settings(BuildOrder("tensorrt", "int8", typing="weak" if weak else None, quantisation=ALONE), offered)
    assert not weakly.implicit


def test_weights_alone_cure_what_a_poor_calibration_broke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = int8("poor", method="minmax", uri=f"file://{DIGITS}/calib-poor/")
    spec = audit(
        [candidate], {"weightOnly": {}}, model={"uri": f"file://{DIGITS}/digits-cnn.onnx"},
        dataset={"uri": f"file://{DIGITS}/data/", "labels": "label", "batch": 64},
    )  # fmt: skip
    report = repaired(tmp_path, capsys, spec)
    found = entry(report, "weightOnly")
    assert found.outcome == "Cured", found.message
    [one] = report.candidates
    assert (one.name, one.weights_only, one.verdict) == ("poor-weightonly", True, Verdict.PASSED)
    assert one.accuracy["top1"] > 0.98
    written = onnx.load(str(found.deploy.model).removeprefix("file://"))
    operators = {n.op_type for n in written.graph.node}
    assert "DequantizeLinear" in operators
    assert "QuantizeLinear" not in operators


def test_nothing_reads_activations_of_8_bits(tmp_path: Path) -> None:
    """The graph has no pair, and says all there is to know."""
    proto, data = mlp(), Samples({"x": random(16, 8)})
    given = loaded(proto, tmp_path)
    outputs = [kept for _, kept in golden_outputs(given, data, "fp32", tmp_path / "golden", Heard())]
    built = ORT.build(given, BuildOrder("onnxruntime", "int8", quantisation=ALONE), None, tmp_path / "built", Heard())
    setting = Setting(Subject("int8", ORT, built, given), Reference(given, data, outputs, "fp32", tmp_path), Heard())
    [found] = measure(setting, (CHECKS["layerConstraints"](),)).findings
    assert found.verdict is Verdict.PASSED
    assert found.message == "no node reads 8 bits in the graph but weights"


def test_only_what_has_no_pairs_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"name": "qat", "backend": "onnxruntime", "precision": "int8"}
    own["model"] = {"uri": f"file://{DIGITS}/digits-cnn-qat.onnx"}  # type: ignore[assignment]
    fp8 = {**int8("fp8"), "precision": "fp8", "calibration": {"uri": f"file://{DIGITS}/calib/"}}
    spec = audit(
        [own, fp8], {"weightOnly": {}}, model={"uri": f"file://{DIGITS}/digits-cnn.onnx"},
        dataset={"uri": f"file://{DIGITS}/data/", "batch": 64, "samples": 128}, checks=[{"outputDrift": {"snr": 200}}],
    )  # fmt: skip
    [repair] = repaired(tmp_path, capsys, spec).repair
    told = {each.candidate: each for each in repair.remedies}
    assert {each.outcome for each in told.values()} == {"DoesNotApply"}
    assert "for which it was trained" in told["qat"].message
    assert "for int8 candidates" in told["fp8"].message
