"""What was measured on one candidate: the only thing a check sees (of its outputs, in `output_evidence`).

Checks declare what they need; `measure` runs only the passes that provide it. Every value is a few numbers per tensor
or sample. A part that is None was not measured: a check that needs it answers `Inconclusive`, the reason in `missing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from assay_runner.evidence.eight_bit import EightBitReads
from assay_runner.evidence.engine import EngineFacts, EngineLayer, EngineTensor
from assay_runner.evidence.layers import (
    Error,
    FusedLayer,
    InnerTensor,
    LayerError,
    LayerErrors,
    Reproduction,
    SplitLayer,
)
from assay_runner.evidence.outputs import LabelRanks, OutputDrifts, Scores
from assay_runner.evidence.ranges import Histogram, Ranges
from assay_runner.evidence.reruns import Behaviour
from assay_runner.tensors import Floats, Site

__all__ = [
    "Behaviour",
    "EightBitReads",
    "EngineFacts",
    "EngineLayer",
    "EngineTensor",
    "Error",
    "Evidence",
    "Fault",
    "Floats",
    "FusedLayer",
    "Histogram",
    "InnerTensor",
    "LabelRanks",
    "LayerError",
    "LayerErrors",
    "Need",
    "OutputDrifts",
    "Overflow",
    "Ranges",
    "Reproduction",
    "Scores",
    "Site",
    "SplitLayer",
    "TensorFaults",
]


class Need(StrEnum):
    """What a check asks to be measured; each costs a pass of its own or a part of one."""

    OUTPUTS = "outputs"
    """Outputs of the candidate against the golden ones, per sample."""
    LABELS = "labels"
    """Whether candidate and golden name the right class, per sample."""
    TENSORS = "tensors"
    """Every tensor of the candidate: what is not finite, in how many samples."""
    LAYERS = "layers"
    """Every tensor of the candidate against the golden one: local and accumulated error."""
    RUNS = "runs"
    """Outputs of the same input again, in the same session and in new ones."""
    METRICS = "metrics"
    """Scores of the user's own metrics, per sample."""
    BATCHING = "batching"
    """Outputs of the same sample in other batches."""
    EXTRA_OUTPUT = "extra output"
    """Outputs with one more among them."""
    TIME = "time"
    """Time of one batch."""
    ENGINE = "engine"
    """What the engine is made of; costs nothing, its builder tells it."""
    RANGES = "ranges"
    """Golden's weights and tensors against FP16's range; another golden run."""
    GRAPH = "graph"
    """Which nodes of the candidate read 8 bits; costs no run."""


@dataclass(frozen=True)
class Fault:
    """A tensor of the candidate that is not finite.

    Attributes:
        site: the tensor.
        samples: samples with a value that is not finite.
        nan: samples with NaN.
        positive: samples with +Inf.
        negative: samples with -Inf.
        first: index of the first such sample.
        own: samples with such a value where golden has another; None where golden has no such tensor.
    """

    site: Site
    samples: int
    nan: int
    positive: int
    negative: int
    first: int
    own: int | None = None


@dataclass(frozen=True)
class Overflow:
    """A graph input or a weight that is finite, and infinite in the candidate's precision.

    Attributes:
        tensor: its name.
        kind: "weight" or "graph input".
        precision: the candidate's.
        value: the largest value that does not fit.
        users: the nodes that read it, each as the site of its first output.
        samples: samples in which it does not fit, from `first` on; None for a weight, which is the same in all.
    """

    tensor: str
    kind: str
    precision: str
    value: float
    users: tuple[Site, ...]
    samples: int | None = None
    first: int = 0


@dataclass(frozen=True)
class TensorFaults:
    """Every tensor of the candidate was looked at, these are not finite.

    Attributes:
        looked_at: tensors looked at.
        faults: in topological order.
        fused: tensors inside fused layers, which the candidate never makes.
        unshown: tensors computed from the data that could not be shown for another reason.
    """

    looked_at: int
    faults: tuple[Fault, ...]
    fused: int = 0
    unshown: int = 0


@dataclass(frozen=True)
class Evidence:
    """Everything measured on one candidate.

    Attributes:
        candidate: key of the candidate.
        samples: samples run.
        precision: the candidate's; empty where it is not known.
        outputs: one per output, in graph order.
        labels: by output.
        scores: of the user's own metrics, by name and output asked for.
        tensors: what is not finite.
        layers: error per tensor.
        split_layers: fused layers that were split since a tensor of theirs is the first to breach, by that tensor.
        behaviour: outputs under other circumstances, and time.
        reproduction: of the run that showed every tensor.
        hidden: nodes inside which float tensors are computed that cannot be shown.
        unrounded: nodes inside which the candidate's precision was not emulated.
        overflows: weights and graph inputs that its precision cannot hold.
        ranges: of golden's weights and tensors.
        histograms: of the worst tensors.
        eight_bit: nodes that read 8 bits.
        engine: what the candidate is made of, where it is an engine.
        unmeasured: outputs that could not be compared, and why.
        missing: why a need has no evidence, one sentence each.
    """

    candidate: str
    samples: int = 0
    precision: str = ""
    outputs: tuple[OutputDrifts, ...] = ()
    labels: Mapping[str, LabelRanks] = field(default_factory=dict)
    scores: Mapping[tuple[str, str], Scores] = field(default_factory=dict)
    tensors: TensorFaults | None = None
    layers: LayerErrors | None = None
    split_layers: Mapping[str, SplitLayer] = field(default_factory=dict)
    behaviour: Behaviour = field(default_factory=Behaviour)
    reproduction: Reproduction | None = None
    hidden: tuple[Site, ...] = ()
    unrounded: tuple[Site, ...] = ()
    overflows: tuple[Overflow, ...] = ()
    ranges: Ranges | None = None
    histograms: tuple[Histogram, ...] = ()
    eight_bit: EightBitReads | None = None
    engine: EngineFacts | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[Need, str] = field(default_factory=dict)
