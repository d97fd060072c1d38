"""Graphs as exporters write them: whatever is in them, every precision runs, is looked at and agrees with golden."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay_api.report import Verdict
from assay_runner.graphs.documents import captured
from tests.models import Samples, constant, mlp, model, node, random, value
from tests.runner.numerics.candidates import measured

X = value("x", "N", 4)
Y = value("y", "N", 4)


def loop() -> onnx.ModelProto:
    """Three times y = (y + 2x) / 2, the addend and the factor captured from outside."""
    body = helper.make_graph(
        [node("Add", "acc step", "sum"), node("Mul", "sum half", "next"), node("Identity", "go", "on")],
        "body",
        [value("i", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("acc", "N", 4)],
        [value("on", kind=TensorProto.BOOL), value("next", "N", 4)],
    )
    constants = [
        constant("two", np.float32(2)),
        constant("half", np.float32(0.5)),
        constant("trips", np.int64(3)),
        constant("true", np.bool_(True)),
    ]
    return model([node("Mul", "x two", "step"), node("Loop", "trips true x", "y", body=body)], [X], [Y], constants)


def scan() -> onnx.ModelProto:
    """A running sum over the samples."""
    body = helper.make_graph(
        [node("Add", "state row", "sum"), node("Identity", "sum", "out")],
        "body",
        [value("state", 4), value("row", 4)],
        [value("sum", 4), value("out", 4)],
    )
    zero = constant("zero", np.zeros(4, np.float32))
    return model([node("Scan", "zero x", "last y", num_scan_inputs=1, body=body)], [X], [Y], [zero])


def constants() -> onnx.ModelProto:
    """Every float form of Constant."""
    nodes = [
        helper.make_node("Constant", [], ["k"], value=constant("", random(4))),
        helper.make_node("Constant", [], ["f"], value_float=1.5),
        helper.make_node("Constant", [], ["fs"], value_floats=[1.0, 2.0, 3.0, 4.0]),
        node("Mul", "x k", "a"),
        node("Mul", "a f", "b"),
        node("Add", "b fs", "y"),
    ]
    return model(nodes, [X], [Y])


def contrib() -> onnx.ModelProto:
    """An operator of ONNX Runtime's own domain."""
    made = model([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft", name="gelu")], [X], [Y])
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


def function() -> onnx.ModelProto:
    """A function of the model's own."""
    body = [helper.make_node("Constant", [], ["two"], value_float=2.0), helper.make_node("Mul", ["a", "two"], ["b"])]
    twice = helper.make_function("own", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    made = model([helper.make_node("Twice", ["x"], ["t"], domain="own"), node("Exp", "t", "y")], [X], [Y])
    made.opset_import.append(helper.make_opsetid("own", 1))
    made.functions.append(twice)
    return made


def weights_as_inputs() -> onnx.ModelProto:
    """As before IR version 4: every weight is a graph input too."""
    made = mlp()
    made.graph.input.extend(value(w.name, *w.dims) for w in made.graph.initializer)
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 8
    made.ir_version = 3
    return made


def nameless() -> onnx.ModelProto:
    made = mlp()
    for each in made.graph.node:
        each.name = ""
    return made


def optional_operand() -> onnx.ModelProto:
    clip = helper.make_node("Clip", ["x", "", "most"], ["y"])
    return model([clip], [X], [Y], [constant("most", np.float32(1))])


def nothing_inside() -> onnx.ModelProto:
    """A tensor without elements."""
    bounds = [constant("a", np.array([0])), constant("axis", np.array([1]))]
    return model([node("Slice", "x a a axis", "e"), node("Concat", "x e", "y", axis=1)], [X], [Y], bounds)


def double_inside() -> onnx.ModelProto:
    nodes = [node("Cast", "x", "d", to=11), node("Exp", "d", "e"), node("Cast", "e", "y", to=1)]
    return model(nodes, [X], [Y])


def attention() -> onnx.ModelProto:
    nodes = [
        node("Einsum", "x x", "s", equation="nid,njd->nij"),
        node("Softmax", "s", "p"),
        node("Einsum", "p x", "c", equation="nij,njd->nid"),
        node("LayerNormalization", "c g b", "y"),
    ]
    weights = [constant("g", random(4)), constant("b", random(4))]
    return model(nodes, [value("x", "N", 3, 4)], [value("y", "N", 3, 4)], weights)


def images() -> onnx.ModelProto:
    """Operators of image models that have no kernel in double precision."""
    nodes = [
        node("InstanceNormalization", "x s b", "i"),
        node("LeakyRelu", "i", "l"),
        node("AveragePool", "l", "a", kernel_shape=[2, 2]),
        node("ConvTranspose", "a w", "t"),
        node("GlobalMaxPool", "t", "m"),
        node("HardSwish", "m", "y"),
    ]
    weights = [constant("s", random(4)), constant("b", random(4)), constant("w", random(4, 3, 2, 2))]
    return model(nodes, [value("x", "N", 4, 6, 6)], [value("y", "N", 3, 1, 1)], weights)


GRAPHS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "loop": (loop, (7, 4)),
    "scan": (scan, (7, 4)),
    "constants": (constants, (7, 4)),
    "contrib": (contrib, (7, 4)),
    "function": (function, (7, 4)),
    "weights as inputs": (weights_as_inputs, (7, 8)),
    "nameless": (nameless, (7, 8)),
    "optional operand": (optional_operand, (7, 4)),
    "nothing inside": (nothing_inside, (7, 4)),
    "double inside": (double_inside, (7, 4)),
    "attention": (attention, (7, 3, 4)),
    "images": (images, (7, 4, 6, 6)),
}


@pytest.mark.parametrize(
    ("precision", "golden"), [("fp32", "fp64"), ("fp16", "fp64"), ("bf16", "fp32"), ("tf32", "fp32")]
)
@pytest.mark.parametrize("graph", GRAPHS)
def test_graph(graph: str, precision: str, golden: Literal["fp32", "fp64"], tmp_path: Path) -> None:
    build, shape = GRAPHS[graph]
    result = measured(build(), precision, Samples({"x": random(*shape)}, batch=3), tmp_path, golden=golden)
    doubtful = {"finite", "layerDrift"} if graph in ("loop", "scan") else set()
    passed = {finding.check for finding in result.findings if finding.verdict is Verdict.PASSED}
    assert passed == {"finite", "outputDrift", "layerDrift", "runToRun"} - doubtful, result.findings
    assert "y" in {layer.name for layer in result.report.layers} or "logits" in result.report.outputs[0].name
    assert result.report.layers
    assert all(layer.local_snr is not None for layer in result.report.layers)


def test_what_a_branch_reads_from_outside_comes_in_the_order_in_which_it_does() -> None:
    """Of tensors that err alike the first is blamed: it is to be the same one in each process."""
    outside = [f"t{number}" for number in range(9)]
    inner = helper.make_graph([node("Sum", " ".join(outside[3:]), "s")], "inner", [], [value("s", "N", 4)])
    deeper = node("If", "t2", "d", then_branch=inner, else_branch=inner)
    outer = helper.make_graph([node("Sub", "t0 t1", "own"), deeper], "outer", [], [value("own", "N", 4)])
    assert list(captured(node("If", "c", "y", then_branch=outer, else_branch=outer))) == outside
