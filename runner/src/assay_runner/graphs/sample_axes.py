"""Which axis of each tensor holds the samples: by the dimensions a model declares, never by a length that matches.

The axis that samples are stacked along in the inputs is given a name of its own, whatever the model calls it and though
it fixes its length, and ONNX's shape inference carries the name through the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from assay_runner.graphs.batch_shapes import FIRST, Dims, dims, shapes_for
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.named_rows import named_rows
from assay_runner.graphs.upstream import fed
from assay_runner.tensors import Array, Batch, InputAxes

SAMPLES: Final = "assay.samples"
"""What the axis is called while shapes are inferred."""
_KEPT: Final = 8


@dataclass(frozen=True)
class SampleAxes:
    """Where the samples of each tensor are.

    Attributes:
        axes: by tensor, the axis whose elements belong to one sample each; None: there is no such axis, as in a
            constant or in a single number. Of a tensor that is not there it is not known.
        wrong: by tensor, an axis that is declared and that golden's values contradict; none of them is among `axes`.
        rows: by tensor, the axis of rows each of which names its sample first; none of them is among `axes`.
        folded: tensors whose first axis holds as many places of each sample, those of one after those of another, as
            where samples and steps were made one axis; none of them is among `axes`.
        feeds: whether each batch is a single feed, so that all of every tensor is its own, whatever its shape.
    """

    axes: Mapping[str, int | None]
    wrong: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    folded: frozenset[str] = frozenset()
    feeds: bool = False

    def of(self, name: str, shape: tuple[int, ...], fed: int) -> int | None:
        """The axis of a tensor of this shape, made of `fed` samples; None where samples cannot be told apart in it."""
        axis = None if self.feeds else self.axes.get(name)
        return axis if axis is not None and axis < len(shape) and shape[axis] == fed else None

    def judged(self, name: str, array: Array, batch: Batch) -> Array:
        """A tensor as it is, without what rows of padding made."""
        return without_padding(array, self.of(name, array.shape, batch.fed), batch)

    def samples(self, name: str, array: Array, batch: Batch) -> Array | None:
        """A tensor with the samples along its first axis, those of padding left out.

        Of one without such an axis, all of it as a single row that every sample of the batch shares; None where it is
        not known what belongs to which sample. Of one whose rows name their samples, all rows, likewise.
        """
        if self.feeds or name in self.rows:
            return array[None]
        if name in self.folded and array.size and len(array) % batch.fed == 0:
            return array.reshape(batch.fed, -1, *array.shape[1:])[: batch.count]
        axis = self.of(name, array.shape, batch.fed)
        if axis is not None:
            # Most often they are along the first axis already.
            return (np.moveaxis(array, axis, 0) if axis else array)[: batch.count]
        return whole(array, batch.fed) if batch.fed == 1 or self.shared(name) else None

    def as_declared(self) -> SampleAxes:
        """The same, with what is declared taken at its word: for who asks whether samples keep apart there."""
        return replace(self, axes={**self.axes, **self.wrong}, wrong={})

    def shared(self, name: str) -> bool:
        """Whether the samples of a batch are known to share a tensor."""
        return not self.feeds and name in self.axes and self.axes[name] is None


def whole(array: Array, fed: int) -> Array:
    """All of a tensor as a single row; of a batch of one that is the only sample's, whatever its shape."""
    return array if fed == 1 and array.ndim and len(array) == 1 else array[None]


def without_padding(array: Array, axis: int | None, batch: Batch) -> Array:
    """A tensor whose samples are along `axis`, without what rows of padding made; all of it where that is None."""
    if axis is None or batch.count == batch.fed:
        return array
    return array[(slice(None),) * axis + (slice(batch.count),)]


def declared_axes(path: Path, inputs: InputAxes = FIRST) -> SampleAxes:
    """What a model's file says of its tensors; those of which it says nothing are left out.

    Args:
        path: the ONNX file.
        inputs: where the samples of its inputs are.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    status = path.stat()
    return _declared(path, tuple(sorted(inputs.items())), status.st_size, status.st_mtime_ns)


@lru_cache(_KEPT)
def _declared(path: Path, inputs: tuple[tuple[str, int | None], ...], _size: int, _changed: int) -> SampleAxes:
    """Size and time of change are there so that a file written anew is read anew."""
    model, where = load_outline(path), dict(inputs)
    said, names, data = _said(model), _names(model, where), fed(model)
    inferred = shapes_for(model, SAMPLES, where)
    made = (output for node in model.graph.node for output in node.output if output)
    weights, outputs = {tensor.name for tensor in model.graph.initializer}, [o.name for o in model.graph.output]
    stored = (name for name in outputs if name in weights)
    tensors = dict.fromkeys((*(i.name for i in model.graph.input), *made, *stored))
    axes: dict[str, int | None] = {}
    for tensor in tensors:
        shape = inferred.get(tensor)
        axis = _first(shape, {SAMPLES})
        if axis is None:
            axis = _where_unknown(said.get(tensor), shape, names)
        if axis is not None or tensor not in data or (shape is not None and all(size == 1 for size in shape)):
            axes[tensor] = axis
    rows = named_rows(model, axes)
    return SampleAxes({name: axis for name, axis in axes.items() if name not in rows}, rows=rows)


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


def _names(model: onnx.ModelProto, inputs: InputAxes) -> set[str]:
    """What the model calls the inputs' axis of samples; what it calls others too tells nothing, nor does a mere `?`."""
    shapes = [(dims(value) or (), inputs.get(value.name, 0)) for value in model.graph.input]
    others = {size for shape, axis in shapes for place, size in enumerate(shape) if place != axis}
    theirs = {size for shape, axis in shapes for place, size in enumerate(shape) if place == axis}
    return {name for name in theirs - others if isinstance(name, str) and any(map(str.isalpha, name))}


def _said(model: onnx.ModelProto) -> dict[str, Dims]:
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return {value.name: shape for value in values if (shape := dims(value)) is not None}
