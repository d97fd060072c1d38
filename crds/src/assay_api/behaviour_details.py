"""Details of the checks that run a candidate again, time it, or ask what it is made of."""

from __future__ import annotations

from pydantic import Field

from assay_api.details_base import Details, SiteEntry
from assay_api.model import Model
from assay_api.numbers import Number


class DifferenceFigures(Model):
    """When the same input gave other bits, and how far apart they are."""

    batch: int
    """Index of the batch."""
    condition: str
    """What was different about the run, for example newSession."""
    run: int
    """First run that differed, from 1."""
    differing: int
    """Runs in which it differs."""
    runs: int
    """Runs held against the first one."""
    max_abs: Number
    """Largest absolute difference; Infinity where one run alone holds NaN or Inf, NaN where the shapes differ."""


class DifferenceEntry(DifferenceFigures):
    """An output that differs."""

    output: str
    """Name of the output."""


class InnerDifferenceEntry(DifferenceFigures):
    """The first tensor in topological order that differs."""

    tensor: str
    """Name of the tensor."""
    node: str | None = None
    """Node that makes it."""


class InsideEntry(Model):
    """What running again with tensors shown gave."""

    tensors: int
    """Tensors that were shown."""
    samples: int
    """Samples of the batch that they were shown of."""
    tried: dict[str, int]
    """Runs held against the first one, by condition."""
    first: InnerDifferenceEntry | None = None
    """The first tensor that differs, where one does."""
    before: int | None = None
    """Tensors shown before by a run that changes less, none of which differed."""
    reason: str | None = None
    """Why there is no more."""


class Suspected(Model):
    """Nodes upstream that may well give other bits each time."""

    random: tuple[SiteEntry, ...] | None = None
    """Those that draw random numbers, the first few."""
    custom: tuple[SiteEntry, ...] | None = None
    """Those whose operator is none of ONNX's own (plugins), the first few."""


class RunToRunDetails(Details, Suspected):
    """Details of `runToRun`, where outputs differ."""

    differences: tuple[DifferenceEntry, ...]
    """Outputs that differ: the first one per batch and condition, the first few."""
    inside: InsideEntry
    """What was seen inside."""
    tried: tuple[str, ...]
    """Conditions that were run."""
    untried: dict[str, str]
    """Conditions that could not be run, and why."""
    unwritten_memory: bool | None = None
    """Whether an output follows what lay in memory before the run; absent where outputs do not differ in it."""


class SamenessDetails(Details, Suspected):
    """Details of `batchInvariance` and `extraOutput`."""

    rows: int | None = None
    """Rows compared."""
    other_bits: int | None = None
    """Rows whose bits differ."""
    max_abs: Number | None = None
    """Largest absolute difference."""


class LatencyDetails(Details):
    """Details of `latency`."""

    median_ms: Number
    """Median time of a batch in milliseconds."""
    p99_ms: Number
    """99th percentile of the time of a batch in milliseconds."""
    throughput: Number
    """Samples per second."""
    engine_mb: Number | None = Field(default=None, alias="engineMB")
    """Size of the engine in MB (10^6 bytes)."""
    device_memory_mb: Number | None = Field(default=None, alias="deviceMemoryMB")
    """Device memory it needs to run in MB (10^6 bytes), where that is known."""


class AchievedPrecisionDetails(Details):
    """Details of `achievedPrecision`."""

    achieved: dict[str, int]
    """Layers that compute, by the precision they ran in, most first."""
