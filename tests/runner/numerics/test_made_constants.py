"""An epsilon that nodes make of constants alone is named as one that is stored, with a cure that works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay_api.report import Verdict
from tests.models import constant, model, node, random, value
from tests.runner.numerics.test_zero_divisors import findings

FILL = numpy_helper.from_array(np.array([1e-12], np.float32))
UNIT = numpy_helper.from_array(np.array([1], np.float32))
ONE, SMALL = constant("one", np.array([1])), constant("small", np.float32(1e-6))


def norm(*making: onnx.NodeProto, weights: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    """x over the root of its mean square and an epsilon, which these nodes make."""
    nodes = [
        *making,
        node("Mul", "x x", "s"),
        node("ReduceMean", "s", "v", axes=[1]),
        node("Add", "v eps", "a"),
        node("Sqrt", "a", "r"),
        node("Div", "x r", "y"),
    ]
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights, 17)


BOUNDS = [constant(name, np.float32(number)) for name, number in (("from", 0), ("to", 1.5e-12), ("by", 1e-12))]
MADE: dict[str, tuple[onnx.ModelProto, str, list[str]]] = {
    "fill": (
        norm(node("ConstantOfShape", "one", "eps", value=FILL), weights=(ONE,)),
        "constant 'eps' (1e-12), which node 'eps.node' (ConstantOfShape) makes, is 0 in fp16",
        ["eps.node"],
    ),
    "fill of the data's shape": (
        norm(
            node("Shape", "x", "shape"),
            node("ConstantOfShape", "shape", "filled", value=FILL),
            node("ReduceMax", "filled", "eps", axes=[1]),
        ),
        "constant 'eps' (1e-12), which node 'eps.node' (ReduceMax) makes, is 0 in fp16",
        ["filled.node", "eps.node"],
    ),
    "number": (
        norm(node("Constant", "", "eps", value_float=1e-12)),
        "weight 'eps' (1e-12), which node 'a.node' (Add) reads, is 0 in fp16",
        [],
    ),
    "numbers": (
        norm(node("Constant", "", "eps", value_floats=[1e-12])),
        "weight 'eps' (1e-12), which node 'a.node' (Add) reads, is 0 in fp16",
        [],
    ),
    "range": (
        norm(node("Range", "from to by", "both"), node("ReduceMax", "both", "eps", keepdims=0), weights=tuple(BOUNDS)),
        "constant 'eps' (1e-12), which node 'eps.node' (ReduceMax) makes, is 0 in fp16",
        ["both.node", "eps.node"],
    ),
    "product": (
        norm(node("Mul", "small small", "eps"), weights=(SMALL,)),
        "constant 'eps' (1e-12), which node 'eps.node' (Mul) makes, is 0 in fp16",
        ["eps.node"],
    ),
    "power": (
        norm(node("Pow", "ten by", "eps"), weights=(constant("ten", np.float32(10)), constant("by", np.float32(-12)))),
        "constant 'eps' (1e-12), which node 'eps.node' (Pow) makes, is 0 in fp16",
        ["eps.node"],
    ),
}
for made in MADE["number"][0].graph.node[0], MADE["numbers"][0].graph.node[0]:
    del made.input[:]


@pytest.mark.parametrize("case", MADE)
def test_an_epsilon_that_is_made_is_the_cause_and_its_cures_cure(case: str, tmp_path: Path) -> None:
    proto, said, making = MADE[case]
    found = findings(proto, tmp_path)
    assert {f.verdict for f in found.values()} == {Verdict.FAILED}
    nodes = [*making, "a.node", "r.node", "y.node"]
    hold = f"hold nodes {', '.join(map(repr, nodes[:-1]))} and {nodes[-1]!r} together to fp32"
    for check in ("finite", "fp16Range", "layerDrift"):
        assert said in found[check].message, found[check].message
        assert hold in found[check].message, found[check].message
    layers: Any = [{"nodes": name, "precision": "fp32"} for name in nodes]
    assert {f.verdict for f in findings(proto, tmp_path / "held", layers=layers).values()} == {Verdict.PASSED}
    assert {f.verdict for f in findings(proto, tmp_path / "b", precision="bf16").values()} == {Verdict.PASSED}


def test_one_that_nothing_needs_is_no_fault(tmp_path: Path) -> None:
    proto, *_ = MADE["fill"]
    assert {f.verdict for f in findings(proto, tmp_path, random(9, 16)).values()} == {Verdict.PASSED}


def test_a_constant_says_its_numbers_in_any_way(tmp_path: Path) -> None:
    """As a number, numbers, whole numbers: a weight like any other, of the same values."""
    from assay_runner.graphs.documents import load_graph

    ways: dict[str, Any] = {"value_float": 0.5, "value_floats": [0.5, 2.0], "value_int": 3, "value_ints": [3, -4]}
    made = [helper.make_node("Constant", [], [name], **{name: told}) for name, told in ways.items()]
    proto = model([*made, node("Identity", "x", "y")], [value("x", "N", 16)], [value("y", "N", 16)], (), 17)
    onnx.save(proto, str(tmp_path / "m.onnx"))
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in load_graph(tmp_path / "m.onnx").graph.initializer}
    for name, told in ways.items():
        kind = np.dtype(np.float32 if "float" in name else np.int64)
        assert (found[name].dtype, found[name].tolist()) == (kind, told)


@pytest.mark.parametrize("way", ["range", "sums", "whole numbers"])
def test_positions_that_are_made_of_constants_are_where_an_error_starts(way: str, tmp_path: Path) -> None:
    """FP16 holds no odd number above 2048, so that other rows are looked up; nothing that is fed has a part in it."""
    length = 4000
    making = {
        "range": [node("Range", "zero length one", "p")],
        "sums": [node("ConstantOfShape", "shape", "ones", value=UNIT), node("CumSum", "ones first", "p")],
        "whole numbers": [node("Range", "first count step", "i"), node("Cast", "i", "p", to=TensorProto.FLOAT)],
    }[way]
    nodes = [
        *making,
        node("Cast", "p", "index", to=TensorProto.INT64),
        node("Gather", "table index", "e"),
        node("Add", "x e", "y"),
    ]
    weights = [
        constant("zero", np.float32(0)), constant("length", np.float32(length)), constant("one", np.float32(1)),
        constant("shape", np.array([length])), constant("first", np.array(0)), constant("count", np.array(length)),
        constant("step", np.array(1)), constant("table", random(length + 1, scale=1.0)),
    ]  # fmt: skip
    read = {name for each in nodes for name in each.input}
    used = [weight for weight in weights if weight.name in read]
    proto = model(nodes, [value("x", "N", length)], [value("y", "N", length)], used, 14)
    found = findings(proto, tmp_path, random(4, length, scale=0.01))["layerDrift"]
    numbers = np.arange(length, dtype=np.float32) + (way == "sums")
    wrong = np.count_nonzero(numbers.astype(np.float16).astype(np.int64) != numbers.astype(np.int64))
    assert found.verdict is Verdict.FAILED
    assert f"tensor 'index' of node 'index.node' (Cast) parts from golden's: {wrong} of {length}" in found.message
    assert "of node 'p.node'" in found.message
    assert "grows from node to node" not in found.message


def test_a_mask_that_is_filled_in_is_no_activation(tmp_path: Path) -> None:
    fill = numpy_helper.from_array(np.array([-1e9], np.float32))
    nodes = [
        node("ConstantOfShape", "size", "low", value=fill),
        node("Where", "keep zero low", "mask"),
        node("Add", "x mask", "y"),
    ]
    keep = constant("keep", np.arange(16) > 3)
    weights = [constant("size", np.array([16])), keep, constant("zero", np.float32(0))]
    proto = model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights, 14)
    found = findings(proto, tmp_path, random(4, 16))["fp16Range"]
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "low")
    assert "if it is a mask, use -10000 instead; else make a smaller constant" in found.message
    assert "activations" not in found.message
