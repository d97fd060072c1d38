"""Outputs with as many rows as the data decide: another number of rows is measured, whatever axis holds the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from assay_api.report import Verdict
from assay_runner.checks.batch_invariance import BatchInvariance
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.evidence.reruns import Comparison, Invariance
from assay_runner.graphs.named_rows import rows_by_sample
from assay_runner.graphs.sample_axes import SampleAxes, declared_axes
from assay_runner.passes.drifts import Drifts
from assay_runner.tensors import Array, Arrays, Batch, Site
from tests.evidence import proof
from tests.models import Samples, constant, loaded, model, node, random, value
from tests.runner.numerics.candidates import measured
from tests.wire import details

ROWS = 6
ALONE = Samples({"x": random(20, ROWS, 4, seed=3)}, batch=1, fixed=True)


def kept(least: float, shape: tuple[int | str, ...] = (1, "n", 4), axis: int = 1) -> onnx.ModelProto:
    """The rows of a sample whose first number is above `least`; `shape` declares them."""
    nodes = [
        node("Slice", "x zero one two", "first"),
        node("Squeeze", "first around", "score"),
        node("Greater", "score least", "keep"),
        node("Compress", "x keep", "rows", axis=1),
        node("Squeeze", "rows zero", "y") if axis == 0 else node("Identity", "rows", "y"),
    ]
    weights = [
        *(constant(name, [number]) for name, number in (("zero", 0), ("one", 1), ("two", 2))),
        constant("around", [0, 2]),
        constant("least", np.float32(least)),
    ]
    return model(nodes, [value("x", 1, ROWS, 4)], [value("y", *shape)], weights, opset=13)


def counts(least: float, data: Samples = ALONE) -> Array:
    return np.asarray((data.arrays["x"][:, :, 0] > least).sum(axis=1))


@pytest.mark.parametrize("axis", [0, 1])
def test_another_number_of_rows_is_a_difference_that_was_measured(axis: int, tmp_path: Path) -> None:
    """With one row an output [n, 4] looks like one with its sample in front; numpy tells which samples differ."""
    least, other = 0.7, 0.72
    golden, candidate = counts(least), counts(other)
    differ = np.flatnonzero(golden != candidate)
    assert 0 < differ.size < 5
    assert {0, 1, 2} <= set(golden)
    shape = ("n", 4) if axis == 0 else (1, "n", 4)
    own = kept(other, shape, axis)
    report, [found] = measured(kept(least, shape, axis), "fp32", ALONE, tmp_path, OutputDrift(), own=own)
    assert (found.verdict, found.metric, found.value, found.limit) == (Verdict.FAILED, "otherRows", differ.size, 0)
    first = differ[0]
    assert f"{differ.size} of 20 samples hold" in found.message
    assert f"first sample {first}: {candidate[first]}, golden {golden[first]}" in found.message
    assert details(found)["otherRows"] == differ.size
    assert report.outputs[0].metrics["otherRows"].worst == differ.size
    [same] = measured(kept(least, shape, axis), "fp32", ALONE, tmp_path / "same", OutputDrift(), own=None).findings
    assert (same.verdict, same.value) == (Verdict.PASSED, np.inf)


def test_with_shares_alone_another_number_of_rows_does_not_agree(tmp_path: Path) -> None:
    differ = int((counts(0.7) != counts(0.72)).sum())
    seen = int(((counts(0.7) > 0) | (counts(0.72) > 0)).sum())
    for share, verdict in ((0.7, Verdict.PASSED), (0.99, Verdict.FAILED)):
        check = OutputDrift(top_k_agreement=share)
        [found] = measured(kept(0.7), "fp32", ALONE, tmp_path / str(share), check, own=kept(0.72)).findings
        assert (found.verdict, found.metric) == (verdict, "topKAgreement")
        assert f"in {seen - differ} of {seen} samples" in found.message


def test_no_row_anywhere_is_nothing_to_compare(tmp_path: Path) -> None:
    [found] = measured(kept(99.0), "fp16", ALONE, tmp_path, OutputDrift()).findings
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "holds no rows in any of 20 samples" in found.message
    [gained] = measured(kept(99.0), "fp32", ALONE, tmp_path / "own", OutputDrift(), own=kept(0.7)).findings
    assert (gained.verdict, gained.metric) == (Verdict.FAILED, "otherRows")


def test_a_length_that_the_model_fixes_is_another_model(tmp_path: Path) -> None:
    def wide(width: int) -> onnx.ModelProto:
        weight = constant("w", random(4, width))
        return model([node("MatMul", "x w", "y")], [value("x", 1, ROWS, 4)], [value("y", 1, ROWS, width)], [weight])

    [found] = measured(wide(5), "fp32", ALONE, tmp_path, OutputDrift(), own=wide(6)).findings
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "has shape [1, 6, 6], the golden one [1, 6, 5]" in found.message


def selected(least: float, batch: int | str = "N", whole: bool = True) -> onnx.ModelProto:
    """Boxes kept by NonMaxSuppression: [n, 3], and with `whole` [n, 6] beside it, image, box and score in each row."""
    nodes = [
        node("Slice", "x at0 at4 last", "boxes"),
        node("Slice", "x at4 at5 last", "column"),
        node("Transpose", "column", "scores", perm=[0, 2, 1]),
        node("NonMaxSuppression", "boxes scores most iou least", "chosen"),
        node("Gather", "chosen image", "images", axis=1),
        node("Gather", "chosen where", "places", axis=1),
        node("GatherND", "x places", "found"),
        node("Cast", "images", "numbers", to=TensorProto.FLOAT),
        node("Concat", "numbers found", "rows", axis=1),
    ]
    weights = [
        *(constant(f"at{number}", [number]) for number in (0, 4, 5)),
        *(constant(name, [number]) for name, number in (("last", 2), ("most", ROWS), ("image", 0))),
        constant("where", [0, 2]),
        constant("iou", np.array([0.9], np.float32)),
        constant("least", np.array([least], np.float32)),
    ]
    outputs = [value("chosen", "n", 3, kind=TensorProto.INT64), value("rows", "n", 6)]
    return model(nodes, [value("x", batch, ROWS, 5)], outputs[: 1 + whole], weights, opset=13)


def boxes(samples: int = 20) -> Array:
    rng = np.random.default_rng(5)
    corners = rng.random((samples, ROWS, 2)) * 100
    return np.concatenate([corners, corners + 10, rng.random((samples, ROWS, 1))], axis=2).astype(np.float32)


@pytest.mark.parametrize(("batch", "fixed"), [(1, True), (1, False), (8, False), (8, True)])
def test_rows_that_name_their_sample_are_judged_by_sample(batch: int, fixed: bool, tmp_path: Path) -> None:
    """Whatever else is in the batch, rows of padding among it: each sample has its rows, and numpy counts them."""
    x = boxes()
    least, other = np.sort(x[:, :, 4].reshape(-1))[[-40, -37]] + 1e-4
    golden, candidate = ((x[:, :, 4] > bar).sum(axis=1) for bar in (least, other))
    differ = np.flatnonzero(golden != candidate)
    assert differ.size == 3
    axis = batch if fixed else "N"
    data = Samples({"x": x}, batch=batch, fixed=fixed)
    findings = measured(
        selected(least, axis), "fp32", data, tmp_path, OutputDrift(), own=selected(other, axis)
    ).findings
    found = {finding.tensor: finding for finding in findings}
    told = f"3 of 20 samples hold another number of rows, first sample {differ[0]}"
    for finding in found.values():
        assert finding.verdict is Verdict.FAILED
        assert f"{told}: {candidate[differ[0]]}, golden {golden[differ[0]]}" in finding.message
    assert found["chosen"].value == 17 / 20
    same = measured(selected(least, axis), "fp32", data, tmp_path / "same", OutputDrift()).findings
    assert {finding.verdict for finding in same} == {Verdict.PASSED}


def test_only_what_the_model_says_names_a_sample(tmp_path: Path) -> None:
    """A first column that looks like one is none: here it is the class."""
    proto = selected(0.5)
    assert declared_axes(loaded(proto, tmp_path / "a").path).rows.keys() >= {"chosen", "images", "numbers", "rows"}
    image = next(weight for weight in proto.graph.initializer if weight.name == "image")
    image.CopyFrom(constant("image", [1]))
    assert declared_axes(loaded(proto, tmp_path / "b").path).rows.keys() == {"chosen", "places"}


WAYS: dict[str, tuple[list[onnx.NodeProto], bool]] = {
    "slice": ([node("Slice", "chosen zero one one", "images")], True),
    "slice of another": ([node("Slice", "chosen one two one", "images")], False),
    "number": ([node("Gather", "chosen nought", "list", axis=1), node("Unsqueeze", "list one", "images")], True),
    "view": ([node("Gather", "chosen nought", "list", axis=1), node("Reshape", "list tall", "images")], True),
    "number of another": (
        [node("Gather", "chosen unit", "list", axis=1), node("Unsqueeze", "list one", "images")],
        False,
    ),
    "split": ([node("Split", "chosen parts", "images others", axis=1)], True),
    "turned": (
        [
            node("Transpose", "chosen", "turned", perm=[1, 0]),
            node("Gather", "turned zero", "row", axis=0),
            node("Squeeze", "row zero", "list"),
            node("Unsqueeze", "list one", "images"),
        ],
        True,
    ),
    "some of them": (
        [
            node("Slice", "chosen zero two zero", "some"),
            node("Compress", "some flags", "kept", axis=0),
            node("Gather", "kept zero", "images", axis=1),
        ],
        True,
    ),
    "a sum": ([node("Gather", "chosen zero", "list", axis=1), node("Add", "list one", "images")], False),
}


@pytest.mark.parametrize("way", WAYS)
def test_samples_are_named_through_what_leaves_rows_whole(way: str, tmp_path: Path) -> None:
    nodes, named = WAYS[way]
    proto = selected(0.5, whole=False)
    del proto.graph.node[4:]
    proto.graph.node.extend([*nodes, node("Concat", "images images", "y", axis=1)])
    numbers = {"zero": [0], "one": [1], "two": [2], "nought": 0, "unit": 1, "tall": [-1, 1], "parts": [1, 2]}
    proto.graph.initializer.extend(constant(name, np.array(number)) for name, number in numbers.items())
    proto.graph.initializer.append(constant("flags", np.array([True, True])))
    proto.graph.output.append(value("y", "n", 2, kind=TensorProto.INT64))
    made = loaded(proto, tmp_path)
    assert ("y" in declared_axes(made.path).rows) is named
    if named:
        chosen, found = ort.InferenceSession(str(made.path)).run(["chosen", "y"], {"x": boxes(4)})
        np.testing.assert_array_equal(found[:, 0], chosen[: len(found), 0])


def test_rows_of_each_sample() -> None:
    rows = np.array([[1, 10], [0, 11], [1, 12], [3, 13]])
    found = [list(each[:, 1]) for each in rows_by_sample(rows, 0, 3)]
    assert found == [[11], [10, 12], []]
    assert [list(each[:, 1]) for each in rows_by_sample(rows.T, 1, 3)] == found


def test_another_number_of_rows_in_another_batch_is_not_the_same(tmp_path: Path) -> None:
    drifts = Drifts({"y": Site("y")}, (), SampleAxes({"y": 0}))
    batch = Batch(0, 2, {"x": np.zeros((2, 1), np.float32)})
    given: list[Arrays] = [{"y": np.ones((2, rows, 3), np.float32)} for rows in (4, 5)]
    drifts.add(batch, *given)
    same = Comparison(drifts.result(), ("row 0", "row 1"), {}, drifts.unmeasured, {})
    check = BatchInvariance()
    [found] = check.judge(proof(Invariance(same, None, ()), check=check, samples=2))
    assert (found.verdict, found.metric, found.value) == (Verdict.FAILED, "otherRows", 2)
    assert "5 against 4" in found.message


@pytest.mark.parametrize(("kind", "sizes"), [("f", [3, 0, 1, 2]), ("i", [0, 1, 0]), ("f", [0, 0])])
def test_rows_of_every_number_are_compared(kind: str, sizes: list[int], tmp_path: Path) -> None:
    drifts = Drifts({"y": Site("y")}, {1}, SampleAxes({}))
    for start, size in enumerate(sizes):
        array: Any = np.full((size, 3), 7, "int64" if kind == "i" else "float32")
        whole = array if len(array) == 1 else array[None]
        drifts.add(Batch(start, 1, {"x": np.zeros((1, 1))}), {"y": whole}, {"y": array})
    [found] = drifts.result()
    assert (found.samples, found.resized, drifts.unmeasured) == (len(sizes), None, {})
    assert list(found.measured) == ([] if kind == "i" else [n for n, size in enumerate(sizes) if size])


def test_the_bare_model_agrees_with_numpy(tmp_path: Path) -> None:
    """What the other tests take for granted of NonMaxSuppression."""
    path = loaded(selected(0.5), tmp_path).path
    x = boxes(4)
    [chosen, rows] = ort.InferenceSession(str(path)).run(None, {"x": x})
    assert sorted(rows[:, 0]) == sorted(np.repeat(np.arange(4), (x[:, :, 4] > 0.5).sum(axis=1)))
    np.testing.assert_array_equal(rows[:, 0], chosen[:, 0])
