"""Nodes held to another precision, emulated as the casts of a strongly typed graph say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from assay_runner.backends import Built
from assay_runner.backends.order import BuildOrder, order_of
from assay_runner.backends.tensorrt.configuration import settings
from assay_runner.backends.tensorrt.source import source_model
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.data.rows import bits_equal
from assay_runner.errors import CannotBuild, InvalidInput
from assay_runner.graphs.documents import load_graph
from assay_runner.graphs.rounding import rounder
from assay_runner.graphs.taps import sites
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Array, Arrays
from tests.models import (
    Heard,
    Samples,
    branching,
    constant,
    convolutions,
    layer_norm,
    loaded,
    mlp,
    model,
    node,
    random,
    value,
)
from tests.orders import ordered
from tests.runner.engines.versions import TEN
from tests.runner.numerics.candidates import ORT, candidate, measured
from tests.typed_graphs import computed

HALVES = ("fp16", "bf16")
NETWORKS: dict[str, tuple[onnx.ModelProto, Arrays]] = {
    "mlp": (mlp(), {"x": random(5, 8, seed=9)}),
    "convolutions": (convolutions(), {"x": random(3, 4, 9, 9, seed=9)}),
    "layer norm": (layer_norm(), {"x": random(4, 16, seed=9, scale=300)}),
}


def built(given: LoadedModel, order: BuildOrder, folder: Path, calibration: Samples | None = None) -> Built:
    return ORT.build(given, order, calibration, folder / "built", Heard())


def holding(precision: str, held: Mapping[str, str], **fields: Any) -> BuildOrder:
    return replace(ordered(precision, **fields), held=held)


def tensors(made: Built, inputs: Arrays) -> dict[str, Array]:
    with ORT.open_tapped(made) as session:
        return {name: array.copy() for name, array in session.run(inputs).items()}


def held_at_random(network: str, count: int = 6) -> list[tuple[str, ...]]:
    """Nothing, everything, and some sets of nodes between."""
    names = [each.name for each in NETWORKS[network][0].graph.node]
    random_sets = np.random.default_rng(len(names)).random((count, len(names))) < 0.5
    return [(), tuple(names), *(tuple(np.array(names)[chosen]) for chosen in random_sets)]


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize(
    ("network", "held"), [(network, held) for network in NETWORKS for held in held_at_random(network)]
)
def test_every_tensor_is_that_of_the_strongly_typed_graph(
    network: str, held: tuple[str, ...], precision: str, tmp_path: Path
) -> None:
    proto, inputs = NETWORKS[network]
    given = loaded(proto, tmp_path)
    order = holding(precision, dict.fromkeys(held, "fp32"), typing="strong")
    emulated = tensors(built(given, order, tmp_path), inputs)
    path, _ = source_model(given, order, settings(order, TEN), None, tmp_path / "strong", Heard())
    typed = computed(onnx.load(str(path)), inputs)
    for site in sites(proto):
        found = typed[site.tensor].astype(np.float32)
        assert bits_equal(emulated[site.tensor], found), site
        wide = site.node in held or site.tensor in {output.name for output in proto.graph.output}
        assert (typed[site.tensor].dtype == np.float32) is wide


@pytest.mark.parametrize("kind", ["emulated", "strong"])
def test_a_value_that_fp16_cannot_hold_passes_between_two_held_nodes(kind: str, tmp_path: Path) -> None:
    proto, inputs = NETWORKS["layer norm"]
    given = loaded(proto, tmp_path)
    order = holding("fp16", {"squared.node": "fp32", "variance.node": "fp32", "safe.node": "fp32"}, typing="strong")
    if kind == "emulated":
        found = tensors(built(given, order, tmp_path), inputs)["squared"]
    else:
        path, _ = source_model(given, order, settings(order, TEN), None, tmp_path / "strong", Heard())
        found = computed(onnx.load(str(path)), inputs)["squared"]
    assert np.isfinite(found.astype(np.float32)).all()
    assert np.abs(found.astype(np.float32)).max() > 65504


def test_a_weight_is_rounded_unless_held_nodes_alone_read_it(tmp_path: Path) -> None:
    proto = model(
        [node("Mul", "x shared", "a"), node("Add", "a own", "b"), node("Mul", "b shared", "y")],
        [value("x", "N", 8)],
        [value("y", "N", 8)],
        [constant("shared", random(8, seed=1)), constant("own", random(8, seed=2))],
    )
    x, half = random(3, 8, seed=3), rounder("fp16")
    shared, own = (numpy_helper.to_array(weight) for weight in proto.graph.initializer)
    found = tensors(
        built(loaded(proto, tmp_path), holding("fp16", {"b.node": "fp32", "y.node": "fp32"}), tmp_path), {"x": x}
    )
    assert bits_equal(found["a"], half(half(x) * half(shared)))
    assert bits_equal(found["b"], found["a"] + own)
    assert bits_equal(found["y"], found["b"] * half(shared))


def test_a_node_held_to_bf16_rounds_what_it_reads_and_its_neighbour_what_it_made(tmp_path: Path) -> None:
    proto, x = mlp(), random(5, 8, seed=9)
    found = tensors(built(loaded(proto, tmp_path), holding("fp16", {"h2.node": "bf16"}), tmp_path), {"x": x})
    weights = {weight.name: numpy_helper.to_array(weight) for weight in proto.graph.initializer}
    brain, half = rounder("bf16"), rounder("fp16")
    assert bits_equal(found["h2"], brain(brain(found["h1"]) + brain(weights["b1"])))
    assert bits_equal(found["h3"], np.maximum(half(found["h2"]), 0))


def test_in_a_tf32_candidate_held_products_read_all_bits(tmp_path: Path) -> None:
    proto, x = mlp(), random(5, 8, seed=9)
    given = loaded(proto, tmp_path)
    exact = tensors(built(given, ordered("fp32", backend="onnxruntime"), tmp_path / "exact"), {"x": x})
    order = holding("tf32", {"h1.node": "fp32", "h2.node": "fp16"})
    found = tensors(built(given, order, tmp_path), {"x": x})
    half = rounder("fp16")
    bias = numpy_helper.to_array(proto.graph.initializer[1])
    assert bits_equal(found["h1"], exact["h1"])
    assert bits_equal(found["h2"], half(half(found["h1"]) + half(bias)))
    assert not bits_equal(found["logits"], exact["logits"])


def test_in_an_fp32_candidate_held_nodes_alone_are_rounded(tmp_path: Path) -> None:
    proto, x = mlp(), random(5, 8, seed=9)
    given = loaded(proto, tmp_path)
    exact = tensors(built(given, ordered("fp32", backend="onnxruntime"), tmp_path / "exact"), {"x": x})
    made = built(given, holding("fp32", {"h3.node": "fp16"}, backend="onnxruntime"), tmp_path)
    found = tensors(made, {"x": x})
    assert made.emulated
    assert bits_equal(found["h2"], exact["h2"])
    assert bits_equal(found["h3"], rounder("fp16")(exact["h3"]))
    with ORT.open(made) as session:
        assert bits_equal(session.run({"x": x})["logits"], found["logits"])


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_a_held_node_of_an_int8_candidate_has_no_pairs_before_it(kind: str, tmp_path: Path) -> None:
    proto, x = mlp(), random(16, 8, seed=9)
    order = ordered("int8", backend="onnxruntime", calibration={"uri": "file:///c", "method": "minmax"})
    order = replace(order, held={"h1.node": kind})
    made = built(loaded(proto, tmp_path), order, tmp_path, Samples({"x": x}))
    graph = load_graph(made.path).graph
    makers = {name: each.op_type for each in graph.node for name in each.output}
    products = {each.name: [makers.get(name, "") for name in each.input] for each in graph.node}
    assert "DequantizeLinear" not in products["h1.node"]
    assert products["logits.node"] == ["DequantizeLinear"] * 2
    rounding = rounder("fp16") if kind == "fp16" else np.asarray
    weight = numpy_helper.to_array(proto.graph.initializer[0])
    assert tensors(made, {"x": x})["h1"] == pytest.approx(rounding(rounding(x) @ rounding(weight)), abs=1e-2)
    assert any("no Q/DQ in front: h1.node" in note for note in made.notes)
    order = replace(order, held={"h1.node": kind, "logits.node": kind})
    with pytest.raises(CannotBuild, match=r"all of given.onnx that would run in INT8 is held to another precision"):
        built(loaded(proto, tmp_path), order, tmp_path, Samples({"x": x}))


def test_a_node_is_held_by_its_very_name(tmp_path: Path) -> None:
    proto = mlp()
    proto.graph.node[1].name = "/block[0]/Add"
    proto.graph.node[2].name = ""
    given, x = loaded(proto, tmp_path), random(5, 8, seed=9)
    for name, tensor in (("/block[0]/Add", "h2"), ("Relu:h3", "h3")):
        found = tensors(built(given, holding("fp16", {name: "fp32"}), tmp_path / tensor), {"x": x})
        exact = {t for t in ("h1", "h2", "h3") if not bits_equal(found[t], rounder("fp16")(found[t]))}
        assert exact <= {tensor}
        assert exact or tensor == "h3"  # A Relu of rounded values has nothing to round.
    with pytest.raises(
        InvalidInput, match=r"node '/block\[1\]/Add' is held to fp32, and given.onnx has none of this name"
    ):
        built(given, holding("fp16", {"/block[1]/Add": "fp32"}), tmp_path)


def test_no_two_nodes_have_one_name(tmp_path: Path) -> None:
    proto = mlp()
    for each in proto.graph.node[:2]:
        each.name = "twice"
    with pytest.raises(InvalidInput, match="two nodes with same node name"):
        loaded(proto, tmp_path)


def test_a_nameless_node_of_several_outputs_has_one_name() -> None:
    proto = model(
        [node("Split", "x", "a b", axis=1), node("Add", "a b", "y")], [value("x", "N", 4)], [value("y", "N", 2)]
    )
    proto.graph.node[0].name = ""
    assert [site.node for site in sites(proto)] == ["Split:a", "Split:a", "y.node"]


def test_layers_of_a_candidate_are_held_and_must_match(tmp_path: Path) -> None:
    given = loaded(mlp(), tmp_path)
    order = ordered("fp16", given.path, layers=[{"nodes": "MatMul", "precision": "fp32"}])
    assert order.held == {"h1.node": "fp32", "logits.node": "fp32"}
    notes = built(given, order, tmp_path).notes
    assert any("held to fp32 as asked" in note and "h1.node, logits.node" in note for note in notes)
    with pytest.raises(InvalidInput, match=r"layers.nodes '\*Nope' matches no node of the model"):
        ordered("fp16", given.path, layers=[{"nodes": "*Nope", "precision": "fp32"}])


def test_what_holds_control_flow_is_told_not_to_be_held(tmp_path: Path) -> None:
    given, x = loaded(branching(), tmp_path), np.abs(random(2, 4, seed=4))
    made = built(given, holding("fp16", {"y.node": "fp32", "h.node": "fp32"}), tmp_path)
    assert any("for it holds control flow: y.node" in note for note in made.notes)
    found, half = tensors(made, {"x": x}), rounder("fp16")
    assert bits_equal(found["h"], x * np.float32(0.5))
    assert bits_equal(found["y"], half(half(half(found["h"]) * np.float32(3)) + half(x)))


def test_what_is_held_wider_does_not_overflow_to_fp16_range(tmp_path: Path) -> None:
    proto, inputs = NETWORKS["layer norm"]
    layers = [
        {"nodes": name, "precision": "fp32"}
        for name in ("squared.node", "variance.node", "safe.node", "deviation.node")
    ]
    asked = candidate("fp16", backend="tensorrt", layers=layers)
    check = Fp16Range(accumulator="fp32")
    for wanted, verdict in ((candidate("fp16"), "Failed"), (asked, "Passed")):
        told = measured(proto, wanted, Samples(inputs), tmp_path / verdict, check)
        [found] = told.findings
        assert found.verdict == verdict, found.message
    assert "held to a wider precision" in found.message


def test_equal_orders_are_one_key(tmp_path: Path) -> None:
    path = loaded(mlp(), tmp_path).path
    layers = [{"nodes": "h1.node", "precision": "fp32"}, {"nodes": "h2.node", "precision": "bf16"}]
    one = order_of(candidate("fp16", backend="tensorrt", layers=layers), path)
    other = order_of(candidate("fp16", backend="tensorrt", layers=layers[::-1], build={"refit": False}), path)
    assert (one, one.canonical(), hash(one)) == (other, other.canonical(), hash(other))
    different = [
        replace(one, backend="onnxruntime"),
        replace(one, precision="bf16"),
        replace(one, typing="weak"),
        replace(one, held={}),
        replace(one, tactics={}),
        replace(one, tactics={"a": "0x1"}),
    ]
    assert len({one, *different, *(each.canonical() for each in (one, *different))}) == 2 * (1 + len(different))
