"""Which axis of each tensor holds the samples: by the dimensions a model declares, never by a length that matches.

The axis that samples are stacked along in the inputs is given a name of its own, whatever the model calls it and though
it fixes its length, and ONNX's shape inference carries the name through the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.shape_inference

from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.upstream import fed
from assay_runner.tensors import Array, Batch

SAMPLES: Final = "assay.samples"
"""What the axis is called while shapes are inferred."""
_KEPT: Final = 8

Dims = tuple[int | str | None, ...]


@dataclass(frozen=True)
class SampleAxes:
    """Where the samples of each tensor are.

    Attributes:
        axes: by tensor, the axis whose elements belong to one sample each; None: there is no such axis, as in a
            constant or in a mean over the batch. Of a tensor that is not there it is not known.
    """

    axes: Mapping[str, int | None]

    def of(self, name: str, shape: tuple[int, ...], fed: int) -> int | None:
        """The axis of a tensor of this shape, made of `fed` samples; None where samples cannot be told apart in it."""
        axis = self.axes.get(name)
        return axis if axis is not None and axis < len(shape) and shape[axis] == fed else None

    def judged(self, name: str, array: Array, batch: Batch) -> Array:
        """A tensor as it is, without what rows of padding made."""
        return without_padding(array, self.of(name, array.shape, batch.fed), batch)

    def samples(self, name: str, array: Array, batch: Batch) -> Array | None:
        """A tensor with the samples along its first axis, those of padding left out.

        Of one without such an axis, all of it as a single row that every sample of the batch shares; None where it is
        not known what belongs to which sample.
        """
        axis = self.of(name, array.shape, batch.fed)
        if axis is not None:
            return np.moveaxis(array, axis, 0)[: batch.count]
        if batch.fed == 1:
            # All of it is the only sample's, whatever its shape.
            return array if array.ndim and len(array) == 1 else array[None]
        return array[None] if name in self.axes and self.axes[name] is None else None

    def shared(self, name: str) -> bool:
        """Whether the samples of a batch are known to share a tensor."""
        return name in self.axes and self.axes[name] is None


def without_padding(array: Array, axis: int | None, batch: Batch) -> Array:
    """A tensor whose samples are along `axis`, without what rows of padding made; all of it where that is None."""
    if axis is None or batch.count == batch.fed:
        return array
    return array[(slice(None),) * axis + (slice(batch.count),)]


def declared_axes(path: Path) -> SampleAxes:
    """What a model's file says of its tensors; those of which it says nothing are left out.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    status = path.stat()
    return _declared(path, status.st_size, status.st_mtime_ns)


@lru_cache(_KEPT)
def _declared(path: Path, _size: int, _changed: int) -> SampleAxes:
    """Size and time of change are there so that a file written anew is read anew."""
    model = load_outline(path)
    said, names, data = _said(model), _names(model), fed(model)
    inferred = _inferred(model)
    made = (output for node in model.graph.node for output in node.output if output)
    tensors = dict.fromkeys((*(i.name for i in model.graph.input), *made))
    axes: dict[str, int | None] = {}
    for tensor in tensors:
        shape = inferred.get(tensor)
        axis = _first(shape, {SAMPLES})
        if axis is None:
            axis = _where_unknown(said.get(tensor), shape, names)
        if axis is not None or tensor not in data or (shape is not None and all(size == 1 for size in shape)):
            axes[tensor] = axis
    return SampleAxes(axes)


def _first(shape: Dims | None, names: set[str]) -> int | None:
    return next((axis for axis, size in enumerate(shape or ()) if size in names), None)


def _where_unknown(said: Dims | None, inferred: Dims | None, names: set[str]) -> int | None:
    """The axis that is declared to hold the samples, unless its operators say that it does not."""
    axis = _first(said, names)
    if sum(size in names for size in said or ()) > 1:
        return None
    if axis is None or inferred is None:
        return axis
    return axis if axis < len(inferred) and not isinstance(inferred[axis], int) else None


def _names(model: onnx.ModelProto) -> set[str]:
    """What the model calls the inputs' axis of samples; what it calls others too tells nothing, nor does a mere `?`."""
    shapes = [_dims(value) or () for value in model.graph.input]
    others = {size for shape in shapes for size in shape[1:]}
    first = {shape[0] for shape in shapes if shape and isinstance(shape[0], str)}
    return {name for name in first - others if any(map(str.isalpha, name))}


def _said(model: onnx.ModelProto) -> dict[str, Dims]:
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return {value.name: shape for value in values if (shape := _dims(value)) is not None}


def _inferred(model: onnx.ModelProto) -> dict[str, Dims]:
    """Shapes by what the operators make of the inputs, and by nothing else the model says; changes the model."""
    for value in model.graph.input:
        if _dims(value):
            size = value.type.tensor_type.shape.dim[0]
            size.Clear()
            size.dim_param = SAMPLES
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # It raises what it likes; what is not inferred is not known.
        return {value.name: shape for value in model.graph.input if (shape := _dims(value))}
    return dict(_shapes(graph))


def _shapes(graph: onnx.GraphProto) -> Iterator[tuple[str, Dims]]:
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = _dims(value)
        if shape is not None:
            yield value.name, shape


def _dims(value: onnx.ValueInfoProto) -> Dims | None:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else d.dim_param or None for d in kind.shape.dim
    )
