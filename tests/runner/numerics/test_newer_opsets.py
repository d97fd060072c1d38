"""A model that is given a newer operator set computes what it computed, by ONNX Runtime itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from assay_api.report import Verdict
from assay_runner.backends.conversion import upgraded
from assay_runner.golden.model import golden_model
from assay_runner.graphs.documents import load_outline, opset
from assay_runner.tensors import Array
from tests.models import Samples, constant, loaded, node, random, value
from tests.runner.numerics.candidates import int8, measured, tapped

IMAGES, TABLE = random(2, 3, 6, 6), random(4, 5, 3)


def graph(
    nodes: list[onnx.NodeProto], version: int, data: Array, weights: tuple[onnx.TensorProto, ...] = ()
) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes, "g", [value("x", "N", *data.shape[1:])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    )
    made.initializer.extend(weights)
    if version < 9:  # Weights were inputs, too.
        made.input.extend(helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights)
    ir = 3 if version < 9 else 6
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", version)], ir_version=ir)


def resized(mode: str, scale: float, version: int = 10) -> onnx.ModelProto:
    scales = constant("s", np.array([1, 1, scale, scale], np.float32))
    if version < 9:
        up = helper.make_node("Upsample", ["x"], ["y"], mode=mode, scales=[1.0, 1.0, scale, scale])
        return graph([up], version, IMAGES)
    return graph([node("Upsample" if version < 10 else "Resize", "x s", "y", mode=mode)], version, IMAGES, (scales,))


def in_a_branch() -> onnx.ModelProto:
    def branch(name: str, mode: str) -> onnx.GraphProto:
        made = onnx.ValueInfoProto(name=name)
        return helper.make_graph([node("Resize", "x s", name, mode=mode)], name, [], [made])

    nodes = [
        node("ReduceMax", "x", "most", keepdims=0),
        node("Greater", "most least", "which"),
        helper.make_node("If", ["which"], ["y"], then_branch=branch("a", "linear"), else_branch=branch("b", "nearest")),
    ]
    weights = (constant("s", np.array([1, 1, 1.5, 1.5], np.float32)), constant("least", np.float32(-99)))
    return graph(nodes, 10, IMAGES, weights)


def one(op: str, version: int, data: Array = TABLE, **given: Any) -> tuple[onnx.ModelProto, Array]:
    return graph([node(op, "x", "y", **given)], version, data), data


CASES: dict[str, tuple[onnx.ModelProto, Array]] = {
    **{f"upsample 7 {m}": (resized(m, 2, 7), IMAGES) for m in ("nearest", "linear")},
    **{f"upsample 9 {m} {s}": (resized(m, s, 9), IMAGES) for m in ("nearest", "linear") for s in (2, 1.5, 2.4)},
    **{f"resize {m} {s}": (resized(m, s), IMAGES) for m in ("nearest", "linear") for s in (2, 1.5, 2.4, 0.5, 0.4, 0.7)},
    "resize in a branch": (in_a_branch(), IMAGES),
    **{f"hardmax {v} {a}": one("Hardmax", v, axis=a) for v, a in ((9, 1), (11, -2), (12, 0), (12, 2))},
    "hardmax of no axis": one("Hardmax", 11),
    **{f"softmax {v} {a}": one("Softmax", v, axis=a) for v, a in ((9, 1), (11, -2), (12, 0), (12, 2))},
    "logsoftmax": one("LogSoftmax", 9),
    "clip": one("Clip", 9, min=-0.5, max=0.25),
    "pad": one("Pad", 9, IMAGES, pads=[0, 0, 1, 2, 0, 0, 2, 1], mode="reflect"),
    "slice": one("Slice", 9, starts=[1], ends=[-1], axes=[1]),
    "sum": one("ReduceSum", 11, axes=[1], keepdims=0),
    "mean": one("ReduceMean", 11, axes=[1, 2]),
    "pool": one("AveragePool", 9, IMAGES, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "regions": (
        graph(
            [node("RoiAlign", "x b i", "y", output_height=2, output_width=2, spatial_scale=0.5)],
            10,
            IMAGES,
            (constant("b", np.array([[0, 0, 9, 9], [2, 1, 8, 11]], np.float32)), constant("i", [0, 1])),
        ),
        IMAGES,
    ),
}


def run(model: str | bytes, data: Array) -> Array:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": data})[0])


@pytest.mark.parametrize(("purpose", "version"), [("int8", 17), ("fp8", 19)])
@pytest.mark.parametrize("name", CASES)
def test_a_newer_operator_set_means_the_same(name: str, purpose: str, version: int, tmp_path: Path) -> None:
    proto, data = CASES[name]
    onnx.save(proto, tmp_path / "old.onnx")
    path = upgraded(tmp_path / "old.onnx", purpose, tmp_path)
    assert opset(load_outline(path)) == version
    assert run(str(path), data) == pytest.approx(run(proto.SerializeToString(), data), abs=1e-6)


@pytest.mark.parametrize("name", ["upsample 9 linear 2", "resize linear 0.4", "resize nearest 0.4", "hardmax 9 1"])
def test_golden_in_fp64_is_the_models_own(name: str, tmp_path: Path) -> None:
    proto, data = CASES[name]
    built, _ = golden_model(loaded(proto, tmp_path), "fp64", tmp_path / "golden")
    session = onnxruntime.InferenceSession(str(built.path), providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    [y] = session.run(None, {"x": data.astype(np.float64 if "double" in given.type else np.float32)})
    assert y == pytest.approx(run(proto.SerializeToString(), data), abs=1e-5)


@pytest.mark.parametrize("kind", ["fp16", "bf16", "tf32"])
def test_a_model_of_an_old_format_may_be_given_constants(kind: str, tmp_path: Path) -> None:
    """Until format version 4 every weight was an input, and this model has none."""
    proto = graph([node("Clip", "x", "y", min=-0.5, max=0.25)], 7, TABLE)
    assert (proto.ir_version, len(proto.graph.initializer)) == (3, 0)
    assert tapped(proto, kind, {"x": TABLE}, tmp_path)["y"] == pytest.approx(TABLE.clip(-0.5, 0.25), abs=1e-2)


def test_an_old_model_that_is_enlarged_is_as_good_in_int8(tmp_path: Path) -> None:
    """What is made by interpolation and a convolution differs from golden by steps of 8 bits alone, 40 dB and more."""
    w = random(4, 3, 1, 1, seed=2)
    nodes = [node("Resize", "x s", "u", mode="linear"), node("Conv", "u w", "y", kernel_shape=[1, 1])]
    scales = constant("s", np.array([1, 1, 2, 2], np.float32))
    proto = graph(nodes, 10, IMAGES, (scales, constant("w", w)))
    data = Samples({"x": random(16, 3, 6, 6)})
    found = measured(proto, int8(method="minmax"), data, tmp_path, calibration=data).findings
    assert {finding.check: finding.verdict for finding in found if finding.check != "runToRun"} == {
        "finite": Verdict.PASSED,
        "outputDrift": Verdict.PASSED,
        "layerDrift": Verdict.PASSED,
    }
    [drift] = [finding for finding in found if finding.check == "outputDrift"]
    assert drift.value is not None
    assert drift.value > 35
