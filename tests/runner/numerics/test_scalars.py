"""A tensor without axes keeps none, whatever is done to it: of rank 1 it broadcasts to something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from assay_api.report import Verdict
from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.golden import golden_model
from assay_runner.graphs.documents import load_graph
from tests.models import Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import build, candidate, measured, tapped

DATA = Samples({"x": random(12, 4)}, batch=4)


def unsqueezed() -> onnx.ModelProto:
    """A scalar weight times a scalar: a Softmax over axis 1 finds the samples there if the weight has an axis."""
    return model(
        [
            node("ReduceMax", "x", "peak", keepdims=0),
            node("Mul", "peak one", "scaled"),
            node("Unsqueeze", "scaled axes", "square"),
            node("Mul", "x square", "z"),
            node("Softmax", "z", "y", axis=1),
        ],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        [constant("one", np.float32(1.1)), constant("axes", np.array([0, 1]))],
    )


@pytest.mark.parametrize("precision", ["fp16", "bf16", "tf32"])
def test_a_scalar_weight_stays_one_in_an_emulation(precision: str, tmp_path: Path) -> None:
    built = build(loaded(unsqueezed(), tmp_path), candidate(precision), tmp_path)
    [weight] = [t for t in load_graph(built.path).graph.initializer if t.name == "one"]
    assert numpy_helper.to_array(weight).shape == ()


def test_a_scalar_weight_stays_one_in_a_golden_run_of_another_type(tmp_path: Path) -> None:
    built, _ = golden_model(loaded(unsqueezed(), tmp_path), "fp64", tmp_path / "golden")
    [weight] = [t for t in load_graph(built.path).graph.initializer if t.name == "one"]
    assert (numpy_helper.to_array(weight).shape, weight.data_type) == ((), onnx.TensorProto.DOUBLE)


def test_scalars_are_shown_and_fed_as_scalars(tmp_path: Path) -> None:
    shown = tapped(unsqueezed(), "fp16", {"x": DATA.arrays["x"]}, tmp_path)
    assert (shown["peak"].shape, shown["scaled"].shape, shown["square"].shape) == ((), (), (1, 1))
    path = tmp_path / "scalar.onnx"
    onnx.save(model([node("Unsqueeze", "x axes", "y")], [value("x")], [value("y", 1)], [constant("axes", [0])]), path)
    [found] = OrtSession(path, Purpose.PLAIN).run({"x": np.array(2.0, np.float32)}).values()
    assert found.shape == (1,)


def test_local_errors_of_scalars_are_measured(tmp_path: Path) -> None:
    proto = model(
        [
            node("ReduceMax", "x", "peak", keepdims=0),
            node("Mul", "peak two", "double"),
            node("Tanh", "double", "flat"),
            node("Div", "x flat", "y"),
        ],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        [constant("two", np.float32(2))],
    )
    report, findings = measured(proto, "fp16", DATA, tmp_path, OutputDrift(), LayerDrift())
    assert {f.verdict for f in findings} == {Verdict.PASSED}, [f.message for f in findings]
    assert {layer["name"] for layer in report.layers if layer["localSnr"] is not None} == {
        "peak",
        "double",
        "flat",
        "y",
    }
