"""Channels that a graph cuts out of a tensor, to compute with them and put them back: where they stood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import onnx

from assay_runner.graphs.batch_shapes import Dims
from assay_runner.graphs.node_inputs import Reader

CARRIED: Final = frozenset(
    {"Identity", "Cast", "Add", "Sub", "Mul", "Div", "Pow", "Exp", "Sigmoid", "Clip", "Relu", "Abs", "Neg", "Sqrt"}
)
"""Operators that change no element's place."""


class Cut(NamedTuple):
    """A run of channels of some tensor.

    Attributes:
        axis: along which they stand, from 0.
        start: the first of them.
        stop: the one behind the last.
        shape: of the run, in which every other axis is whole.
    """

    axis: int
    start: int
    stop: int
    shape: Dims

    def put_back(self, whole: Dims) -> bool:
        """Whether a tensor of this shape has room for it there, and more channels than these."""
        if len(whole) != len(self.shape):
            return False
        length = whole[self.axis]
        others = [axis for axis in range(len(whole)) if axis != self.axis]
        fits = isinstance(length, int) and self.stop <= length and self.stop - self.start < length
        return fits and all(whole[axis] == self.shape[axis] for axis in others)


def cut_out(node: onnx.NodeProto, reader: Reader, shapes: Mapping[str, Dims], cuts: Mapping[str, Cut]) -> Cut | None:
    """What of the axis of its channels a node's first output is; None where that is not known.

    Args:
        node: any node.
        reader: of the node.
        shapes: of tensors, as far as they are known.
        cuts: of the tensors before it.
    """
    if node.op_type in CARRIED:
        shape = shapes.get(node.output[0])
        found = {cuts[name] for name in node.input if name in cuts}
        [cut, *others] = found or [None]
        return cut if cut is not None and not others and shape == cut.shape else None
    if node.op_type != "Slice":
        return None
    starts, axes, steps = reader.list("starts", 1), reader.list("axes", 3), reader.list("steps", 4)
    shape = shapes.get(node.output[0])
    if shape is None or len(starts or ()) != 1 or len(axes or ()) != 1 or (steps or [1]) != [1]:
        return None
    assert starts is not None
    assert axes is not None
    axis, whole = axes[0] % len(shape), shapes.get(node.input[0], ())
    length, size = shape[axis], whole[axis] if whole else None
    if not isinstance(length, int) or not isinstance(size, int):
        return None
    start = max(0, starts[0] + size) if starts[0] < 0 else min(starts[0], size)
    return Cut(axis, start, start + length, shape)
