"""Which axis of a tensor holds the samples, measured: for what a model declares nothing about.

Fed fewer samples, the axis that holds them is shorter. Where a model takes one number of samples only, they are fed in
another order: what they make then lies in that order along their axis, and along no other.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Final

import numpy as np

from assay_runner.backends.backend import Session
from assay_runner.errors import InvalidInput
from assay_runner.tensors import Array, Arrays, Batch

MOST: Final = 3
"""Samples that are fed where a model takes any number."""
NEAR: Final = 1e-3
"""Of the largest magnitude: rows may well differ by that where kernels see them at another place."""


def probed_axes(session: Session, batch: Batch, tensors: Collection[str], free: bool) -> dict[str, int | None]:
    """The axes of these tensors, as in `SampleAxes`; those that cannot be told are left out.

    Args:
        session: shows them, and computes as golden does.
        batch: of two samples or more.
        tensors: which are asked for.
        free: whether the model takes any number of samples.
    """
    found: dict[str, int | None] = {}
    if free:
        # Where that fails, the model takes one number only, and does not say so.
        with suppress(InvalidInput):
            found = _by_number(session, batch.inputs, tensors, min(MOST, batch.fed))
    left = set(tensors) - found.keys()
    return {**found, **_by_order(session, batch, left)} if left else found


def _by_number(session: Session, inputs: Arrays, tensors: Collection[str], most: int) -> dict[str, int | None]:
    more, fewer = (_shapes(session, {n: a[:size] for n, a in inputs.items()}) for size in (most, most - 1))
    found: dict[str, int | None] = {}
    for name in more.keys() & fewer.keys() & set(tensors):
        pairs = list(enumerate(zip(more[name], fewer[name], strict=False)))
        axis = next((axis for axis, sizes in pairs if sizes == (most, most - 1)), None)
        if axis is not None or more[name] == fewer[name]:
            found[name] = axis
    return found


def _shapes(session: Session, inputs: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in session.run(inputs).items()}


def _by_order(session: Session, batch: Batch, tensors: Collection[str]) -> dict[str, int | None]:
    as_they_are = {n: np.array(a) for n, a in session.run(batch.inputs).items() if n in tensors}
    turned = session.run({name: np.roll(array, 1, 0) for name, array in batch.inputs.items()})
    found: dict[str, int | None] = {}
    for name in as_they_are.keys() & turned.keys():
        first, second = as_they_are[name], turned[name]
        if first.shape != second.shape:
            continue
        axes = [axis for axis, size in enumerate(first.shape) if size == batch.fed]
        held = [axis for axis in axes if _near(np.roll(first, 1, axis), second)]
        if len(held) == 1:
            found[name] = held[0]
    return found


def _near(first: Array, second: Array) -> bool:
    if first.dtype.kind in "biu":
        return bool(np.array_equal(first, second))
    one, other = first.astype(np.float64), second.astype(np.float64)
    largest = float(np.abs(one[np.isfinite(one)]).max(initial=0))
    return bool(np.allclose(one, other, rtol=0, atol=NEAR * largest, equal_nan=True))
