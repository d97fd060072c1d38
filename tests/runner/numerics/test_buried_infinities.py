"""An overflow that no tensor shows as infinity: x / Inf is 0, and it is an overflow for all that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.report import Finding, Verdict
from assay_runner.checks.finite import Finite
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.graphs.endings import Downstream
from tests.models import Samples, constant, layer_norm, model, node, random, value
from tests.runner.numerics.candidates import measured

CHECKS = (Finite(), OutputDrift(), LayerDrift(), Fp16Range())
BIG = np.full(4, 1e8, np.float32)


def findings(proto: onnx.ModelProto, folder: Path, data: Any = None, precision: str = "fp16") -> dict[str, Finding]:
    samples = Samples({"x": random(9, 4) if data is None else data}, batch=4)
    return {f.check: f for f in measured(proto, precision, samples, folder, *CHECKS).findings}


def small(*weights: onnx.TensorProto, **made: str) -> onnx.ModelProto:
    """Nodes as in `y="Div x w"`, in order."""
    nodes = [node(op, " ".join(inputs), name) for name, text in made.items() for op, *inputs in [text.split()]]
    return model(nodes, [value("x", "N", 4)], [value("y", "N", 4)], weights)


def normalisation() -> onnx.ModelProto:
    weights = [constant(name, np.full(4, fill, np.float32)) for name, fill in (("s", 2e3), ("b", 0), ("mean", 0))]
    return small(*weights, constant("spread", BIG), y="BatchNormalization x s b mean spread")


BURIED: dict[str, tuple[onnx.ModelProto, Any, str, str]] = {
    "variance": (
        normalisation(),
        random(9, 4, scale=1e3),
        "weight 'spread'",
        "node 'y.node' (BatchNormalization) divides by the root of this variance: x / Inf is 0",
    ),
    "weight": (
        small(constant("w", BIG), y="Div x w"),
        random(9, 4, scale=6e4),
        "weight 'w'",
        "node 'y.node' (Div) divides by it: x / Inf is 0",
    ),
    "input": (
        small(i="Reciprocal x", y="Tanh i"),
        np.full((9, 4), 1e6, np.float32),
        "graph input 'x'",
        "node 'i.node' (Reciprocal) divides by it: 1 / Inf is 0",
    ),
    "power": (
        small(constant("k", np.float32(-0.5)), y="Pow x k"),
        np.full((9, 4), 1e6, np.float32),
        "graph input 'x'",
        "node 'y.node' (Pow) takes a negative power of it: 1 / Inf is 0",
    ),
}


@pytest.mark.parametrize("case", BURIED)
def test_what_is_divided_by_an_infinity(case: str, tmp_path: Path) -> None:
    proto, data, what, said = BURIED[case]
    data = np.clip(data, -6e4, 6e4 if what.startswith("weight") else None)
    found = findings(proto, tmp_path, data)
    for check in ("finite", "fp16Range"):
        assert found[check].verdict is Verdict.FAILED, found[check]
        assert what in found[check].message
        assert said in found[check].message, found[check].message
        assert "no tensor shows it" in found[check].message
        assert "computes wider" not in found[check].message
        assert "if it is a mask" not in found[check].message
    assert findings(proto, tmp_path / "b", data, "bf16")["finite"].verdict is Verdict.PASSED


def test_a_variance_that_is_shown_as_infinity(tmp_path: Path) -> None:
    proto = layer_norm()
    wide = np.where(np.arange(16) % 2, 300, -300).astype(np.float32) * np.ones((9, 1), np.float32)
    found = findings(proto, tmp_path, wide)
    assert (found["finite"].verdict, found["finite"].tensor) == (Verdict.FAILED, "squared")
    assert (found["fp16Range"].verdict, found["fp16Range"].tensor) == (Verdict.FAILED, "squared")
    assert "node 'y.node' (Div), behind 'deviation.node', divides by it: x / Inf is 0" in found["fp16Range"].message


def test_a_bound_from_below_hands_it_on(tmp_path: Path) -> None:
    proto = small(constant("zero", np.float32(0)), s="Mul x x", m="Max s zero", r="Sqrt m", y="Div x r")
    found = findings(proto, tmp_path, random(9, 4, scale=1e3))
    assert found["fp16Range"].tensor == "s"
    assert "node 'y.node' (Div), behind 'r.node', divides by it: x / Inf is 0" in found["fp16Range"].message


HARMLESS: dict[str, tuple[onnx.ModelProto, Any, str]] = {
    "tanh": (small(y="Tanh x"), np.full((9, 4), -1e6, np.float32), "node 'y.node' (Tanh) makes -1 or 1 of it"),
    "sigmoid": (small(y="Sigmoid x"), np.full((9, 4), 1e6, np.float32), "node 'y.node' (Sigmoid) makes 0 or 1 of it"),
    "exp": (small(y="Exp x"), np.full((9, 4), -1e6, np.float32), "node 'y.node' (Exp) makes 0 of it: exp(-Inf) is 0"),
    "bound": (small(constant("w", BIG), y="Min x w"), None, "node 'y.node' (Min) may clip it"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_an_infinity_that_becomes_the_right_number(case: str, tmp_path: Path) -> None:
    proto, data, said = HARMLESS[case]
    found = findings(proto, tmp_path, data)
    assert {found[check].verdict for check in ("finite", "outputDrift", "layerDrift")} == {Verdict.PASSED}
    assert "overflows in fp16" in found["finite"].message
    assert said in found["finite"].message
    assert "no tensor of this candidate was infinite for it" in found["fp16Range"].message
    assert "computes wider" not in found["fp16Range"].message


@pytest.mark.parametrize("size", [-1e9, float(np.finfo(np.float32).min)])
def test_an_added_mask(size: float, tmp_path: Path) -> None:
    """Softmax makes zero of -Inf, which is right, and NaN of a row that is all -Inf."""
    weights = [constant("mask", np.array([0, 0, 0, size], np.float32)), constant("all", np.full(4, size, np.float32))]
    some = findings(small(weights[0], s="Add x mask", y="Softmax s"), tmp_path)
    assert some["outputDrift"].verdict is Verdict.PASSED
    assert "weight 'mask' overflows in fp16" in some["finite"].message
    assert "node 'y.node' (Softmax), behind 's.node', makes 0 of it: exp(-Inf) is 0" in some["finite"].message
    assert "if it is a mask, use -10000 instead" in some["finite"].message
    every = findings(small(weights[1], s="Add x all", y="Softmax s"), tmp_path / "all")
    assert every["outputDrift"].verdict is Verdict.FAILED
    for check in ("finite", "fp16Range"):
        said = "node 'y.node' (Softmax), behind 's.node', makes NaN of it where a whole row is -Inf, in 9 samples"
        assert said in every[check].message, every[check].message


def test_nothing_times_an_infinity_is_where_nan_begins(tmp_path: Path) -> None:
    """A mask of ones and zeros times -1e9, as BERT has it: 0 x -Inf is NaN before the Softmax sees it."""
    weights = [constant("flags", np.array([0, 0, 1, 0], np.float32)), constant("low", np.float32(-1e9))]
    found = findings(small(*weights, a="Abs x", b="Mul a flags", m="Mul b low", s="Add x m", y="Softmax s"), tmp_path)
    for check in ("finite", "fp16Range"):
        said = "node 'm.node' (Mul) makes NaN of it in 9 samples: 0 × Inf is none"
        assert said in found[check].message, found[check].message
        assert "whole row" not in found[check].message


def test_what_fills_masked_places_is_followed_to_where_nan_begins(tmp_path: Path) -> None:
    """Where may leave the fill out; where it was seen not to, what comes of it further on is told."""
    rows = np.zeros((1, 4), np.bool_)
    proto = small(constant("some", rows | [True, False, False, False]), constant("fill", np.float32(-1e30)))
    proto.graph.node.extend([node("Where", "some fill x", "s"), node("Softmax", "s", "y")])
    proto.graph.initializer.append(constant("every", ~rows))
    found = findings(proto, tmp_path)
    assert found["outputDrift"].verdict is Verdict.PASSED
    assert "node 'y.node' (Softmax), behind 's.node', makes 0 of it: exp(-Inf) is 0" in found["finite"].message
    proto.graph.node[0].input[0] = "every"
    found = findings(proto, tmp_path / "every")
    for check in ("finite", "fp16Range"):
        said = "node 'y.node' (Softmax), behind 's.node', makes NaN of it where a whole row is -Inf, in 9 samples"
        assert said in found[check].message, found[check].message
        assert "no number" not in found[check].message
    # What it says to use holds: golden, bare, and in FP16 the same shares.
    proto.graph.initializer[1].CopyFrom(constant("fill", np.float32(-10000)))
    assert {each.verdict for each in findings(proto, tmp_path / "cured").values()} == {Verdict.PASSED}


def test_a_thousand_places_that_may_leave_it_out_are_not_all_followed() -> None:
    """Each could hand it on to the next."""
    steps = {f"s{n}": f"Gather {f's{n - 1}' if n else 'x'} first" for n in range(1500)}
    proto = small(constant("first", np.arange(4)), **steps, y="Gather s1499 first")
    for each in proto.graph.node:
        each.attribute.add(name="axis", i=1, type=onnx.AttributeProto.INT)
    ending = Downstream(proto).infinity("x", negative=False)
    assert ending is not None
    assert (ending.site.tensor, ending.beyond is not None) == ("s0", True)
