"""Which node makes a large error of a small one, and where errors do add up; the figures are numpy's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.model import parse
from assay_api.report import Finding, Verdict
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.tensors import Array
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import measured
from tests.wire import details

X = random(64, 16)
WEIGHT = random(16, 16, seed=1, scale=0.3)


def drift(proto: onnx.ModelProto, precision: str, inputs: dict[str, Array], folder: Path, **limits: Any) -> Finding:
    [found] = measured(proto, precision, Samples(inputs), folder, parse(LayerDrift, limits)).findings
    return found


def chain(*nodes: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    weights = [constant("w", WEIGHT), *(constant(name, np.asarray(array)) for name, array in constants.items())]
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights)


def snr(golden: Array, other: Array) -> float:
    wide = golden.astype(np.float64)
    return float(10 * np.log10((wide**2).sum() / ((other - wide) ** 2).sum()))


RECIPROCAL = chain(
    node("MatMul", "x w", "h"),
    node("Mul", "h h", "p"),
    node("Add", "p big", "a"),
    node("Sub", "a less", "d"),
    node("Reciprocal", "d", "r"),
    node("MatMul", "r w", "y"),
    big=np.float32(40),
    less=np.float32(39.99),
)
COSINE = chain(node("Mul", "x f", "angle"), node("Cos", "angle", "c"), node("MatMul", "c w", "y"), f=np.float32(3.3))
LOGARITHM = chain(
    node("Mul", "x k", "g"),
    node("Add", "g one", "a"),
    node("Log", "a", "l"),
    node("MatMul", "l w", "y"),
    one=np.float32(1),
    k=np.float32(5e-4),
)
DIFFERENCE = chain(
    node("Add", "x big", "a"),
    node("MatMul", "a w", "h"),
    node("ReduceMean", "h", "m", axes=[0], keepdims=1),
    node("Sub", "h m", "d"),
    node("MatMul", "d w", "y"),
    big=np.float32(300),
)
POSITIONS = np.arange(64 * 16, dtype=np.float32).reshape(64, 16)


@pytest.mark.parametrize(
    ("proto", "precision", "x", "tensor", "comes", "op"),
    [
        (RECIPROCAL, "bf16", X, "r", "d", "Reciprocal"),
        (COSINE, "fp16", POSITIONS, "c", "angle", "Cos"),
        (COSINE, "bf16", POSITIONS, "c", "angle", "Cos"),
        (LOGARITHM, "bf16", X, "l", "a", "Log"),
        (LOGARITHM, "fp16", X, "l", "a", "Log"),
        (DIFFERENCE, "bf16", X, "d", "h", "Sub"),
    ],
)
def test_what_amplifies_is_named_with_what_it_amplifies(
    proto: onnx.ModelProto, precision: str, x: Array, tensor: str, comes: str, op: str, tmp_path: Path
) -> None:
    found = drift(proto, precision, {"x": x}, tmp_path)
    assert (found.verdict, found.tensor, found.metric) == (Verdict.FAILED, tensor, "accumulatedSnr")
    assert f"tensor '{tensor}' of node '{tensor}.node' ({op}) amplifies the error: its input, tensor '{comes}'" in (
        found.message
    )
    assert "it adds up" not in found.message
    first = details(found)["amplifiers"][0]
    assert (first["tensor"], first["input"], first["op"]) == (tensor, comes, op)
    if isinstance(first["snr"], float):
        assert first["amplification"] == pytest.approx(first["inputSnr"] - first["snr"])
        assert first["amplification"] > 30
    assert first["localSnr"] > 45


def test_the_figures_of_an_amplifier_are_those_of_its_two_tensors(tmp_path: Path) -> None:
    found = drift(COSINE, "fp16", {"x": POSITIONS}, tmp_path)
    half = (POSITIONS * np.float32(np.float16(3.3))).astype(np.float16).astype(np.float32)
    angle = POSITIONS * np.float32(3.3)
    [first] = details(found)["amplifiers"]
    assert first["inputSnr"] == pytest.approx(snr(angle, half), abs=0.01)
    assert first["snr"] == pytest.approx(snr(np.cos(angle), np.cos(half)), abs=0.05)
    assert found.value == first["snr"]
    assert f"has {snr(angle, half):.1f} dB, and it has {snr(np.cos(angle), np.cos(half)):.1f} dB" in found.message


def test_a_graph_input_whose_rounding_is_amplified_is_named(tmp_path: Path) -> None:
    proto = chain(node("Cos", "x", "c"), node("MatMul", "c w", "y"))
    angles = POSITIONS * np.float32(4.1)
    found = drift(proto, "fp16", {"x": angles}, tmp_path)
    assert (found.tensor, found.metric) == ("c", "localSnr")
    rounded = snr(angles, angles.astype(np.float16).astype(np.float32))
    assert f"it amplifies the rounding of graph input 'x' to fp16, which leaves that {rounded:.1f} dB" in found.message


def test_an_error_that_rounding_a_graph_input_does_not_make_is_not_laid_to_it(tmp_path: Path) -> None:
    proto = chain(node("Mul", "x large", "h"), node("Mul", "h small", "y"), large=np.float32(2), small=np.float32(1e-8))
    found = drift(proto, "fp16", {"x": X}, tmp_path)
    assert found.tensor == "y"
    one = chain(node("Mul", "x small", "y"), small=np.float32(1e-8))
    found = drift(one, "fp16", {"x": X}, tmp_path / "one")
    assert (found.verdict, found.tensor, found.metric) == (Verdict.FAILED, "y", "localSnr")
    assert "rounding" not in found.message


def deep(layers: int) -> onnx.ModelProto:
    turns = {f"w{i}": np.linalg.qr(random(16, 16, seed=i))[0].astype(np.float32) for i in range(layers)}
    names = ["x", *(f"h{i}" for i in range(layers - 1)), "y"]
    return chain(*(node("MatMul", f"{names[i]} w{i}", names[i + 1]) for i in range(layers)), **turns)


def test_errors_of_many_nodes_are_said_to_add_up_only_where_they_do(tmp_path: Path) -> None:
    found = drift(deep(40), "bf16", {"x": X}, tmp_path, snr=45)
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "y")
    assert "it adds up: those of 40 tensors come to" in found.message
    assert "amplifies" not in found.message
    assert "amplifiers" not in details(found)


def test_one_that_is_most_of_an_error_is_named_though_it_is_within_its_limit(tmp_path: Path) -> None:
    proto = chain(node("Add", "x big", "a"), node("Sub", "a big", "h"), node("MatMul", "h w", "y"), big=np.float32(1e3))
    found = drift(proto, "fp16", {"x": X}, tmp_path, snr=35, localSnr=0)
    assert "it adds up" not in found.message
    assert "tensor 'h' of node 'h.node' (Sub) amplifies the error: its input, tensor 'a'" in found.message


def test_a_tensor_near_the_limit_is_explained_though_it_passes(tmp_path: Path) -> None:
    proto = chain(node("Add", "x big", "a"), node("Sub", "a big", "y"), big=np.float32(600))
    found = drift(proto, "fp16", {"x": X}, tmp_path)
    # From 512 on FP16 holds every half: the noise is 1/48 against the power of x, which is 1.
    assert (found.verdict, found.tensor) == (Verdict.PASSED, "y")
    assert found.value == pytest.approx(10 * np.log10(48), abs=0.5)
    assert "its node amplifies the error: its input, tensor 'a' of node 'a.node' (Add), has" in found.message


def test_an_overflow_is_no_amplification(tmp_path: Path) -> None:
    proto = chain(node("MatMul", "x w", "h"), node("Mul", "h large", "y"), large=np.float32(5e4))
    found = drift(proto, "fp16", {"x": X}, tmp_path)
    assert (found.verdict, found.tensor, found.metric) == (Verdict.FAILED, "y", "localSnr")
    assert "amplifies" not in found.message
    assert "amplifiers" not in details(found)
