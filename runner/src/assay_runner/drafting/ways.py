"""The ways in which stored arrays may be what a model takes, likeliest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from assay_runner.drafting.shape_inputs import ShapeInput
from assay_runner.models.feeding import Constant, Feeding
from assay_runner.tensors import Array, TensorSpec

NOTHING: Final[Mapping[str, ShapeInput]] = MappingProxyType({})
NO_VALUES: Final[Mapping[str, Array]] = MappingProxyType({})

_RATES: Final = frozenset({"sr", "sample_rate", "sampling_rate"})
RATE: Final = 16_000
"""Hz: what models of speech are made for."""


@dataclass(frozen=True)
class Way:
    """How a dataset may be fed.

    Attributes:
        feeding: to the model.
        because: by input, why it is fed so, where that is a guess.
        single: whether one sample at a time is run, for a constant says how many there are.
    """

    feeding: Feeding
    because: dict[str, str] = field(default_factory=dict)
    single: bool = False


def ways(
    inputs: Sequence[TensorSpec],
    stored: Collection[str] | None,
    shapes: Mapping[str, ShapeInput] = NOTHING,
    values: Mapping[str, Array] = NO_VALUES,
) -> Iterator[Way]:
    """Ways to try.

    Args:
        inputs: of the model.
        stored: names of the arrays there are; None where all that is needed will be made.
        shapes: inputs that say how large something is to be.
        values: of those that are not stored.
    """
    if shapes and (stored is None or set(shapes) <= set(stored)):
        # They are no rows of samples.
        yield Way(Feeding(feeds=True))
        return
    constants = dict[str, Constant]()
    because = dict[str, str]()
    for spec in inputs:
        missing = spec.name not in stored if stored is not None else False
        if missing or not spec.shape:
            constants[spec.name], because[spec.name] = _constant(spec, missing)
        if spec.name in values:
            constants[spec.name] = tuple(values[spec.name].tolist())
            because[spec.name] = f"a {shapes[spec.name].op} reads it as a size: with this one it changes none"
    single = any(shapes[name].whole for name in values)
    axes = {name: found for name, found in _axes(inputs).items() if name not in constants}
    told = tuple(sorted(constants.items()))
    scalars = [spec.name for spec in inputs if not spec.shape]
    if scalars and stored is not None and set(scalars) <= set(stored):
        yield Way(Feeding(feeds=True))
    if not constants:
        yield Way(Feeding())
    if axes:
        places = tuple(sorted((name, axis) for name, (axis, _) in axes.items()))
        yield Way(Feeding(axes=places, constants=told), because | {name: why for name, (_, why) in axes.items()})
    if constants and len(constants) < len(inputs):
        yield Way(Feeding(constants=told), because, single)
    yield Way(Feeding(feeds=True))


def _constant(spec: TensorSpec, missing: bool) -> tuple[Constant, str]:
    why = "no array has its name" if missing else "a scalar has no axis of samples"
    if spec.name.lower() in _RATES:
        return RATE, f"{why}, and speech is mostly sampled so"
    if spec.shape:
        return 0, f"{why}; a state begins with 0"
    return 1, f"{why}; this value is a guess"


def _axes(inputs: Sequence[TensorSpec]) -> dict[str, tuple[int, str]]:
    """Of inputs whose samples may lie along another axis than the first: which, and why that one.

    It has the name that most first axes have; without names, it is the only free axis of an input that fixes its first.
    """
    first = [spec.shape[0] for spec in inputs if spec.shape and not isinstance(spec.shape[0], int)]
    named = Counter(name for name in first if name is not None)
    batch = named.most_common(1)[0][0] if named else None
    found = {}
    for spec in inputs:
        free = [axis for axis, size in enumerate(spec.shape) if not isinstance(size, int)]
        if batch in spec.shape[1:] and spec.shape[0] != batch:
            found[spec.name] = spec.shape.index(batch), "that axis has the name of the batch"
        elif first and len(free) == 1 and free != [0] and batch is None:
            found[spec.name] = free[0], "its only free axis is taken for the batch"
    return found
