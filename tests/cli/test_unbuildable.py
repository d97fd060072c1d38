"""A candidate that its backend cannot build is Inconclusive: nobody's invalid input, and it hides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay_api.report import Verdict
from tests.cli.audits import report_of, run
from tests.cli.test_task import pod, tasks
from tests.runner.io.made import shard

REFUSED = (
    "model.onnx has opset 9, too old for bf16 here, and cannot be upgraded: export it with opset 17 ("
    "/project/onnx/version_converter/adapters/batch_normalization_13_14.h"
)


def candidate(precision: str) -> dict[str, str]:
    return {"name": precision, "backend": "onnxruntime", "precision": precision}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that ONNX Runtime runs and no operator set with BF16 can say: the five outputs of training."""
    outputs = ["normal", "mean", "var", "saved_mean", "saved_var"]
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, 2]) for name in ("x", "y")]
    graph = helper.make_graph(
        [
            helper.make_node("BatchNormalization", ["x", *["ones"] * 4], outputs, name="norm"),
            helper.make_node("Relu", ["x"], ["y"], name="relu"),
        ],
        "norm", shapes[:1], shapes[1:], [numpy_helper.from_array(np.ones(3, np.float32), "ones")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    onnx.save(model, str(tmp_path / "model.onnx"))
    x = np.random.default_rng(0).standard_normal((8, 3, 2)).astype(np.float32)
    shard(tmp_path / "data" / "part-0.npz", x=x)
    return tmp_path


@pytest.mark.parametrize(
    ("limits", "code", "other"),
    [({"cosine": 0.9}, 2, Verdict.PASSED), ({"maxAbs": 0.0}, 1, Verdict.FAILED)],
)
def test_it_is_inconclusive_in_the_builders_words(
    folder: Path, capsys: Any, limits: dict[str, float], code: int, other: Verdict
) -> None:
    done = run(
        folder, capsys, dataset={"uri": "file://./data/", "batch": 4},
        candidates=[candidate("bf16"), candidate("fp16")], checks=[{"outputDrift": limits}],
    )  # fmt: skip
    assert done.code == code, done.err
    bf16, fp16 = report_of(folder).candidates
    assert (bf16.verdict, fp16.verdict) == (Verdict.INCONCLUSIVE, other)
    assert bf16.error is not None
    assert bf16.error.startswith(REFUSED)
    assert any(line.startswith(f"assay: candidate bf16: {REFUSED}") for line in done.complaints)


def test_in_a_pod_it_is_an_answer_and_not_tried_again(folder: Path) -> None:
    dataset = {"uri": "file://./data/", "batch": 4}
    plans = tasks(folder, dataset=dataset, candidates=[candidate("bf16")])
    pod(folder, plans["golden"])
    code, answer, log = pod(folder, plans["bf16"])
    assert (code, answer and answer.verdict) == (0, Verdict.INCONCLUSIVE), log
    assert answer is not None
    assert REFUSED in answer.message
