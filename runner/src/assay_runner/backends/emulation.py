"""An ONNX model that computes in a precision the CPU does not have, or not for every operator."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np
import onnx
import onnx.version_converter
from onnx import TensorProto

from assay_runner.backends.inspection import inspect
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Overflow
from assay_runner.graphs.control_flow import control_flow
from assay_runner.graphs.documents import load_graph, load_outline, localise, opset, save
from assay_runner.graphs.formats import Formats
from assay_runner.graphs.retype import Retyped, converter, retype
from assay_runner.graphs.rounding import emulate, rounder
from assay_runner.graphs.taps import name_of, uses
from assay_runner.tensors import Array, Site

# The oldest operator sets that have the operators used here.
OLDEST = {"fp32": 1, "fp16": 7, "bf16": 13, "tf32": 9, "fp64": 11, "int8": 13, "fp8": 19}
NOTHING: Mapping[str, str] = MappingProxyType({})
HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
UPGRADED = 17
EMULATED = {
    "fp16": "every tensor is rounded to fp16, sums inside an operator are FP32",
    "bf16": "every tensor is rounded to bf16, sums inside an operator are FP32",
    "tf32": "operands of products are rounded to 11 significant bits",
}


@dataclass(frozen=True)
class Emulation:
    """A model that computes in a lower precision.

    Attributes:
        path: of the model.
        notes: what to know about it.
        unrounded: nodes of the given model inside which the precision was not emulated.
        overflows: weights whose values the precision cannot hold.
        wide: nodes that are held to a format of wider range.
    """

    path: Path
    notes: tuple[str, ...]
    unrounded: tuple[Site, ...]
    overflows: tuple[Overflow, ...]
    wide: frozenset[str]


def rounded_model(path: Path, precision: str, folder: Path, held: Mapping[str, str] = NOTHING) -> Emulation:
    """Write the emulation of a model in FP16, BF16 or TF32, or with such nodes in FP32, into `folder`.

    Args:
        path: of the model.
        precision: what its nodes compute in.
        folder: where it is written.
        held: by node name, where that is another one.

    Raises:
        InvalidInput: ONNX Runtime refuses the model, or its operator set is too old to say this precision.
    """
    formats = Formats(precision, held)
    with TemporaryDirectory(dir=folder) as scratch:
        oldest = max((precision, *held.values()), key=OLDEST.__getitem__)
        model, source = _in_fp32(*_opened(path, oldest, Path(scratch)))
        _check_held(model, held, path)
        found = inspect(model, source)
        wanted, users = formats.weights(model), uses(model)
        overflown: list[Overflow] = []

        def convert(name: str, array: Array) -> Array:
            if name not in wanted:
                return array
            result = rounder(wanted[name])(array)
            if (value := overflow(array, result)) is not None:
                overflown.append(Overflow(name, "weight", wanted[name], value, users.get(name, ())))
            return result

        unclear = emulate(model, formats, found.types, source)
        localise(model, source, folder, convert)
    inner = control_flow(load_outline(path))
    unrounded = tuple(site for number, site in enumerate(inner) if number in unclear)
    notes = _notes(formats, inner, overflown, found.skipped)
    if unrounded:
        names = listed([site.node or site.tensor for site in unrounded])
        notes = (*notes, f"{precision} is not emulated in all tensors inside the control flow of {names}")
    path = save(model, folder / "model.onnx")
    return Emulation(path, notes, unrounded, tuple(overflown), formats.wider(model))


def _check_held(model: onnx.ModelProto, held: Mapping[str, str], path: Path) -> None:
    """Do nothing where nodes bear the names still by which they are held.

    Raises:
        InvalidInput: an upgrade has put others in their place.
    """
    if gone := sorted(held.keys() - {name_of(node) for node in model.graph.node}):
        raise InvalidInput(
            f"node {gone[0]!r} is held to {held[gone[0]]}, and is another one once {path.name} has the operator set "
            f"that is needed here: export it with opset {UPGRADED}"
        )


def overflow(array: Array, rounded: Array) -> float | None:
    """The largest finite value that rounding made infinite; None where there is none."""
    gone = np.isinf(rounded) & np.isfinite(array)
    return float(array[gone][np.argmax(np.abs(array[gone]))]) if gone.any() else None


def fp32_model(path: Path, folder: Path) -> Path:
    """The model as it is, unless it stores halves: then with FP32 in their place, written into `folder`.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    if not _kinds(load_outline(path)) & set(HALVES):
        return path
    with TemporaryDirectory(dir=folder) as scratch:
        model, source = _in_fp32(*_opened(path, "fp32", Path(scratch)))
        return save(localise(model, source, folder), folder / "model.onnx")


