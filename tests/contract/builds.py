"""The small convolutional model as every backend builds it in its contract's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from assay_runner.backends import Backend, Built
from assay_runner.backends.order import BuildOrder
from assay_runner.tensors import Extents
from tests.models import random
from tests.orders import ordered

__all__ = ["SHAPES", "Build", "X", "asked"]

Build = Callable[[str], Built]
"""Builds in a precision, each once."""
X: Final = random(6, 4, 9, 9, seed=1)
SHAPES: Final = {"x": Extents((1, *X.shape[1:]), X.shape, X.shape)}


def asked(backend: Backend, precision: str) -> BuildOrder:
    """An order of a precision, built as quickly as TensorRT can: the contract is the same at every level."""
    quantised = precision in ("int8", "fp8")
    calibration: dict[str, Any] = {"calibration": {"uri": "file:///c.npz", "method": "minmax"}} if quantised else {}
    # Level 0 takes the first kernel that works, which need not be one of 8 bits.
    quick: dict[str, Any] = {"build": {"optimizationLevel": int(quantised)}} if backend.name == "tensorrt" else {}
    return ordered(precision, backend=backend.name, **calibration, **quick)
