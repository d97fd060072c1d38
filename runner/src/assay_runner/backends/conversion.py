"""The model in another float type than its own, or with a newer operator set: golden, or what a candidate starts from.

TensorRT has no float64, so a candidate of a float64 model computes in FP32 at most; golden keeps to float64, which is
the model's own arithmetic. Halves become FP32 for both: a CPU computes in FP32 what it is given in halves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto

from assay_runner.backends.inspection import inspect
from assay_runner.errors import CannotBuild
from assay_runner.graphs.documents import load_graph, load_outline, opset, save
from assay_runner.graphs.element_types import written
from assay_runner.graphs.newer_opset import with_opset
from assay_runner.graphs.operators import in_full_precision
from assay_runner.graphs.retype import Retyped, converter, retype
from assay_runner.graphs.weights import localise
from assay_runner.tensors import Array, Site

# The oldest operator sets that have the operators used here.
OLDEST: Final = {"fp32": 1, "fp16": 7, "bf16": 13, "tf32": 9, "fp64": 11, "int8": 13, "fp8": 19}
UPGRADED: Final = 17
HALVES: Final = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
DOUBLE: Final = frozenset({TensorProto.DOUBLE})


@dataclass(frozen=True)
class InFp32:
    """A model whose other floats became FP32.

    Attributes:
        path: of the model; the given one where there was nothing to change.
        notes: what to know about it.
        unrounded: nodes that compute in their own type still.
    """

    path: Path
    notes: tuple[str, ...] = ()
    unrounded: tuple[Site, ...] = ()


def fp32_model(path: Path, folder: Path, changed: Collection[int] = HALVES | DOUBLE) -> InFp32:
    """The model as it is, unless it has floats of these types: then with FP32 in their place, written into `folder`.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    outline = load_outline(path)
    if not written(outline) & set(changed) and not in_full_precision(outline):
        return InFp32(path)
    with TemporaryDirectory(dir=folder) as scratch:
        model = load_graph(path)
        in_full_precision(model)
        localise(model, path.parent, Path(scratch))
        made = in_fp32(model, Path(scratch), changed, folder)
        if made.source != folder:
            localise(model, made.source, folder)
        return InFp32(save(model, folder / "model.onnx"), made.notes, made.unrounded)


@dataclass(frozen=True)
class Changed:
    """What became of a graph whose floats were to be FP32.

    Attributes:
        source: folder in which its weights lie now.
        notes: what to know about it.
        unrounded: nodes that compute in their own type still.
    """

    source: Path
    notes: tuple[str, ...] = ()
    unrounded: tuple[Site, ...] = ()


def in_fp32(model: onnx.ModelProto, source: Path, changed: Collection[int], folder: Path | None = None) -> Changed:
    """Give floats of these types FP32 in place, weights and control flow included.

    Args:
        model: localised.
        source: folder in which its weights lie.
        changed: element types that become FP32.
        folder: where its weights are written; None: below `source`.
    """
    there = written(model) & set(changed)
    if not there:
        return Changed(source)
    found = inspect(model, source)
    if folder is None:
        folder = source / "fp32"
        folder.mkdir()
    made = retype(model, TensorProto.FLOAT, found.types, found.ranks, changed=there, inside=source)
    overflown: list[str] = []
    convert = converter(TensorProto.FLOAT, changed=there)

    def noted(name: str, array: Array) -> Array:
        result = convert(name, array)
        if result is not array and (np.isinf(result) & np.isfinite(array)).any():
            overflown.append(name)
        return result

    localise(model, source, folder, noted)
    return Changed(folder, _notes(there, overflown, made.islands), tuple(made.islands))


def _notes(there: Collection[int], overflown: Sequence[str], islands: Sequence[Site]) -> tuple[str, ...]:
    notes = []
    if TensorProto.DOUBLE in there:
        notes.append("float64 tensors of the model are FP32 in the candidate: TensorRT has no float64")
    if overflown:
        notes.append(f"weights that overflow in fp32: {listed(overflown)}")
    if islands:
        names = [site.node or site.tensor for site in islands]
        notes.append(
            f"ONNX Runtime has no FP32 kernel for these nodes, they compute in their own type: {listed(names)}"
        )
    return tuple(notes)


def fp64_model(path: Path, folder: Path) -> tuple[Path, Retyped]:
    """Write the model in double precision into `folder`; returns its path and which nodes could not stay as they are.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    with TemporaryDirectory(dir=folder) as scratch:
        model, source = opened(path, "fp64", Path(scratch), optional=True)
        in_full_precision(model)
        found = inspect(model, source)
        made = retype(model, TensorProto.DOUBLE, found.types, found.ranks)
        localise(model, source, folder, converter(TensorProto.DOUBLE))
    return save(model, folder / "model.onnx"), made


def localised(path: Path, folder: Path) -> onnx.ModelProto:
    """The model's graph, its weights in `folder`: as they are if the model was made there."""
    model = load_graph(path)
    return model if path.parent == folder else localise(model, path.parent, folder)


def upgraded(path: Path, purpose: str, folder: Path, name: str = "") -> Path:
    """The model, with an operator set that can say what `purpose` needs; written into `folder` where it was too old.

    Args:
        path: of the model.
        purpose: a precision.
        folder: where it is written.
        name: what people call the model, where its file was derived from theirs.

    Raises:
        CannotBuild: it is too old and cannot be upgraded.
    """
    if opset(load_outline(path)) >= OLDEST[purpose]:
        return path
    with TemporaryDirectory(dir=folder) as scratch:
        model, source = opened(path, purpose, Path(scratch), name=name)
        return save(localise(model, source, folder), folder / "upgraded.onnx")


def opened(
    path: Path, purpose: str, scratch: Path, optional: bool = False, name: str = ""
) -> tuple[onnx.ModelProto, Path]:
    """The graph, upgraded where `purpose` needs it, its weights in `scratch`.

    Args:
        path: of the model.
        purpose: a precision.
        scratch: an empty folder.
        optional: whether a model that cannot be upgraded is taken as it is.
        name: what people call the model, where its file was derived from theirs.

    Raises:
        CannotBuild: it is too old and cannot be upgraded.
    """
    model, source = load_graph(path), path.parent
    version = opset(model)
    target = max(UPGRADED, OLDEST[purpose])
    if version < OLDEST[purpose]:
        older = scratch / "older"
        older.mkdir()
        try:
            # Without the weights, or a model of 2 GB could not be converted.
            newer = with_opset(localise(load_graph(path), source, older), target, older)
            model, source = load_graph(save(newer, older / "newer.onnx")), older
        except Exception as error:
            if not optional:
                reason = " ".join(str(error).split())[:200]
                raise CannotBuild(
                    f"{name or path.name} has opset {version}, too old for {purpose} here, and cannot be upgraded: "
                    f"export it with opset {target} ({reason})"
                ) from error
    return localise(model, source, scratch), scratch


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
