"""What rounding to the candidate's format alone makes of the graph inputs, before any node has run."""

from __future__ import annotations

from collections.abc import Mapping

from assay_runner.backends import Built
from assay_runner.graphs.rounding import CASTS, rounder
from assay_runner.statistics.blocks import sums_of
from assay_runner.tensors import Batch


def rounded_inputs(built: Built, batch: Batch) -> Mapping[str, float]:
    """By graph input that the candidate's format does not hold as it is, signal-to-noise ratio in dB."""
    if built.precision not in CASTS:
        return {}
    through = rounder(built.precision)
    wide = {name: array for name, array in batch.inputs.items() if array.dtype == "float32" and array.size}
    found = {name: sums_of(array, through(array)).snr for name, array in wide.items()}
    return {name: decibels for name, decibels in found.items() if decibels < float("inf")}
