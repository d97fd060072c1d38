"""Details of the checks that look at every tensor: `finite`, `layerDrift`, `fp16Range` and `layerConstraints`."""

from __future__ import annotations

from typing import Literal

from assay_api.details_base import Details, SiteEntry
from assay_api.model import Model
from assay_api.numbers import Number


class ErrorEntry(SiteEntry):
    """A tensor and how far it is from golden's."""

    accumulated_snr: Number
    """Signal-to-noise ratio in dB in the candidate's own run."""
    local_snr: Number | None = None
    """Signal-to-noise ratio in dB of its own operation on golden inputs, where that could be run alone."""


class InnerEntry(ErrorEntry):
    """A tensor inside a fused layer, in the samples that were looked into."""

    not_finite: int
    """Samples in which it is NaN or infinite where golden has another value."""


class SplitDetails(Details):
    """What was seen inside the fused layer that makes the tensor; absent where nothing was looked into."""

    fused_layer: str | None = None
    """Names of the engine's layers that it is."""
    fails_when_split: bool | None = None
    """Whether the failure is still there in an engine that has the layer split."""
    inside_layer: tuple[InnerEntry, ...] | None = None
    """Tensors inside, in topological order, with the layer split."""


class FaultEntry(SiteEntry):
    """A tensor that is not finite."""

    what: str
    """NaN, +Inf, -Inf, or several of them."""
    samples: int
    """Samples with such a value."""
    first_sample: int
    """Index of the first of them."""


class FiniteDetails(SplitDetails):
    """Details of `finite`."""

    looked_at: int | None = None
    """Tensors looked at, where all are finite."""
    tensors: tuple[FaultEntry, ...] | None = None
    """Tensors that are not finite where golden's are, in topological order, the first few."""
    as_golden: tuple[FaultEntry, ...] | None = None
    """Tensors that are not finite and the same in golden, the first few."""
    in_all: int | None = None
    """Tensors that are not finite where golden's are."""


class LayerDriftEntry(ErrorEntry):
    """A tensor and its errors."""

    starts_here: Number | None = None
    """Share of the accumulated error's power that its own node adds."""


class AmplifierEntry(SiteEntry):
    """A node that makes a large error of a small one.

    Of integers and booleans, the ratio is that of what would be looked up by them in a table: -10 log10 of twice the
    share that is not golden's.
    """

    snr: Number
    """Signal-to-noise ratio in dB of its tensor in the candidate's own run; -Infinity where it holds NaN or Inf that
    golden does not."""
    local_snr: Number
    """The same on golden inputs."""
    input: str
    """The tensor that comes in, of several the one that is farthest from golden."""
    input_node: str | None = None
    """Node that makes that one."""
    input_snr: Number
    """Its signal-to-noise ratio in dB in the candidate's own run."""
    amplification: Number
    """By how many dB less goes out than comes in."""


class UnequalEntry(SiteEntry):
    """A tensor of integers or booleans that is not golden's."""

    elements: int
    """Elements compared, all samples."""
    different: int
    """Those that are not golden's; where the number of elements is another one, all of the batch."""
    different_on_golden_inputs: int | None = None
    """Those that its own operation makes different of golden inputs; absent where it was not run alone."""


class ShareEntry(SiteEntry):
    """A node, by the noisiest of its tensors, and its part in an error."""

    share: Number
    """Share, in [0, 1], of the powers that nodes add on golden inputs, each against its tensor's own signal."""
    local_snr: Number
    """Signal-to-noise ratio in dB of its own operation on golden inputs."""


class KeptWideEntry(Model):
    """What came of keeping the node with the largest share in FP32, in one run more of the emulated candidate.

    In formats that round what a node gives out, those that read it are kept, too, until the values fit again.
    """

    nodes: tuple[str, ...]
    """Nodes that were kept, that with the largest share first."""
    tensor: str
    """What was looked at."""
    snr: Number
    """Signal-to-noise ratio in dB in the candidate's own run."""
    snr_kept_wide: Number | None = None
    """The same with the node kept in FP32; absent where it was not tried."""
    helps: bool | None = None
    """Whether that takes at least half of the error's power away; absent where it was not tried."""
    untried: str | None = None
    """Why it was not tried."""
    samples: int | None = None
    """The first samples, where both ratios are of these, as the error is as large in them as in all; else absent."""


