"""Nodes in BF16 inside an FP16 graph, and the other way round: what is written is what is emulated, and is valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay_runner.backends.tensorrt.source import strong_model
from assay_runner.data.rows import bits_equal
from tests.models import Heard, branching, constant, embedding, loaded, model, node, random, resizing, value
from tests.orders import ordered
from tests.runner.numerics.candidates import ORT
from tests.typed_graphs import computed

FAR = np.float32(1e6)
"""Beyond FP16, within BF16."""
X = {"x": random(3, 8)}
W, V, B = constant("w", random(8, 8)), constant("v", random(8, 8, seed=3)), constant("b", random(8, seed=2))
Held = Mapping[str, str]


def graph(
    *nodes: onnx.NodeProto, outputs: str = "y", weights: tuple[onnx.TensorProto, ...] = (), opset: int = 17
) -> Any:
    """x (N, 8) to outputs (N, 8)."""
    made = [value(name, "N", 8) for name in outputs.split()]
    return model(nodes, [value("x", "N", 8)], made, weights, opset)


def written(proto: onnx.ModelProto, held: Held, folder: Path, kind: str = "fp16") -> onnx.ModelProto:
    """The typed model, held to be valid."""
    folder.mkdir(parents=True, exist_ok=True)
    path, _ = strong_model(loaded(proto, folder / "own").path, kind, held, folder)
    made = onnx.load(str(path))
    onnx.checker.check_model(made, full_check=True)
    onnx.shape_inference.infer_shapes(made, strict_mode=True, data_prop=True)
    kinds = [each.type.tensor_type.elem_type for each in made.graph.output]
    assert kinds == [each.type.tensor_type.elem_type for each in proto.graph.output]
    return made


GRAPHS: dict[str, tuple[onnx.ModelProto, Held]] = {
    "graph input": (graph(node("Exp", "x", "c"), node("Relu", "c", "y")), {"c.node": "bf16"}),
    "graph input of both": (
        graph(node("Relu", "x", "a"), node("Exp", "x", "c"), node("Add", "a c", "y")), {"c.node": "bf16"},
    ),
    "graph output": (graph(node("MatMul", "x w", "a"), node("Relu", "a", "y"), weights=(W,)), {"y.node": "bf16"}),
    "graph output that others read": (
        graph(node("MatMul", "x w", "y"), node("Relu", "y", "z"), outputs="y z", weights=(W,)), {"y.node": "bf16"},
    ),
    "all": (
        graph(node("MatMul", "x w", "a"), node("Relu", "a", "y"), weights=(W,)),
        {"a.node": "bf16", "y.node": "bf16"},
    ),
    "islands": (
        graph(
            node("MatMul", "x w", "a"), node("Exp", "a", "e"), node("Relu", "e", "r"), node("Exp", "r", "f"),
            node("Add", "f a", "y"), weights=(W,),
        ),
        {"e.node": "bf16", "f.node": "bf16"},
    ),
    "FP32 behind it": (
        graph(node("MatMul", "x w", "a"), node("Exp", "a", "e"), node("Add", "e b", "c"), node("Relu", "c", "y"),
              weights=(W, B)),
        {"e.node": "bf16", "c.node": "fp32"},
    ),
    "FP32 before it": (
        graph(node("MatMul", "x w", "a"), node("Exp", "a", "e"), node("Relu", "e", "y"), weights=(W,)),
        {"a.node": "fp32", "e.node": "bf16"},
    ),
    "comparison": (
        graph(node("MatMul", "x w", "a"), node("Greater", "a b", "g"), node("Where", "g a b", "y"), weights=(W, B)),
        {"g.node": "bf16"},
    ),
    "casts of its own": (
        graph(node("MatMul", "x w", "a"), node("Cast", "a", "i", to=7), node("Cast", "i", "f", to=1),
              node("Mul", "f b", "y"), weights=(W, B)),
        {"i.node": "bf16", "f.node": "bf16"},
    ),
    "optional input": (
        graph(node("MatMul", "x w", "a"), helper.make_node("Clip", ["a", "", "most"], ["y"], name="y.node"),
              weights=(W, constant("most", np.float32(1)))),
        {"y.node": "bf16"},
    ),
    "old operator set": (
        graph(node("MatMul", "x w", "a"), node("Relu", "a", "r"), node("MatMul", "r v", "y"), weights=(W, V), opset=9),
        {"r.node": "bf16"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_what_is_written_computes_what_is_emulated(name: str, tmp_path: Path) -> None:
    proto, held = GRAPHS[name]
    found = computed(written(proto, held, tmp_path / "typed"), X)
    order = replace(ordered("fp16", typing="strong"), held=held)
    built = ORT.build(loaded(proto, tmp_path), order, None, tmp_path / "built", Heard())
    with ORT.open_tapped(built) as session:
        emulated = session.run(X)
    for tensor, array in emulated.items():
        assert bits_equal(np.asarray(found[tensor]).astype(array.dtype), array), tensor


PASSING: dict[str, tuple[onnx.ModelProto, Held]] = {
    "from an input": (
        graph(node("Mul", "x far", "a"), node("Mul", "a near", "y")), {"a.node": "bf16", "y.node": "bf16"},
    ),
    "from FP32": (
        graph(node("Mul", "x far", "a"), node("Mul", "a near", "c"), node("Relu", "c", "y")),
        {"a.node": "fp32", "c.node": "bf16"},
    ),
    "to FP32": (
        graph(node("Mul", "x far", "a"), node("Mul", "a near", "c"), node("Relu", "c", "y")),
        {"a.node": "bf16", "c.node": "fp32"},
    ),
    "to an output": (graph(node("Mul", "x far", "y")), {"y.node": "bf16"}),
    "through what has no BF16": (
        graph(node("Mul", "x far", "a"), node("LpNormalization", "a", "y", axis=1)),
        {"a.node": "bf16", "y.node": "bf16"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
def test_what_fp16_cannot_hold_is_never_in_it_on_the_way(name: str, tmp_path: Path) -> None:
    proto, held = PASSING[name]
    given = [constant("far", FAR), constant("near", 1 / FAR)]
    read = {each for part in proto.graph.node for each in part.input}
    proto.graph.initializer.extend(each for each in given if each.name in read and each not in proto.graph.initializer)
    found = computed(written(proto, held, tmp_path), X)
    assert all(np.isfinite(np.asarray(array, np.float64)).all() for array in found.values())


def test_inputs_beyond_fp16_reach_a_node_in_bf16(tmp_path: Path) -> None:
    proto = graph(node("Mul", "x near", "a"), node("Relu", "a", "y"), weights=(constant("near", 1 / FAR),))
    found = computed(written(proto, {"a.node": "bf16"}, tmp_path), {"x": FAR * X["x"]})
    assert np.allclose(found["y"], np.maximum(X["x"], 0), rtol=0.01, atol=1e-6)


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_weights_that_both_kinds_read_are_there_in_both(kind: str, tmp_path: Path) -> None:
    proto = graph(node("MatMul", "x w", "a"), node("MatMul", "a w", "c"), node("MatMul", "c w", "y"), weights=(W,))
    other = "bf16" if kind == "fp16" else "fp16"
    made = written(proto, {"a.node": other, "y.node": "fp32"}, tmp_path, kind)
    stored = [each.data_type for each in made.graph.initializer]
    assert sorted(stored) == sorted([TensorProto.FLOAT16, TensorProto.BFLOAT16])
    wanted = X["x"] @ np.linalg.matrix_power(random(8, 8), 3)
    assert np.allclose(computed(made, X)["y"], wanted, rtol=0.05, atol=0.1 * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["h.node", "z.node", "total.node"])
def test_control_flow_stays_as_it_is_beside_both_kinds(name: str, tmp_path: Path) -> None:
    written(branching(), {name: "bf16"}, tmp_path)


@pytest.mark.parametrize("name", ["pooled.node", "kept.node", "y.node", "class.node"])
def test_sequences_and_integers_beside_both_kinds(name: str, tmp_path: Path) -> None:
    written(embedding(), {name: "bf16"}, tmp_path)


@pytest.mark.parametrize("name", ["r.node", "y.node"])
def test_shapes_are_rounded_to_no_kind(name: str, tmp_path: Path) -> None:
    made = written(resizing(), {name: "bf16"}, tmp_path)
    assert computed(made, {"x": random(2, 1, 3000)})["y"].shape == (2, 1, 3001)


def test_what_makes_numbers_of_a_shape_alone(tmp_path: Path) -> None:
    fill = helper.make_node(
        "ConstantOfShape", ["s"], ["z"], name="z.node", value=constant("v", np.array([3], np.float32))
    )
    proto = graph(node("Shape", "x", "s"), fill, node("Add", "x z", "y"))
    for held in ({"z.node": "bf16"}, {"y.node": "bf16"}, {"z.node": "bf16", "y.node": "bf16"}):
        found = computed(written(proto, held, tmp_path / min(held)), X)["y"]
        assert np.allclose(found, X["x"] + 3, rtol=0.02)


def test_a_weight_may_be_an_output(tmp_path: Path) -> None:
    proto = graph(node("Exp", "x", "c"), node("Add", "c b", "y"), outputs="y", weights=(B,))
    proto.graph.output.append(value("b", 8))
    for number, held in enumerate(({}, {"y.node": "fp32"}, {"y.node": "bf16"})):
        found = computed(written(proto, held, tmp_path / str(number)), X)
        assert np.allclose(found["b"], random(8, seed=2), rtol=0.01)


def test_weights_in_files_of_their_own_stay_in_one(tmp_path: Path) -> None:
    weight = random(512, 512) / np.float32(512**0.5)
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a w", "y")]
    proto = model(nodes, [value("x", "N", 512)], [value("y", "N", 512)], [constant("w", weight)])
    source, typed = tmp_path / "source", tmp_path / "typed"
    source.mkdir()
    typed.mkdir()
    onnx.save(proto, str(source / "m.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0)
    path, _ = strong_model(source / "m.onnx", "fp16", {"a.node": "bf16"}, typed)
    outline = onnx.load(str(path), load_external_data=False)
    assert {each.data_location for each in outline.graph.initializer} == {TensorProto.EXTERNAL}
    assert path.stat().st_size < 4_000
    x = random(2, 512)
    assert np.allclose(computed(onnx.load(str(path)), {"x": x})["y"], x @ weight @ weight, atol=0.1)
