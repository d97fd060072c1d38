"""An If that weights decide is the branch it takes; one that data decide is emulated though nobody says its types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from assay_api.report import Verdict
from assay_runner.checks import CHECKS
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.errors import CannotBuild
from assay_runner.graphs.documents import load_graph, load_outline
from assay_runner.tensors import Array
from tests.models import Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import ORT, build, candidate, int8, measured

X = random(9, 4)
WEIGHT = random(4, 4, seed=1)
RATE = [constant("rate", np.int64(16000)), constant("wanted", np.int64(16000)), constant("w", WEIGHT)]
EQUAL = node("Equal", "rate wanted", "same")


def branch(
    name: str, nodes: list[onnx.NodeProto], made: str, weights: tuple[onnx.TensorProto, ...] = ()
) -> onnx.GraphProto:
    """A branch whose output has no type, as PyTorch writes it."""
    return helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name=made)], list(weights))


def product(made: str = "a") -> onnx.GraphProto:
    return branch("then", [node("MatMul", "x w", f"{made}0"), node("Tanh", f"{made}0", made)], made)


def other(made: str = "b") -> onnx.GraphProto:
    return branch("else", [node("Relu", "x", made)], made)


def asked(condition: list[onnx.NodeProto], then: onnx.GraphProto, orelse: onnx.GraphProto) -> onnx.ModelProto:
    made = node("If", "same", "y", then_branch=then, else_branch=orelse)
    return model([*condition, made], [value("x", "N", 4)], [value("y", "N", 4)], RATE)


def by_data() -> onnx.ModelProto:
    """The sum of the batch decides."""
    condition = [node("ReduceSum", "x", "sum", keepdims=0), node("Greater", "sum least", "same")]
    proto = asked(condition, product(), other())
    proto.graph.initializer.append(constant("least", np.float32(-1000)))
    return proto


def operators(proto: onnx.ModelProto, folder: Path) -> list[str]:
    path = loaded(proto, folder).path
    found = [[node.op_type for node in load(path).graph.node] for load in (load_graph, load_outline)]
    assert found[0] == found[1]
    return found[0]


def run(proto: onnx.ModelProto, precision: str, folder: Path) -> Array:
    with ORT.open(build(loaded(proto, folder), candidate(precision), folder)) as session:
        return np.array(session.run({"x": X})["y"])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_the_branch_that_is_taken_is_looked_at(precision: str, tmp_path: Path) -> None:
    report, found = measured(asked([EQUAL], product(), other()), precision, Samples({"x": X}), tmp_path)
    assert {f.verdict for f in found} == {Verdict.PASSED}
    assert {layer.name for layer in report.layers} == {"a0", "y"}


def test_its_products_are_quantised(tmp_path: Path) -> None:
    data = Samples({"x": random(64, 4)})
    report, _ = measured(asked([EQUAL], product(), other()), int8(method="minmax"), data, tmp_path, calibration=data)
    assert (report.outputs[0].metrics["cosine"].p50 or 0) > 0.999
    assert not any("not quantised" in note for note in report.notes)


def test_the_other_branch_where_it_is_taken(tmp_path: Path) -> None:
    proto = asked([EQUAL, node("Not", "same", "no")], product(), other())
    proto.graph.node[-1].input[0] = "no"
    assert operators(proto, tmp_path) == ["Relu"]
    np.testing.assert_array_equal(run(proto, "fp32", tmp_path), np.maximum(X, 0))


def test_a_branch_in_a_branch(tmp_path: Path) -> None:
    inner = node("If", "same", "c", then_branch=product("d"), else_branch=other("e"))
    proto = asked([EQUAL], branch("then", [inner, node("Neg", "c", "a")], "a"), other())
    assert operators(proto, tmp_path) == ["MatMul", "Tanh", "Neg"]
    np.testing.assert_allclose(run(proto, "fp32", tmp_path), -np.tanh(X @ WEIGHT), rtol=1e-5, atol=1e-6)


def test_names_of_two_branches_may_be_the_same(tmp_path: Path) -> None:
    proto = asked([EQUAL], product(), other())
    again = node("If", "same", "z", then_branch=product(), else_branch=other())
    proto.graph.node.append(again)
    proto.graph.node.append(node("Add", "y z", "both"))
    proto.graph.output[0].name = "both"
    assert operators(proto, tmp_path) == ["MatMul", "Tanh", "MatMul", "Tanh", "Add"]
    report, found = measured(proto, "fp16", Samples({"x": X}), tmp_path)
    assert {f.verdict for f in found} == {Verdict.PASSED}
    assert len({layer.name for layer in report.layers}) == 5


def test_a_branch_with_a_weight_of_its_own(tmp_path: Path) -> None:
    """Of a name that a weight of the outer graph would have, were it not its own."""
    then = branch("then", [node("Add", "x k", "a")], "a", (constant("k", X),))
    proto = asked([EQUAL], then, other())
    proto.graph.node.append(node("If", "same", "z", then_branch=then, else_branch=other()))
    proto.graph.node.append(node("Sub", "y z", "none"))
    proto.graph.output[0].name = "none"
    assert operators(proto, tmp_path) == ["Add", "Add", "Sub"]
    with ORT.open_tapped(build(loaded(proto, tmp_path), candidate("fp32"), tmp_path)) as session:
        found = session.run({"x": X})
    np.testing.assert_array_equal(found["y"], 2 * X)
    np.testing.assert_array_equal(found["z"], 2 * X)


def test_what_large_weights_decide_is_not_asked_for(tmp_path: Path) -> None:
    """Of them an outline has no values; a graph and its outline have the same nodes."""
    condition = [node("ReduceMax", "large", "most", keepdims=0), node("Greater", "most least", "same")]
    proto = asked(condition, product(), other())
    proto.graph.initializer.extend([constant("large", random(1000)), constant("least", np.float32(0))])
    assert operators(proto, tmp_path) == ["ReduceMax", "Greater", "If"]


@pytest.mark.parametrize("precision", ["fp16", "bf16", "tf32"])
def test_branches_without_types_are_emulated(precision: str, tmp_path: Path) -> None:
    report, found = measured(by_data(), precision, Samples({"x": X}), tmp_path)
    assert next(f.verdict for f in found if f.check == "outputDrift") is Verdict.PASSED
    assert not any("not emulated" in note for note in report.notes)
    if precision == "fp16":
        half = X.astype(np.float16).astype(np.float32) @ WEIGHT.astype(np.float16).astype(np.float32)
        wanted = np.tanh(half.astype(np.float16).astype(np.float32)).astype(np.float16)
        np.testing.assert_allclose(run(by_data(), precision, tmp_path / "run"), wanted, rtol=2e-3)


def test_int8_says_where_the_products_stand(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match=r"inside the control flow of y\.node") as error:
        build(loaded(by_data(), tmp_path), int8(), tmp_path, Samples({"x": X}))
    assert "none of Conv" not in str(error.value)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "tf32"])
def test_a_model_of_another_domain_alone(precision: str, tmp_path: Path) -> None:
    """It imports no default operator set; what is put in beside its nodes is of one."""
    made = helper.make_node("Binarizer", ["x"], ["y"], "y.node", domain="ai.onnx.ml", threshold=0.0)
    proto = model([made], [value("x", "N", 4)], [value("y", "N", 4)])
    del proto.opset_import[:]
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    found = measured(proto, precision, Samples({"x": X}), tmp_path).findings
    assert {f.verdict for f in found} == {Verdict.PASSED}


@pytest.mark.parametrize("size", [4, 40])
@pytest.mark.parametrize("flat", [True, False])
def test_sparse_weights_are_rounded_and_quantised(size: int, flat: bool, tmp_path: Path) -> None:
    weight = random(4, size, seed=2) * (random(4, size, seed=3) > 0.5)
    places = np.flatnonzero(weight) if flat else np.argwhere(weight)
    sparse = onnx.SparseTensorProto(dims=weight.shape)
    sparse.values.CopyFrom(constant("w", weight[weight != 0]))
    sparse.indices.CopyFrom(constant("places", places))
    proto = model([node("MatMul", "x w", "y")], [value("x", "N", 4)], [value("y", "N", size)])
    proto.graph.sparse_initializer.append(sparse)
    given, x = loaded(proto, tmp_path), random(32, 4)
    found = {}
    for precision in ("fp32", "fp16"):
        with ORT.open(build(given, candidate(precision), tmp_path / precision)) as session:
            found[precision] = np.array(session.run({"x": x})["y"])
    half = x.astype(np.float16).astype(np.float32) @ weight.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(found["fp32"], x @ weight, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["fp16"], half.astype(np.float16).astype(np.float32))
    data = Samples({"x": x})
    report, _ = measured(proto, int8(method="minmax"), data, tmp_path / "int8", calibration=data)
    assert (report.outputs[0].metrics["snr"].p50 or 0) > 30


def scaled(name: str, factor: float, kept_in: str) -> onnx.GraphProto:
    """A branch that multiplies by a weight of its own, or by what a node of its own holds."""
    own = constant(f"{name}.k", np.float32(factor))
    nodes = [node("Mul", f"x {name}.k", name)]
    if kept_in == "a node":
        return branch(name, [helper.make_node("Constant", [], [f"{name}.k"], value=own), *nodes], name)
    return branch(name, nodes, name, (own,))


@pytest.mark.parametrize("kept_in", ["a node", "a weight"])
@pytest.mark.parametrize(("factor", "verdict"), [(1e5, Verdict.INCONCLUSIVE), (1e4, Verdict.PASSED)])
def test_a_weight_inside_that_overflows_is_not_said_to_fit(
    factor: float, verdict: Verdict, kept_in: str, tmp_path: Path
) -> None:
    """What it makes fits, and is not finite all the same in fp16."""
    x = X * np.float32(1e-3)
    assert np.abs(x).max() * factor < 65504
    condition = [node("ReduceSum", "x", "sum", keepdims=0), node("Greater", "sum least", "same")]
    proto = asked(condition, scaled("a", factor, kept_in), scaled("b", factor, kept_in))
    proto.graph.initializer.append(constant("least", np.float32(-1000)))
    [found] = measured(proto, "fp16", Samples({"x": x}), tmp_path, Fp16Range()).findings
    assert found.verdict is verdict, found.message
    told = ".k' inside the control flow of node 'y.node' (If) overflows in fp16 with 100,000" in found.message
    assert told == (factor > 65504)
    [finite] = measured(proto, "fp16", Samples({"x": x}), tmp_path / "run", CHECKS["finite"]()).findings
    assert (finite.verdict is Verdict.FAILED) == (factor > 65504)
