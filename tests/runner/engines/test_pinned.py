"""What the layers alone are pinned to: the precisions that the engine's own layers took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay_runner.backends.tensorrt.building import Recipe
from assay_runner.backends.tensorrt.configuration import Offered, settings
from assay_runner.backends.tensorrt.inspector import engine_layers
from assay_runner.backends.tensorrt.pinned import by_first_kernels, pinned, precisions
from assay_runner.evidence.engine import EngineLayer, EngineTensor
from tests.orders import ordered

RECORDED = Path(__file__).parent / "recorded"
OFFERED = Offered(weak=True, implicit=True, capability=(9, 0), version="10.6.0")


def recipe(**fields: Any) -> Recipe:
    return Recipe(Path("model.onnx"), settings(ordered(**fields), OFFERED), {})


def convolution(precision: str, *nodes: str) -> EngineLayer:
    return EngineLayer(name="+".join(nodes), type="CaskConvolution", precision=precision, nodes=nodes)


def test_every_node_of_a_fused_layer_is_pinned_to_what_the_layer_runs_in() -> None:
    found = precisions([convolution("FP16", "conv", "relu"), convolution("FP32", "head"), convolution("TF32", "tail")])
    assert found == {"conv": "fp16", "relu": "fp16", "head": "fp32", "tail": "fp32"}


def test_a_node_that_moves_numbers_has_the_type_it_makes_and_one_in_two_precisions_is_left_free() -> None:
    made = EngineTensor("concat.out", "Half", (1, 8))
    copy = EngineLayer(name="Reformatting CopyNode for conv", type="Reformat", precision="FP32", nodes=("conv",))
    moved = EngineLayer(name="concat", type="Reformat", precision="FP32", outputs=(made,), nodes=("concat", "conv"))
    layers = [copy, moved, convolution("FP16", "conv", "split"), convolution("BF16", "split")]
    assert precisions(layers) == {"concat": "fp16", "conv": "fp16"}


def test_nodes_that_no_layer_names_follow_where_all_others_agree() -> None:
    alike = pinned(recipe(precision="fp16"), [convolution("FP32", "conv"), convolution("FP32", "fc")], ["flatten"])
    assert alike is not None
    assert alike.held == {"flatten": "fp32", "conv": "fp32", "fc": "fp32"}
    assert "FP16" not in alike.settings.flags
    mixed = pinned(recipe(precision="fp16"), [convolution("FP32", "conv"), convolution("FP16", "fc")], ["flatten"])
    assert mixed is not None
    assert "flatten" not in mixed.held
    assert "FP16" in mixed.settings.flags


@pytest.mark.parametrize("kind", ["INT8", "FP8"])
def test_a_type_that_no_layer_can_be_held_to_pins_nothing(kind: str) -> None:
    layers = [convolution("FP16", "conv"), convolution(kind, "other")]
    assert precisions(layers) == {}
    assert pinned(recipe(precision="fp16"), layers, ()) is None


@pytest.mark.parametrize("name", ["engine-digits-cnn-fp16", "engine-digits-vit-fp16", "engine-resnet50-fp16"])
def test_recorded_engines_tell_enough_to_be_pinned(name: str) -> None:
    layers = engine_layers((RECORDED / f"{name}.json").read_text())
    found = pinned(recipe(precision="fp16"), layers, ())
    assert found is not None
    assert found.settings.obeys
    named = {node for layer in layers for node in layer.nodes}
    assert {node for layer in layers if layer.computes for node in layer.nodes} & set(found.held)
    assert set(found.held) <= named
    assert len(found.held) >= 0.8 * len(named)


def test_what_the_user_holds_stays_held() -> None:
    asked = replace(recipe(precision="fp16"), held={"conv": "fp32"})
    found = pinned(asked, [convolution("FP16", "conv"), convolution("FP16", "other")], ())
    assert found is not None
    assert found.held == {"conv": "fp32", "other": "fp16"}


def test_a_strongly_typed_graph_has_its_types_already() -> None:
    strong = recipe(precision="fp16", typing="strong")
    assert pinned(strong, [], ()) == strong


def test_nothing_is_pinned_where_ranges_are_calibrated_or_the_layers_are_not_told() -> None:
    layers = [convolution("FP16", "conv")]
    assert pinned(replace(recipe(precision="fp16"), calibrator=lambda _: None), layers, ()) is None
    assert pinned(recipe(precision="fp16"), [], ()) is None


def test_the_first_kernels_are_those_of_level_0() -> None:
    found = by_first_kernels(recipe(precision="fp16", build={"optimizationLevel": 4, "refit": True}))
    assert found.settings.options.optimization_level == 0
    assert found.settings.options.refit
