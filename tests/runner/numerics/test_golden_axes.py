"""What a model declares of its samples is held against what golden does with them, and gives way where that differs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.backends import Session
from assay_runner.backends.axis_probes import Followed, followed
from assay_runner.backends.sessions import OrtSession
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.golden.axes import GoldenAxes
from assay_runner.golden.kept_axes import KeptAxes
from assay_runner.golden.own import SAMPLES
from assay_runner.golden.reference import Reference
from assay_runner.golden.run import golden_outputs
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.passes.drifts import Drifts
from assay_runner.tensors import Array, Arrays, Batch, Site
from tests.models import Heard, Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import measured

TIME = 8
"""As many steps as samples in a batch."""


def padded(name: str) -> onnx.ModelProto:
    """As many rows as samples, and more, until they are a multiple of eight."""
    nodes = [
        node("MatMul", "x w", "rows"),
        node("Shape", "rows", "shape"),
        node("Gather", "shape zero", "samples"),
        node("Neg", "samples", "less"),
        node("Mod", "less eight", "more"),
        node("Concat", "zeros more zero", "pads", axis=0),
        node("Pad", "rows pads", "y"),
    ]
    weights = [constant("zero", [0]), constant("zeros", [0, 0]), constant("eight", [8]), constant("w", random(6, 5))]
    return model(nodes, [value("x", "N", 6)], [value("y", name, 5)], weights)


def detections() -> onnx.ModelProto:
    """The rows of all samples one after the other, in a table of one size for any number of them."""
    nodes = [
        node("Reshape", "x rows", "flat"),
        node("Concat", "flat zeros", "more", axis=0),
        node("Slice", "more from to", "y"),
    ]
    sizes = {"rows": [-1, 6], "from": [0], "to": [64], "zeros": np.zeros((64, 6), np.float32)}
    weights = [constant(name, array) for name, array in sizes.items()]
    return model(nodes, [value("x", "N", TIME, 6)], [value("y", 64, 6)], weights)


def best() -> onnx.ModelProto:
    """The largest numbers of the whole batch."""
    nodes = [node("Reshape", "x rows", "flat"), node("TopK", "flat k", "y where")]
    weights = [constant("rows", [-1]), constant("k", [TIME])]
    return model(nodes, [value("x", "N", TIME, 6)], [value("y", TIME)], weights)


def regrouped(batch: int | str = "N") -> onnx.ModelProto:
    """A view that takes samples for steps and steps for samples, with nothing moved: lengths say it was."""
    nodes = [node("Relu", "x", "rows"), node("Reshape", "rows wanted", "y")]
    outputs = [value("y", TIME, batch, 6)]
    return model(nodes, [value("x", batch, TIME, 6)], outputs, [constant("wanted", [TIME, -1, 6])])


def behind_a_custom_operator(*shape: int | str) -> onnx.ModelProto:
    """(time, samples, 5), which nothing can infer."""
    nodes = [
        node("MatMul", "x w", "rows"),
        node("Transpose", "rows", "steps", perm=[1, 0, 2]),
        node("QuickGelu", "steps", "y", domain="com.microsoft"),
    ]
    made = model(nodes, [value("x", "N", TIME, 6)], [value("y", *shape)], [constant("w", random(6, 5))])
    made.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return made


def similarities() -> onnx.ModelProto:
    """Each sample against each."""
    nodes = [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "x t", "y")]
    return model(nodes, [value("x", "N", 6)], [value("y", "N", "N")], [])


def cumulated(reverse: int = 0) -> onnx.ModelProto:
    """Each sample's row is a sum of those before it, or of those behind it."""
    nodes, weights = [node("CumSum", "x axis", "y", reverse=reverse)], [constant("axis", np.array(0))]
    return model(nodes, [value("x", "N", TIME, 6)], [value("y", "N", TIME, 6)], weights)


def dead() -> onnx.ModelProto:
    """Nothing comes out, whatever goes in."""
    nodes = [node("Abs", "x", "a"), node("Neg", "a", "b"), node("Relu", "b", "y")]
    return model(nodes, [value("x", "N", TIME, 6)], [value("y", "N", TIME, 6)], [])


