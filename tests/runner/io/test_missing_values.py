"""NaN in data: a mistake, but where the model reads it as a missing value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from assay_api.report import Verdict
from assay_runner.data.datasets import Source
from assay_runner.errors import InvalidInput
from tests.models import Samples, constant, model, node, value
from tests.runner.io.made import info, opened, rows, save, shard
from tests.runner.numerics.candidates import measured

ML = "ai.onnx.ml"
LEAF: dict[str, Any] = {
    "nodes_treeids": [0],
    "nodes_nodeids": [0],
    "nodes_featureids": [0],
    "nodes_values": [0.0],
    "nodes_modes": ["LEAF"],
    "nodes_truenodeids": [0],
    "nodes_falsenodeids": [0],
    "target_treeids": [0],
    "target_nodeids": [0],
    "target_ids": [0],
    "target_weights": [1.0],
    "n_targets": 1,
}


def tree(name: str) -> Any:
    return helper.make_node("TreeEnsembleRegressor", [name], ["y"], domain=ML, **LEAF)


def filled() -> list[Any]:
    return [
        helper.make_node("IsNaN", ["x"], ["n"]),
        helper.make_node("Sub", ["x", "x"], ["z"]),
        helper.make_node("Where", ["n", "z", "x"], ["y"]),
    ]


SCALED = helper.make_node("Scaler", ["x"], ["s"], domain=ML, offset=[0.0], scale=[2.0])
ASKING: dict[str, list[Any]] = {
    "trees": [tree("x")],
    "trees behind a scaler": [SCALED, tree("s")],
    "filled in": [helper.make_node("Imputer", ["x"], ["y"], domain=ML, imputed_value_floats=[0.0])],
    "asked for": filled(),
    "asked for behind a view": [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node("IsNaN", ["i"], ["n"]),
        *filled()[1:],
    ],
}
NOT_ASKING: dict[str, list[Any]] = {
    "computed with": [helper.make_node("Relu", ["x"], ["y"])],
    "another tensor is asked": [
        helper.make_node("Sqrt", ["x"], ["q"]),
        helper.make_node("IsNaN", ["q"], ["n"]),
        helper.make_node("Where", ["n", "x", "q"], ["y"]),
    ],
}
HELD = np.array([[1, 2, 3], [np.nan, 1, 2], [np.nan, np.nan, 4], [np.inf, 1, 0]], np.float32)


def saved(folder: Path, nodes: list[Any]) -> Path:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    shard(folder / "data" / "a.npz", x=rows(2))
    shard(folder / "data" / "b.npz", x=HELD)
    outputs = [info("y", ["b", None], TensorProto.FLOAT)]
    return save(folder / "m.onnx", nodes, [info("x", ["b", 3])], outputs, opsets=opsets)


@pytest.mark.parametrize("name", ASKING)
def test_what_a_model_asks_for_is_fed_and_told(name: str, tmp_path: Path) -> None:
    dataset = opened(tmp_path, saved(tmp_path, ASKING[name]), Source("file://./data", batch=4))
    fed = np.concatenate([batch.inputs["x"] for batch in dataset])
    assert np.array_equal(fed[2:], HELD, equal_nan=True)
    assert dataset.notes == (
        "array 'x' of the dataset holds infinities in 1 of 6 samples: fed as they are",
        "array 'x' of the dataset holds NaN in 2 of 6 samples: fed as they are, for the model asks for it",
    )


@pytest.mark.parametrize("name", NOT_ASKING)
def test_what_it_does_not_ask_for_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"'x' of b\.npz holds NaN in sample 1 \(sample 3 of the dataset\)"):
        list(opened(tmp_path, saved(tmp_path, NOT_ASKING[name])))


def test_a_sample_that_breaks_beside_missing_values_is_named(tmp_path: Path) -> None:
    nodes = [
        node("IsNaN", "x", "n"),
        node("Where", "n zero x", "a"),
        node("Mul", "a a", "q"),
        node("MatMul", "q w", "y"),
    ]
    w = np.eye(3, dtype=np.float32)
    weights = [constant("zero", np.float32(0)), constant("w", w)]
    proto = model(nodes, [value("x", "N", 3)], [value("y", "N", 3)], weights)
    x = np.where(np.arange(36).reshape(12, 3) % 4, rows(12), np.nan).astype(np.float32)
    x[7] *= 3000
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    [golden] = session.run(None, {"x": x})
    assert np.array_equal(golden, np.nan_to_num(x) ** 2 @ w)
    assert set(np.argwhere(golden > 65504)[:, 0]) == {7}
    found = {
        kind: measured(proto, kind, Samples({"x": x}, batch=4), tmp_path / kind).findings for kind in ("fp32", "fp16")
    }
    assert {finding.verdict for finding in found["fp32"]} == {Verdict.PASSED}
    told = {finding.check: finding for finding in found["fp16"]}
    assert told["finite"].node == "q.node"
    assert "+Inf in 1 of 12 samples, first in sample 7" in told["finite"].message
