"""What a report says of one candidate, part by part: outputs, tensors, histograms, the engine, its layers, the time.

What was not measured is absent, never zero.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay_api.details_base import SiteEntry
from assay_api.model import Model
from assay_api.numbers import Number


class Latency(Model):
    """Time of one inference of one batch, in milliseconds."""

    median_ms: Number
    """Median."""
    p99_ms: Number
    """99th percentile."""
    batch: int
    """Samples per inference."""
    runs: int
    """Inferences timed."""
    throughput: Number | None = None
    """Samples per second, where it was measured."""


class MetricEntry(Model):
    """One metric of one output over the samples."""

    worst: Number
    """Of the worst sample; of a metric that is a share of samples, the share."""
    p50: Number | None = None
    """Half of the samples are as good; absent for a share."""
    p99: Number | None = None
    """99 % of the samples are as good; absent for a share."""
    worst_sample: int | None = None
    """Index of the worst sample; of a share, of the first that has not."""
    limit: Number | None = None
    """The limit, where a check set one."""
    floor: Number | None = None
    """What golden's own outputs hold against FP64 or in another order, the worse of them, where that was measured."""
    k: int | None = None
    """k of top-k agreement."""


class Provenance(Model):
    """What computed, and from what."""

    runtime: str
    """onnxruntime or tensorrt."""
    version: str | None = None
    """Its version."""
    provider: str | None = None
    """Execution provider of ONNX Runtime; the GPU of an engine."""
    precision: str | None = None
    """Precision asked for; absent for an existing plan."""
    tf32: Literal["none", "off", "on", "emulated", "unknown"] = "unknown"
    """Whether products may be rounded to TF32: none where the provider has no TF32, unknown for an existing plan."""
    optimised: bool | None = None
    """Whether ONNX Runtime's optimiser was let at the graph; absent for an engine."""
    model: str | None = None
    """SHA-256 of the model; where it has external data, of the digests of all its files."""
    data: str | None = None
    """Digest of the dataset: of names, sizes and versions of its shards, of how many samples, and of the batch."""


class FloorEntry(Model):
    """How closely golden agrees with itself on one output: nothing finer can be judged against it.

    Figures are of the worst of the samples, golden held against the other run.
    """

    output: str
    """Name of the output."""
    against: Literal["fp64", "reordered", "unoptimised"]
    """The other run: the model in double precision, the same samples in another order and another batch, or with ONNX
    Runtime's optimisations off."""
    samples: int
    """Samples that were run twice."""
    max_abs: Number
    """Largest absolute difference."""
    max_rel: Number
    """Largest relative difference, as `outputDrift` has it."""
    cosine: Number
    """Cosine similarity."""
    psnr: Number
    """Peak signal-to-noise ratio in dB."""
    snr: Number
    """Signal-to-noise ratio in dB."""


class OutputEntry(Model):
    """One output against golden's."""

    name: str
    """Name of the output."""
    metrics: dict[str, MetricEntry] = {}
    """By metric: maxAbs, maxRel, cosine, psnr (dB), snr (dB), topKAgreement; equal for integers and booleans;
    otherRows, a number of samples, where the data decide how many rows there are and golden has another number."""


class TensorEntry(Model):
    """One tensor: its errors against golden's, and its range."""

    name: str
    """Name of the tensor."""
    node: str | None = None
    """Node that makes it; absent for a graph input."""
    op: str | None = None
    """Operator of that node."""
    local_snr: Number | None = None
    """Signal-to-noise ratio in dB of its own operation on golden inputs, where that could be run alone."""
    local_rms: Number | None = None
    """Root of the mean squared error of the same."""
    local_max_abs: Number | None = None
    """Largest absolute error of the same."""
    accumulated_snr: Number | None = None
    """Signal-to-noise ratio in dB in the candidate's own run."""
    accumulated_rms: Number | None = None
    """Root of the mean squared error of the same."""
    accumulated_max_abs: Number | None = None
    """Largest absolute error of the same."""
    accumulated_cosine: Number | None = None
    """Cosine similarity of the same."""
    starts_here: Number | None = None
    """Share of the accumulated error's power that its own node adds, in [0, 1]."""
    min: Number | None = None
    """Smallest finite value of the candidate."""
    max: Number | None = None
    """Largest finite value of the candidate."""
    golden_min: Number | None = None
    """Golden's smallest value."""
    golden_max: Number | None = None
    """Golden's largest value."""
    non_finite: int | None = None
    """Samples in which the candidate holds NaN or Inf."""
    smallest: Number | None = None
    """Golden's smallest magnitude other than zero, where its range was judged by the candidate's format."""
    overflow: int | None = None
    """Elements of the whole dataset that the format makes infinite, where that was judged."""
    underflow: int | None = None
    """Elements that it makes zero, likewise."""
    subnormal: int | None = None
    """Elements that it holds with fewer bits, likewise."""


