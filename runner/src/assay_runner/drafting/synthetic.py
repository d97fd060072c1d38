"""A small set of made-up inputs, for a first run of a model whose data are elsewhere.

It shows that a model can be fed and its candidates built; of accuracy it says nothing, and an audit that says
`dataset.synthetic` never passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from assay_runner.drafting.facts import Facts
from assay_runner.drafting.shape_inputs import values_of
from assay_runner.graphs.documents import load_outline
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Array, TensorSpec

_SAMPLES: Final = 64
_FEEDS: Final = 8
_SEED: Final = 0
_IMAGES: Final = (224, 256, 320, 64, 32, 640)
"""Sizes of free axes that are tried where an input is an image, likeliest first, and where none is."""
_OTHERS: Final = (16, 32, 64, 128, 256, 512, 8, 1)
_IMAGE_AXES: Final = 4


def synthetic(model: LoadedModel, facts: Facts) -> Iterator[tuple[dict[str, Array], ...]]:
    """Files of arrays that the model may take, one set after the other, likeliest first.

    Args:
        model: fed as the set is to be.
        facts: of it.
    """
    constants = dict(model.feeding.constants)
    stored = [spec for spec in model.inputs if spec.name not in constants]
    axes = {spec.name: model.axes.get(spec.name, 0) for spec in stored}
    count, files = (1, _FEEDS) if model.feeding.feeds else (_SAMPLES, 1)
    for shapes in _shapes(stored, axes, count):
        random = np.random.default_rng(_SEED)
        sizes = values_of(stored, facts.shapes, load_outline(model.path), shapes) if facts.shapes else {}
        drawn = [spec for spec in stored if spec.name not in sizes]
        yield tuple(
            {spec.name: values(spec, shapes[spec.name], facts.rows.get(spec.name), random) for spec in drawn} | sizes
            for _ in range(files)
        )


def _shapes(
    inputs: Sequence[TensorSpec], axes: Mapping[str, int | None], count: int
) -> Iterator[dict[str, tuple[int, ...]]]:
    """Shapes to try: axes of one name have one size, those of samples the count, and first ones of feeds 1."""
    images = any(len(spec.shape) == _IMAGE_AXES for spec in inputs)
    for size in (*_IMAGES, *_OTHERS) if images else _OTHERS:
        yield {spec.name: _shape(spec, axes[spec.name], count, size) for spec in inputs}


def _shape(spec: TensorSpec, samples: int | None, count: int, size: int) -> tuple[int, ...]:
    found = []
    for axis, length in enumerate(spec.shape):
        if axis == samples:
            found.append(count)
        elif isinstance(length, int):
            found.append(length)
        else:
            # The first of a feed is its batch, in most models.
            found.append(1 if samples is None and axis == 0 else size)
    return tuple(found)


def values(spec: TensorSpec, shape: tuple[int, ...], rows: int | None, random: np.random.Generator) -> Array:
    """Made-up values of an input: 0 to 1 in an image, else a normal distribution; indices within their table.

    Args:
        spec: the input.
        shape: of the array.
        rows: of the table that it indexes, if it does.
        random: where they come from.
    """
    kind = spec.dtype.kind
    if kind == "b":
        return random.random(shape) < 0.5
    if kind in "iu":
        # A mask of ones is a mask in any model; of what else is unknown 0 and 1 are within every table.
        if "mask" in spec.name.lower():
            return np.ones(shape, spec.dtype)
        most = rows if rows is not None else 256 if spec.dtype == np.uint8 else 2
        return random.integers(0, max(most, 1), shape).astype(spec.dtype)
    drawn = random.random(shape) if len(spec.shape) == _IMAGE_AXES else random.standard_normal(shape)
    return drawn.astype(spec.dtype)
