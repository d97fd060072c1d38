"""What each check measured beyond its one figure: `details` of a finding, a type per check.

What a check did not measure is absent, never zero. A check that has no entry in `DETAILS` has no details.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from assay_api.behaviour_details import AchievedPrecisionDetails, LatencyDetails, RunToRunDetails, SamenessDetails
from assay_api.details_base import Details
from assay_api.output_details import DetectionsDetails, LabelAccuracyDetails, MetricDetails, OutputDriftDetails
from assay_api.tensor_details import FiniteDetails, Fp16RangeDetails, LayerConstraintsDetails, LayerDriftDetails

__all__ = ["DETAILS", "Details"]

DETAILS: Final[Mapping[str, type[Details]]] = MappingProxyType(
    {
        "finite": FiniteDetails,
        "outputDrift": OutputDriftDetails,
        "labelAccuracy": LabelAccuracyDetails,
        "layerDrift": LayerDriftDetails,
        "runToRun": RunToRunDetails,
        "achievedPrecision": AchievedPrecisionDetails,
        "fp16Range": Fp16RangeDetails,
        "layerConstraints": LayerConstraintsDetails,
        "batchInvariance": SamenessDetails,
        "extraOutput": SamenessDetails,
        "latency": LatencyDetails,
        "metric": MetricDetails,
        "detections": DetectionsDetails,
    }
)
"""The type of a finding's details by the name of its check."""
