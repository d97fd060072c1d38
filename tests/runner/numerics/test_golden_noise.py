"""Golden's own noise: measured against FP64 and in another order, and no limit below it judged by golden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from assay_api.entries import FloorEntry
from assay_runner.checks.golden_floor import floor_figures, golden_noise
from assay_runner.golden.axes import GoldenAxes
from assay_runner.golden.noise import PRESUMED, against_double, floor, near
from assay_runner.golden.run import golden_outputs
from assay_runner.tensors import Array
from tests.models import Heard, Samples, branching, constant, loaded, mlp, model, node, random, value

WIDTH, LARGE = 64, 1e5


def cancelling() -> onnx.ModelProto:
    """Sums of large terms, of which all but a millionth cancels where both halves of a sample are alike."""
    weights = np.round(LARGE * random(WIDTH, 3, seed=3))
    both = np.concatenate([weights, random(WIDTH, 3, seed=4) - weights]).astype(np.float32)
    shape = [value("x", "N", 2 * WIDTH)], [value("y", "N", 3)]
    return model([node("MatMul", "x w", "y")], *shape, [constant("w", both)])


def halves(samples: int = 16) -> dict[str, Array]:
    half = random(samples, WIDTH, seed=5)
    return {"x": np.concatenate([half, half], axis=1)}


def snr(exact: Array, found: Array) -> Array:
    """By numpy, in dB, a figure per sample."""
    noise = ((found.astype(np.float64) - exact) ** 2).sum(axis=1)
    return np.asarray(10 * np.log10((exact**2).sum(axis=1) / noise))


def weights_of(proto: onnx.ModelProto) -> Array:
    return onnx.numpy_helper.to_array(proto.graph.initializer[0]).astype(np.float64)


def test_the_floor_against_fp64_is_numpys(tmp_path: Path) -> None:
    proto, x = cancelling(), halves()
    exact = x["x"].astype(np.float64) @ weights_of(proto)
    [bare] = ort.InferenceSession(proto.SerializeToString()).run(None, x)
    made, data = loaded(proto, tmp_path), Samples(x, batch=16)
    axes = GoldenAxes(made, data, tmp_path / "axes").outputs
    [found], notes = against_double(made, data, axes, tmp_path / "noise", 16)
    assert notes == ()
    assert (found.output, found.against, found.samples) == ("y", "fp64", 16)
    assert found.snr == pytest.approx(snr(exact, bare).min(), abs=0.1)
    assert found.max_abs == pytest.approx(np.abs(bare - exact).max(), rel=1e-6)
    assert 20 < found.snr < 80


def test_a_golden_run_tells_how_far_other_orders_are(tmp_path: Path) -> None:
    made, data = loaded(mlp(), tmp_path), Samples({"x": random(16, 8)}, batch=8)
    axes = GoldenAxes(made, data, tmp_path / "axes")
    list(golden_outputs(made, data, "fp32", tmp_path / "golden", Heard(), axes))
    [found] = axes.kept.floors
    assert (found.output, found.against, found.samples) == ("logits", "reordered", 2)
    assert found.snr > 120


def test_what_cannot_be_run_in_fp64_is_said(tmp_path: Path) -> None:
    made, data = loaded(branching(), tmp_path), Samples({"x": np.abs(random(3, 4))})
    axes = GoldenAxes(made, data, tmp_path / "axes").outputs
    _, [note] = against_double(made, data, axes, tmp_path / "noise", 2)
    assert "y.node (If)" in note


def test_a_golden_that_overflows_is_told_to_be_run_in_fp64(tmp_path: Path) -> None:
    proto = model([node("Mul", "x x", "s"), node("Sqrt", "s", "y")], [value("x", "N", 4)], [value("y", "N", 4)])
    made, data = loaded(proto, tmp_path), Samples({"x": np.full((8, 4), 1e30, np.float32)})
    axes = GoldenAxes(made, data, tmp_path / "axes").outputs
    _, [note] = against_double(made, data, axes, tmp_path / "noise", 2)
    assert note == "golden holds NaN or Inf in FP32, and numbers in FP64, in outputs y: set golden.precision: fp64"


def test_integers_and_what_is_random_have_no_floor(tmp_path: Path) -> None:
    assert floor("y", "fp64", np.array([[1]]), np.array([[2]])) is None
    nodes = [node("RandomNormalLike", "x", "noise"), node("Add", "x noise", "y"), node("Neg", "x", "z")]
    proto = model(nodes, [value("x", "N", 6)], [value("y", "N", 6), value("z", "N", 6)])
    made, data = loaded(proto, tmp_path), Samples({"x": random(16, 6)})
    axes = GoldenAxes(made, data, tmp_path / "axes").outputs
    found, _ = against_double(made, data, axes, tmp_path / "noise", 2)
    assert [entry.output for entry in found] == ["z"]


def entry(**figures: float) -> FloorEntry:
    usual = {"max_abs": 1e-6, "max_rel": 1e-3, "cosine": 1 - 1e-12, "psnr": 140.0, "snr": 120.0}
    return FloorEntry(output="t", against="fp64", samples=2, **{**usual, **figures})


@pytest.mark.parametrize(
    ("metric", "value", "limit", "explains"),
    [
        ("snr", 119, 130, True),
        ("snr", 135, 130, True),
        ("snr", 101, 130, True),
        ("snr", 99, 130, False),
        ("snr", 99, 110, None),
        ("psnr", 139, 150, True),
        ("maxAbs", 2e-6, 1e-7, True),
        ("maxAbs", 2e-5, 1e-7, False),
        ("maxAbs", 2e-5, 1e-5, None),
        ("maxAbs", 2e-6, 0, True),
        ("maxRel", 2e-3, 1e-4, True),
        ("cosine", 1 - 4e-12, 1 - 1e-13, True),
        ("cosine", 0.99, 1 - 1e-13, False),
        ("cosine", 0.99, 0.999, None),
        ("topKAgreement", 0.5, 0.9, None),
    ],
)
def test_a_limit_below_the_floor(metric: str, value: float, limit: float, explains: bool | None) -> None:
    found = golden_noise([entry()], metric, value, limit, str)
    assert (None if found is None else found.explains) is explains


def test_golden_in_another_order_has_no_finer_precision_to_offer() -> None:
    found = golden_noise([entry().model_copy(update={"against": "reordered"})], "snr", 110, 130, str)
    assert found is not None
    assert "in another order and batch" in found.told
    assert "fp64" not in found.way_out


@pytest.mark.parametrize(
    ("double", "reordered", "taken"),
    [
        (None, 120, ["reordered"]),
        (None, 60, []),
        (130, 120, ["fp64", "reordered"]),
        (130, 100, ["fp64"]),
        (50, 45, ["fp64", "reordered"]),
        (float("inf"), 125, ["fp64", "reordered"]),
        (float("inf"), 90, ["fp64"]),
    ],
)
def test_samples_that_depend_on_one_another_are_no_noise(
    double: float | None, reordered: float, taken: list[str]
) -> None:
    """A candidate is fed the batches that golden was."""
    found = [entry(snr=double)] if double is not None else []
    found.append(entry(snr=float(reordered)).model_copy(update={"against": "reordered"}))
    assert list(floor_figures(found, "snr")) == taken


def test_a_batch_that_decides_a_little_is_looked_at_in_fp64(tmp_path: Path) -> None:
    """Of a golden run alone it cannot be told from noise."""
    nodes = [
        node("ReduceMean", "x", "mean", axes=[0]), node("Mul", "mean small", "little"), node("Add", "x little", "y"),
    ]  # fmt: skip
    proto = model(nodes, [value("x", "N", 6)], [value("y", "N", 6)], [constant("small", np.float32(1e-3))])
    made, data = loaded(proto, tmp_path), Samples({"x": random(16, 6)}, batch=16)
    axes = GoldenAxes(made, data, tmp_path / "axes")
    list(golden_outputs(made, data, "fp32", tmp_path / "golden", Heard(), axes))
    [order] = axes.kept.floors
    [double], _ = against_double(made, data, axes.outputs, tmp_path / "noise", 2)
    assert order.snr < PRESUMED < 130 < double.snr
    assert floor_figures([double, order], "snr") == {"fp64": double.snr}


@pytest.mark.parametrize(
    ("metric", "limit", "peak", "told"),
    [
        ("snr", 17, 1, False), ("snr", 100, 1, True), ("psnr", 60, 1, False), ("psnr", 100, 1, True),
        ("cosine", 0.9999, 1, False), ("cosine", 1, 1, True), ("maxAbs", 0.01, 10, False), ("maxAbs", 0.01, 1e3, True),
        ("maxAbs", 0, 0.001, True), ("maxRel", 0.05, 1, False), ("maxRel", 1e-4, 1, True), ("equal", 1, 1, False),
    ],
)  # fmt: skip
def test_limits_that_golden_may_not_hold(metric: str, limit: float, peak: float, told: bool) -> None:
    assert near(metric, limit, peak) is told
