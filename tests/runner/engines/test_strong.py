"""The graph of a strongly typed engine computes what the model computes, in the type asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay_runner.backends.tensorrt.configuration import settings
from assay_runner.backends.tensorrt.source import source_model
from assay_runner.errors import Unsupported
from assay_runner.graphs.strong import HALVES, wide_nodes
from tests.models import Heard, Samples, constant, loaded, model, node, random, resizing, value
from tests.orders import ordered
from tests.runner.engines.versions import TEN

MODELS = Path("examples/digits")


def source(name: str, folder: Path, **fields: Any) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    given = loaded(onnx.load(str(MODELS / name)), folder)
    order = ordered(**({"typing": "strong"} | fields), path=given.path)
    path, notes = source_model(given, order, settings(order, TEN), None, folder / "out", Heard())
    return onnx.load(str(path)), notes


@pytest.mark.parametrize("name", ["digits-cnn.onnx", "digits-vit.onnx", "digits-vit-decomposed.onnx"])
@pytest.mark.parametrize(("kind", "stored"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)])
def test_every_float_weight_has_the_type_and_the_interface_stays(
    name: str, kind: str, stored: int, tmp_path: Path
) -> None:
    plain = onnx.load(str(MODELS / name))
    made, _ = source(name, tmp_path, precision=kind)
    assert {t.data_type for t in made.graph.initializer} <= {stored, TensorProto.INT64}
    for before, after in zip(
        (*plain.graph.input, *plain.graph.output), (*made.graph.input, *made.graph.output), strict=True
    ):
        assert (before.name, before.type.tensor_type.elem_type) == (after.name, after.type.tensor_type.elem_type)


@pytest.mark.parametrize("name", ["digits-cnn.onnx", "digits-vit.onnx"])
def test_it_computes_the_same_within_its_precision(name: str, tmp_path: Path) -> None:
    made, _ = source(name, tmp_path, precision="fp16")
    data = np.load(sorted(MODELS.glob("data/*.npz"))[0])
    sessions = [ort.InferenceSession(m) for m in (str(MODELS / name), made.SerializeToString())]
    [name] = [i.name for i in sessions[0].get_inputs()]
    expected, found = (s.run(["logits"], {name: data[name][:16].astype(np.float32)})[0] for s in sessions)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    assert not np.array_equal(found, expected)


def test_nodes_held_wider_stay_between_casts(tmp_path: Path) -> None:
    made, notes = source(
        "digits-vit.onnx", tmp_path, precision="fp16", layers=[{"nodes": "Softmax", "precision": "fp32"}]
    )
    makers = {output: node for node in made.graph.node for output in node.output}
    feeders = [makers[node.input[0]] for node in made.graph.node if node.op_type == "Softmax"]
    assert feeders
    assert all(node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT for node in feeders)
    assert any("held in FP32 as asked" in note for note in notes)


@pytest.mark.parametrize("held", [(), ("Softmax", "*norm1")])
def test_what_stays_wide_is_known_from_the_types(held: tuple[str, ...], tmp_path: Path) -> None:
    layers = [{"nodes": pattern, "precision": "fp32"} for pattern in held]
    made, _ = source("digits-vit.onnx", tmp_path, precision="fp16", layers=layers)
    found = {each.name: each.op_type for each in made.graph.node if each.name in wide_nodes(made)}
    computing = {name for name, op in found.items() if op != "Cast"}
    plain = onnx.load(str(MODELS / "digits-vit.onnx"))
    wanted = {n.name for n in plain.graph.node if held and (n.op_type == "Softmax" or n.name.endswith("norm1"))}
    assert computing == wanted
    assert "Cast" in found.values()  # to the outputs' own type


@pytest.mark.parametrize(("precision", "other"), [("fp16", "bf16"), ("bf16", "fp16")])
def test_nodes_are_held_in_the_other_half_between_casts(precision: str, other: str, tmp_path: Path) -> None:
    layers = [{"nodes": "Softmax", "precision": other}, {"nodes": "head", "precision": other}]
    made, notes = source("digits-vit.onnx", tmp_path, precision=precision, layers=layers)
    onnx.checker.check_model(made)
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True).graph
    types = {each.name: each.type.tensor_type.elem_type for each in (*inferred.value_info, *inferred.output)}
    held = [n for n in made.graph.node if n.op_type == "Softmax" or n.name == "head"]
    assert len(held) == 3
    assert {types[name] for n in held if n.op_type == "Softmax" for name in n.output} == {HALVES[other]}
    others = [n for n in made.graph.node if n.op_type not in ("Cast", "Softmax") and n.name != "head"]
    assert {types.get(n.output[0]) for n in others} <= {HALVES[precision], onnx.TensorProto.INT64}
    assert any(f"held in {other.upper()} as asked" in note for note in notes)


def test_what_a_strong_graph_cannot_hold_is_told(tmp_path: Path) -> None:
    layers = [{"nodes": "Softmax", "precision": "bf16"}]
    with pytest.raises(Unsupported, match="hold nodes wider than the candidate"):
        source("digits-vit.onnx", tmp_path, precision="fp32", layers=layers)


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_what_decides_shapes_is_not_rounded(kind: str, tmp_path: Path) -> None:
    given = loaded(resizing(), tmp_path)
    order = ordered(kind, typing="strong")
    path, _ = source_model(given, order, settings(order, TEN), None, tmp_path / "out", Heard())
    made = onnx.load(str(path))
    [scales] = [weight for weight in made.graph.initializer if weight.name == "scales"]
    assert numpy_helper.to_array(scales).tolist() == numpy_helper.to_array(resizing().graph.initializer[0]).tolist()
    if kind == "fp16":
        session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        assert session.run(None, {"x": random(1, 1, 3000)})[0].shape == (1, 1, 3001)


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_what_the_parser_reads_in_no_half_type_stays_in_fp32(kind: str, tmp_path: Path) -> None:
    """YOLO's grid: ONNX has Range in half types since opset 27, and TensorRT 10.6 refuses it."""
    nodes = [
        node("ReduceMax", "x", "top", keepdims=0),
        node("Abs", "top", "end"),
        node("Range", "start end step", "grid"),
        node("ReduceSum", "grid", "sum", keepdims=0),
        node("Mul", "x sum", "y"),
    ]
    weights = [constant(name, np.array(number, np.float32)) for name, number in (("start", 0), ("step", 1))]
    proto = model(nodes, [value("x", "N", 4)], [value("y", "N", 4)], weights)
    given = loaded(proto, tmp_path)
    order = ordered(typing="strong", precision=kind, path=given.path)
    path, _ = source_model(given, order, settings(order, TEN), None, tmp_path / "out", Heard())
    made = onnx.load(str(path))
    types = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    for each in made.graph.node:
        if each.op_type == "Cast":
            types[each.output[0]] = each.attribute[0].i
    [grid] = [each for each in made.graph.node if each.op_type == "Range"]
    assert [types[name] for name in grid.input] == [TensorProto.FLOAT] * 3
    [product] = [each for each in made.graph.node if each.op_type == "Mul"]
    assert types[product.input[0]] == HALVES[kind]
    if kind == "fp16":  # ONNX Runtime has no product in BF16 on a CPU.
        x = np.array([[1, 2, 3, 4]], np.float32)
        session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        assert session.run(None, {"x": x})[0].tolist() == [[6, 12, 18, 24]]


