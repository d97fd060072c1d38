"""What an audit of a model needs at least, in memory and on the scratch disk, and whether that is there.

These are lower bounds: what is refused by them could not have ended well. They are known from sizes and shapes, before
anything is read in full, so that they are said at the start and not by the kernel an hour later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay_runner.capacity import address_limit, memory_limit
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.stores.files import human

if TYPE_CHECKING:
    from assay_runner.tensors import TensorSpec

BASE: Final = 100 << 20
"""Bytes that Python and the libraries take before anything is loaded."""
_COPIES_INSIDE: Final = 2
"""Of weights inside the model's file: as they are read, and as they are run."""
_COPIES_OF_BATCH: Final = 2
"""Of a batch: as it is read, and as it is fed or given out."""


@dataclass(frozen=True)
class Weights:
    """Bytes of a model.

    Attributes:
        inside: of its file.
        outside: of its external data.
    """

    inside: int
    outside: int = 0

    @property
    def memory(self) -> int:
        """Bytes of memory that are needed to run it; external data are mapped, and read again where memory is short."""
        return BASE + _COPIES_INSIDE * self.inside

    @property
    def mapped(self) -> int:
        """Bytes that a process must be able to map to run it."""
        return self.memory + self.outside


def check_weights(weights: Weights, uri: str) -> None:
    """Do nothing where memory can hold a model.

    Raises:
        Unavailable: it cannot.
    """
    for needed, limit in ((weights.memory, memory_limit()), (weights.mapped, address_limit())):
        if needed > limit:
            raise Unavailable(
                f"the model {uri} needs at least {human(needed)} of memory, and {human(limit)} is all there is: "
                "give the task more (spec.target.resources)"
            )


def batch_memory(shapes: Iterable[tuple[tuple[int | str | None, ...], int]]) -> int:
    """Bytes of memory for batches of arrays, by shape and bytes per element; an axis that is free counts as 1."""
    return _COPIES_OF_BATCH * sum(
        size * math.prod(extent for extent in shape if isinstance(extent, int)) for shape, size in shapes
    )


def check_declared(inputs: Iterable[TensorSpec], uri: str) -> None:
    """Do nothing where memory can hold what a model itself says it is fed.

    Raises:
        InvalidInput: it cannot, whatever the data are.
    """
    limit = memory_limit()
    for spec in inputs:
        needed = batch_memory([(spec.shape, spec.dtype.itemsize)])
        if needed > limit:
            shown = ", ".join(map(str, spec.shape))
            raise InvalidInput(
                f"input {spec.name!r} of the model {uri} is [{shown}], which needs {amount(needed)} of memory, and "
                f"{human(limit)} is all there is: export the model with smaller fixed axes, or free ones"
            )


def check_batch(needed: int, batch: int, fixed: bool, uri: str) -> None:
    """Do nothing where memory can hold a batch of samples, of which `needed` bytes are needed.

    Raises:
        InvalidInput: it cannot, and the model fixes the batch.
        Unavailable: it cannot.
    """
    limit = memory_limit()
    if BASE + needed <= limit:
        return
    told = f"a batch of {batch} samples of the dataset {uri} needs {amount(needed)} of memory, and {human(limit)} is"
    if fixed:
        raise InvalidInput(f"{told} all there is: export the model with a smaller batch, or a free one")
    raise Unavailable(f"{told} all there is: make dataset.batch smaller, or give the task more (spec.target.resources)")


def amount(size: int) -> str:
    """Bytes in a unit that people read, however many they are."""
    return human(size) if size < 1 << 60 else f"about 10^{len(str(size)) - 1} bytes"
