"""What the run that shows every tensor gave: one run, whatever was asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assay_runner.evidence.faults import Overflow, TensorFaults
from assay_runner.evidence.layers import KeptWide, LayerErrors, Reproduction, SplitLayer
from assay_runner.evidence.ranges import Histogram


@dataclass(frozen=True)
class ShownTensors:
    """Every tensor of a candidate, looked at.

    Attributes:
        faults: what is not finite.
        layers: error per tensor; None where tensors were not compared with golden's.
        reproduction: whether that run is the plain one; None where there was no plain run beside it.
        overflows: graph inputs that the candidate's precision cannot hold.
        histograms: of the worst tensors.
        split_layers: fused layers that were split since a tensor of theirs is the first to breach, by that tensor.
        kept_wide: what came of keeping a node in FP32 that adds most error of its own, by node.
    """

    faults: TensorFaults
    layers: LayerErrors | None = None
    reproduction: Reproduction | None = None
    overflows: tuple[Overflow, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    split_layers: Mapping[str, SplitLayer] = field(default_factory=dict)
    kept_wide: Mapping[str, KeptWide] = field(default_factory=dict)
