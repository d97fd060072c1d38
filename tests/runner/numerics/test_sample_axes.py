"""Which axis holds the samples is what the model says, or what a run shows, whatever lengths happen to be equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from assay_api.report import Verdict
from assay_runner.checks import CHECKS, Check
from assay_runner.checks.label_accuracy import LabelAccuracy
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.golden.axes import GoldenAxes
from assay_runner.golden.run import golden_outputs
from assay_runner.graphs.sample_axes import declared_axes
from assay_runner.tensors import Array
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import measured

TIME = 8
"""As many steps as samples in a batch."""
DATA = Samples({"x": random(20, TIME, 6)}, batch=TIME)


def time_first(*shape: int | str, batch: int | str = "N", weight: float = 1.0) -> onnx.ModelProto:
    """(samples, time, 6) to (time, samples, 5)."""
    return model(
        [node("MatMul", "x w", "rows"), node("Transpose", "rows", "y", perm=[1, 0, 2])],
        [value("x", batch, TIME, 6)],
        [value("y", *(shape or (TIME, batch, 5)))],
        [constant("w", random(6, 5, scale=weight))],
    )


def recurrent() -> onnx.ModelProto:
    """An LSTM gives (time, directions, samples, hidden), and its states (directions, samples, hidden)."""
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("LSTM", "t W R", "y states", direction="bidirectional", hidden_size=4),
    ]
    weights = [constant("W", random(2, 16, 6)), constant("R", random(2, 16, 4))]
    return model(nodes, [value("x", "N", TIME, 6)], [value("y", "", "", "", ""), value("states", "", "", "")], weights)


def reshaped() -> onnx.ModelProto:
    """As exporters write a view: sizes are read from the input, and put together again."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "samples"),
        node("Unsqueeze", "samples axis", "first"),
        node("Concat", "first rest", "wanted", axis=0),
        node("Reshape", "x wanted", "view"),
        node("Transpose", "view", "y", perm=[2, 0, 1]),
    ]
    weights = [constant("zero", np.array(0)), constant("axis", [0]), constant("rest", [6, TIME])]
    return model(nodes, [value("x", "N", TIME, 6)], [value("y", "", "", "")], weights)


def shared() -> onnx.ModelProto:
    """Scores of each sample beside anchors that are constants, and a total of the batch."""
    nodes = [
        node("ReduceMean", "x", "pooled", axes=[1], keepdims=0),
        node("Tanh", "pooled", "scores"),
        node("Identity", "anchors", "priors"),
        node("ReduceSum", "x", "total", keepdims=0),
    ]
    outputs = [value("scores", "N", 6), value("priors", 1, 6, 4), value("total")]
    return model(nodes, [value("x", "N", TIME, 6)], outputs, [constant("anchors", random(1, 6, 4))])


def flattened(rows: int, batch: int | str) -> onnx.ModelProto:
    """A Reshape in whose result no inference knows the samples: all of them in so many rows."""
    nodes = [node("Reshape", "x wanted", "flat"), node("Relu", "flat", "y")]
    given, wanted = [value("x", batch, TIME, 6)], constant("wanted", [rows, -1])
    return model(nodes, given, [value("y", "", "")], [wanted])


@pytest.mark.parametrize(
    ("proto", "axes"),
    [
        (time_first(), {"x": 0, "rows": 0, "y": 1}),
        (time_first("", "", ""), {"y": 1}),
        (time_first("seq", "unk__3", ""), {"y": 1}),
        (time_first("N", "", 5), {"y": 1}),  # An axis of dynamic_axes that is not the one.
        (time_first(TIME, TIME, 5, batch=TIME), {"x": 0, "y": 1}),
        (time_first(batch=1), {"y": 1}),
        (recurrent(), {"t": 1, "y": 2, "states": 1}),
        (reshaped(), {"view": 0, "y": 1}),
        (shared(), {"scores": 0, "priors": None, "total": None}),
    ],
)
def test_an_axis_is_what_the_model_declares(
    proto: onnx.ModelProto, axes: dict[str, int | None], tmp_path: Path
) -> None:
    found = declared_axes(loaded(proto, tmp_path).path).axes
    assert {name: found.get(name, "unknown") for name in axes} == axes


def test_a_name_that_stands_for_anything_declares_nothing(tmp_path: Path) -> None:
    """Exporters call every free dimension alike."""
    nodes = [node("Reshape", "x wanted", "y")]
    shapes = [value("x", "?", "?")], [value("y", "?", "?")]
    path = loaded(model(nodes, *shapes, [constant("wanted", [-1, 4])]), tmp_path).path
    assert "y" not in declared_axes(path).axes