X = {"x": random(16, TIME, 6)}
FLAT = {"x": random(16, 6)}
HELD: dict[str, tuple[onnx.ModelProto, dict[str, Array], bool, int | str, str]] = {
    "more rows than samples": (padded("rows"), FLAT, False, 0, ""),
    "more rows than samples, declared": (padded("N"), FLAT, False, 0, ""),
    "a table of one size": (detections(), X, False, "unknown", ""),
    "the best of all": (best(), X, False, "unknown", ""),
    "regrouped": (regrouped(), X, False, 0, "axis 1 holds the samples, but golden's lie along axis 0"),
    "regrouped, of one size": (regrouped(TIME), X, True, 0, ""),
    "declared right": (behind_a_custom_operator(TIME, "N", 5), X, False, 1, ""),
    "declared wrong": (
        behind_a_custom_operator("N", TIME, 5), X, False, 1, "axis 0 holds the samples, but golden's lie along axis 1",
    ),
    "each against each": (similarities(), FLAT, False, 0, ""),
    "one after the other": (cumulated(), X, False, 0, ""),
    "the last one first": (cumulated(reverse=1), X, False, "unknown", "or depend on one another"),
    "alike": (dead(), X, False, 0, "alike whatever the order"),
}  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_what_is_declared_is_held_against_what_golden_does(case: str, tmp_path: Path) -> None:
    proto, arrays, fixed, axis, note = HELD[case]
    axes = GoldenAxes(loaded(proto, tmp_path), Samples(arrays, batch=TIME, fixed=fixed), tmp_path / "golden")
    assert axes.outputs.axes.get("y", "unknown") == axis
    assert note in "; ".join(axes.notes)
    assert bool(axes.notes) == bool(note)


@pytest.mark.parametrize("case", ["more rows than samples", "regrouped", "declared wrong"])
def test_a_sample_that_breaks_is_seen_whatever_is_declared(case: str, tmp_path: Path) -> None:
    proto, arrays, *_ = HELD[case]
    x = arrays["x"].copy()
    x[5] *= 1e-9  # FP16 has nothing that small.
    [found] = measured(proto, "fp16", Samples({"x": x}, batch=TIME), tmp_path, OutputDrift()).findings
    assert found.verdict is Verdict.FAILED
    assert "in sample 5, the worst of 16" in found.message


@pytest.mark.parametrize("case", ["a table of one size", "the best of all", "the last one first"])
def test_equal_shapes_do_not_make_a_tensor_one_that_samples_share(case: str, tmp_path: Path) -> None:
    proto, arrays, *_ = HELD[case]
    [found] = measured(proto, "fp32", Samples(arrays, batch=TIME), tmp_path, OutputDrift(outputs=("y",))).findings
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "or set dataset.batch to 1" in found.message


class Counted(Samples):
    """Data that tell how often they are read."""

    reads = 0

    def __iter__(self) -> Iterator[Batch]:
        self.reads += 1
        return super().__iter__()


def views(batch: int | str, layers: int = 6) -> onnx.ModelProto:
    """Tensors inside the graph in which no inference knows the samples."""
    nodes = [node("Reshape", "x wanted", "h0")]
    nodes += [node("Tanh" if i % 2 else "Neg", f"h{i}", f"h{i + 1}") for i in range(layers)]
    nodes.append(node("ReduceSum", f"h{layers}", "y", keepdims=0, noop_with_empty_axes=1))
    return model(nodes, [value("x", batch, TIME, 6)], [value("y", "", "", "")], [constant("wanted", [-1, 2, 24])])


@pytest.mark.parametrize("fixed", [False, True])
def test_tensors_inside_are_shown_a_few_samples_at_a_time_and_within_bounds(
    fixed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[int, int]] = []

    def noted(session: Session, batch: Batch, tensors: Collection[str], **more: Any) -> dict[str, Followed]:
        rows.append((batch.fed, len(tensors)))
        return followed(session, batch, tensors, **more)

    monkeypatch.setattr("assay_runner.golden.axes.followed", noted)
    made = loaded(views(TIME if fixed else "N"), tmp_path)
    count = TIME if fixed else 3
    limit = 2 * count * 48 * 8
    axes = GoldenAxes(made, Samples(X, batch=TIME, fixed=fixed), tmp_path / "golden", shown=limit)
    assert {axes.all.axes.get(f"h{i}") for i in range(6)} == {0}
    assert {fed for fed, _ in rows} == {count}
    assert max(shown for _, shown in rows[1:]) == 2


