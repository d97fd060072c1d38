"""From an order to builder settings: decided here in plain values, applied to TensorRT's objects in `building`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from assay_api.audit import BuildOptions, ShapeProfile
from assay_runner.backends.order import BuildOrder
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.tensors import Extents, TensorSpec

Typing = Literal["weak", "strong"]

FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "fp32": (),
    "tf32": ("TF32",),
    "fp16": ("FP16",),
    "bf16": ("BF16",),
    "int8": ("INT8",),
    "fp8": ("FP8",),
}
"""Builder flags that let a weakly typed network run in a precision; TF32 is set by default and cleared else."""
FP8_CAPABILITY: Final = (8, 9)
_UNITS: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}


@dataclass(frozen=True)
class Offered:
    """What the installed TensorRT and the GPU offer.

    Attributes:
        weak: whether precision may be left to the builder.
        implicit: whether there are calibrators of its own.
        capability: the GPU's compute capability.
        version: TensorRT's version, for sentences.
        tactics: whether tactics can be recorded and held.
    """

    weak: bool
    implicit: bool
    capability: tuple[int, int]
    version: str
    tactics: bool = False


@dataclass(frozen=True)
class Settings:
    """How an engine is built.

    Attributes:
        typing: weak or strong.
        implicit: whether TensorRT's own calibrator finds INT8 ranges.
        flags: builder flags to set.
        tf32: whether TF32 is allowed.
        obeys: whether per-layer precisions must be obeyed.
        workspace: bytes, or None for all there is.
        options: further options as the spec has them.
    """

    typing: Typing
    implicit: bool
    flags: tuple[str, ...]
    tf32: bool
    obeys: bool
    workspace: int | None
    options: BuildOptions


def settings(order: BuildOrder, offered: Offered) -> Settings:
    """What the order means here.

    Raises:
        InvalidInput: it asks for things that exclude each other.
        Unsupported: this version or GPU does not have what it asks for.
    """
    precision, options = order.precision, order.options
    typing: Typing = order.typing or ("weak" if offered.weak else "strong")
    if typing == "weak" and not offered.weak:
        raise Unsupported(
            f"typing weak is asked for, which TensorRT {offered.version} no longer has: set typing: strong"
        )
    if precision == "fp8" and offered.capability < FP8_CAPABILITY:
        shown = ".".join(map(str, offered.capability))
        raise Unsupported(
            f"fp8 is asked for, which needs compute capability 8.9 or newer, and this GPU has {shown}: "
            "choose other spec.target.gpuProducts, or another precision"
        )
    recorded = order.tactics is not None or bool(order.forbidden)
    if recorded and not offered.tactics:
        raise Unsupported(
            f"a record of tactics is asked for, which TensorRT {offered.version} cannot keep, for it has no "
            "IAlgorithmSelector: keep the plan itself, which is its tactics"
        )
    if recorded and options.optimization_level == 0:
        raise InvalidInput(
            "a record of tactics is asked for at build.optimizationLevel 0, at which TensorRT takes the first kernel "
            "that works and lets none be selected: set it to 1 or more"
        )
    own = FLAGS[precision] if typing == "weak" and precision != "tf32" else ()
    extra = (FLAGS[held][0] for held in sorted(set(order.held.values()) - {"fp32"}))
    return Settings(
        typing=typing,
        implicit=_implicit(order, typing, offered),
        flags=tuple(dict.fromkeys((*own, *(extra if typing == "weak" else ()), *_compatible(options), *options.flags))),
        tf32=precision == "tf32" or "TF32" in options.flags,
        obeys=bool(order.held) and typing == "weak",
        workspace=quantity(options.workspace) if options.workspace else None,
        options=options,
    )


def _compatible(options: BuildOptions) -> tuple[str, ...]:
    return (*(("VERSION_COMPATIBLE",) if options.version_compatible else ()), *(("REFIT",) if options.refit else ()))


def _implicit(order: BuildOrder, typing: Typing, offered: Offered) -> bool:
    how = order.quantisation
    if how is None or not how.reads or order.precision != "int8" or typing == "strong":
        return False
    if how.quantization == "implicit" and not offered.implicit:
        raise Unsupported(
            f"implicit quantization is asked for, and TensorRT {offered.version} has no calibrators: "
            "set calibration.quantization: explicit"
        )
    wanted = how.quantization or ("implicit" if how.method in ("entropy", "minmax") else "explicit")
    return wanted == "implicit" and offered.implicit


def quantity(text: str) -> int:
    """Bytes of a Kubernetes quantity such as 4Gi."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text)
    factor = (_UNITS | _BINARY).get(match[2]) if match else None
    if match is None or factor is None:
        raise InvalidInput(f"build.workspace {text} is no size in bytes: write it like 4Gi")
    return int(float(match[1]) * factor)


