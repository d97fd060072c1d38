"""What comes back: findings, reports, and the few bytes of a report that fit a termination message."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from assay_api.model import Model
from assay_api.names import REPORT_VERSION


class Verdict(StrEnum):
    """`Inconclusive` is what could not be measured; it is never `Passed`."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"


_SEVERITY = {Verdict.PASSED: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAILED: 2}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of the verdicts, Failed > Inconclusive > Passed; nothing judged is Inconclusive."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.INCONCLUSIVE)


NON_FINITE = ("NaN", "Infinity", "-Infinity")

Number = Annotated[float, BeforeValidator(lambda value: float(value) if value in NON_FINITE else value)]
"""A float that JSON carries as a string where it is not finite: a report full of NaN must be readable again."""


class Finding(Model):
    """What one check found on one candidate."""

    candidate: str
    """Key of the candidate, `name` or `name@gpu-product`."""
    check: str
    """Name of the check, as in the spec."""
    verdict: Verdict
    """The verdict."""
    message: str
    """One sentence: what was measured, where, against which limit, and what to do."""
    tensor: str | None = None
    """Tensor it is about."""
    node: str | None = None
    """Node of the ONNX graph that makes the tensor."""
    metric: str | None = None
    """What `value` is, for example maxAbs."""
    value: Number | None = None
    """The measured value."""
    limit: Number | None = None
    """The limit it was judged by."""
    details: dict[str, Any] = {}
    """Everything else the check measured, for the page and for scripts.

    `remark` is true where a finding that passed says what must not be overlooked.
    """


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


class CandidateReport(Model):
    """One candidate: its verdict and what was measured."""

    name: str
    """Key of the candidate, `name` or `name@gpu-product`."""
    candidate: str | None = None
    """Name of the candidate, whatever the GPU product."""
    gpu_product: str | None = None
    """GPU product asked for."""
    verdict: Verdict
    """Its worst finding."""
    backend: str
    """What ran it."""
    precision: str | None = None
    """Precision asked for."""
    typing: str | None = None
    """TensorRT's typing."""
    emulated: bool = False
    """True where ONNX Runtime stood in for the engine."""
    samples: int = 0
    """Samples judged."""
    latency: Latency | None = None
    """Latency of a batch, where it was measured."""
    size: int | None = None
    """Bytes of what was run: the engine, or the converted model."""
    memory: int | None = None
    """Bytes of device memory the engine needs to run: weights and activations."""
    accuracy: dict[str, Number] = {}
    """Label metrics, for example {"top1": 0.97, "goldenTop1": 0.98}."""
    outputs: tuple[dict[str, Any], ...] = ()
    """Per output: worst, p50 and p99 of each drift metric."""
    layers: tuple[dict[str, Any], ...] = ()
    """Per tensor in topological order: local and accumulated error, range; empty where layers were not looked at.

    A tensor whose range was judged by the candidate's format has `smallest`, golden's smallest magnitude other than
    zero, and `overflow`, `underflow` and `subnormal`, elements of the whole dataset that the format cannot hold.
    """
    layers_served: bool = True
    """Whether `layers` are of what is served; false where the run that showed them does not give its outputs."""
    fused: int = 0
    """Tensors inside fused layers, which the engine never makes; they are not among `layers`."""
    histograms: tuple[dict[str, Any], ...] = ()
    """Magnitudes of the worst tensors, golden's against the candidate's, counted by powers of two.

    Each has `tensor`, `node`, `op`, `low`, `golden`, `candidate`, `goldenZeros`, `candidateZeros` and `nonFinite`;
    count i of a list is of the elements with 2^(low+i) ≤ |x| < 2^(low+i+1).
    """
    achieved: dict[str, int] = {}
    """Layers of the engine by the precision they ran in, for example {"FP16": 40, "FP32": 3}."""
    engine: dict[str, Any] = {}
    """How the engine was built: versions, GPU, seconds, typing, what the builder warned of."""
    engine_layers: tuple[dict[str, Any], ...] = ()
    """Layers of the engine in the order they run, as far as its profiling verbosity lets them be seen.

    Each has `name`, `type`, `precision`, `tactic`, `nodes` (names of the ONNX nodes in it), `inputs` and `outputs`
    (`name`, `format`, `shape` each).
    """
    notes: tuple[str, ...] = ()
    """What a reader must know: ignored arrays, emulation, what was not looked at."""
    error: str | None = None
    """Why there is no measurement, where there is none."""


class Recommendation(Model):
    """Which candidate to ship."""

    candidate: str | None = None
    """Key of the fastest candidate that passed; of those as fast within noise, the most accurate."""
    message: str = ""
    """Why, in one sentence."""


class Report(Model):
    """The whole answer, stored as report.json. The version changes when a field changes its meaning."""

    version: Literal["assay.dev/report/v1"] = Field(default=REPORT_VERSION)
    """Version of this format."""
    audit: str
    """Name of the audit, `namespace/name` in a cluster."""
    run: str
    """Digest of the spec's meaning."""
    task: str
    """Key of the task that made the report."""
    created: str
    """When, ISO 8601 in UTC."""
    verdict: Verdict
    """The worst candidate's."""
    emulated: bool = False
    """True where any candidate was emulated on CPU."""
    recommendation: Recommendation | None = None
    """Which candidate to ship; in the summary only."""
    candidates: tuple[CandidateReport, ...] = ()
    """One per candidate and target."""
    findings: tuple[Finding, ...] = ()
    """Every finding, worst first within a candidate."""
    golden: dict[str, Any] = {}
    """How the reference was made."""
    dataset: dict[str, Any] = {}
    """What was read: shards, samples, ignored arrays."""
    environment: dict[str, str] = {}
    """Versions and machine."""
    spec: dict[str, Any] = {}
    """The spec that was audited."""
    reproduce: str = ""
    """Command that runs the same audit again."""


def to_json(report: Report) -> bytes:
    """The stored form: defaults kept, so that a reader needs no schema; non-finite numbers as strings."""
    return report.model_dump_json(by_alias=True, exclude_none=True, indent=1).encode()
