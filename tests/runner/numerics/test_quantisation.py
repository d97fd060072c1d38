"""INT8: ranges found in a stream, and the Q/DQ pairs that follow from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from assay_runner.backends.calibration import BINS, ranges
from assay_runner.backends.thresholds import entropy_threshold
from assay_runner.errors import CannotBuild, InvalidInput
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.tensors import Array, Arrays
from tests.models import Heard, Samples, convolutions, loaded, mlp, model, node, random, value
from tests.runner.numerics.candidates import build, candidate, int8, measured

FIRST = SampleAxes({"x": 0, "square": 0})


class Squares:
    """Shows the squares of x."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        return {"square": inputs["x"] ** 2}


def histogram(values: Array) -> Array:
    magnitudes = np.abs(values[values != 0])
    return np.histogram(magnitudes, BINS["entropy"], range=(0, magnitudes.max()))[0]


def test_minmax_is_the_largest_magnitude_of_all_batches() -> None:
    data = Samples({"x": np.array([[1], [-3], [2], [0.5]], np.float32)}, batch=1)
    assert ranges(Squares(), data, frozenset({"x", "square"}), "minmax", Heard(), axes=FIRST) == {
        "x": (3, 3),
        "square": (9, 9),
    }


def test_padding_is_not_calibrated_on() -> None:
    data = Samples({"x": np.array([[1], [2], [9]], np.float32)}, batch=2, fixed=True)
    heard = Heard()
    assert ranges(Squares(), data, frozenset({"x"}), "entropy", heard, axes=FIRST)["x"].end <= 9
    assert heard.units == 3


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_entropy_does_not_depend_on_the_batches(batch: int) -> None:
    x = random(100, 40, seed=1)
    x[0, 0] = 60
    found = ranges(Squares(), Samples({"x": x}, batch=batch), frozenset({"x"}), "entropy", Heard(), axes=FIRST)
    assert found == {"x": (60 * entropy_threshold(histogram(x)), 60)}


def test_not_finite_calibration_says_which_tensor() -> None:
    data = Samples({"x": np.array([[1], [np.inf]], np.float32)})
    with pytest.raises(CannotBuild, match="'x' is not finite"):
        ranges(Squares(), data, frozenset({"x"}), "minmax", Heard(), axes=FIRST)


def test_empty_calibration_is_refused(tmp_path: Path) -> None:
    empty = Samples({"x": np.zeros((0, 8), np.float32)})
    with pytest.raises(InvalidInput, match="empty"):
        build(loaded(mlp(), tmp_path), int8(method="minmax"), tmp_path, empty)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("network", [mlp, convolutions])
def test_scales_are_symmetric_and_follow_the_ranges(network: object, per_channel: bool, tmp_path: Path) -> None:
    assert callable(network)
    x = random(20, 8) if network is mlp else random(20, 4, 9, 9)
    given_model = loaded(network(), tmp_path)
    built = build(given_model, int8(method="minmax", perChannel=per_channel), tmp_path, Samples({"x": x}))
    proto = onnx.load(str(built.path))
    weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    pairs = [n for n in proto.graph.node if n.op_type == "QuantizeLinear"]
    assert pairs
    for pair in pairs:
        assert weights[pair.input[2]].dtype == np.int8
        assert not weights[pair.input[2]].any()
    [first] = [n for n in pairs if n.input[0] == "x"]
    assert weights[first.input[1]] == pytest.approx(np.abs(x).max() / 127, rel=1e-2)
    scales = [
        weights[n.input[1]] for n in proto.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in weights
    ]
    assert scales
    assert all((scale.size > 1) == per_channel for scale in scales)
    quantised = {n.output[0] for n in proto.graph.node if n.op_type == "DequantizeLinear"}
    assert not quantised & {o.name for o in proto.graph.output}


@pytest.mark.parametrize("opset", [8, 11, 17, 21])
@pytest.mark.parametrize("method", ["entropy", "minmax"])
def test_int8_of_old_and_new_operator_sets(opset: int, method: str, tmp_path: Path) -> None:
    x = random(64, 8)
    report, _ = measured(mlp(opset), int8(method=method), Samples({"x": x}), tmp_path, calibration=Samples({"x": x}))
    assert (report.outputs[0].metrics["cosine"].p50 or 0) > 0.98
    assert report.emulated


def test_nothing_to_quantise_says_so(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], [value("x", "N", 8)], [value("y", "N", 8)])
    with pytest.raises(CannotBuild, match="nothing to run in INT8"):
        build(loaded(proto, tmp_path), int8(), tmp_path, Samples({"x": random(4, 8)}))


def test_a_model_with_its_own_pairs_is_run_as_it_is(tmp_path: Path) -> None:
    x = random(32, 8)
    made = build(loaded(mlp(), tmp_path), int8(method="minmax"), tmp_path / "ptq", Samples({"x": x}))
    own = onnx.load(str(made.path))
    asked = candidate("int8", model={"uri": "file:///own.onnx"})
    report, findings = measured(mlp(), asked, Samples({"x": x}), tmp_path, own=own)
    assert report.outputs[0].metrics["cosine"].worst > 0.98
    assert {finding.check for finding in findings} >= {"outputDrift", "layerDrift", "finite", "runToRun"}
    assert {layer.name for layer in report.layers} == {"h1", "h2", "h3", "logits"}
