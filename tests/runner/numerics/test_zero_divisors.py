"""An epsilon that a format makes zero: named as the cause, by every check, with a cure that works."""

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
from tests.models import Samples, constant, layer_norm, model, node, random, value
from tests.runner.numerics.candidates import candidate, measured

CHECKS = (Finite(), OutputDrift(), LayerDrift(), Fp16Range())
TINY = np.float32(1e-12)


def findings(
    proto: onnx.ModelProto, folder: Path, data: Any = None, precision: str = "fp16", **held: Any
) -> dict[str, Finding]:
    samples = Samples({"x": rows() if data is None else data}, batch=4)
    asked = candidate(precision, **({"backend": "tensorrt"} | held if held else {}))
    return {f.check: f for f in measured(proto, asked, samples, folder, *CHECKS).findings}


def rows(fill: float = 0.0) -> Any:
    """Samples 2 and 7 are constant."""
    data = random(9, 16)
    data[[2, 7]] = fill
    return data


def small(nodes: str, *weights: onnx.TensorProto, opset: int = 17) -> onnx.ModelProto:
    """Nodes as in `Add x eps -> a; Sqrt a -> r`, from x to y."""
    made = []
    for line in nodes.split(";"):
        op, *rest = line.split("->")[0].split()
        given: dict[str, Any] = {k: float(v) for k, v in (word.split("=") for word in rest if "=" in word)}
        given |= {"axes": [1]} if op.startswith("Reduce") else {}
        inputs = " ".join(word for word in rest if "=" not in word)
        made.append(node(op, inputs, line.split("->")[1].strip(), **given))
    return model(made, [value("x", "N", 16)], [value("y", "N", 16)], weights, opset)


def tiny(name: str = "eps", of: Any = TINY) -> onnx.TensorProto:
    return constant(name, of)


def normalised(eps: float = 1e-12) -> onnx.ModelProto:
    """A decomposed LayerNormalization with such an epsilon."""
    proto = layer_norm()
    proto.graph.initializer[1].CopyFrom(constant("epsilon", np.float32(eps)))
    return proto


SQUARES = "Mul x x -> s; ReduceMean s -> v"
GUARDED: dict[str, tuple[onnx.ModelProto, str]] = {
    "layer norm": (normalised(), "weight 'epsilon' (1e-12), which node 'safe.node' (Add) reads, is 0 in fp16"),
    "reciprocal": (
        small(f"{SQUARES}; Add v eps -> a; Sqrt a -> r; Reciprocal r -> i; Mul x i -> y", tiny()),
        "weight 'eps' (1e-12), which node 'a.node' (Add) reads, is 0 in fp16",
    ),
    "power": (
        small(f"{SQUARES}; Add eps v -> a; Pow a half -> i; Mul x i -> y", tiny(), constant("half", np.float32(-0.5))),
        "weight 'eps' (1e-12), which node 'a.node' (Add) reads, is 0 in fp16",
    ),
    "clip": (
        small("ReduceL2 x -> n; Clip n eps -> c; Expand c size -> e; Div x e -> y", tiny(), constant("size", [1, 16])),
        "weight 'eps' (1e-12), which node 'c.node' (Clip) reads, is 0 in fp16",
    ),
    "clip attribute": (
        small("ReduceL2 x -> n; Clip n min=1e-12 -> c; Div x c -> y", opset=9),
        "attribute min = 1e-12 of node 'c.node' (Clip) is 0 in fp16",
    ),
    "max": (
        small("ReduceL2 x -> n; Max n eps -> c; Div x c -> y", tiny()),
        "weight 'eps' (1e-12), which node 'c.node' (Max) reads, is 0 in fp16",
    ),
    "logarithm": (
        small("Abs x -> m; Add m eps -> a; Log a -> y", tiny(of=np.full(16, 1e-10, np.float32))),
        "weight 'eps' (1e-10), which node 'a.node' (Add) reads, is 0 in fp16",
    ),
    "double": (
        small("ReduceL2 x -> n; Cast eps to=1 -> e; Max n e -> c; Div x c -> y", tiny(of=np.float64(1e-12))),
        "weight 'eps' (1e-12), which node 'e.node' (Cast) reads, is 0 in fp16",
    ),
}
for made in GUARDED["double"][0].graph.node:
    for attribute in made.attribute:
        if attribute.name == "to":
            attribute.CopyFrom(onnx.helper.make_attribute("to", onnx.TensorProto.FLOAT))


