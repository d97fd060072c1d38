"""Which nodes may run wider: whatever makes or reads floating point numbers, and can be held at all."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest

from assay_api.candidate import Precision
from assay_runner.backends.order import BuildOrder, Quantisation
from assay_runner.remedies.case import Design
from assay_runner.remedies.precision.chosen import may_run_wider
from tests.models import branching, constant, embedding, loaded, mlp, model, node, random, value


def chosen(proto: onnx.ModelProto, folder: Path, *floats: str, precision: str = "fp16", **held: str) -> set[str]:
    """Names of nodes, without their ending."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {f"{name}.node": kind for name, kind in held.items()}
    quantisation = Quantisation() if precision == "int8" else None
    order = BuildOrder("tensorrt", cast(Precision, precision), "strong", named, quantisation)
    work = folder / "work"
    work.mkdir()
    found = may_run_wider(Design(order, loaded(proto, folder)), floats, work)
    return {name.removesuffix(".node") for name in found}


def compared() -> onnx.ModelProto:
    """A comparison and what follows it, a shape, and a constant."""
    nodes = [
        node("Shape", "x", "s"), node("Greater", "x b", "g"), node("Not", "g", "n"), node("Where", "n x b", "c"),
        node("Reshape", "c s", "r"), node("Cast", "r", "i", to=7), node("Add", "i i", "j"),
        node("Cast", "j", "y", to=1),
    ]  # fmt: skip
    return model(nodes, [value("x", "N", 4)], [value("y", "N", 4)], [constant("b", random(4))])


def test_what_makes_or_reads_floats_counts(tmp_path: Path) -> None:
    assert chosen(compared(), tmp_path, "c", "r", "y") == {"g", "c", "r", "i", "y"}


def test_where_nothing_is_known_of_tensors_any_node_may_be_wide(tmp_path: Path) -> None:
    assert chosen(compared(), tmp_path) == {"g", "n", "c", "r", "i", "j", "y"}


@pytest.mark.parametrize("floats", [("h", "total", "y", "z"), ()])
def test_control_flow_cannot_be_held(floats: tuple[str, ...], tmp_path: Path) -> None:
    found = chosen(branching(), tmp_path, *floats)
    assert "y" not in found
    assert {"h", "total", "positive", "z"} <= found


def test_sequences_have_no_type_of_their_own(tmp_path: Path) -> None:
    assert chosen(embedding(), tmp_path, "rows", "pooled", "kept", "y") == {"rows", "pooled", "kept", "class"}


def test_what_is_held_in_fp32_stays_and_what_is_held_in_less_may_change(tmp_path: Path) -> None:
    found = chosen(mlp(), tmp_path, "h1", "h2", "h3", "logits", h1="fp32", h2="bf16")
    assert found == {"h2", "h3", "logits"}


def test_of_8_bits_only_what_gets_pairs_counts(tmp_path: Path) -> None:
    assert chosen(mlp(), tmp_path, "h1", "h2", "h3", "logits", precision="int8") == {"h1", "logits"}
    ids = model(
        [node("MatMulInteger", "x w", "a"), node("Cast", "a", "f", to=1), node("MatMul", "f v", "y")],
        [value("x", "N", 4, kind=onnx.TensorProto.UINT8)], [value("y", "N", 4)],
        [constant("w", np.ones((4, 4), np.uint8)), constant("v", random(4, 4))],
    )  # fmt: skip
    assert chosen(ids, tmp_path / "integers", "f", "y", precision="int8") == {"y"}
    held = chosen(mlp(), tmp_path / "held", "h1", "h2", "h3", "logits", precision="int8", h3="fp16", h1="fp32")
    assert held == {"h3", "logits"}