def cube() -> onnx.ModelProto:
    """An operator that ONNX does not have, as a plugin might be, with a body for whoever has no plugin."""
    body = [helper.make_node("Mul", ["a", "a"], ["aa"]), helper.make_node("Mul", ["aa", "a"], ["b"])]
    function = helper.make_function("acme", "Cube", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    made = model(
        [node("MatMul", "x w", "h"), node("Cube", "h", "c", domain="acme"), node("MatMul", "c w", "y")],
        [value("x", "N", 8)],
        [value("y", "N", 8)],
        [constant("w", random(8, 8, scale=0.3))],
    )
    made.opset_import.append(helper.make_opsetid("acme", 1))
    made.functions.append(function)
    return made


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"precision": "fp16"}, False),
        ({"precision": "int8", "calibration": {"uri": "file:///c", "quantization": "explicit"}}, False),
        ({"precision": "fp16", "typing": "weak"}, True),
        ({"precision": "int8", "typing": "weak", "calibration": {"uri": "file:///c"}}, True),
    ],
)
def test_a_body_that_takes_the_place_of_a_plugin_is_told(fields: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    given = loaded(cube(), tmp_path)
    order = ordered(**({"typing": "strong"} | fields), path=given.path)
    calibration = Samples({"x": random(16, 8, seed=1)})
    path, notes = source_model(given, order, settings(order, TEN), calibration, tmp_path / "out", Heard())
    assert ("Cube" in {each.op_type for each in onnx.load(str(path)).graph.node}) is kept
    assert any("not as plugins: acme:Cube" in note for note in notes) is not kept
