"""What a build is said to have chosen, and the knobs that a builder lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from assay_runner.backends import Built
from assay_runner.backends.chosen import Chosen, chosen
from assay_runner.backends.routes import Knob, knobs_in, one_at_a_time
from assay_runner.evidence import EngineFacts
from assay_runner.evidence.engine import EngineLayer
from assay_runner.remedies.tactics.shaking import shaken

NOWHERE = Path("nowhere")
LAYERS = (
    EngineLayer("conv", "CaskConvolution", tactic="kernel_a"),
    EngineLayer("conv", "CaskConvolution", tactic="kernel_b"),
    EngineLayer("copy", "Reformat"),
    EngineLayer("body", "Myelin"),
)
KNOBS = {
    "tuner_version": "1",
    "tuner_options": [
        {"option": "copy_ppg", "allowed_values": [True, False], "default_value": True, "help": "…"},
        {"option": "-tile", "allowed_values": [1, 2, 4], "default_value": 2},
    ],
}


def built(tactics: Mapping[str, str] | None, timed: Mapping[str, str] | None = None) -> Built:
    facts = EngineFacts(layers=LAYERS)
    return Built("tensorrt", "fp16", NOWHERE, NOWHERE, NOWHERE, engine=facts, tactics=tactics, timed=timed)


def test_a_record_is_what_the_builder_told() -> None:
    told = {"conv": "0x1 0x2", "conv #2": "0x1 0x3"}
    assert chosen(built(told)) == Chosen("selector", told, ("body",))


def test_regions_that_the_builder_compiles_itself_are_named_as_it_names_them() -> None:
    told = {"conv": "0x1 0x2", "{ForeignNode[a...b]}": "0x5 0x0"}
    assert chosen(built(told)).unseen == ("{ForeignNode[a...b]}",)


def test_without_a_record_the_engine_tells() -> None:
    found = chosen(built(None))
    assert found == Chosen("inspector", {"conv": "kernel_a", "conv #2": "kernel_b"}, ("body",))


def test_keys_of_the_timing_cache_are_told_beside_the_layers() -> None:
    assert chosen(built(None, {"0xab": "0x7"})).tactics["timing of 0xab"] == "0x7"


def test_what_is_no_engine_tells_nothing() -> None:
    assert chosen(Built("onnxruntime", "fp32", NOWHERE, NOWHERE, NOWHERE)) == Chosen("", {})


def test_half_of_the_layers_are_shaken_and_none_that_is_compiled() -> None:
    tactics = {f"l{n}": str(n) for n in range(6)} | {"{ForeignNode[a]}": "0x0"}
    halves = [shaken(tactics, number) for number in range(8)]
    assert all(len(half) == 3 for half in halves)
    assert all(tactics[layer] == only for half in halves for layer, (only,) in half.items())
    assert halves[0] == shaken(tactics, 0)
    assert len({tuple(half) for half in halves}) > 4
    assert "{ForeignNode[a]}" not in {layer for half in halves for layer in half}


def test_knobs_are_turned_one_at_a_time() -> None:
    knobs = knobs_in(json.dumps(KNOBS))
    assert knobs == (Knob("copy_ppg", ("true", "false"), "true"), Knob("-tile", ("1", "2", "4"), "2"))
    turns = [(value, route) for _, value, route in one_at_a_time(knobs)]
    assert turns == [("false", "-copy_ppg=false"), ("1", "-tile=1"), ("4", "-tile=4")]
    assert len(turns) == sum(len(knob.values) - 1 for knob in knobs)


@pytest.mark.parametrize("text", ["", "{}", "[]", "no JSON", '{"tuner_options": [{}]}', '{"other": 1}'])
def test_a_builder_that_lists_none_has_no_knobs(text: str) -> None:
    assert knobs_in(text) == ()