MEASURED: dict[str, tuple[onnx.ModelProto, bool, int | str | None]] = {
    "takes any number": (
        model(
            [node("Reshape", "x wanted", "v"), node("Transpose", "v", "y", perm=[1, 0])],
            [value("x", "?", "?", 6)],
            [value("y", "?", "?")],
            [constant("wanted", [-1, TIME * 6])],
        ),
        False,
        1,
    ),
    "takes eight, and says so": (flattened(TIME, TIME), True, 0),
    "takes eight, and does not say so": (flattened(TIME, "N"), False, 0),
    "all samples in a row": (flattened(1, TIME), True, "unknown"),
    "one row for each step": (
        model(
            [node("Reshape", "x wanted", "y")], [value("x", "?", TIME, 6)], [value("y", "?", 6)],
            [constant("wanted", [-1, 6])],
        ),
        False,
        "unknown",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MEASURED)
def test_an_axis_is_measured_where_nothing_is_declared(case: str, tmp_path: Path) -> None:
    proto, fixed, axis = MEASURED[case]
    data = Samples({"x": random(16, TIME, 6)}, batch=TIME, fixed=fixed)
    found = GoldenAxes(loaded(proto, tmp_path), data, tmp_path / "golden").outputs.axes
    assert found.get("y", "unknown") == axis


def golden(proto: onnx.ModelProto, data: Samples, folder: Path) -> list[dict[str, Array]]:
    return [kept for _, kept in golden_outputs(loaded(proto, folder), data, "fp32", folder / "golden", Heard())]


@pytest.mark.parametrize("fixed", [False, True])
def test_golden_has_its_samples_first_and_no_padding(fixed: bool, tmp_path: Path) -> None:
    data = Samples(DATA.arrays, batch=TIME, fixed=fixed)
    found = golden(time_first(batch=TIME if fixed else "N"), data, tmp_path)
    assert [outputs["y"].shape for outputs in found] == [(8, 8, 5), (8, 8, 5), (4, 8, 5)]
    wanted = DATA.arrays["x"] @ random(6, 5)
    np.testing.assert_allclose(np.concatenate([o["y"] for o in found]), wanted, rtol=1e-4, atol=1e-5)


def test_what_samples_share_is_one_row_of_golden(tmp_path: Path) -> None:
    found = golden(shared(), DATA, tmp_path)
    assert [outputs["priors"].shape for outputs in found] == [(1, 1, 6, 4)] * 3
    np.testing.assert_allclose(found[0]["total"], [DATA.arrays["x"][:8].sum()], rtol=1e-4)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("count", [8, 20])
def test_one_sample_that_breaks_is_named_and_not_averaged_away(fixed: bool, count: int, tmp_path: Path) -> None:
    """Among rows of all samples at one step it would be a small part of every one."""
    x = random(count, TIME, 6)
    x[5] *= 1e-9  # FP16 has nothing that small.
    proto = time_first(batch=TIME if fixed else "N")
    [found] = measured(proto, "fp16", Samples({"x": x}, batch=TIME, fixed=fixed), tmp_path, OutputDrift()).findings
    assert found.verdict is Verdict.FAILED
    assert f"in sample 5, the worst of {count}" in found.message


def test_samples_that_are_not_finite_are_counted_along_their_own_axis(tmp_path: Path) -> None:
    x = random(20, TIME, 6)
    x[[5, 17]] = 60000
    checks = [CHECKS[name]() for name in ("finite", "fp16Range")]
    findings = measured(time_first(), "fp16", Samples({"x": x}, batch=TIME), tmp_path, *checks).findings
    for check in checks:
        told = "; ".join(f.message for f in findings if f.check == check.name)
        assert "2 of 20 samples" in told, told


def test_labels_are_held_against_samples_wherever_they_are(tmp_path: Path) -> None:
    """(1, samples, classes)."""
    proto = model(
        [node("MatMul", "x w", "scores"), node("Unsqueeze", "scores axes", "y")],
        [value("x", "N", 6)],
        [value("y", 1, "N", 5)],
        [constant("w", random(6, 5)), constant("axes", [0])],
    )
    x = random(3000, 6)
    data = Samples({"x": x}, (x @ random(6, 5)).argmax(1), batch=500)
    [found] = measured(proto, "fp32", data, tmp_path, LabelAccuracy()).findings
    assert (found.verdict, found.value) == (Verdict.PASSED, 1.0)


def changed(proto: onnx.ModelProto, tensor: str, by: float) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    [weight] = [t for t in copy.graph.initializer if t.name == tensor]
    weight.CopyFrom(constant(tensor, onnx.numpy_helper.to_array(weight) * np.float32(by)))
    return copy


@pytest.mark.parametrize(("by", "verdict"), [(1.0, Verdict.PASSED), (2.0, Verdict.FAILED)])
def test_a_constant_output_is_compared_as_a_whole(by: float, verdict: Verdict, tmp_path: Path) -> None:
    own = changed(shared(), "anchors", by)
    found = {f.tensor: f for f in measured(shared(), "fp32", DATA, tmp_path, OutputDrift(), own=own).findings}
    assert {name: f.verdict for name, f in found.items()} == {
        "scores": Verdict.PASSED,
        "total": Verdict.PASSED,
        "priors": verdict,
    }
    assert "the worst of 20" in found["priors"].message


@pytest.mark.parametrize("size", [3, 1, TIME])
def test_a_weight_that_is_an_output_is_one_for_all_samples(size: int, tmp_path: Path) -> None:
    proto = time_first()
    proto.graph.initializer.append(constant("c", np.full(size, 1e-9, np.float32)))
    proto.graph.output.append(value("c", size))
    for precision, verdict in (("fp32", Verdict.PASSED), ("fp16", Verdict.FAILED)):
        outcome = measured(proto, precision, DATA, tmp_path / precision, OutputDrift()).findings
        assert {f.tensor: f.verdict for f in outcome} == {"y": Verdict.PASSED, "c": verdict}


def test_what_samples_share_does_not_hold_other_checks_up(tmp_path: Path) -> None:
    names = ("batchInvariance", "extraOutput", "layerDrift", "finite")
    checks: tuple[Check, ...] = tuple(CHECKS[name]() for name in names)
    findings = measured(shared(), "fp32", DATA, tmp_path, *checks).findings
    assert {f.verdict for f in findings} == {Verdict.PASSED}, [f.message for f in findings]
    [alone] = [f for f in findings if "the same sample alone" in f.message]
    assert "left out: priors, total" in alone.message


def test_rows_are_invariant_where_steps_are_not(tmp_path: Path) -> None:
    findings = measured(time_first(), "fp32", DATA, tmp_path, CHECKS["batchInvariance"]()).findings
    assert {f.verdict for f in findings} == {Verdict.PASSED}
    assert "all 20 rows" not in findings[0].message
    assert "16 rows" in findings[0].message


@pytest.mark.parametrize("shape", [(TIME * 6,), (2, 3, TIME)])
def test_all_of_a_batch_of_one_is_its_samples(shape: tuple[int, ...], tmp_path: Path) -> None:
    nodes = [node("Reshape", "x wanted", "y")]
    proto = model(nodes, [value("x", 1, TIME, 6)], [value("y", *shape)], [constant("wanted", list(shape))])
    data = Samples({"x": random(3, TIME, 6)}, batch=1, fixed=True)
    [found] = measured(proto, "fp16", data, tmp_path, OutputDrift()).findings
    assert found.verdict is Verdict.PASSED
    assert "the worst of 3" in found.message


def test_a_batch_of_one_that_is_fixed_is_not_to_be_raised(tmp_path: Path) -> None:
    data = Samples({"x": random(3, TIME, 6)}, batch=1, fixed=True)
    [found] = measured(time_first(batch=1), "fp32", data, tmp_path, CHECKS["batchInvariance"]()).findings
    assert "fixed at 1" in found.message
    assert "raise dataset.batch" not in found.message


def cross(count: str, kind: int = TensorProto.INT64) -> onnx.ModelProto:
    """Indices of what is positive: as many rows as the data decide; as floats, their roots, which name no sample."""
    nodes = [node("NonZero", "x", "where"), node("Transpose", "where", "index", perm=[1, 0])]
    nodes += [node("Cast", "index", "number", to=kind)]
    nodes += [node("Identity" if kind == TensorProto.INT64 else "Sqrt", "number", "y")]
    return model(nodes, [value("x", "N", 2)], [value("y", count, 2, kind=kind)])


def test_a_length_that_the_data_decide_is_no_axis_of_samples(tmp_path: Path) -> None:
    x = np.ones((24, 2), np.float32)
    x[:, 1] = 0  # One for each sample, so that it matches the batch.
    x[20, 1] = 1
    proto = cross("found", TensorProto.FLOAT)
    [found] = measured(proto, "fp32", Samples({"x": x}), tmp_path, OutputDrift()).findings
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "has no sample axis" in found.message


def test_a_length_that_each_sample_decides_cannot_be_invariant(tmp_path: Path) -> None:
    x = np.ones((16, 2), np.float32)
    x[::2, 1] = 0
    findings = measured(cross("found"), "fp32", Samples({"x": x}), tmp_path, CHECKS["batchInvariance"]()).findings
    assert {f.verdict for f in findings} == {Verdict.INCONCLUSIVE}


@pytest.mark.parametrize("more", [{}, {"outputs": ("y",)}])
def test_what_cannot_be_told_is_inconclusive(more: dict[str, Any], tmp_path: Path) -> None:
    data = Samples({"x": random(16, TIME, 6)}, batch=TIME, fixed=True)
    [found] = measured(flattened(1, TIME), "fp16", data, tmp_path, OutputDrift(**more)).findings
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "has no sample axis that is known: its shape is [1, 384] for 8 samples" in found.message
