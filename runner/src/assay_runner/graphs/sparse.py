"""Sparse weights made dense: all that is done to a weight is done to a dense one, and a builder makes it dense too."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import numpy_helper

from assay_runner.models.outline import FEW


def dense(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, in place, its sparse initialisers as dense ones; those whose values lie outside the file stay.

    Of a weight whose values are left out there are none in the dense one either.
    """
    kept = []
    for sparse in model.graph.sparse_initializer:
        if onnx.TensorProto.EXTERNAL in (sparse.values.data_location, sparse.indices.data_location):
            kept.append(sparse)
        elif math.prod(sparse.dims) > FEW and _left_out(sparse):
            made = model.graph.initializer.add(name=sparse.values.name, data_type=sparse.values.data_type)
            made.dims.extend(sparse.dims)
        else:
            model.graph.initializer.append(_dense(sparse))
    if len(kept) < len(model.graph.sparse_initializer):
        del model.graph.sparse_initializer[:]
        model.graph.sparse_initializer.extend(kept)
    return model


def _left_out(sparse: onnx.SparseTensorProto) -> bool:
    """Whether a tensor of it has elements and no values, as in an outline."""
    tensors = (sparse.values, sparse.indices)
    return any(math.prod(tensor.dims) > FEW and tensor.ByteSize() < math.prod(tensor.dims) for tensor in tensors)


def _dense(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    values, places = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    made = np.zeros(tuple(sparse.dims), values.dtype)
    if places.ndim == 1:
        made.reshape(-1)[places] = values
    else:
        made[tuple(places.T)] = values
    return numpy_helper.from_array(made, sparse.values.name)
