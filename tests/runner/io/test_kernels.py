"""What ONNX Runtime has no kernel for, named as the model names it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from assay_runner.errors import InvalidInput
from tests.models import loaded, model, node, value


def test_an_operator_that_onnx_defines_by_others_is_named_itself(tmp_path: Path) -> None:
    """Softmax is refused for a ReduceMax that stands in its definition, and in no graph of the user's."""
    ends = [value(name, "N", 4, kind=TensorProto.BFLOAT16) for name in "xy"]
    proto = model([node("Softmax", "x", "y")], ends[:1], ends[1:])
    onnx.checker.check_model(proto)
    said = (
        "uses operator Softmax (node 'y.node'), which ONNX Runtime does not run on CPU with inputs of bfloat16: export"
    )
    with pytest.raises(InvalidInput, match=said.replace("(", r"\(").replace(")", r"\)")):
        loaded(proto, tmp_path)
