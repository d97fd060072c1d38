"""The scenario models on a CPU: they are what they claim to be, and emulation names where each of them breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from assay_api.report import Verdict
from tests.gpu.audits import Audited, audit, run
from tests.gpu.table import table
from tests.scenarios import SCENARIOS, write

CHECKS: tuple[Any, ...] = ("finite", {"outputDrift": {"snr": 17}}, "layerDrift", "runToRun")


def emulated(name: str, precision: str, folder: Path, *checks: Any, **more: Any) -> Audited:
    write(name, folder)
    candidate = {"name": precision, "backend": "onnxruntime", "precision": precision, **more}
    return run(audit(name, folder / "model.onnx", folder / "data", [candidate], checks or CHECKS, batch=8), folder)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_sound_in_fp32(name: str, tmp_path: Path) -> None:
    scenario = write(name, tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    [y] = session.run(None, dict(scenario.inputs))
    assert np.isfinite(y).all()
    assert y.std() > 0
    assert len(y) == len(next(iter(scenario.inputs.values())))
    if scenario.node:
        assert scenario.node in {node.name for node in scenario.proto.graph.node}


BREAKING = ["decomposed-layer-norm", "layer-norm-by-products", "loud-feed-forward", "mask-1e12", "long-sum"]


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_in_fp16_is_named_where_it_breaks(name: str, tmp_path: Path) -> None:
    told = emulated(name, "fp16", tmp_path)
    assert (told.code, told.report.verdict) == (1, Verdict.FAILED)
    assert SCENARIOS[name]().node in told.failed_at()


@pytest.mark.parametrize("name", BREAKING)
def test_bf16_holds_what_fp16_cannot(name: str, tmp_path: Path) -> None:
    told = emulated(name, "bf16", tmp_path)
    assert not [f for f in told.findings("finite") if f.verdict is Verdict.FAILED]
    assert told.verdict("outputDrift") is Verdict.PASSED


def test_the_fused_operator_passes_in_fp16(tmp_path: Path) -> None:
    told = emulated("fused-layer-norm", "fp16", tmp_path)
    assert told.verdict("outputDrift") is Verdict.PASSED


@pytest.mark.parametrize("name", BREAKING)
def test_what_fp16_cannot_hold_is_named(name: str, tmp_path: Path) -> None:
    told = emulated(name, "fp16", tmp_path, "fp16Range")
    assert SCENARIOS[name]().node in {f.node for f in told.findings("fp16Range")}


def test_8_bits_into_a_normalisation_are_named(tmp_path: Path) -> None:
    own = {"model": {"uri": f"file://{tmp_path}/model.onnx"}}
    told = emulated("layer-norm-8-bits", "int8", tmp_path, "layerConstraints", **own)
    [found] = [f for f in told.findings("layerConstraints") if f.verdict is not Verdict.PASSED]
    assert found.node == SCENARIOS["layer-norm-8-bits"]().node


def test_a_report_becomes_a_row_of_the_table(tmp_path: Path) -> None:
    told = emulated("tiny", "fp16", tmp_path)
    head, line, row = table([told.report]).splitlines()
    assert head.count("|") == line.count("|") == row.count("|") == 9
    assert row.startswith("| tiny | fp16 | – | – | Passed | ")
