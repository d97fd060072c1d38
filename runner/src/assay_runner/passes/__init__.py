"""Passes: each measures what needs of one type ask for, in the batches of a trial or in sessions of its own.

A new measurement is a file here, a need that asks for it, and a line in `PASSES`.
"""

from __future__ import annotations

from typing import Any

from assay_runner.evidence import (
    DetectionsWanted,
    DigestWanted,
    EightBitWanted,
    ExtraOutputWanted,
    InvarianceWanted,
    LabelsWanted,
    Need,
    OutputsWanted,
    RangesWanted,
    RerunsWanted,
    ScoresWanted,
    TensorsWanted,
    TimingWanted,
)
from assay_runner.passes.detections import DetectionsPass
from assay_runner.passes.digests import DigestPass
from assay_runner.passes.eight_bit import EightBitPass
from assay_runner.passes.labels import LabelsPass
from assay_runner.passes.metrics import MetricsPass
from assay_runner.passes.outputs import OutputsPass
from assay_runner.passes.ranges import RangesPass
from assay_runner.passes.reruns import ExtraOutputPass, InvariancePass, RerunsPass, TimingPass
from assay_runner.passes.setting import Pass
from assay_runner.passes.tapped import TappedPass

PASSES: dict[type[Need[Any]], type[Pass[Any]]] = {
    OutputsWanted: OutputsPass,
    DigestWanted: DigestPass,
    LabelsWanted: LabelsPass,
    ScoresWanted: MetricsPass,
    DetectionsWanted: DetectionsPass,
    RangesWanted: RangesPass,
    TensorsWanted: TappedPass,
    EightBitWanted: EightBitPass,
    RerunsWanted: RerunsPass,
    InvarianceWanted: InvariancePass,
    ExtraOutputWanted: ExtraOutputPass,
    TimingWanted: TimingPass,
}
"""Need → the pass that provides it, in the order in which they work."""