@pytest.mark.parametrize("case", GUARDED)
def test_an_epsilon_that_vanishes_is_the_cause(case: str, tmp_path: Path) -> None:
    proto, said = GUARDED[case]
    found = findings(proto, tmp_path)
    assert {f.verdict for f in found.values()} == {Verdict.FAILED}
    for check in ("finite", "fp16Range", "layerDrift"):
        assert said in found[check].message, found[check].message
        assert "such as 1e-5" in found[check].message
        assert "it adds up" not in found[check].message
    assert "in 2 of 9 samples, first in sample 2" in found["finite"].message
    assert "in 2 of 9 samples, first in sample 2" in found["fp16Range"].message
    assert {f.verdict for f in findings(proto, tmp_path / "b", precision="bf16").values()} == {Verdict.PASSED}


def test_the_cures_cure(tmp_path: Path) -> None:
    said = findings(normalised(), tmp_path)["fp16Range"].message
    nodes = ["safe.node", "deviation.node", "y.node"]
    assert "hold nodes 'safe.node', 'deviation.node' and 'y.node' together to fp32" in said
    held = findings(normalised(), tmp_path / "held", layers=[{"nodes": n, "precision": "fp32"} for n in nodes])
    assert {f.verdict for f in held.values()} == {Verdict.PASSED}, held
    alone = findings(normalised(), tmp_path / "alone", layers=[{"nodes": "y.node", "precision": "fp32"}])
    assert {f.verdict for f in alone.values()} == {Verdict.FAILED}
    larger = findings(normalised(1e-5), tmp_path / "larger")
    assert {f.verdict for f in larger.values()} == {Verdict.PASSED}, larger


def test_an_epsilon_that_no_sample_needs_harms_nothing(tmp_path: Path) -> None:
    found = findings(normalised(), tmp_path, random(9, 16))
    assert {f.verdict for f in found.values()} == {Verdict.PASSED}
    message = found["fp16Range"].message
    assert "FP16 holds 9 of the 10 weights and tensors" in message, message
    assert "weight 'epsilon', which node 'safe.node' (Add) reads, becomes 0 (1e-12)" in message


def test_a_constant_that_something_is_multiplied_by(tmp_path: Path) -> None:
    """What it makes fits, 1e4 times 1e-8, and the constant does not."""
    weights = (constant("small", np.float32(1e-8)), constant("large", np.float32(1e4)))
    found = findings(small("Mul x small -> a; Mul a large -> y", *weights), tmp_path, random(9, 16) * np.float32(1e4))
    assert found["outputDrift"].verdict is Verdict.FAILED
    assert (found["fp16Range"].verdict, found["fp16Range"].tensor) == (Verdict.FAILED, "small")
    assert "weight 'small', which node 'a.node' (Mul) reads, loses small values in fp16" in found["fp16Range"].message
    assert "keep its readers in a wider precision" in found["fp16Range"].message


def test_a_constant_that_is_held_with_few_bits(tmp_path: Path) -> None:
    proto = small("Mul x small -> a; Add x a -> y", constant("small", np.float32(1e-7)))
    message = findings(proto, tmp_path, random(9, 16) * 100)["fp16Range"].message
    assert "FP16 holds 3 of the 4 weights and tensors" in message, message
    assert "weight 'small', which node 'a.node' (Mul) reads, becomes 1.192e-7 (1e-7)" in message


def test_what_golden_divides_by_zero_itself_is_no_news(tmp_path: Path) -> None:
    found = findings(small("ReduceL2 x -> n; Div x n -> y"), tmp_path)
    assert {f.verdict for f in found.values()} == {Verdict.PASSED}, found


def test_a_divisor_without_an_epsilon(tmp_path: Path) -> None:
    data = random(9, 16, scale=1e-3)
    data[4] *= np.float32(1e-7)
    found = findings(
        small("Mul x ten -> t; ReduceL2 t -> n; Div t n -> y", constant("ten", np.float32(10))), tmp_path, data
    )
    assert "tensor 'n' of node 'n.node' (ReduceL2) becomes 0 in fp16 in 1 of 9 elements" in found["fp16Range"].message
    assert "in 1 of 9 samples, first in sample 4" in found["fp16Range"].message
    assert "node 'y.node' (Div) divides by it" in found["fp16Range"].message
    assert "tensor 'n', which it divides by, becomes 0 in fp16" in found["finite"].message