class LayerDriftDetails(SplitDetails):
    """Details of `layerDrift`."""

    compared: int
    """Tensors compared with golden's."""
    not_compared: int
    """Tensors that only one of the two has, or that are no numbers; codes of quantised numbers do not count."""
    inside_fused_layers: int
    """Tensors inside fused layers, which the engine never makes."""
    without_local_error: int
    """Tensors compared whose own operation could not be run alone."""
    worst: tuple[LayerDriftEntry, ...]
    """Those farthest from golden, the farthest first."""
    origins: tuple[LayerDriftEntry, ...]
    """Those whose own node adds most noise, the noisiest first."""
    amplifiers: tuple[AmplifierEntry, ...] | None = None
    """Nodes that make an error at least 10 dB larger than what comes to them, the strongest first."""
    shares_of: str | None = None
    """Tensor whose error the shares are of; only where a limit is breached."""
    shares: tuple[ShareEntry, ...] | None = None
    """Nodes that it is computed from by their share in what all of them add, the largest first."""
    spread_over: int | None = None
    """The fewest nodes that together add nine tenths of it."""
    kept_wide: KeptWideEntry | None = None
    """What came of keeping the first of these nodes in FP32; only where its share is at least half."""
    unequal: tuple[UnequalEntry, ...] | None = None
    """Tensors of integers or booleans that are not golden's, in topological order, the first few."""


class RangeEntry(SiteEntry):
    """A weight or a tensor of the golden run against FP16; a weight or graph input stands with its first reader."""

    kind: str
    """graph input, weight or tensor."""
    elements: int
    """Finite elements seen, over all samples."""
    overflow: int
    """Elements that FP16 makes infinite."""
    underflow: int
    """Elements that FP16 makes zero."""
    subnormal: int
    """Elements that FP16 holds with fewer bits."""
    largest: Number
    """The value of largest magnitude, with its sign."""
    samples: int | None = None
    """Samples in which it overflows; absent for a weight, which is the same in all."""
    first_sample: int
    """Index of the first such sample; -1 where there is none."""


class InnerSumEntry(Model):
    """A sum inside an operator that exceeds FP16's largest number."""

    node: str | None = None
    """The node."""
    op: str | None = None
    """Its operator."""
    sum: str
    """Which sum, in words."""
    largest: Number
    """Its largest total, from golden's values."""
    samples: int
    """Samples in which it exceeds FP16."""
    summed_in_fp32: bool
    """Whether the operator sums in FP32 by its definition."""


class Fp16RangeDetails(Details):
    """Details of `fp16Range`."""

    tensors: int
    """Weights and tensors measured."""
    overflow: tuple[RangeEntry, ...]
    """Those that overflow, in topological order, the first few."""
    underflow: tuple[RangeEntry, ...]
    """Those of which the largest share becomes zero, the first few."""
    inner_sums: tuple[InnerSumEntry, ...]
    """Sums inside operators that exceed FP16, the first few."""
    inner_sums_measured: int
    """Operators whose inner sums were measured."""
    how: dict[str, str]
    """What was measured, and how."""


class EightBitEntry(Model):
    """A node that reads 8 bits and should not."""

    node: str | None = None
    """The node."""
    op: str | None = None
    """Its operator."""
    operator: str
    """The operator it is a part of, where it is one of several nodes that spell one out; else its own."""
    tensor: str
    """What was quantised."""
    format: str
    """INT8 or FP8."""
    where: Literal["graph", "engine"]
    """Whether the graph says so or the engine."""


class LayerConstraintsDetails(Details):
    """Details of `layerConstraints`."""

    nodes: tuple[EightBitEntry, ...] | None = None
    """Nodes that read 8 bits and should not, the first few."""
    read: int
    """Nodes that read 8 bits."""
