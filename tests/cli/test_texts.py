"""Outputs of text are compared for equality, as those of integers are: how many differ, and which is the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.cli.audits import report_of, run
from tests.models import constant, model, node, random, value
from tests.runner.io.made import shard

WORDS = ["cat", "dog", "Bär", "", "e"]
WEIGHTS = random(8, 5, seed=5)
WEIGHTS[:, 1] = WEIGHTS[:, 0] * np.float32(1.001)  # Two classes that BF16 does not tell apart.
X = random(200, 8, seed=6)
CHECKS: list[dict[str, Any]] = [{"finite": {}}, {"outputDrift": {}}, {"layerDrift": {}}, {"batchInvariance": {}}]


def labelled(batch: int | str = "N", after: tuple[onnx.NodeProto, ...] = (), last: str = "label") -> onnx.ModelProto:
    """x → the word of the largest score."""
    keys = list(range(len(WORDS)))
    encode = helper.make_node(
        "LabelEncoder", ["k"], ["label"], "words", domain="ai.onnx.ml", keys_int64s=keys, values_strings=WORDS
    )
    nodes = [node("MatMul", "x w", "s"), node("ArgMax", "s", "k", axis=1, keepdims=0), encode, *after]
    kind = TensorProto.FLOAT if after else TensorProto.STRING
    output = helper.make_tensor_value_info(last, kind, [batch])
    proto = model(nodes, [value("x", batch, 8)], [output], [constant("w", WEIGHTS)], 15)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return proto


def words(proto: onnx.ModelProto, x: Any = X) -> Any:
    """Bare ONNX Runtime's."""
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": row[None]})[0] for row in x])


def audit(folder: Path, capsys: pytest.CaptureFixture[str], proto: onnx.ModelProto, precision: str, **more: Any) -> Any:
    onnx.save(proto, str(folder / "model.onnx"))
    (folder / "data").mkdir(exist_ok=True)
    shard(folder / "data" / "a.npz", x=X)
    asked = {"name": "one", "backend": "onnxruntime", "precision": precision}
    given = {"dataset": {"uri": "file://./data/"}, "checks": CHECKS, "candidates": [asked]} | more
    ended = run(folder, capsys, **given)
    return ended.code, {finding.check: finding.message for finding in report_of(folder).findings}


@pytest.mark.parametrize("batch", ["N", 1])
def test_words_that_are_others_are_counted(
    batch: int | str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = labelled(batch)
    code, said = audit(tmp_path, capsys, proto, "bf16")
    scores = _brain(_brain(X) @ _brain(WEIGHTS))
    wrong = np.flatnonzero(np.array(WORDS)[scores.argmax(axis=1)] != words(proto))
    assert len(wrong) > 10
    assert code == 1
    assert f"identical to golden in {200 - len(wrong)} of 200 samples" in said["outputDrift"]
    assert f"the first that differs is sample {wrong[0]}" in said["outputDrift"]
    assert "tensor 'k' of node 'k.node' (ArgMax) parts from golden's" in said["layerDrift"]
    assert "all 3 tensors are finite" in said["finite"]
    code, said = audit(tmp_path, capsys, proto, "fp32")
    assert code == 0
    assert "identical to golden in 200 of 200 samples" in said["outputDrift"]


def _brain(array: Any) -> Any:
    import ml_dtypes

    return array.astype(ml_dtypes.bfloat16).astype(np.float32)


def test_words_inside_a_model_are_compared_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a word a number is made again: its node has its own error measured."""
    back = helper.make_node(
        "LabelEncoder", ["label"], ["v"], "numbers", domain="ai.onnx.ml", keys_strings=WORDS,
        values_floats=[1.0, 2.0, 3.0, 4.0, 5.0],
    )  # fmt: skip
    code, said = audit(tmp_path, capsys, labelled(after=(back, node("Add", "v v", "y")), last="y"), "bf16")
    assert code == 1
    assert "5 of 5 tensors compared" in said["layerDrift"]


@pytest.mark.parametrize("wrong", [0, 7])
def test_stored_golden_words_are_held_against(wrong: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = labelled()
    golden = words(proto).astype(str)
    golden[100 : 100 + wrong] = "zebra"
    (tmp_path / "golden").mkdir()
    np.savez(tmp_path / "golden" / "a.npz", label=golden)
    more = {"golden": {"uri": "file://./golden/"}, "checks": [{"outputDrift": {}}]}
    code, said = audit(tmp_path, capsys, proto, "fp32", **more)
    assert code == int(wrong > 0)
    assert f"identical to golden in {200 - wrong} of 200 samples" in said["outputDrift"]
    assert ("the first that differs is sample 100" in said["outputDrift"]) is (wrong > 0)