def test_axes_are_found_out_once_for_all_candidates(tmp_path: Path) -> None:
    data = Counted(X, batch=TIME)
    reference = Reference(loaded(views("N"), tmp_path), data, (), "fp32", tmp_path / "golden")
    assert reference.axes(inner=True).axes["y"] == reference.axes(inner=True).axes["h0"] == 0
    reads = data.reads
    assert reference.axes(inner=True) is reference.axes(inner=True)
    assert reference.axes(inner=False).axes["y"] == 0
    assert data.reads == reads


@dataclass
class Sessions:
    """What ONNX Runtime was opened and run for."""

    opened: list[Path] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    seen = Sessions()
    opening, running = OrtSession.__init__, OrtSession.run

    def opened(session: OrtSession, path: Path, *rest: Any) -> None:
        # To find out what is to be converted is no run of golden.
        if path.name != "inspected.onnx":
            seen.opened.append(path)
        opening(session, path, *rest)

    def ran(session: OrtSession, inputs: Arrays) -> dict[str, Array]:
        seen.samples.append(len(inputs["x"]))
        return running(session, inputs)

    monkeypatch.setattr(OrtSession, "__init__", opened)
    monkeypatch.setattr(OrtSession, "run", ran)
    return seen


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_a_golden_run_opens_one_session_and_one_without_optimisations(
    precision: Literal["fp32", "fp64"], tmp_path: Path, sessions: Sessions
) -> None:
    made, data = loaded(behind_a_custom_operator("N", TIME, 5), tmp_path), Samples(X, batch=TIME)
    axes = GoldenAxes(made, data, tmp_path / "axes")
    run = golden_outputs(made, data, precision, tmp_path / "golden", Heard(), axes)
    assert {kept["y"].shape[0] for _, kept in run} == {TIME}
    assert axes.outputs.axes["y"] == 1
    assert "axis 0 holds the samples, but golden's lie along axis 1" in "; ".join(run.notes)
    assert len(sessions.opened) == 2
    assert sessions.samples == [TIME, 2, *2 * [SAMPLES], TIME]


@pytest.mark.parametrize("case", HELD)
def test_a_golden_run_shows_what_two_orders_would(case: str, tmp_path: Path, sessions: Sessions) -> None:
    """Its first batch is one of them; where two samples beside it decide nothing, they are all that is run in vain."""
    proto, arrays, fixed, axis, note = HELD[case]
    made, data = loaded(proto, tmp_path), Samples(arrays, batch=TIME, fixed=fixed)
    alone = GoldenAxes(made, data, tmp_path / "alone")
    assert alone.outputs.axes.get("y", "unknown") == axis
    apart = sum(sessions.samples)
    sessions.samples.clear()
    beside = GoldenAxes(made, data, tmp_path / "beside")
    list(golden_outputs(made, data, "fp32", tmp_path / "golden", Heard(), beside))
    assert (beside.outputs.axes, beside.outputs.wrong) == (alone.outputs.axes, alone.outputs.wrong)
    assert note in "; ".join(beside.notes)
    unoptimised = 2 * (TIME if fixed else SAMPLES)
    assert sum(sessions.samples) - data.samples <= apart + 2 + unoptimised


def test_what_was_measured_is_taken_up_and_not_measured_again(tmp_path: Path, sessions: Sessions) -> None:
    made, data = loaded(views("N"), tmp_path), Samples(X, batch=TIME)
    first = GoldenAxes(made, data, tmp_path / "first")
    assert first.all.axes["h0"] == 0
    kept = KeptAxes.model_validate_json(first.kept.model_dump_json())
    sessions.opened.clear()
    second = GoldenAxes(made, data, tmp_path / "second")
    second.take(kept)
    assert (second.outputs, second.all, second.notes) == (first.outputs, first.all, first.notes)
    assert sessions.opened == []


def test_nothing_is_run_for_tensors_inside_of_which_all_is_known(tmp_path: Path) -> None:
    axes = GoldenAxes(loaded(dead(), tmp_path), Samples(X, batch=TIME), tmp_path / "golden")
    assert axes.all is axes.outputs


def test_what_a_store_cannot_hold_of_a_batch_is_said() -> None:
    """One number for all samples of a batch, which the data decide, is in no row."""
    drifts = Drifts({"total": Site("total")}, (), SampleAxes({"total": None}))
    drifts.add(Batch(0, TIME, {"x": random(TIME, 6)}), {}, {"total": np.array([3], np.float32)})
    assert "one for all samples of a batch" in drifts.unmeasured["total"]
    assert "leave golden.uri out" in drifts.unmeasured["total"]
