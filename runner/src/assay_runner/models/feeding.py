"""How samples lie in a model's inputs: along which axis each has them, and which are the same for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from assay_api.dataset import Dataset
from assay_runner.errors import InvalidInput, did_you_mean
from assay_runner.tensors import Array, InputAxes, TensorSpec

Constant = bool | int | float | tuple[bool | int | float, ...]


@dataclass(frozen=True)
class Feeding:
    """What a spec says of a model's inputs.

    Attributes:
        feeds: whether each file is a feed, in the model's exact shapes, and that a sample.
        axes: (input, axis along which its samples are stacked), where that is not the first.
        constants: (input, its values), where all samples have the same.
    """

    feeds: bool = False
    axes: tuple[tuple[str, int], ...] = ()
    constants: tuple[tuple[str, Constant], ...] = ()

    @property
    def meaning(self) -> str:
        """What a digest of the data must cover beside the files; empty where all is as ever."""
        return repr(self) if self != AS_EVER else ""


AS_EVER: Final = Feeding()
"""Samples along the first axis of every input."""


def feeding_of(spec: Dataset) -> Feeding:
    """What a dataset's spec says."""
    told = sorted(spec.inputs.items())
    return Feeding(
        spec.layout == "feeds",
        tuple((name, how.axis) for name, how in told if how.axis is not None),
        tuple((name, how.constant) for name, how in told if how.constant is not None),
    )


def input_axes(inputs: Sequence[TensorSpec], feeding: Feeding, uri: str) -> InputAxes:
    """Where the samples of a model's inputs are; of feeds, nowhere.

    Args:
        inputs: of the model.
        feeding: what the spec says.
        uri: of the model.

    Raises:
        InvalidInput: an input that is named is not there or has no such axis, a scalar is no constant, or all are.
    """
    if feeding.feeds:
        return {i.name: None for i in inputs}
    axes, constants = dict(feeding.axes), dict(feeding.constants)
    _check_names([*axes, *constants], inputs, uri)
    for spec in inputs:
        _check_axis(spec, axes.get(spec.name, 0), spec.name in constants and spec.name not in axes, uri)
    found: dict[str, int | None] = {i.name: axes.get(i.name, 0) for i in inputs if i.name not in constants}
    if not found:
        raise InvalidInput(
            f"dataset.inputs makes every input of the model {uri} constant: leave out the one that varies"
        )
    called = {i.shape[axis] for i in inputs if (axis := found.get(i.name)) is not None}
    for spec in inputs:
        if spec.name in constants:
            # What is as long as the batch holds its values once for each sample.
            same = (axis for axis, size in enumerate(spec.shape) if isinstance(size, str) and size in called)
            found[spec.name] = axes.get(spec.name, next(same, None))
    return found if any(axis != 0 for axis in found.values()) else {}


def _check_names(told: Iterable[str], inputs: Sequence[TensorSpec], uri: str) -> None:
    there = [i.name for i in inputs]
    for name in told:
        if name not in there:
            hint = did_you_mean(name, there)
            listed = ", ".join(map(repr, there[:12]))
            raise InvalidInput(
                f"dataset.inputs names {name!r}, which is no input of the model {uri}: it has {listed}{hint}"
            )


def _check_axis(spec: TensorSpec, axis: int, shared: bool, uri: str) -> None:
    if shared or axis < len(spec.shape):
        return
    if not spec.shape:
        raise InvalidInput(
            f"input {spec.name!r} of the model {uri} is a scalar, and has no axis for samples: give its value in "
            f"dataset.inputs ({spec.name}: {{constant: …}}), or store feeds and set dataset.layout: feeds"
        )
    raise InvalidInput(
        f"dataset.inputs stacks the samples of {spec.name!r} along axis {axis}, and the input of the model {uri} has "
        f"axes 0 to {len(spec.shape) - 1}: name one of them"
    )


def fixed_batch(inputs: Iterable[TensorSpec], axes: InputAxes, uri: str) -> int | None:
    """The batch that a model fixes; None where it is free.

    Raises:
        InvalidInput: its inputs fix it at several numbers.
    """
    stacked = [(i, axis) for i in inputs if (axis := axes.get(i.name, 0)) is not None]
    fixed = {i.name: size for i, axis in stacked if isinstance(size := i.shape[axis], int)}
    if len(set(fixed.values())) > 1:
        shown = ", ".join(f"{name}: {size}" for name, size in fixed.items())
        raise InvalidInput(
            f"the inputs of the model {uri} disagree on the batch, their first axis ({shown}): export it with one "
            "batch or with a free first axis, or say in dataset.inputs which input is constant or has its samples "
            "along another axis, or store feeds and set dataset.layout: feeds"
        )
    return next(iter(fixed.values()), None)


def constant_values(inputs: Iterable[TensorSpec], axes: InputAxes, feeding: Feeding) -> Mapping[str, Array]:
    """The constants in their inputs' types; of those that have an axis of samples, what one sample has.

    Raises:
        InvalidInput: values that the type does not hold, or that do not fill the shape.
    """
    specs = {i.name: i for i in inputs}
    return {name: _filled(specs[name], axes.get(name, 0), values) for name, values in feeding.constants}


def _filled(spec: TensorSpec, axis: int | None, values: Constant) -> Array:
    shape = spec.shape if axis is None else spec.shape[:axis] + spec.shape[axis + 1 :]
    free = [place for place, size in enumerate(shape) if not isinstance(size, int)]
    many = isinstance(values, tuple)
    if len(free) > 1 or (free and not many):
        raise InvalidInput(
            f"dataset.inputs makes input {spec.name!r} constant, and its shape is free: {_shown(shape)}; give all its "
            "values as a list if one axis is, store it as an array, or name its axis of samples"
        )
    array = _typed(spec, values)
    if not many:
        return np.full([size for size in shape if isinstance(size, int)], array, spec.dtype)
    try:
        return array.reshape([size if isinstance(size, int) else -1 for size in shape])
    except ValueError:
        raise InvalidInput(
            f"dataset.inputs gives {array.size} values for input {spec.name!r}, and they do not fill its shape "
            f"{_shown(shape)}: give as many as it holds, the last axis varying fastest"
        ) from None


def _typed(spec: TensorSpec, values: Constant) -> Array:
    given = values if isinstance(values, tuple) else (values,)
    try:
        with np.errstate(all="ignore"):
            array = np.array(given, object).astype(np.float64 if spec.dtype.kind not in "iub" else object)
            typed = array.astype(spec.dtype)
    except (OverflowError, ValueError, TypeError):
        typed = None
    exact = spec.dtype.kind not in "iub" or (
        typed is not None and all(int(there) == value for there, value in zip(typed, given, strict=True))
    )
    if typed is None or not exact or (spec.dtype.kind not in "iub" and not np.isfinite(typed.astype(np.float64)).all()):
        raise InvalidInput(
            f"dataset.inputs gives input {spec.name!r} a value that {spec.dtype.name} does not hold: give one that it "
            "does"
        )
    return typed if isinstance(values, tuple) else typed[0]


def _shown(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
