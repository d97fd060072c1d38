"""What `assay repair` lays out computes what was audited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest

from assay_runner.backends.tensorrt.source import strong_model
from tests.cli.audits import FP32, assay, document, good, spec, write
from tests.models import random
from tests.runner.io.made import shard
from tests.runner.remedies.repairs import ENGINE, squares

EMULATED: Final = ("--backend", "onnxruntime")


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_what_passes_in_full_precision_is_not_laid_out_as_the_half_that_it_was_stored_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    """Built as its types say, such a file overflows where what was audited does not."""
    good(tmp_path)
    (tmp_path / "stored").mkdir()
    stored, _notes = strong_model(tmp_path / "model.onnx", "fp16", {}, tmp_path / "stored")
    candidate = {**FP32, "precision": precision}
    asked = spec(model={"uri": f"file://{stored}"}, candidates=[candidate])
    ended = assay(capsys, "repair", "-f", write(tmp_path, document(asked)), "--out", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    laid_out = onnx.load(str(tmp_path / "out" / "recommended" / "model.onnx"))
    kinds = {onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type) for tensor in laid_out.graph.initializer}
    assert kinds & {np.dtype(np.float16), np.dtype(np.float32)} == {np.dtype(np.float32)}


def test_what_is_laid_out_says_how_the_cure_is_audited_in_its_own_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`layers` of the note, in the candidate, make the build that was audited; nodes are named, and are no patterns."""
    proto = squares()
    proto.graph.node[0].name = "block[0]/square"
    onnx.save(proto, str(tmp_path / "model.onnx"))
    shard(tmp_path / "data" / "part-0.npz", x=random(48, 16, seed=1) * np.float32(400))

    def audited(command: str, out: str, **changes: Any) -> int:
        asked = spec(dataset={"uri": "file://./data/", "batch": 8}, checks=[{"outputDrift": {"snr": 30}}], **changes)
        file = write(tmp_path, document(asked))
        return assay(capsys, command, "-f", file, "--out", str(tmp_path / out), *EMULATED).code

    assert audited("repair", "out", candidates=[ENGINE], remedies={"precision": {}}) == 0
    note = json.loads((tmp_path / "out" / "recommended" / "recommended.json").read_text())
    assert {layer["nodes"] for layer in note["layers"]} == {"block[[]0]/square", "h.node"}
    assert audited("run", "shipped", candidates=[{**ENGINE, "layers": note["layers"]}]) == 0
