"""An ONNX model that computes in a precision the CPU does not have, or not for every operator."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np
import onnx

from assay_runner.backends.conversion import DOUBLE, HALVES, OLDEST, UPGRADED, in_fp32, listed, opened
from assay_runner.backends.inspection import inspect
from assay_runner.backends.vanishing_constants import vanishing_constants
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Guard, Overflow
from assay_runner.graphs.control_flow import control_flow
from assay_runner.graphs.documents import load_outline, save
from assay_runner.graphs.endings import Downstream
from assay_runner.graphs.formats import Formats
from assay_runner.graphs.rounding import CASTS, emulate, rounder
from assay_runner.graphs.taps import name_of, uses
from assay_runner.graphs.weights import localise
from assay_runner.tensors import Array, Site

NOTHING: Mapping[str, str] = MappingProxyType({})
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
        unrounded: nodes at or inside which the precision was not emulated.
        overflows: weights whose values the precision cannot hold.
        vanished: what should keep something from zero and is zero in the precision.
        wide: nodes that are held to a format of wider range.
    """

    path: Path
    notes: tuple[str, ...]
    unrounded: tuple[Site, ...]
    overflows: tuple[Overflow, ...]
    vanished: tuple[Guard, ...]
    wide: frozenset[str]


def rounded_model(
    path: Path, precision: str, folder: Path, held: Mapping[str, str] = NOTHING, name: str = ""
) -> Emulation:
    """Write the emulation of a model in FP16, BF16 or TF32, or with such nodes in FP32, into `folder`.

    Args:
        path: of the model.
        precision: what its nodes compute in.
        folder: where it is written.
        held: by node name, where that is another one.
        name: what people call the model, where its file was derived from theirs.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
        CannotBuild: its operator set is too old to say this precision.
    """
    formats = Formats(precision, held)
    with TemporaryDirectory(dir=folder) as scratch:
        oldest = max((precision, *held.values()), key=OLDEST.__getitem__)
        model, source = opened(path, oldest, Path(scratch), name=name)
        made = in_fp32(model, source, HALVES | DOUBLE)
        _check_held(model, held, name or path.name)
        source, found = made.source, inspect(model, made.source)
        wanted, users = formats.weights(model), uses(model)
        downstream = Downstream(model)
        overflown: list[Overflow] = []
        vanished = list(downstream.clips(precision, _vanishes(precision)))

        def convert(name: str, array: Array) -> Array:
            if name not in wanted:
                return array
            result = rounder(wanted[name])(array)
            if (value := overflow(array, result)) is not None:
                ending = downstream.infinity(name, value < 0)
                overflown.append(Overflow(name, "weight", wanted[name], value, users.get(name, ()), ending=ending))
            if all_gone(array, result) and (guard := downstream.guard(name, wanted[name], _largest(array))):
                vanished.append(guard)
            return result

        made_of = tuple(vanishing_constants(model, source, formats, downstream))
        unclear = emulate(model, formats, found.types, source)
        localise(model, source, folder, convert)
        vanished += made_of
    inner = control_flow(load_outline(path))
    unrounded = tuple(site for number, site in enumerate(inner) if number in unclear)
    notes = (*made.notes, *_notes(formats, inner, overflown, found.skipped))
    if unrounded:
        names = listed([site.node or site.tensor for site in unrounded])
        notes = (*notes, f"{precision} is not emulated in all tensors inside the control flow of {names}")
    path = save(model, folder / "model.onnx")
    left = dict.fromkeys((*unrounded, *made.unrounded))
    return Emulation(path, notes, tuple(left), tuple(overflown), tuple(vanished), formats.wider(model))


def _check_held(model: onnx.ModelProto, held: Mapping[str, str], name: str) -> None:
    """Do nothing where nodes bear the names still by which they are held.

    Raises:
        InvalidInput: an upgrade has put others in their place.
    """
    if gone := sorted(held.keys() - {name_of(node) for node in model.graph.node}):
        raise InvalidInput(
            f"node {gone[0]!r} is held to {held[gone[0]]}, and is another one once {name} has the operator set "
            f"that is needed here: export it with opset {UPGRADED}"
        )


def overflow(array: Array, rounded: Array) -> float | None:
    """The largest finite value that rounding made infinite; None where there is none."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(rounded.sum()):
            return None  # One pass over what is almost always so.
    gone = np.isinf(rounded) & np.isfinite(array)
    return float(array[gone][np.argmax(np.abs(array[gone]))]) if gone.any() else None


def _vanishes(precision: str) -> Callable[[float], bool]:
    """Whether a precision makes zero of a number."""
    if precision not in CASTS:
        return lambda value: False
    rounding = rounder(precision)
    return lambda value: not rounding(np.array([value], np.float32)).any()


def _largest(array: Array) -> float:
    return float(array.flat[int(np.abs(array).argmax())])


def all_gone(array: Array, rounded: Array) -> bool:
    """Whether no element was zero, and rounding made all of them zero."""
    return array.size > 0 and not rounded.any() and bool(array.all())


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
