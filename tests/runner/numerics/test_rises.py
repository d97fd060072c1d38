"""Local errors are measured in the first samples, and where a tensor fares worse later: what breaks is not missed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.model import parse
from assay_api.report import Verdict
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.golden.model import BACKEND, golden_model
from assay_runner.passes.comparing import comparison
from assay_runner.passes.rises import FIRST, Rises, added, powers
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.exact import Exact
from assay_runner.tensors import Array
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.orders import ordered
from tests.runner.numerics.candidates import measured

WIDTH = 16
X = random(64, WIDTH) + 2
WEIGHT = random(WIDTH, WIDTH, seed=1, scale=0.3)
NODES = (
    node("MatMul", "x w", "h"),
    node("Mul", "h small", "t"),
    node("Mul", "t large", "y"),
)


def network() -> onnx.ModelProto:
    """Small inputs go below FP16's smallest numbers on the way, and large ones beyond its largest."""
    constants = {"w": WEIGHT, "small": np.float32(1e-2), "large": np.float32(1e2)}
    weights = [constant(name, np.asarray(array)) for name, array in constants.items()]
    return model(NODES, [value("x", "N", WIDTH)], [value("y", "N", WIDTH)], weights)


def compared(proto: onnx.ModelProto, x: Array, folder: Path) -> tuple[dict[str, Sums], dict[str, Exact], list[str]]:
    """Local errors in FP16, in batches of four; what was counted of integers; notes."""
    data = Samples({"x": x}, batch=4)
    order = ordered("fp16", backend="onnxruntime")
    built = BACKEND.build(loaded(proto, folder), order, None, folder / "built", Heard())
    made, _ = golden_model(loaded(proto, folder / "golden"), "fp32", folder / "golden")
    with BACKEND.open_tapped(made) as golden, comparison(BACKEND, built, local=True) as found:
        for batch in data:
            given = {name: np.array(array) for name, array in golden.run(batch.inputs).items()}
            found.add(batch, given)
        local, exact, notes = dict(found.local()), dict(found.exact()), found.notes
        assert not given
        return local, exact, list(notes)


def test_what_fares_alike_throughout_is_run_alone_in_the_first_samples(tmp_path: Path) -> None:
    local, _, notes = compared(network(), X, tmp_path)
    assert {name: sums.elements for name, sums in local.items()} == dict.fromkeys(("h", "t", "y"), FIRST * WIDTH)
    assert notes == ["local errors are those of the first 8 of 64 samples: no tensor fared worse in others"]


def test_few_samples_are_all_run_alone_and_nothing_is_noted(tmp_path: Path) -> None:
    local, _, notes = compared(network(), X[:FIRST], tmp_path)
    assert local["y"].elements == FIRST * WIDTH
    assert not notes


@pytest.mark.parametrize("at", [17, 40, 63])
@pytest.mark.parametrize(("scale", "starts"), [(1e-6, "t"), (1e-4, "t"), (3e5, "h")])
def test_what_breaks_in_one_later_sample_is_run_alone_there(scale: float, starts: str, at: int, tmp_path: Path) -> None:
    x = X.copy()
    x[at - at % 4 : at - at % 4 + 4] *= scale
    local, _, notes = compared(network(), x, tmp_path)
    assert local[starts].elements == (FIRST + 4) * WIDTH
    assert local[starts].bad is (scale > 1)
    assert "and of a batch in which a tensor fared worse" in notes[0]


def test_an_index_that_goes_wrong_later_is_run_alone_there(tmp_path: Path) -> None:
    """Two neighbours are told apart in FP32 alone."""
    x = X.copy()
    x[44:48] = 1.0
    x[44:48, 3] += 1e-5
    nodes = [node("Mul", "x one", "m"), node("ArgMax", "m", "y", axis=1, keepdims=0)]
    one = constant("one", np.asarray(np.float32(1.0)))
    proto = model(nodes, [value("x", "N", WIDTH)], [value("y", "N", kind=onnx.TensorProto.INT64)], [one])
    _, exact, _ = compared(proto, x, tmp_path)
    assert exact["y"].different == 4
    assert exact["y"].local is not None


@pytest.mark.parametrize("at", [40, 63])
def test_an_audit_names_the_node_that_breaks_in_one_later_sample(at: int, tmp_path: Path) -> None:
    x = X.copy()
    x[at] *= 3e5
    result = measured(network(), "fp16", Samples({"x": x}, batch=1), tmp_path, parse(LayerDrift, {}))
    [found] = result.findings
    assert found.verdict is Verdict.FAILED
    assert "node 'h.node'" in found.message


@pytest.mark.parametrize(
    ("batches", "risen"),
    [
        ([(1, 100), (1, 100)], [True, False]),
        ([(1, 100), (4, 100), (5, 100), (21, 100)], [True, False, False, True]),
        ([(0, 100), (0, 100), (1e-9, 100)], [True, False, True]),
        ([(0, 0), (1, 0), (1, 0)], [True, True, False]),
        ([(1, 100), (math.inf, 100), (math.nan, math.nan)], [True, True, False]),
    ],
)
def test_a_rise_is_four_times_the_worst_before(batches: list[Any], risen: list[bool]) -> None:
    rises, found = Rises(), []
    for error, whole in batches:
        rises.take("t", error, whole)
        found.append("t" in rises.names)
        rises.names.clear()
    assert found == risen


def test_what_a_batch_adds_is_told_whatever_size_those_before_had() -> None:
    sums, golden = Sums(), np.full(8, 1e-200)
    sums.add(golden, golden * 1.5)
    before = powers(sums)
    sums.add(np.ones(8), np.full(8, 1.4))
    error, whole = added(before, sums)
    assert error / whole == pytest.approx(0.16)
