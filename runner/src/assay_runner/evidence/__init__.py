"""Evidence: everything that is measured of a candidate, as values, and how it is asked for."""

from assay_runner.evidence.detections import DetectionsFound, Layout
from assay_runner.evidence.eight_bit import Cut, EightBitReads, Unlike
from assay_runner.evidence.endings import Ending, Guard
from assay_runner.evidence.engine import EngineFacts, EngineLayer, EngineTensor
from assay_runner.evidence.evidence import BatchTimes, Evidence
from assay_runner.evidence.faults import Fault, Overflow, TensorFaults
from assay_runner.evidence.layers import (
    Error,
    ExactError,
    FusedLayer,
    InnerTensor,
    KeptWide,
    LayerError,
    LayerErrors,
    Reproduction,
    SplitLayer,
    TensorNoise,
)
from assay_runner.evidence.needs import (
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
from assay_runner.evidence.outputs import LabelRanks, OutputDrifts, OutputsDigest, OutputsFound, Scores
from assay_runner.evidence.ranges import Histogram, Ranges
from assay_runner.evidence.shown import ShownTensors

__all__ = [
    "BatchTimes",
    "Cut",
    "DetectionsFound",
    "DetectionsWanted",
    "DigestWanted",
    "EightBitReads",
    "EightBitWanted",
    "Ending",
    "EngineFacts",
    "EngineLayer",
    "EngineTensor",
    "Error",
    "Evidence",
    "ExactError",
    "ExtraOutputWanted",
    "Fault",
    "FusedLayer",
    "Guard",
    "Histogram",
    "InnerTensor",
    "InvarianceWanted",
    "KeptWide",
    "LabelRanks",
    "LabelsWanted",
    "LayerError",
    "LayerErrors",
    "Layout",
    "Need",
    "OutputDrifts",
    "OutputsDigest",
    "OutputsFound",
    "OutputsWanted",
    "Overflow",
    "Ranges",
    "RangesWanted",
    "Reproduction",
    "RerunsWanted",
    "Scores",
    "ScoresWanted",
    "ShownTensors",
    "SplitLayer",
    "TensorFaults",
    "TensorNoise",
    "TensorsWanted",
    "TimingWanted",
    "Unlike",
]
