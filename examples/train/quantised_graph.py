"""A model trained for INT8 as ONNX: the plain model's graph, with the Q/DQ pairs that its training saw."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from assay_runner.graphs.pairs import insert, slots


def with_pairs(model: onnx.ModelProto, ranges: Mapping[str, float]) -> onnx.ModelProto:
    """Put INT8 pairs in front of every product, in place, weights per output channel; returns the model.

    Args:
        model: as the exporters of this package make it.
        ranges: largest magnitude of each activation that feeds a product.
    """
    names = {i.name for i in (*model.graph.input, *model.graph.initializer)}
    floats = names | {output for node in model.graph.node for output in node.output}
    chosen, _ = slots(model, floats, "int8", per_channel=True)
    convert = insert(model, chosen, ranges, "int8", Path())
    for tensor in model.graph.initializer:
        array = np.asarray(numpy_helper.to_array(tensor))
        if (stored := convert(tensor.name, array)) is not array:
            tensor.CopyFrom(numpy_helper.from_array(stored, tensor.name))
    onnx.checker.check_model(model, full_check=True)
    return model
