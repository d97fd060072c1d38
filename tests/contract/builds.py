"""The small convolutional model as every backend builds it in its contract's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from assay_api.audit import Candidate
from assay_api.model import parse
from assay_runner.backends import Backend, Built
from assay_runner.tensors import Extents
from tests.models import random

__all__ = ["SHAPES", "Build", "X", "asked"]

Build = Callable[[str], Built]
"""Builds in a precision, each once."""
X: Final = random(6, 4, 9, 9, seed=1)
SHAPES: Final = {"x": Extents((1, *X.shape[1:]), X.shape, X.shape)}


def asked(backend: Backend, precision: str) -> Candidate:
    """A candidate of a precision, built as quickly as TensorRT can: the contract is the same at every level."""
    fields = {"name": precision, "backend": backend.name, "precision": precision}
    quantised = precision in ("int8", "fp8")
    calibration = {"calibration": {"uri": "file:///c.npz", "method": "minmax"}} if quantised else {}
    # Level 0 takes the first kernel that works, which need not be one of 8 bits.
    quick = {"build": {"optimizationLevel": int(quantised)}} if backend.name == "tensorrt" else {}
    return parse(Candidate, fields | calibration | quick)
