"""The graphs that strongly typed engines are built from, computed on a CPU type by type: where each scenario breaks.

ONNX Runtime has next to no kernels for the half types on a CPU and would compute in FP32 across nodes. So every node is
run alone, in FP32, and what it makes is rounded to the type that the graph says: what an engine does that keeps to the
types and has FP32 accumulators.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_runner.backends.tensorrt.configuration import settings
from assay_runner.backends.tensorrt.source import source_model
from assay_runner.tensors import Array
from tests.models import Heard, load
from tests.orders import ordered
from tests.runner.engines.versions import TEN
from tests.scenarios import SCENARIOS, Scenario, write
from tests.typed_graphs import computed

OTHERS = ("tiny", "meeting-scatter", "scatter-behind-a-product", "layer-norm-8-bits")
NUMERIC = [name for name in SCENARIOS if name not in OTHERS]
BREAKING = [name for name in NUMERIC if "fused" not in name and name != "long-softmax"]
HALVES = ("fp16", "bf16")
DRIFT = 30.0
"""Decibels that a scenario keeps in a type whose range holds it."""


def strong(name: str, precision: str, folder: Path) -> tuple[Scenario, onnx.ModelProto]:
    """The graph of a strongly typed engine."""
    scenario = write(name, folder)
    order = ordered(precision, typing="strong")
    chosen = settings(order, TEN)
    given = load(folder / "model.onnx", folder)
    path, notes = source_model(given, order, chosen, None, folder / "out", Heard())
    assert not any("stay in FP32" in note for note in notes), notes
    return scenario, onnx.load(str(path))


def first_bad(model: onnx.ModelProto, found: Mapping[str, Array]) -> str:
    """The first node that makes NaN or Inf; empty: none."""
    for node in model.graph.node:
        for name in node.output:
            if name and found[name].dtype.kind not in "iub" and not np.isfinite(found[name].astype(np.float32)).all():
                return str(node.name)
    return ""


def worst_snr(golden: Array, found: Array) -> float:
    """Of any sample, in dB; minus infinity where it is not finite."""
    if not np.isfinite(found).all():
        return -np.inf
    first, second = (each.reshape(len(each), -1).astype(np.float64) for each in (golden, found))
    return float((10 * np.log10((first**2).sum(1) / ((second - first) ** 2).sum(1))).min())


def outcome(name: str, precision: str, folder: Path) -> tuple[Scenario, str, float]:
    """Scenario, first bad node and the worst sample's signal-to-noise ratio."""
    scenario, typed = strong(name, precision, folder)
    found = computed(typed, scenario.inputs)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    [golden] = session.run(None, dict(scenario.inputs))
    return scenario, first_bad(typed, found), worst_snr(golden, found[typed.graph.output[0].name])


@pytest.mark.parametrize("name", BREAKING)
def test_typed_fp16_breaks_at_the_node_that_the_scenario_names(name: str, tmp_path: Path) -> None:
    scenario, bad, snr = outcome(name, "fp16", tmp_path)
    assert bad == scenario.node
    assert snr < 1


@pytest.mark.parametrize("name", NUMERIC)
def test_typed_bf16_holds_them_all(name: str, tmp_path: Path) -> None:
    _, bad, snr = outcome(name, "bf16", tmp_path)
    assert not bad
    assert snr > DRIFT


@pytest.mark.parametrize("name", [name for name in NUMERIC if name not in BREAKING])
def test_typed_fp16_holds_the_fused_operator_and_what_is_summed_in_fp32(name: str, tmp_path: Path) -> None:
    _, bad, snr = outcome(name, "fp16", tmp_path)
    assert not bad
    assert snr > DRIFT