@pytest.mark.parametrize("mean", ["ReduceMean q -> s", "ReduceSum q -> t; Div t size -> s"], ids=["mean", "quotient"])
def test_what_vanishes_before_the_divisor_is_held_too(mean: str, tmp_path: Path) -> None:
    """Of squares that are zero already their mean is zero, whatever it is held to: the advice names all, and cures."""
    data = random(9, 16)
    data[4] *= np.float32(5e-5)
    opset = 17 if "size" not in mean else 11  # Axes of a sum are an attribute up to there.
    proto = small(f"Mul x x -> q; {mean}; Sqrt s -> n; Div x n -> y", constant("size", np.float32(16)), opset=opset)
    nodes = [each.name for each in proto.graph.node]
    found = findings(proto, tmp_path / "none", data)
    listed = f"{', '.join(f'{name!r}' for name in nodes[:-1])} and {nodes[-1]!r}"
    for check in ("finite", "fp16Range"):
        assert f"hold nodes {listed} together to fp32" in found[check].message
    for first, verdict in ((1, Verdict.FAILED), (0, Verdict.PASSED)):
        held = [{"nodes": name, "precision": "fp32"} for name in nodes[first:]]
        assert findings(proto, tmp_path / str(first), data, layers=held)["finite"].verdict is verdict


def test_a_large_quotient_is_no_fault_of_an_epsilon(tmp_path: Path) -> None:
    """Golden's own quotient is beyond FP16, so that another epsilon would not help."""
    data = np.abs(random(9, 16)) * 1e-3
    proto = small("Mul x small -> v; Add v eps -> a; Div x a -> y", tiny(), constant("small", np.float32(1e-6)))
    found = findings(proto, tmp_path, data.astype(np.float32))
    assert "eps" not in found["finite"].message, found["finite"].message


def inside(op: str, *weights: int, opset: int = 17, ir: int = 8, **given: Any) -> onnx.ModelProto:
    """A normalisation of planes, two of which are constant."""
    names = [f"w{number}" for number in range(len(weights))]
    nodes = [
        node("Reshape", "x planes", "p"),
        node(op, " ".join(("p", *names)), "n", **given),
        node("Reshape", "n rows", "y"),
    ]
    constants = [constant("planes", np.array([-1, 2, 8])), constant("rows", np.array([-1, 16]))]
    constants += [constant(n, np.ones(size, np.float32)) for n, size in zip(names, weights, strict=True)]
    proto = model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], constants, opset)
    proto.ir_version = ir
    return proto


INSIDE: dict[str, tuple[onnx.ModelProto, str, float, bool]] = {
    "instance": (inside("InstanceNormalization", 2, 2, epsilon=1e-12), "the variance and epsilon", 1e-12, False),
    "layer": (inside("LayerNormalization", 8, epsilon=1e-12), "the variance and epsilon", 1e-12, True),
    "group": (
        inside("GroupNormalization", 2, 2, opset=21, ir=10, num_groups=2, epsilon=1e-10),
        "the variance and epsilon",
        1e-10,
        True,
    ),
    "root": (
        inside("RMSNormalization", 8, opset=23, ir=10, epsilon=1e-9), "the mean of squares and epsilon", 1e-9, True
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INSIDE)
@pytest.mark.parametrize(
    ("accumulator", "verdict"),
    [("unknown", Verdict.INCONCLUSIVE), ("fp16", Verdict.FAILED), ("fp32", Verdict.PASSED)],
)
def test_an_epsilon_that_is_an_attribute(case: str, accumulator: Any, verdict: Verdict, tmp_path: Path) -> None:
    proto, what, size, wide = INSIDE[case]
    data = Samples({"x": rows()}, batch=4)
    [found] = measured(proto, "fp16", data, tmp_path, Fp16Range(accumulator=accumulator)).findings
    assert found.verdict is (Verdict.PASSED if wide else verdict), found.message
    assert f"{what} by which node 'n.node'" in found.message
    assert (
        f"divides is {size:g} in 2 of 9 samples, first in sample 2, which FP16 makes 0".replace("e-0", "e-")
        in found.message
    )
    assert ("1e-5 for example" in found.message) is (found.verdict is not Verdict.PASSED)


def test_an_epsilon_that_is_an_attribute_and_large_enough(tmp_path: Path) -> None:
    data = Samples({"x": rows(7.0)}, batch=4)
    for number, proto in enumerate((inside("InstanceNormalization", 2, 2), inside("LayerNormalization", 8))):
        [found] = measured(proto, "fp16", data, tmp_path / str(number), Fp16Range(accumulator="fp16")).findings
        assert found.verdict is Verdict.PASSED
        assert "makes 0" not in found.message