def extents(
    inputs: Sequence[TensorSpec], profile: Sequence[ShapeProfile], seen: Mapping[str, Extents]
) -> dict[str, Extents]:
    """The optimisation profile of every input that has a free axis.

    Args:
        inputs: of the model.
        profile: what the spec says; it must take the dataset's batches, not samples fed alone.
        seen: shapes the dataset will feed.

    Raises:
        InvalidInput: the profile names no input, has another rank, or does not hold what is fed.
    """
    known = {spec.name: spec for spec in inputs}
    given = {entry.input: Extents(entry.min, entry.opt, entry.max) for entry in profile}
    for name, shapes in given.items():
        _check(name, shapes, known, seen.get(name))
    found: dict[str, Extents] = {}
    for spec in inputs:
        if all(isinstance(size, int) for size in spec.shape):
            continue
        chosen = given.get(spec.name) or seen.get(spec.name)
        if chosen is None:
            raise InvalidInput(
                f"input {spec.name!r} has free axes {list(spec.shape)} and nothing says which "
                "shapes it takes: give build.profile"
            )
        found[spec.name] = chosen
    wrong = _contradicted(known, found, seen)
    return {
        name: replace(shapes, misnamed=tuple(axis for axis, size in enumerate(known[name].shape) if size in wrong))
        for name, shapes in found.items()
    }


def _contradicted(
    known: Mapping[str, TensorSpec], chosen: Mapping[str, Extents], seen: Mapping[str, Extents]
) -> set[int | str | None]:
    """Names of dimensions that stand for different sizes: in one feed, or in what the profile allows."""
    found = {known[name].shape[axis] for name, shapes in seen.items() if name in known for axis in shapes.misnamed}
    allowed: dict[str, tuple[int, ...]] = {}
    for name, shapes in chosen.items():
        for size, *extent in zip(known[name].shape, shapes.min, shapes.opt, shapes.max, strict=True):
            if isinstance(size, str) and allowed.setdefault(size, tuple(extent)) != tuple(extent):
                found.add(size)
    return found


def _check(name: str, shapes: Extents, known: Mapping[str, TensorSpec], seen: Extents | None) -> None:
    where = f"build.profile of input {name!r}"
    if name not in known:
        raise InvalidInput(f"{where} names no input of the model: there are {', '.join(known)}")
    rank = len(known[name].shape)
    if any(len(shape) != rank for shape in (shapes.min, shapes.opt, shapes.max)):
        raise InvalidInput(f"{where} must have {rank} numbers per shape, as the model's input has")
    for axis, (low, best, high) in enumerate(zip(shapes.min, shapes.opt, shapes.max, strict=True)):
        size = known[name].shape[axis]
        if isinstance(size, int) and {low, best, high} != {size}:
            raise InvalidInput(f"{where} changes axis {axis}, which the model fixes at {size}")
        least = (seen.least or seen.min)[axis] if seen else low
        if seen and not (low <= least and seen.max[axis] <= high):
            fed = f"{least} to {seen.max[axis]}" if least != seen.max[axis] else f"{least}"
            raise InvalidInput(
                f"{where} allows {low} to {high} at axis {axis}, and the data have {fed}: widen the profile, or change "
                "dataset.batch"
            )
