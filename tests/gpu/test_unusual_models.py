"""Models that are no plain chain of named float operators are looked into too, or it is said that they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from assay_api.report import Verdict
from tests.gpu.audits import Audited, audit, run, trt
from tests.models import branching, constant, model, node, random, value
from tests.wire import details

pytestmark = pytest.mark.usefixtures("gpu")

SAMPLES, BATCH, WORDS, WIDTH = 20, 8, 50, 32


def words(named: bool = True) -> onnx.ModelProto:
    """Looks integers up, and computes with what it finds."""
    nodes = [
        node("Gather", "table ids", "found"),
        node("MatMul", "found first", "wide"),
        node("Relu", "wide", "active"),
        node("MatMul", "active second", "y"),
    ]
    for each in nodes:
        each.name = each.name if named else ""
    weights = [constant("table", random(WORDS, WIDTH)), constant("first", random(WIDTH, WIDTH, seed=1) / 6)]
    weights.append(constant("second", random(WIDTH, 4, seed=2) / 6))
    return model(nodes, [value("ids", "N", 3, kind=TensorProto.INT64)], [value("y", "N", 3, 4)], weights)


def audited(name: str, proto: onnx.ModelProto, folder: Path, **arrays: Any) -> Audited:
    onnx.save(proto, str(folder / f"{name}.onnx"))
    (folder / "data").mkdir()
    np.savez(folder / "data" / "part-0.npz", **arrays)
    candidates = [trt("fp16", typing="strong")]
    return run(audit(name, folder / f"{name}.onnx", folder / "data", candidates, ("finite", "layerDrift"), batch=BATCH),
               folder)  # fmt: skip


@pytest.mark.parametrize("named", [True, False])
def test_integers_are_fed_to_every_layer(named: bool, tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, WORDS, (SAMPLES, 3))
    told = audited(f"words-{'named' if named else 'nameless'}", words(named), tmp_path, ids=ids)
    [found] = told.findings("layerDrift")
    assert found.verdict is Verdict.PASSED, found.message
    assert details(found)["withoutLocalError"] == 0
    # The last batch is shorter than the one that the layers alone were built for.
    assert any("leave out batches of another shape" in note for note in told.candidate("fp16").notes)


def test_what_control_flow_hides_does_not_pass(tmp_path: Path) -> None:
    told = audited("branching", branching(), tmp_path, x=random(SAMPLES, 4))
    assert told.candidate("fp16").verdict is not Verdict.PASSED
    verdicts = [found.verdict for check in ("finite", "layerDrift") for found in told.findings(check)]
    assert len(verdicts) >= 2
    assert Verdict.PASSED not in verdicts
