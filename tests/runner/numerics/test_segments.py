"""Local errors: each segment of the candidate on golden inputs, whatever the graph in between looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from assay_runner.backends import Segment
from assay_runner.backends.inspection import Inspection
from assay_runner.backends.segments import open_segments
from assay_runner.data.rows import bits_equal
from assay_runner.graphs.segments import cut
from assay_runner.graphs.taps import random_sites, sites, tapped
from assay_runner.tensors import Array
from tests.models import branching, constant, convolutions, layer_norm, loaded, mlp, model, node, noisy, random, value
from tests.runner.numerics.candidates import ORT, build, candidate
from tests.runner.numerics.test_rounding import alone, through

FLOAT = onnx.TensorProto.FLOAT


@pytest.mark.parametrize("limit", [1, 600, 1 << 30])
def test_a_segment_is_the_node_on_golden_inputs_then_rounded(limit: int, tmp_path: Path) -> None:
    proto, x = mlp(), random(5, 8, seed=3)
    given_model = loaded(proto, tmp_path)
    exact = build(given_model, candidate("fp32"), tmp_path / "exact")
    rounded = build(given_model, candidate("fp16"), tmp_path / "rounded")
    with ORT.open_tapped(exact) as session:
        golden = session.run({"x": x})
    made: dict[str, Array] = {}
    with ORT.segments(rounded, {name: array.nbytes for name, array in golden.items()}, limit) as segments:
        assert (len(segments) == 1) == (limit > 1 << 20)
        for segment in segments:
            assert segment.needs <= golden.keys() | {"x"}
            results = segment.session.run({**golden, "x": x})
            made |= {tensor: results[result] for tensor, result in segment.gives.items()}
    weights = {w.name: through(onnx.numpy_helper.to_array(w), "fp16") for w in proto.graph.initializer}
    inputs = {"x": through(x, "fp16"), **golden, **weights}
    assert made.keys() == {"h1", "h2", "h3", "logits"}
    for name, number in (("h1", 0), ("h2", 1), ("logits", 3)):
        assert bits_equal(made[name], through(alone(proto.graph.node[number], inputs, 17), "fp16")), name
    assert bits_equal(made["h3"], np.maximum(golden["h2"], 0))


@pytest.mark.parametrize("network", [mlp, convolutions, layer_norm, branching])
def test_every_shared_tensor_is_made_once_from_shared_ones(network: object, tmp_path: Path) -> None:
    assert callable(network)
    proto = network()
    made = [site.tensor for site in sites(proto)]
    shared = set(made[::2]) | {made[-1]}
    types = dict.fromkeys(made, FLOAT)
    segments = list(cut(proto, types, shared, dict.fromkeys(shared, 10), 15))
    assert sorted(name for segment in segments for name in segment.results) == sorted(shared)
    for segment in segments:
        given_names = {info.name for info in segment.model.graph.input}
        known = {info.name for info in proto.graph.input}
        assert given_names <= shared | known
        assert not given_names & set(segment.results.values())


def test_what_is_not_shared_is_computed_inside_the_segment(tmp_path: Path) -> None:
    proto, x = mlp(), random(5, 8)
    built = build(loaded(proto, tmp_path), candidate("fp16"), tmp_path)
    with ORT.open_tapped(built) as session:
        whole = session.run({"x": x})
    with ORT.segments(built, {"logits": 1}, 1 << 30) as segments:
        [segment] = segments
        assert segment.needs == {"x"}
        assert bits_equal(segment.session.run({"x": x})[segment.gives["logits"]], whole["logits"])


def test_what_cannot_be_run_alone_takes_no_other_with_it(tmp_path: Path) -> None:
    """A segment that ONNX Runtime refuses, when it is opened or when it is run, is named; all others are measured."""
    proto = model(
        [
            node("Exp", "x", "a"),
            node("Reshape", "a shape", "b"),
            node("Neg", "b", "c"),
            helper.make_node("NoSuchThing", ["c"], ["d"], "d.node", domain="com.microsoft"),
            node("Abs", "c", "e"),
            node("Sqrt", "e", "f"),
        ],
        [value("x", "N", 4)],
        [value("f", "N", 4)],
        [constant("shape", np.array([-1, 3]))],
    )
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    shared = dict.fromkeys("abcdef", 1)
    found = segments_of(proto, shared, {"a": 2, "b": 2, "c": 2, "d": 2, "e": 2}, tmp_path)
    assert {name for segment in found for name in segment.lost} == {"d"}
    x = random(5, 4)
    golden = dict.fromkeys("abcde", x)
    made = {name for segment in found for name in segment.session.run({"x": x, **golden})}
    assert made == {f"{name}__local" for name in "acef"}
    lost = {name: why for segment in found for name, why in segment.lost.items()}
    assert lost.keys() == {"b", "d"}
    assert "b.node" in lost["b"]
    assert not any("segment" in why or str(tmp_path) in why for why in lost.values())


def segments_of(
    proto: onnx.ModelProto, shared: dict[str, int], ranks: dict[str, int], folder: Path
) -> tuple[Segment, ...]:
    """As a backend opens them, of a graph whose types are known."""
    return open_segments(proto, folder, shared, 1 << 30, Inspection(dict.fromkeys(shared, FLOAT), ranks, ()))


def test_a_scan_whose_body_says_no_shapes_is_run_alone(tmp_path: Path) -> None:
    body = helper.make_graph(
        [node("MatMul", "step state", "p"), node("Add", "p step", "next"), node("Identity", "next", "out")],
        "body",
        [onnx.ValueInfoProto(name=name) for name in ("state", "step")],
        [onnx.ValueInfoProto(name=name) for name in ("next", "out")],
    )
    proto = model(
        [
            node("Sigmoid", "x", "steps"),
            node("ReduceSum", "steps first", "zero", keepdims=0),
            node("Scan", "zero steps", "last all", num_scan_inputs=1, body=body),
        ],
        [value("x", 3, 2, 4, 4)],
        [value("all", 3, 2, 4, 4)],
        [constant("first", np.array([0]))],
    )
    x = random(3, 2, 4, 4)
    built = build(loaded(proto, tmp_path), candidate("fp32"), tmp_path)
    with ORT.open_tapped(built) as session:
        golden = {name: np.array(array) for name, array in session.run({"x": x}).items()}
    with ORT.segments(built, {name: array.nbytes for name, array in golden.items()}, 1 << 30) as segments:
        made = {name for segment in segments for name in segment.session.run({"x": x, **golden})}
        assert made == {f"{name}__local" for name in ("steps", "zero", "last", "all")}
        assert not any(segment.lost for segment in segments)


def test_nodes_with_several_outputs_are_run_once() -> None:
    proto = model(
        [node("Split", "x", "a b", axis=1), node("Add", "a b", "y")], [value("x", "N", 4)], [value("y", "N", 2)]
    )
    [segment] = cut(proto, {"a": FLOAT, "b": FLOAT}, {"a", "b", "y"}, {"a": 1, "b": 1, "y": 1}, 100)
    assert [n.op_type for n in segment.model.graph.node] == ["Split", "Add"]
    assert {info.name for info in segment.model.graph.input} == {"x", "a", "b"}


def test_taps_leave_the_graph_itself_alone() -> None:
    proto = mlp()
    before = proto.SerializeToString()
    shown = tapped(proto, {"h1", "logits", "nothing"})
    assert [o.name for o in shown.graph.output] == ["logits", "h1"]
    assert proto.SerializeToString() == before


def test_what_is_drawn_at_random_is_found() -> None:
    assert [site.op for site in random_sites(noisy())] == ["RandomNormalLike"]
    training = model(
        [onnx.helper.make_node("Dropout", ["x", "", "on"], ["y"], name="drop")],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        [constant("on", np.bool_(True))],
    )
    assert [site.node for site in random_sites(training)] == ["drop"]
    training.graph.initializer[0].CopyFrom(constant("on", np.bool_(False)))
    assert random_sites(training) == ()
