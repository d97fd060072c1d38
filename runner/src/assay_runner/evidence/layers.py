"""Every tensor of a candidate against golden's, and what lies inside a fused layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from assay_runner.statistics.figures import Early
from assay_runner.tensors import Site


@dataclass(frozen=True)
class Error:
    """Difference of two tensors over all samples.

    Attributes:
        max_abs: largest absolute difference; Inf where one is not finite and the other differs.
        rms: root of the mean squared difference.
        snr: dB, golden power over the power of the difference; -Inf where not finite.
        cosine: cosine similarity; NaN where nobody asks for it, as of a node's own error counted in host memory.
    """

    max_abs: float
    rms: float
    snr: float
    cosine: float


@dataclass(frozen=True)
class LayerError:
    """One tensor: its range in the golden run, and the candidate's errors.

    Attributes:
        site: the tensor.
        elements: elements compared, all samples.
        low: smallest finite value of the candidate.
        high: largest finite value of the candidate.
        golden_low: smallest golden value.
        golden_high: largest golden value.
        not_finite: samples in which the candidate is not finite.
        accumulated: the candidate's tensor in its own run, against golden's.
        local: what the candidate's own operation makes of golden inputs, against golden's; None where it cannot be run
            alone.
        starts_here: share of the accumulated error's power that the local error accounts for, in [0, 1].
        reshaped: whether it has another shape than golden's in some batch, as where the data decide how many rows there
            are; its accumulated error is infinite then.
        early: how near it was in the first samples alone; None where they are all, or nobody knows.
    """

    site: Site
    elements: int
    low: float
    high: float
    golden_low: float
    golden_high: float
    not_finite: int
    accumulated: Error
    local: Error | None
    starts_here: float | None
    reshaped: bool = False
    early: Early | None = None


@dataclass(frozen=True)
class ExactError:
    """One tensor of integers or booleans, whose elements are golden's or are not: an index has no near miss.

    Attributes:
        site: the tensor.
        elements: elements compared, all samples.
        different: those that are not golden's; where the shape is another one, all of the batch.
        local: those that are not golden's in what the candidate's own operation makes of golden inputs; None where it
            was not run alone.
        boolean: whether it holds booleans.
    """

    site: Site
    elements: int
    different: int
    local: int | None = None
    boolean: bool = False

    @property
    def equal(self) -> float:
        """Share of elements that are golden's, in [0, 1]; 1 of none."""
        return 1 - self.different / self.elements if self.elements else 1.0


@dataclass(frozen=True)
class TensorNoise:
    """How closely one of golden's tensors in FP32 agrees with itself in FP64.

    Attributes:
        samples: that were run.
        accumulated: dB of it in a run of its own.
        local: dB of what its own operation makes of golden inputs; None where it was not run alone.
        unequal: of integers and booleans, the share of elements that are others in FP64.
    """

    samples: int
    accumulated: float = math.inf
    local: float | None = None
    unequal: float = 0.0


@dataclass(frozen=True)
class LayerErrors:
    """Every tensor that candidate and golden share.

    Attributes:
        layers: those of floating-point numbers, in topological order of the candidate.
        skipped: names of tensors that only one of the two has, or that are no numbers.
        fused: names of tensors inside fused layers, which the candidate never makes.
        exact: those of integers and booleans, in topological order; codes of quantised numbers are none of them.
        reads: by tensor compared, in topological order, the nearest of them and of `inputs` that it is computed from;
            one of which only the shape is read is none of these.
        foreign: names among `skipped` that golden's graph does not have.
        inputs: by graph input, dB that rounding to the candidate's format leaves of it; only where `rounding` was
            looked into.
        rounding: by tensor, dB that golden has of it where its graph inputs are rounded so, and nothing else is.
        noise: golden's own, by tensor; only where that was looked into.
    """

    layers: tuple[LayerError, ...]
    skipped: tuple[str, ...]
    fused: tuple[str, ...] = ()
    exact: tuple[ExactError, ...] = ()
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    inputs: Mapping[str, float] = field(default_factory=dict)
    rounding: Mapping[str, float] = field(default_factory=dict)
    noise: Mapping[str, TensorNoise] = field(default_factory=dict)


@dataclass(frozen=True)
class Reproduction:
    """Whether the run that showed every tensor gave the outputs of the plain run: to show may be to change.

    Attributes:
        bitwise: the outputs are equal bit by bit.
        snr: the worst output's signal-to-noise ratio in dB, the plain run's power over the difference's; of integers,
            and of shapes that the data decide, only where there are no floating-point numbers.
    """

    bitwise: bool
    snr: float


@dataclass(frozen=True)
class FusedLayer:
    """Nodes of the model that a candidate computes as one.

    Attributes:
        names: of the layers that they are, as the engine has them.
        tensors: those between the nodes, which it never makes, in topological order.
    """

    names: tuple[str, ...]
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class InnerTensor:
    """A tensor in the few samples that were looked into.

    Attributes:
        site: the tensor.
        not_finite: samples in which it is not finite where golden has another value.
        accumulated: its error in the candidate's own run.
        local: what its own operation makes of golden inputs; None where it cannot be run alone.
    """

    site: Site
    not_finite: int
    accumulated: Error
    local: Error | None = None


@dataclass(frozen=True)
class SplitLayer:
    """A fused layer, split by building the candidate again: the same samples run on it as it was, and split.

    Attributes:
        layer: what was split.
        samples: samples that were run.
        served: the tensor that the layer makes, from the run that leaves the layer fused.
        split: the same tensor, with the layer split; it may no longer be what it was.
        tensors: those inside that could be shown and the one it makes, in topological order, with the layer split.
    """

    layer: FusedLayer
    samples: int
    served: InnerTensor
    split: InnerTensor
    tensors: tuple[InnerTensor, ...]


@dataclass(frozen=True)
class KeptWide:
    """What became of a tensor where the node that adds most error of its own was kept in FP32, in one run more.

    Attributes:
        tensor: what was looked at.
        before: dB in the candidate's own run.
        after: dB with the node kept wide; NaN where it was not tried.
        untried: why it was not; empty where it was.
        nodes: those that were kept wide, the node itself first, then what reads it.
        samples: the first ones, of which both are; None: all.
    """

    tensor: str
    before: float
    after: float = math.nan
    untried: str = ""
    nodes: tuple[str, ...] = ()
    samples: int | None = None
