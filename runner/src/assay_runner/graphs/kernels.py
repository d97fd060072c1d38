"""Whether ONNX Runtime can compute a node in given types: asked, not listed, so that it holds for every version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from assay_runner.graphs.documents import captured
from assay_runner.models.kernels import alone

# Registered for double precision, but refuse it when they run; a test holds that this is so.
REFUSE_DOUBLE = frozenset({"LSTM", "GRU"})


class Kernels:
    """Answers from one-node models, remembered by operator, attributes and types."""

    def __init__(self, opsets: Sequence[onnx.OperatorSetIdProto]) -> None:
        """Ask under these operator sets."""
        self._opsets = [helper.make_opsetid(o.domain, o.version) for o in opsets]
        self._known: dict[bytes, bool] = {}

    def has(self, node: onnx.NodeProto, inputs: Mapping[str, int]) -> bool:
        """Whether there is a kernel for the node (or its decomposition) with inputs of these element types.

        Of control flow: whether all inside it can be run; `inputs` tell the types of what it captures too.
        """
        if node.op_type in REFUSE_DOUBLE and TensorProto.DOUBLE in inputs.values():
            return False
        graph = alone(node, inputs, sorted(captured(node)))
        serialised = helper.make_model(graph, opset_imports=self._opsets, ir_version=8).SerializeToString()
        if serialised not in self._known:
            self._known[serialised] = _loads(serialised)
        return self._known[serialised]


def _loads(model: bytes) -> bool:
    quiet = ort.SessionOptions()
    quiet.log_severity_level = 4
    quiet.intra_op_num_threads = 1
    try:
        ort.InferenceSession(model, quiet, providers=["CPUExecutionProvider"])
    except Exception:  # ONNX Runtime has no common base of its errors; each means that it cannot.
        return False
    return True
