"""What ONNX Runtime's optimiser makes of a model is not golden: held against its nodes as they stand, and FP64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from assay_runner.golden.run import Golden, golden_outputs
from assay_runner.tensors import Array
from tests.models import Heard, Samples, constant, loaded, mlp, model, node, random, value

SIDE = 4
W = random(3, 3, 1, 1, seed=1)


def scaled(by: str) -> onnx.ModelProto:
    """Products that fit into FP32, of weights that do not once the scale behind them is folded in."""
    large = np.full(3, 1e20, np.float32)
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)
    behind = {
        "Mul": node("Mul", "c large", "y"),
        "BatchNormalization": node("BatchNormalization", "c large zero zero one", "y"),
    }[by]
    weights = [constant("w", W * np.float32(1e20)), constant("zero", zero), constant("one", one)]
    weights.append(constant("large", large.reshape(3, 1, 1) if by == "Mul" else large))
    x, y = (value(name, "N", 3, SIDE, SIDE) for name in "xy")
    return model([node("Conv", "x w", "c"), behind], [x], [y], weights)


def tiny(samples: int = 8) -> Array:
    return random(samples, 3, SIDE, SIDE, seed=2) * np.float32(1e-30)


def on_edges() -> tuple[onnx.ModelProto, Array]:
    """A product whose elements all lie on the edge between two steps of 8 bits: the order of its sums decides."""
    x = random(1, 256, seed=3).repeat(8, axis=0)
    codes = np.random.default_rng(4).integers(-127, 128, (256, 384)).astype(np.int8)
    exact = x[0].astype(np.float64) @ (codes * np.float64(np.float32(0.025)))
    nodes = [
        node("DequantizeLinear", "codes scale", "w"),
        node("MatMul", "x w", "p"),
        node("Add", "p edge", "e"),
        node("QuantizeLinear", "e step zero", "q"),
        node("DequantizeLinear", "q step zero", "y"),
    ]
    weights = [
        constant("codes", codes), constant("scale", np.float32(0.025)), constant("step", np.float32(1)),
        constant("zero", np.int8(0)), constant("edge", (2.5 - exact).astype(np.float32)),
    ]  # fmt: skip
    return model(nodes, [value("x", "N", 256)], [value("y", "N", 384)], weights), x


def golden(proto: onnx.ModelProto, folder: Path, x: Array, batch: int = 4) -> tuple[Golden, Array]:
    run = golden_outputs(loaded(proto, folder), Samples({"x": x}, batch=batch), "fp32", folder / "golden", Heard())
    return run, np.concatenate([outputs["y"] for _, outputs in run])


@pytest.mark.parametrize("by", ["Mul", "BatchNormalization"])
def test_weights_that_overflow_once_folded_do_not_in_golden(by: str, tmp_path: Path) -> None:
    proto, x = scaled(by), tiny()
    [optimised] = ort.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    assert not np.isfinite(optimised).all()
    exact = np.einsum("oi,nihw->nohw", W[:, :, 0, 0].astype(np.float64) * 1e40, x.astype(np.float64))
    run, found = golden(proto, tmp_path, x)
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())
    assert run.judged.literal
    assert run.judged.floors == ()
    assert run.details["provenance"]["optimised"] is False
    [note] = [note for note in run.notes if "optimisations" in note]
    assert note.startswith("golden is run without ONNX Runtime's optimisations: output 'y' has ")
    assert {entry.against for entry in run.judged.doubled or ()} == {"fp64"}


def test_a_golden_that_holds_keeps_its_optimisations(tmp_path: Path) -> None:
    made, data = loaded(mlp(), tmp_path), Samples({"x": random(16, 8)}, batch=8)
    run = golden_outputs(made, data, "fp32", tmp_path / "golden", Heard())
    list(run)
    assert run.details["provenance"]["optimised"] is True
    [floor] = run.judged.floors
    assert (floor.output, floor.against, floor.samples) == ("logits", "unoptimised", 2)
    assert floor.snr > 100
    assert run.judged.doubled is None


def test_steps_that_the_order_of_sums_decides_are_golden_s_noise(tmp_path: Path) -> None:
    """Constants that are folded are the same to the last bit, and their product is summed in another order."""
    proto, x = on_edges()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    both = [ort.InferenceSession(proto.SerializeToString(), each).run(None, {"x": x})[0] for each in (None, options)]
    if np.array_equal(*both):
        pytest.skip("this processor's kernels sum both in one order")
    run, _ = golden(proto, tmp_path, x)
    assert run.details["provenance"]["optimised"] is True
    [order] = run.judged.floors
    [double] = run.judged.doubled or ()
    assert (order.against, double.against) == ("unoptimised", "fp64")
    assert max(order.snr, double.snr) < 20
    [note] = [note for note in run.notes if note.startswith("golden's own noise is large")]
    assert "nodes that round (QuantizeLinear) make whole steps of it" in note
