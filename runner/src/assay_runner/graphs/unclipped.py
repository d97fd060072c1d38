"""Tensors of a quantised model that go by the name of what they become once they are quantised.

Where 8 bits with a zero point at their end clip as a Relu or Clip does, ONNX Runtime's quantiser takes that node out,
and gives its output's name to what stood before it: negative numbers and all. What is read of the tensor is what its
pair makes of it. So it is held against golden's as its pair clips it: no more than golden clips, which is another
error's to tell, and no less, so that a pair that does not clip as the node did is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import ml_dtypes
import numpy as np
import onnx

from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.eight_bit_reads import Q
from assay_runner.graphs.zero_points import Small
from assay_runner.tensors import Array

CLIPS: Final = frozenset({"Relu", "Clip"})
INF: Final = float("inf")

Known = Callable[[str], Any]
"""The value of a constant, by name; None of whatever else."""


class Clipped(NamedTuple):
    """Between which numbers a tensor is read."""

    low: float
    high: float

    def of(self, array: Array) -> Array:
        """The tensor as it is read; what is not finite stays as it is, for that is a fault of its own."""
        with np.errstate(over="ignore"):
            low, high = (np.asarray(bound).astype(array.dtype) for bound in self)
        return np.where(np.isfinite(array), np.clip(array, low, high), array)


def unclipped(own: Path, golden: Path) -> dict[str, Clipped]:
    """What clips those of a candidate's own model that golden has clipped, and that only a QuantizeLinear reads.

    Of a pair of which that is not known it is taken that it clips as golden does: if not, what reads it shows that.
    Where it is not known between which numbers golden clips, the tensor is left out: it is compared as it is.

    Raises:
        InvalidInput: a file is no ONNX model.
    """
    if own == golden:
        return {}
    mine, theirs = load_outline(own), load_outline(golden)
    clips = {node.output[0]: node for node in theirs.graph.node if node.op_type in CLIPS}
    made = {name: node.op_type for node in mine.graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto | None]] = {output.name: [None] for output in mine.graph.output}
    for node in mine.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    known, wanted = Small(mine, own).value, Small(theirs, golden).value
    found: dict[str, Clipped] = {}
    for name in [name for name, node in clips.items() if name in made and made[name] != node.op_type]:
        reads = [node for node in readers.get(name, ()) if node is not None and node.op_type == Q]
        if reads and len(reads) == len(readers[name]):
            asked = _of_node(clips[name], wanted)
            if asked is not None:
                sure = [asked, *(clip for node in reads if (clip := _of_pair(node, known)) is not None)]
                found[name] = Clipped(min(clip.low for clip in sure), max(clip.high for clip in sure))
    return found


def _of_node(node: onnx.NodeProto, known: Known) -> Clipped | None:
    """None where something else than constants says it."""
    if node.op_type == "Relu":
        return Clipped(0.0, INF)
    given = {each.name: each.f for each in node.attribute}
    bounds = [given.get("min", -INF), given.get("max", INF)]
    for place, name in enumerate(node.input[1:]):
        if name:
            value = known(name)
            # ONNX Runtime takes a bound of one element for a scalar.
            if value is None or np.size(value) != 1:
                return None
            bounds[place] = float(np.ravel(value)[0])
    return Clipped(*bounds)


def _of_pair(node: onnx.NodeProto, known: Known) -> Clipped | None:
    """None where it has a scale for each channel, or one that is not known."""
    scale = known(node.input[1])
    zero = known(node.input[2]) if len(node.input) > 2 and node.input[2] else _zero(node)
    if scale is None or zero is None or np.size(scale) != 1 or np.size(zero) != 1:
        return None
    kind, step, point = np.asarray(zero).dtype, float(np.ravel(scale)[0]), float(np.ravel(zero)[0])
    if "int" not in kind.name:
        return Clipped(-INF, INF)  # Floats have no zero point at an end.
    ends = ml_dtypes.iinfo(kind)  # type: ignore[no-untyped-call]
    return Clipped((ends.min - point) * step, (ends.max - point) * step)


def _zero(node: onnx.NodeProto) -> Array:
    """The zero point of a node that has none: of the type that it says, or uint8."""
    kinds = [each.i for each in node.attribute if each.name == "output_dtype" and each.i]
    return np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(kinds[0]) if kinds else np.uint8)
