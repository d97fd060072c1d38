"""Control flow: what computes inside it is rounded as it would be outside, and what nobody can see passes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay_api.report import Verdict
from assay_runner.data.rows import bits_equal
from assay_runner.golden.run import golden_outputs
from assay_runner.graphs.documents import subgraphs
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate, int8, measured, tapped

X, Y = value("x", "N", 4), value("y", "N", 4)
TURNS = 3
WEIGHT = random(4, 4, seed=3)
# More than a kilobyte: such a weight lies outside the model's file.
WIDE = random(4, 400, seed=4)
BACK = random(400, 4, seed=5)


def steps(source: str, target: str, part: str) -> list[onnx.NodeProto]:
    """What one turn computes: two products and what lies between them."""
    return [
        node("MatMul", f"{source} wide", f"{part}p"),
        node("Tanh", f"{part}p", f"{part}t"),
        node("MatMul", f"{part}t back", f"{part}b"),
        node("Mul", f"{part}b third", target),
    ]


def inner_weights() -> list[onnx.TensorProto]:
    return [constant("wide", WIDE), constant("back", BACK), constant("third", np.float32(1 / 3))]


def unrolled() -> onnx.ModelProto:
    nodes = [
        made for turn in range(TURNS) for made in steps("x" if turn == 0 else f"s{turn}", f"s{turn + 1}", f"t{turn}")
    ]
    return model([*nodes, node("Identity", f"s{TURNS}", "y")], [X], [Y], inner_weights())


def loop(own: bool = True) -> onnx.ModelProto:
    """A Loop whose body has the weights itself, or captures them."""
    body = helper.make_graph(
        [node("Identity", "go", "on"), *steps("state", "next", "")],
        "body",
        [value("turn", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("state", "N", 4)],
        [value("on", kind=TensorProto.BOOL), value("next", "N", 4)],
        inner_weights() if own else [],
    )
    outer = [constant("turns", np.int64(TURNS)), *([] if own else inner_weights())]
    return model([node("Loop", "turns yes x", "y", body=body)], [X], [Y], [*outer, constant("yes", np.bool_(True))])


def nested() -> onnx.ModelProto:
    """The turns unrolled inside a branch of an If inside another."""
    nodes = [
        made for turn in range(TURNS) for made in steps("x" if turn == 0 else f"s{turn}", f"s{turn + 1}", f"t{turn}")
    ]
    inner = helper.make_graph(nodes, "inner", [], [value(f"s{TURNS}", "N", 4)], inner_weights())
    other = helper.make_graph([node("Identity", "x", "same")], "other", [], [value("same", "N", 4)])
    middle = helper.make_graph(
        [node("If", "yes", "made", then_branch=inner, else_branch=other)], "middle", [], [value("made", "N", 4)]
    )
    last = helper.make_graph([node("Neg", "x", "less")], "last", [], [value("less", "N", 4)])
    return model(
        [node("If", "yes", "y", then_branch=middle, else_branch=last)], [X], [Y], [constant("yes", np.bool_(True))]
    )


INSIDE: dict[str, Callable[[], onnx.ModelProto]] = {
    "loop": loop,
    "loop that captures": lambda: loop(own=False),
    "nested": nested,
}


@pytest.mark.parametrize("precision", ["fp16", "bf16", "tf32"])
@pytest.mark.parametrize("case", INSIDE)
def test_inside_is_rounded_as_outside(case: str, precision: str, tmp_path: Path) -> None:
    x = random(5, 4, seed=9)
    expected = tapped(unrolled(), precision, {"x": x}, tmp_path / "unrolled")["y"]
    found = tapped(INSIDE[case](), precision, {"x": x}, tmp_path / "inside")["y"]
    assert bits_equal(found, expected)
    assert not bits_equal(found, tapped(unrolled(), "fp32", {"x": x}, tmp_path / "plain")["y"])


def overflowing_loop() -> onnx.ModelProto:
    """Squares 300 inside and takes the root again: finite outside, Inf inside in FP16."""
    nodes = [node("Identity", "go", "on"), node("Mul", "state state", "square"), node("Sqrt", "square", "next")]
    body = helper.make_graph(
        nodes,
        "body",
        [value("turn", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("state", "N", 4)],
        [value("on", kind=TensorProto.BOOL), value("next", "N", 4)],
    )
    weights = [constant("turns", np.int64(2)), constant("yes", np.bool_(True))]
    return model([node("Loop", "turns yes x", "y", body=body)], [X], [Y], weights)


def test_what_overflows_inside_fails(tmp_path: Path) -> None:
    data = Samples({"x": np.full((9, 4), 300, np.float32)})
    verdicts = {f.check: f.verdict for f in measured(overflowing_loop(), "fp16", data, tmp_path).findings}
    assert verdicts["finite"] is Verdict.FAILED
    assert verdicts["outputDrift"] is Verdict.FAILED


@pytest.mark.parametrize(("precision", "golden"), [("fp32", "fp64"), ("fp16", "fp32")])
def test_what_is_hidden_is_not_said_to_be_finite(
    precision: str, golden: Literal["fp32", "fp64"], tmp_path: Path
) -> None:
    data = Samples({"x": random(9, 4)})
    found = {f.check: f for f in measured(loop(), precision, data, tmp_path, golden=golden).findings}
    for check in ("finite", "layerDrift"):
        assert found[check].verdict is Verdict.INCONCLUSIVE
        assert "control flow of node 'y.node' (Loop)" in found[check].message
    assert found["outputDrift"].verdict is found["runToRun"].verdict is Verdict.PASSED


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_golden_itself_hides_nothing_from_golden(dtype: type, tmp_path: Path) -> None:
    proto = loop() if dtype is np.float32 else halves()
    report, found = measured(proto, "fp32", Samples({"x": random(9, 4).astype(dtype)}), tmp_path)
    assert {f.verdict for f in found} == {Verdict.PASSED}
    assert any("golden's own model" in note and "y.node" in note for note in report.notes)


def branched(nodes: list[onnx.NodeProto], made: onnx.ValueInfoProto) -> onnx.ModelProto:
    """Nodes that read x and stand inside a branch, which the data take: x sums above -100 in each batch."""
    then = helper.make_graph(nodes, "then", [], [made])
    other = helper.make_graph([node("Identity", "x", "same")], "other", [], [onnx.ValueInfoProto(name="same")])
    return model(
        [
            node("ReduceSum", "x", "total", keepdims=0),
            node("Greater", "total least", "yes"),
            node("If", "yes", "y", then_branch=then, else_branch=other),
        ],
        [X],
        [Y],
        [constant("least", np.float32(-100))],
    )


def unknown_inside() -> onnx.ModelProto:
    """An operator of ONNX Runtime's own inside a branch: nobody says of what type its tensor is."""
    own = helper.make_node("Gelu", ["x"], ["g"], name="g.node", domain="com.microsoft")
    proto = branched([own, node("Exp", "g", "f")], value("f", "N", 4))
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return proto


