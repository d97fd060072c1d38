"""A fault at a fused layer is looked into, and the finding says what was found, or that splitting made it vanish."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.backends import Built
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.checks.finite import Finite
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.errors import Unsupported
from assay_runner.trial.measure import Measured
from tests.fusing import Fusing, Kept
from tests.models import Samples, constant, layer_norm, loaded, model, node, random, value
from tests.runner.numerics.candidates import build, candidate, measured
from tests.wire import details

if TYPE_CHECKING:
    from collections.abc import Iterator

X = random(20, 16, seed=4)
X[13] *= 300
DATA = Samples({"x": X}, batch=8)
NORM = {"y": ("squared", "variance", "safe", "deviation")}
FOLDED = Samples({"x": random(20, 16, seed=4)}, batch=8)


def folded() -> onnx.ModelProto:
    """A difference of numbers that are nearly equal in FP16: wrong, but finite."""
    return model(
        [
            node("Relu", "x", "positive"),
            node("Add", "positive large", "raised"),
            node("Sub", "raised large", "back"),
            node("Mul", "back two", "y"),
        ],
        [value("x", "N", 16)],
        [value("y", "N", 16)],
        [constant("large", np.float32(900)), constant("two", np.float32(2))],
    )


def finding(result: Measured, check: str) -> Finding:
    [found] = [f for f in result.findings if f.check == check]
    return found


def wide(proto: onnx.ModelProto, folder: Path) -> Built:
    """A build that splits the layers and computes them in FP32."""
    return build(loaded(proto, folder / "wide"), candidate("fp32"), folder / "wide")


@pytest.mark.parametrize("layers", [True, False])
def test_the_first_tensor_inside_that_is_not_finite_is_named(layers: bool, tmp_path: Path) -> None:
    checks = (Finite(), *((LayerDrift(),) if layers else ()))
    result = measured(layer_norm(), "fp16", DATA, tmp_path, *checks, backend=Fusing({"y": ("squared", "variance")}))
    found = finding(result, "finite")
    # What follows the overflow is finite again, and shown: the fault is first seen there.
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "safe")
    assert "insideLayer" not in details(found)
    result = measured(layer_norm(), "fp16", DATA, tmp_path, *checks, backend=Fusing({"safe": ("squared", "variance")}))
    found = finding(result, "finite")
    assert (found.verdict, found.tensor, found.value) == (Verdict.FAILED, "safe", 1)
    assert (
        "; inside the fused layer of nodes 'squared.node', 'variance.node', 'safe.node', split in another build, the "
        "failure starts at tensor 'squared' of node 'squared.node' (Pow); keep this node"
    ) in found.message
    assert details(found)["failsWhenSplit"] is True
    assert [(inner["tensor"], inner["notFinite"]) for inner in details(found)["insideLayer"]] == [
        ("squared", 1), ("variance", 1), ("safe", 1),
    ]  # fmt: skip
    if layers:
        drift = finding(result, "layerDrift")
        assert (drift.verdict, drift.tensor, drift.metric) == (Verdict.FAILED, "safe", "localSnr")
        assert "the failure starts at tensor 'squared' of node 'squared.node' (Pow)" in drift.message
        assert details(drift)["insideFusedLayers"] == 2
        assert details(drift)["notCompared"] == 0


def test_a_failure_that_splitting_makes_vanish_is_the_layers_own(tmp_path: Path) -> None:
    backend = Fusing({"safe": ("squared", "variance")}, split=wide(layer_norm(), tmp_path))
    result = measured(layer_norm(), "fp16", DATA, tmp_path, Finite(), LayerDrift(), backend=backend)
    for check in ("finite", "layerDrift"):
        found = finding(result, check)
        assert (found.verdict, found.tensor) == (Verdict.FAILED, "safe")
        assert (
            "; built again with the fused layer of nodes 'squared.node', 'variance.node', 'safe.node' split, the "
            "failure is gone, so it is the layer's as a whole and no single node's"
        ) in found.message
        assert details(found)["failsWhenSplit"] is False
        assert found.message.endswith("so that they are not fused") == (check == "finite")
        inside = {inner["tensor"]: inner["notFinite"] for inner in details(found)["insideLayer"]}
        assert inside == {"squared": 0, "variance": 0, "safe": 0}


def test_where_an_error_starts_inside_a_layer_is_told_by_its_local_error(tmp_path: Path) -> None:
    backend = Fusing({"back": ("positive", "raised")})
    result = measured(folded(), "fp16", FOLDED, tmp_path, LayerDrift(local_snr=25), backend=backend)
    found = finding(result, "layerDrift")
    assert (found.verdict, found.tensor, found.metric) == (Verdict.FAILED, "back", "localSnr")
    assert "split in another build, no tensor alone is to blame, it adds up" in found.message
    inner = {one["tensor"]: one for one in details(found)["insideLayer"]}
    assert inner.keys() == {"positive", "raised", "back"}
    assert inner["raised"]["localSnr"] > 60 > inner["back"]["accumulatedSnr"]


def test_what_cannot_be_split_is_noted_and_loses_no_result(tmp_path: Path) -> None:
    class Whole(Fusing):
        @contextmanager
        def open_inside(self, built: Built, tensor: str) -> Iterator[Kept]:
            raise Unsupported("the plan was not built here")
            yield

    result = measured(layer_norm(), "fp16", DATA, tmp_path, Finite(), backend=Whole({"safe": ("squared", "variance")}))
    found = finding(result, "finite")
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "safe")
    assert "inside" not in found.message
    note = "the fused layer that makes tensor 'safe' could not be looked into: the plan was not built here"
    assert note in result.report.notes


def test_a_tensor_that_is_not_shown_where_its_layer_is_split_is_noted(tmp_path: Path) -> None:
    class Blind(Fusing):
        @contextmanager
        def open_inside(self, built: Built, tensor: str) -> Iterator[Kept]:
            with self._opened(built, frozenset({tensor}), True, OnnxRuntime()) as split:
                yield split

    result = measured(layer_norm(), "fp16", DATA, tmp_path, Finite(), backend=Blind({"safe": ("squared", "variance")}))
    found = finding(result, "finite")
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "safe")
    assert "insideLayer" not in details(found)
    assert "tensor 'safe' is not shown where the fused layer that makes it is split" in result.report.notes


def test_all_tensors_are_compared_where_that_is_asked_for(tmp_path: Path) -> None:
    checks = (Finite(), LayerDrift(tensors="all"))
    result = measured(layer_norm(), "fp16", DATA, tmp_path, *checks, backend=Fusing(NORM))
    for check in ("finite", "layerDrift"):
        found = finding(result, check)
        assert (found.verdict, found.tensor) == (Verdict.FAILED, "squared")
        assert "insideLayer" not in details(found)
    assert details(finding(result, "layerDrift"))["insideFusedLayers"] == 0


def test_where_no_tensor_can_be_shown_the_outputs_are_judged_all_the_same(tmp_path: Path) -> None:
    class Plan(Fusing):
        @contextmanager
        def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> Iterator[Kept]:
            raise Unsupported("an existing plan shows its outputs only")
            yield

    data = Samples({"x": random(20, 16, seed=4)}, batch=8)
    result = measured(layer_norm(), "fp16", data, tmp_path, backend=Plan({}))
    verdicts = {found.check: found.verdict for found in result.findings}
    assert verdicts.pop("outputDrift") is verdicts.pop("runToRun") is Verdict.PASSED
    assert verdicts == {"finite": Verdict.INCONCLUSIVE, "layerDrift": Verdict.INCONCLUSIVE}
    assert finding(result, "finite").message == "an existing plan shows its outputs only"


def test_what_is_neither_shown_nor_fused_was_not_looked_at(tmp_path: Path) -> None:
    class Silent(Fusing):
        """Shows as little, and knows of no fused layer."""

        @contextmanager
        def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> Iterator[Kept]:
            with super().open_comparison(built, local=local, whole=whole) as kept:
                kept._fused = frozenset()
                yield kept

    calm = Samples({"x": random(20, 16, seed=4)}, batch=8)
    result = measured(layer_norm(), "fp16", calm, tmp_path, Finite(), LayerDrift(), backend=Silent(NORM))
    for check in ("finite", "layerDrift"):
        assert finding(result, check).verdict is Verdict.INCONCLUSIVE
        assert "only 3 of 7 tensors could be" in finding(result, check).message


def test_what_lies_inside_fused_layers_is_told_and_does_not_count_as_unseen(tmp_path: Path) -> None:
    calm = Samples({"x": random(20, 16, seed=4)}, batch=8)
    result = measured(layer_norm(), "fp16", calm, tmp_path, Finite(), LayerDrift(), backend=Fusing(NORM))
    drift, finite = finding(result, "layerDrift"), finding(result, "finite")
    assert (drift.verdict, finite.verdict) == (Verdict.PASSED, Verdict.PASSED)
    assert drift.message.startswith(
        "3 of 3 tensors compared, all within the limits (4 more lie inside fused layers and are never made)"
    )
    assert (details(drift)["notCompared"], details(drift)["insideFusedLayers"]) == (0, 4)
    assert (
        "all 3 tensors are finite on 20 samples (4 more lie inside fused layers and are never made)" in finite.message
    )
    assert {layer.name for layer in result.report.layers} == {"mean", "centred", "y"}
