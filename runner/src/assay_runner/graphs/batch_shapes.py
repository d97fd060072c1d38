"""Shapes of a graph's tensors for so many samples, by what its operators make of them, whatever the model declares."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

import onnx
import onnx.shape_inference

from assay_runner.tensors import InputAxes

Dims = tuple[int | str | None, ...]
FIRST: Final[InputAxes] = MappingProxyType({})
"""Samples along the first axis of every input."""


def shapes_for(model: onnx.ModelProto, samples: int | str, axes: InputAxes = FIRST) -> dict[str, Dims]:
    """Shapes by what the operators make of the inputs, and by nothing else the model says; changes the model.

    Args:
        model: without weights, or with them.
        samples: length of the inputs' axes of samples, or what it is to be called.
        axes: where the samples of the inputs are.

    Returns:
        Shapes by tensor, as far as they are known.
    """
    for value in model.graph.input:
        axis = axes.get(value.name, 0)
        if axis is not None and axis < len(dims(value) or ()):
            size = value.type.tensor_type.shape.dim[axis]
            size.Clear()
            if isinstance(samples, str):
                size.dim_param = samples
            else:
                size.dim_value = samples
    return by_operators(model)


def by_operators(model: onnx.ModelProto) -> dict[str, Dims]:
    """Shapes by tensor as they follow from those of the inputs alone; changes the model.

    What it says of other tensors may be of another version of it.
    """
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return inferred(model)


def inferred(model: onnx.ModelProto) -> dict[str, Dims]:
    """Shapes by tensor, as far as the operators tell them, of a model's inputs at least."""
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # It raises what it likes; what is not inferred is not known.
        return {value.name: shape for value in model.graph.input if (shape := dims(value))}
    return dict(_shapes(graph))


def dims(value: onnx.ValueInfoProto) -> Dims | None:
    """The shape that is declared of a value; an axis of unknown length is its name, or None."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else d.dim_param or None for d in kind.shape.dim
    )


def _shapes(graph: onnx.GraphProto) -> Iterator[tuple[str, Dims]]:
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = dims(value)
        if shape is not None:
            yield value.name, shape
