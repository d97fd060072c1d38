"""A model written otherwise computes the same, in a way that FP16 can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from assay_api.audit import ModelRef, Storage
from assay_runner.models.loading import LoadedModel, load_model
from assay_runner.remedies.precision.edits import edits_of
from assay_runner.stores import open_store
from assay_runner.tensors import Array
from tests.models import constant, model, node, random, value
from tests.normalisations import by_products, decomposed

WIDTH = 12


def loaded(proto: onnx.ModelProto, folder: Path) -> LoadedModel:
    onnx.save(proto, str(folder / "given.onnx"))
    return load_model(open_store(Storage(), folder), ModelRef(uri="file://./given.onnx"), folder / "scratch")


def outputs(path: Path, x: Array) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def operators(path: Path) -> Counter[str]:
    return Counter(each.op_type for each in onnx.load(str(path)).graph.node)


def spelt(steps: list[onnx.NodeProto], weights: list[onnx.TensorProto], last: str, opset: int = 17) -> onnx.ModelProto:
    """x (N, 3, width), normalised and doubled."""
    shapes = [value(name, "N", 3, WIDTH) for name in ("x", "y")]
    nodes = [*steps, node("Add", f"{last} {last}", "y")]
    return model(nodes, shapes[:1], shapes[1:], weights, opset=opset)


def scaled(prefix: str = "") -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    steps, weights = decomposed("x", prefix)
    steps += [node("Mul", "normal scale", "larger"), node("Add", "larger shift", "moved")]
    return steps, [*weights, constant("scale", random(WIDTH)), constant("shift", random(WIDTH, seed=3))]


def squared_by_itself() -> onnx.ModelProto:
    steps, weights = scaled()
    steps[2] = node("Mul", "centred centred", "squared")
    return spelt(steps, weights, "moved")


def with_two_differences() -> onnx.ModelProto:
    steps, weights = scaled()
    steps.insert(2, node("Sub", "x mean", "again"))
    steps[3] = node("Pow", "again two", "squared")
    return spelt(steps, weights, "moved")


def along_a_counted_axis() -> onnx.ModelProto:
    steps, weights = scaled()
    for step in steps:
        if step.op_type == "ReduceMean":
            del step.attribute[:]
            step.attribute.append(helper.make_attribute("axes", [2]))
    return spelt(steps, weights, "moved")


def without_scale() -> onnx.ModelProto:
    return spelt(*decomposed("x"), "normal")


def of_an_old_opset() -> onnx.ModelProto:
    return spelt(*scaled(), "moved", opset=13)


@pytest.mark.parametrize(
    "made",
    [
        lambda: spelt(*scaled(), "moved"),
        squared_by_itself,
        with_two_differences,
        along_a_counted_axis,
        without_scale,
        of_an_old_opset,
    ],
)
def test_a_layer_norm_that_is_spelt_out_becomes_one_operator(
    made: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    given = loaded(made(), tmp_path)
    [edit, *_] = edits_of(given, tmp_path / "edits")
    assert edit.words == "1 LayerNorm in one operator each"
    assert operators(edit.model.path) == Counter({"LayerNormalization": 1, "Add": 1})
    x = random(5, 3, WIDTH)
    np.testing.assert_allclose(outputs(edit.model.path, x), outputs(given.path, x), rtol=1e-4, atol=1e-5)
    assert edit.model.identity != given.identity


def test_steps_that_others_read_stay_for_them(tmp_path: Path) -> None:
    steps, weights = scaled()
    proto = spelt([*steps, node("Mul", "moved deviation", "kept")], weights, "kept")
    given = loaded(proto, tmp_path)
    [edit, *_] = edits_of(given, tmp_path / "edits")
    found = operators(edit.model.path)
    assert found["LayerNormalization"] == 1
    assert found["Sqrt"] == 1
    assert found["Div"] == 0
    x = random(5, 3, WIDTH)
    np.testing.assert_allclose(outputs(edit.model.path, x), outputs(given.path, x), rtol=1e-4, atol=1e-5)


def another_axis() -> onnx.ModelProto:
    steps, weights = decomposed("x")
    steps[3] = node("ReduceMean", "squared", "variance", axes=[1])
    return spelt(steps, weights, "normal")


def of_another_power() -> onnx.ModelProto:
    steps, weights = decomposed("x")
    return spelt(steps, [constant("two", np.float32(4)), *weights[1:]], "normal")


@pytest.mark.parametrize("made", [another_axis, of_another_power, lambda: spelt(*by_products("x", WIDTH), "normal")])
def test_what_is_no_layer_norm_is_left_alone(made: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    assert edits_of(loaded(made(), tmp_path), tmp_path / "edits") == []


def test_constants_are_brought_to_what_fp16_holds(tmp_path: Path) -> None:
    weights = [
        constant("mask", np.array([0, -1e9, -np.inf], np.float32).reshape(1, 3, 1)),
        constant("epsilon", np.float32(1e-12)),
        constant("weight", np.full((WIDTH, WIDTH), 1e-9, np.float32)),
    ]
    nodes = [
        node("Add", "x mask", "masked"),
        node("Add", "masked epsilon", "safe"),
        node("MatMul", "safe weight", "product"),
        node("Softmax", "product", "y", axis=1),
    ]
    shapes = [value(name, "N", 3, WIDTH) for name in ("x", "y")]
    given = loaded(model(nodes, shapes[:1], shapes[1:], weights), tmp_path)
    [edit] = edits_of(given, tmp_path / "edits")
    assert edit.words == "constants mask, epsilon brought to what FP16 holds"
    held = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(str(edit.model.path)).graph.initializer}
    assert held["mask"].reshape(-1).tolist() == [0, -65504, -65504]
    assert held["epsilon"] == np.float32(2**-14)
    assert held["weight"][0, 0] == np.float32(1e-9)


def test_a_layer_norm_that_cannot_be_put_in_one_operator_is_not_counted(tmp_path: Path) -> None:
    """One without a scale, along an axis of which nobody knows the length, beside one that has a scale."""
    steps, weights = scaled()
    free, more = decomposed("z", "free.")
    nodes = [*steps, *free, node("Add", "moved moved", "y"), node("Relu", "free.normal", "v")]
    inputs = [value("x", "N", 3, WIDTH), value("z", "N", 3, "wide")]
    outputs_ = [value("y", "N", 3, WIDTH), value("v", "N", 3, "wide")]
    given = loaded(model(nodes, inputs, outputs_, [*weights, *more]), tmp_path)
    [edit, *_] = edits_of(given, tmp_path / "edits")
    assert edit.words == "1 LayerNorm in one operator each"
    assert operators(edit.model.path)["LayerNormalization"] == 1