def fp64_model(path: Path, folder: Path) -> tuple[Path, Retyped]:
    """Write the model in double precision into `folder`; returns its path and which nodes could not stay as they are.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    with TemporaryDirectory(dir=folder) as scratch:
        model, source = _opened(path, "fp64", Path(scratch), optional=True)
        found = inspect(model, source)
        made = retype(model, TensorProto.DOUBLE, found.types, found.ranks)
        localise(model, source, folder, converter(TensorProto.DOUBLE))
    return save(model, folder / "model.onnx"), made


def localised(path: Path, folder: Path) -> onnx.ModelProto:
    """The model's graph, its weights in `folder`: as they are if the model was made there."""
    model = load_graph(path)
    return model if path.parent == folder else localise(model, path.parent, folder)


def upgraded(path: Path, purpose: str, folder: Path) -> Path:
    """The model, with an operator set that can say what `purpose` needs; written into `folder` where it was too old.

    Raises:
        InvalidInput: it is too old and cannot be upgraded.
    """
    if opset(load_outline(path)) >= OLDEST[purpose]:
        return path
    with TemporaryDirectory(dir=folder) as scratch:
        model, source = _opened(path, purpose, Path(scratch))
        return save(localise(model, source, folder), folder / "upgraded.onnx")


def _opened(path: Path, purpose: str, scratch: Path, optional: bool = False) -> tuple[onnx.ModelProto, Path]:
    """The graph, upgraded where `purpose` needs it, its weights in `scratch`."""
    model, source = load_graph(path), path.parent
    version = opset(model)
    target = max(UPGRADED, OLDEST[purpose])
    if version < OLDEST[purpose]:
        older = scratch / "older"
        older.mkdir()
        try:
            # Without the weights, or a model of 2 GB could not be converted.
            newer = onnx.version_converter.convert_version(localise(load_graph(path), source, older), target)
            model, source = load_graph(save(newer, older / "newer.onnx")), older
        except Exception as error:
            if not optional:
                reason = " ".join(str(error).split())[:200]
                raise InvalidInput(
                    f"{path.name} has opset {version}, too old for {purpose} here, and cannot be upgraded: export it "
                    f"with opset {target} ({reason})"
                ) from error
    return localise(model, source, scratch), scratch


def _in_fp32(model: onnx.ModelProto, source: Path) -> tuple[onnx.ModelProto, Path]:
    if not _kinds(model) & {*HALVES, TensorProto.DOUBLE}:
        return model, source
    found = inspect(model, source)
    folder = source / "fp32"
    folder.mkdir()
    retype(model, TensorProto.FLOAT, found.types, found.ranks)
    return localise(model, source, folder, converter(TensorProto.FLOAT)), folder


def _kinds(model: onnx.ModelProto) -> set[int]:
    kinds = {t.data_type for t in model.graph.initializer}
    kinds |= {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}
    return kinds | {a.i for n in model.graph.node if n.op_type == "Cast" for a in n.attribute if a.name == "to"}


def _notes(
    formats: Formats, inner: Sequence[Site], overflown: Sequence[Overflow], skipped: Sequence[str]
) -> tuple[str, ...]:
    notes = []
    if formats.base in EMULATED:
        notes.append(f"{formats.base} is emulated by ONNX Runtime on CPU: {EMULATED[formats.base]}")
    notes += _held(formats.held, {site.node or site.tensor for site in inner})
    for kind in sorted({found.precision for found in overflown}):
        names = listed([found.tensor for found in overflown if found.precision == kind])
        notes.append(f"weights that overflow in {kind}: {names}")
    if inner:
        names = listed([site.node or site.tensor for site in inner])
        notes.append(f"tensors inside the control flow of {names} cannot be looked at")
    if skipped:
        notes.append(f"no numbers, not looked at: {listed(skipped)}")
    return tuple(notes)


def _held(held: Mapping[str, str], inner: Collection[str]) -> list[str]:
    """Which nodes are held, by precision; and which are not, for they hold control flow."""
    notes = []
    for kind in sorted(set(held.values())):
        if names := sorted(name for name in held if held[name] == kind and name not in inner):
            notes.append(f"held to {kind} as asked, with what they alone read and what they make: {listed(names)}")
    if names := sorted(held.keys() & set(inner)):
        notes.append(f"not held to another precision, for it holds control flow: {listed(names)}")
    return notes


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
