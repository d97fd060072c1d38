"""Tensors of integers and booleans: their elements are golden's or they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from assay_runner.tensors import Array

EXACT: Final = "biu"
"""Kinds of element types that are compared for equality."""


@dataclass
class Exact:
    """Elements of one tensor seen so far.

    Attributes:
        elements: elements compared.
        different: those that are not golden's.
        local: those that are not golden's in what the tensor's own operation made of golden inputs; None: not run.
        boolean: whether they are booleans.
    """

    elements: int = 0
    different: int = 0
    local: int | None = None
    boolean: bool = False

    def add(self, golden: Array, candidate: Array) -> None:
        """Take two tensors in, of whatever integer types; of other shapes, all of golden's elements differ."""
        self.boolean = golden.dtype.kind == "b"
        self.elements += max(golden.size, 1 if candidate.size else 0)
        self.different += _different(golden, candidate)

    def add_local(self, golden: Array, result: Array) -> None:
        """Take what the tensor's own operation made of golden inputs in; see `add`."""
        self.local = (self.local or 0) + _different(golden, result)


class Typed(Protocol):
    """Whatever has an element type: an array on the host or elsewhere."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """It."""
        ...


def is_exact(array: Typed) -> bool:
    """Whether the elements are integers or booleans."""
    return array.dtype.kind in EXACT


def _different(golden: Array, candidate: Array) -> int:
    if golden.shape != candidate.shape and golden.size == candidate.size:
        # The same elements under another shape: a scalar may come as one row.
        candidate = candidate.reshape(golden.shape)
    if golden.shape != candidate.shape:
        return max(golden.size, 1)
    return int(np.count_nonzero(golden != candidate))
