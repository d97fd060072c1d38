"""What a candidate of an audit orders, for tests that build without an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay_api.audit import Candidate
from assay_api.model import parse
from assay_runner.backends.order import BuildOrder, order_of

__all__ = ["ordered"]

NOWHERE = Path("none.onnx")
"""Stands for the model where no pattern is to be resolved."""


def ordered(
    precision: str,
    path: Path = NOWHERE,
    *,
    backend: str = "tensorrt",
    tactics: Mapping[str, str] | None = None,
    **fields: Any,
) -> BuildOrder:
    """The order of a candidate with these fields; patterns of its layers need the model's file."""
    candidate = parse(Candidate, {"name": "a", "backend": backend, "precision": precision, **fields})
    return replace(order_of(candidate, path), tactics=tactics)