class HistogramEntry(SiteEntry):
    """Elements of a tensor by magnitude, golden's against the candidate's, in some of the samples.

    Count i of a list is of the elements with 2^(low+i) ≤ |x| < 2^(low+i+1).
    """

    low: int
    """Power of two at which the lists start."""
    golden: tuple[int, ...]
    """Golden's elements by power of two."""
    candidate: tuple[int, ...]
    """The candidate's, likewise."""
    golden_zeros: int
    """Golden's elements that are zero."""
    candidate_zeros: int
    """The candidate's elements that are zero."""
    non_finite: int
    """The candidate's elements that are NaN or infinite."""


class EngineEntry(Model):
    """How an engine was built, and where."""

    tensorrt: str | None = None
    """Version of TensorRT."""
    gpu: str | None = None
    """Name of the GPU."""
    compute_capability: str | None = None
    """Its compute capability, for example 9.0."""
    driver_cuda: str | None = None
    """Newest CUDA that its driver supports."""
    verbosity: str | None = None
    """Profiling verbosity, on which depends what the engine tells of its layers."""
    taken: str | None = None
    """How a plan that was built elsewhere was taken; the fields below, plugins excepted, are absent then."""
    typing: str | None = None
    """weak or strong."""
    flags: tuple[str, ...] | None = None
    """Builder flags that were set."""
    tf32: bool | None = None
    """Whether the builder might take TF32."""
    plugins: tuple[str, ...] | None = None
    """Plugin libraries that were loaded."""
    build_seconds: Number | None = None
    """How long the build took."""
    built: str | None = None
    """When it was built, ISO 8601 in UTC."""
    warnings: tuple[str, ...] | None = None
    """What the builder warned of."""
    cached: bool | None = None
    """Whether the engine of an earlier build was taken."""


class BuildEntry(Model):
    """One build of a candidate: what is served, or what it takes to look into that."""

    what: str = Field(alias="for")
    """What was built: the engine, the candidate where there is no engine, or for example a probe that shows tensors."""
    checks: tuple[str, ...] = ()
    """Checks that need it; empty for what is served, which all do."""
    seconds: Number | None = None
    """How long it took, or how long it had taken where an engine of the cache was taken; absent where that is not
    known."""
    cached: bool = False
    """Whether that of an earlier build was taken."""
    refused: bool = False
    """Whether the builder refused it."""


class EngineTensorEntry(Model):
    """An input or output of a layer of the engine."""

    name: str
    """As the engine names it."""
    format: str = ""
    """Element type and layout, for example FP16 NHWC8."""
    shape: tuple[int, ...] = ()
    """Its axes; -1 where one is dynamic."""


class EngineLayerEntry(Model):
    """A layer of the engine."""

    name: str
    """As the engine names it."""
    type: str = ""
    """As the inspector has it, for example CaskConvolution or Reformat."""
    precision: str = ""
    """What it computes in, for example FP16; empty where the inspector does not tell."""
    inputs: tuple[EngineTensorEntry, ...] = ()
    """What it reads."""
    outputs: tuple[EngineTensorEntry, ...] = ()
    """What it makes."""
    tactic: str = ""
    """The kernel chosen."""
    nodes: tuple[str, ...] = ()
    """Names of the ONNX nodes in it."""
