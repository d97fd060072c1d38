"""Where does the error start, and where is it only passed on?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from assay_runner.checks.check import Check
from assay_runner.evidence import Need


class LayerDrift(Check):
    """Where does the error start, and where is it only passed on?

    Compares every tensor with the golden one: its accumulated error, and its local error, that of the candidate's own
    operation on golden inputs.
    """

    name: ClassVar[str] = "layerDrift"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.LAYERS})

    snr: float = Field(default=10, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio of a tensor in dB, accumulated error. Default 10."""
    local_snr: float = Field(default=20, ge=-1000, le=1000)
    """Smallest signal-to-noise ratio of a tensor in dB, local error. Default 20."""
    worst: int = Field(default=10, ge=1, le=1000)
    """How many of the worst tensors are listed. Default 10."""
