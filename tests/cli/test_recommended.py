"""What `assay repair` lays out computes what was audited."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from assay_runner.backends.tensorrt.source import strong_model
from tests.cli.audits import FP32, assay, document, good, spec, write


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