def double_inside() -> onnx.ModelProto:
    """Adds a second of the year 2023 and takes it away again, in double precision inside a branch."""
    nodes = [
        node("Cast", "x", "d", to=TensorProto.DOUBLE),
        node("Add", "d second", "late"),
        node("Sub", "late second", "again"),
        node("Cast", "again", "f", to=TensorProto.FLOAT),
    ]
    proto = branched(nodes, onnx.ValueInfoProto(name="f"))
    then = next(a.g for n in proto.graph.node for a in n.attribute if a.name == "then_branch")
    then.initializer.append(constant("second", np.float64(1.7e9)))
    return proto


def in_halves(graph: onnx.GraphProto) -> None:
    """Store all float tensors of a graph as float16, in place."""
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            weight.CopyFrom(constant(weight.name, numpy_helper.to_array(weight).astype(np.float16)))
    for info in (*graph.input, *graph.output):
        if info.type.tensor_type.elem_type == TensorProto.FLOAT:
            info.type.tensor_type.elem_type = TensorProto.FLOAT16
    for made in graph.node:
        for inner in subgraphs(made):
            in_halves(inner)


def halves() -> onnx.ModelProto:
    proto = loop()
    in_halves(proto.graph)
    return proto


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_candidate_has_no_float64_inside_control_flow(precision: str, tmp_path: Path) -> None:
    x = random(9, 4) + 5
    with ORT.open(build(loaded(double_inside(), tmp_path), candidate(precision), tmp_path)) as session:
        found = session.run({"x": x})["y"]
    # One unit in the last place of a second of 2023 is 128 in float32.
    np.testing.assert_array_equal(found, 0)
    data = Samples({"x": x}, batch=9)
    [(_, golden)] = golden_outputs(loaded(double_inside(), tmp_path), data, "fp32", tmp_path, Heard())
    assert np.abs(golden["y"] - x).max() < 1e-6


def test_halves_inside_control_flow_are_emulated(tmp_path: Path) -> None:
    data = Samples({"x": random(9, 4).astype(np.float16)})
    report, found = measured(halves(), "fp16", data, tmp_path)
    assert not any("not emulated" in note for note in report.notes)
    assert {f.check for f in found if f.verdict is Verdict.PASSED} >= {"outputDrift", "runToRun"}


@pytest.mark.parametrize("precision", ["fp16", "bf16", "tf32"])
def test_nothing_passes_where_rounding_did_not_reach(precision: str, tmp_path: Path) -> None:
    report, found = measured(unknown_inside(), precision, Samples({"x": random(9, 4)}), tmp_path)
    assert f"{precision} is not emulated in all tensors inside the control flow of y.node" in report.notes
    assert {f.verdict for f in found} == {Verdict.INCONCLUSIVE}
    assert all("node 'y.node' (" in f.message and "__" not in f.message for f in found)


def test_moving_alone_hides_nothing(tmp_path: Path) -> None:
    branches = [
        helper.make_graph([node("Transpose", "h", name, perm=[0, 1])], name, [], [value(name, "N", 4)])
        for name in ("then_y", "else_y")
    ]
    proto = model(
        [node("Exp", "x", "h"), node("If", "yes", "y", then_branch=branches[0], else_branch=branches[1])],
        [X],
        [Y],
        [constant("yes", np.bool_(True))],
    )
    found = measured(proto, "fp16", Samples({"x": random(9, 4)}), tmp_path).findings
    assert {f.verdict for f in found} == {Verdict.PASSED}


def test_int8_says_what_it_did_not_quantise(tmp_path: Path) -> None:
    proto = loop()
    proto.graph.node.insert(0, node("MatMul", "x square", "front"))
    proto.graph.node[1].input[2] = "front"
    proto.graph.initializer.append(constant("square", WEIGHT))
    built = build(loaded(proto, tmp_path), int8(), tmp_path, Samples({"x": random(16, 4)}))
    assert any("inside the control flow of y.node are not quantised" in note for note in built.notes)
    assert not any("not quantised" in n for n in build(loaded(unrolled(), tmp_path), candidate("fp16"), tmp_path).notes)
