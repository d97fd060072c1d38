"""What can be done to a model before nodes are kept wide: it computes the same, in a way that the format can hold.

A LayerNorm spelt out becomes one operator, which sums in FP32 inside. A constant beyond the format, as the -1e9 of a
mask, becomes its largest number; one that would become zero, as an epsilon, its smallest normal one. Whether that is
good enough is tried like everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx

from assay_runner.backends.conversion import localised
from assay_runner.backends.inspection import inspect
from assay_runner.digests import file_sha256
from assay_runner.errors import InvalidInput
from assay_runner.graphs.documents import load_outline, opset, save
from assay_runner.graphs.layer_norms import FIRST_OPSET, fuse, spelt_out
from assay_runner.graphs.newer_opset import with_opset
from assay_runner.graphs.weights import packed, weight
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Array

LARGEST: Final = 65504.0
SMALLEST: Final = 2.0**-14
"""Of FP16: its largest number, and the smallest that it holds with all its bits."""
SMALL: Final = 16
"""Elements of a constant that is one by what it means, as an epsilon; of more, only what masks are: far below zero."""
LARGE: Final = 1 << 22
"""Elements beyond which nothing is a mask's, and no weight is read."""


@dataclass(frozen=True)
class Edit:
    """A model edited.

    Attributes:
        model: the edited one.
        words: what was done.
    """

    model: LoadedModel
    words: str


def edits_of(model: LoadedModel, folder: Path) -> list[Edit]:
    """What can be done, each for itself, and where there is more than one all together; written below `folder`."""
    alone = [edit for name, change in CHANGES.items() if (edit := _edited(model, (change,), folder / name))]
    if len(alone) < 2:
        return alone
    both = _edited(model, tuple(CHANGES.values()), folder / "all")
    return [*alone, *([both] if both else [])]


Change = Callable[[onnx.ModelProto, Path], str]
"""Edits a localised graph in place, its weights in the folder; what it did, or nothing where there is nothing to do."""


def _edited(model: LoadedModel, changes: tuple[Change, ...], folder: Path) -> Edit | None:
    folder.mkdir(parents=True)
    with TemporaryDirectory(dir=folder) as scratch:
        home = Path(scratch) / "own"
        home.mkdir()
        try:
            graph = localised(model.path, home)
            said = [told for change in changes if (told := change(graph, home))]
        except InvalidInput:
            return None
        if not said:
            return None
        path = packed(save(graph, home / "model.onnx"), folder)
    digest = file_sha256(path)
    edited = replace(model, path=path, sha256=digest, identity=digest, opset=opset(load_outline(path)))
    return Edit(edited, " and ".join(said))


def one_operator(graph: onnx.ModelProto, home: Path) -> str:
    """LayerNorms spelt out, each in one operator."""
    if opset(graph) < FIRST_OPSET and not _upgraded(graph, home):
        return ""
    ranks = {given.name: len(given.type.tensor_type.shape.dim) for given in graph.graph.input}
    found = spelt_out(graph, home, {**ranks, **inspect(graph, home).ranks})
    fused = fuse(graph, found, _widths(graph))
    return f"{len(fused)} LayerNorm{'s' if fused[1:] else ''} in one operator each" if fused else ""


def within_the_format(graph: onnx.ModelProto, home: Path) -> str:
    """Constants brought to what FP16 holds."""
    changed: list[str] = []

    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) <= LARGE:
            held = weight(tensor, home)
            made = _held(held)
            if made is not held:
                changed.append(tensor.name)
                tensor.CopyFrom(onnx.numpy_helper.from_array(made, tensor.name))
    return (
        f"constant{'s' if changed[1:] else ''} {', '.join(changed[:5])} brought to what FP16 holds" if changed else ""
    )


def _held(array: Array) -> Array:
    """The constant as FP16 holds it; the very array where there is nothing to do."""
    beyond = np.abs(array) > LARGEST
    vanishing = (array != 0) & (np.abs(array) < SMALLEST / 2**11)
    if array.size > SMALL:
        if (array > LARGEST).any():
            return array
        vanishing[:] = False
    if not (beyond | vanishing).any():
        return array
    near = np.where(vanishing, SMALLEST, LARGEST).astype(np.float32)
    return np.asarray(np.where(beyond | vanishing, np.copysign(near, array), array), np.float32)


CHANGES: Final[dict[str, Change]] = {"layer-norms": one_operator, "constants": within_the_format}


def _upgraded(graph: onnx.ModelProto, home: Path) -> bool:
    """Whether it could be given the operator set that has the operator."""
    try:
        newer = with_opset(graph, FIRST_OPSET, home)
    except Exception:
        return False
    graph.CopyFrom(newer)
    return True


def _widths(graph: onnx.ModelProto) -> dict[str, int]:
    """Length of the last axis, where the graph tells it."""
    try:
        inferred = onnx.shape_inference.infer_shapes(graph).graph
    except Exception:
        inferred = graph.graph
    found = {}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        axes = value.type.tensor_type.shape.dim
        if axes and axes[-1].HasField("dim_value"):
            found[value.name] = axes[-1].dim_value
    return found
