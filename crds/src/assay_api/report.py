"""What comes back: the report of an audit or of one candidate, every part of it typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from assay_api.audit import AuditSpec
from assay_api.entries import (
    BuildEntry,
    EngineEntry,
    EngineLayerEntry,
    FloorEntry,
    HistogramEntry,
    Latency,
    OutputEntry,
    Provenance,
    TensorEntry,
)
from assay_api.finding import Finding, Verdict, worst
from assay_api.left import LeftForGpu
from assay_api.model import Model, to_wire
from assay_api.names import REPORT_VERSION
from assay_api.numbers import NON_FINITE, Number
from assay_api.repair import Deployable, RepairEntry

__all__ = [
    "NON_FINITE",
    "BuildEntry",
    "CandidateReport",
    "DatasetEntry",
    "Deployable",
    "EngineEntry",
    "EngineLayerEntry",
    "Finding",
    "FloorEntry",
    "GoldenEntry",
    "HistogramEntry",
    "Latency",
    "LeftForGpu",
    "Number",
    "OutputEntry",
    "Provenance",
    "Recommendation",
    "RepairEntry",
    "Report",
    "TensorEntry",
    "Verdict",
    "to_json",
    "worst",
]


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
    provenance: Provenance | None = None
    """What ran it, and from what it was built; absent where nothing ran."""
    samples: int = 0
    """Samples judged."""
    latency: Latency | None = None
    """Latency of a batch, where it was measured."""
    seconds: dict[str, float] = {}
    """Seconds spent by check, without building the candidate and running golden; what several checks asked for is
    shared out equally among them."""
    size: int | None = None
    """Bytes of what was run: the engine, or the converted model."""
    memory: int | None = None
    """Bytes of device memory the engine needs to run: weights and activations."""
    accuracy: dict[str, Number] = {}
    """Label metrics, for example {"top1": 0.97, "goldenTop1": 0.98}."""
    outputs: tuple[OutputEntry, ...] = ()
    """The outputs, each against golden's."""
    outputs_digest: str | None = None
    """SHA-256 of all outputs of all samples: equal ones are equal to the last bit. Absent where none was compared."""
    hits: str | None = None
    """Which samples' labels are the candidate's largest score: a bit each, the first sample in the highest bit of the
    first byte, as base64. Absent without labels, and beyond a million samples."""
    layers: tuple[TensorEntry, ...] = ()
    """The tensors in topological order; empty where layers were not looked at."""
    layers_served: bool = True
    """Whether `layers` are of what is served; false where the run that showed them does not give its outputs."""
    repaired: str | None = None
    """Key of the candidate that failed and of which this one is the repair."""
    weights_only: bool = False
    """Whether its weights alone are in 8 bits, and its activations in FP32."""
    fused: int = 0
    """Tensors inside fused layers, which the engine never makes; they are not among `layers`."""
    histograms: tuple[HistogramEntry, ...] = ()
    """Magnitudes of the worst tensors, golden's against the candidate's, counted by powers of two."""
    achieved: dict[str, int] = {}
    """Layers of the engine by the precision they ran in, for example {"FP16": 40, "FP32": 3}."""
    engine: EngineEntry = EngineEntry()
    """How the engine was built; empty where none ran."""
    engine_layers: tuple[EngineLayerEntry, ...] = ()
    """Layers of the engine in the order they run, as far as its profiling verbosity lets them be seen."""
    builds: tuple[BuildEntry, ...] = ()
    """What was built, in order: what is served first, then what checks needed beside it."""
    notes: tuple[str, ...] = ()
    """What a reader must know: ignored arrays, emulation, what was not looked at."""
    left: tuple[LeftForGpu, ...] = ()
    """What was asked for and only an engine can answer, where an emulation stood in for it: the verdict is of the
    rest."""
    error: str | None = None
    """Why there is no measurement, where there is none."""


class Recommendation(Model):
    """Which candidate to ship."""

    candidate: str | None = None
    """Key of the fastest candidate that passed; of those as fast within noise, the most accurate."""
    message: str = ""
    """Why, in one sentence."""
    deploy: Deployable | None = None
    """What to deploy, where the candidate was repaired."""


class GoldenEntry(Model):
    """How the reference was made; empty where no candidate came so far."""

    uri: str | None = None
    """Where its outputs lie."""
    samples: int | None = None
    """Samples in all."""
    precision: str | None = None
    """Precision of the golden run; absent for outputs that the user stored."""
    backend: str | None = None
    """What ran it and its version, likewise."""
    provenance: Provenance | None = None
    """What ran it, and on what, likewise."""
    fp32_nodes: tuple[str, ...] | None = None
    """In fp64: nodes that run in FP32 all the same, for ONNX Runtime has no kernel in double precision."""
    rewritten_nodes: int | None = None
    """In fp64: nodes that were rewritten exactly."""
    floors: tuple[FloorEntry, ...] | None = None
    """How closely its outputs agree with themselves, as far as that was measured; absent for stored outputs."""
    notes: tuple[str, ...] | None = None
    """What a reader must know of it."""
    missing: str | None = None
    """Why nothing is known of it."""


class DatasetEntry(Model):
    """What was read; empty where no candidate came so far."""

    uri: str | None = None
    """Where it lies."""
    samples: int | None = None
    """Samples in all."""
    shards: int | None = None
    """Files with samples in use."""
    batch: int | None = None
    """Samples per inference."""
    labels: str | None = None
    """Array that holds the labels, where there are any."""
    ignored: tuple[str, ...] | None = None
    """Arrays that match no input."""
    identity: str | None = None
    """Digest of the data, and of how they are fed."""
    layout: Literal["samples", "feeds"] | None = None
    """Whether a sample is a row of what the files hold, or a feed."""
    reader: str | None = None
    """What the files were read by."""


class Report(Model):
    """The whole answer, stored as report.json. The version changes when a field changes its meaning."""

    version: Literal["assay.dev/report/v1"] = Field(default=REPORT_VERSION)
    """Version of this format."""
    audit: str
    """Name of the audit, `namespace/name` in a cluster."""
    run: str
    """Digest of the spec's meaning."""
    content: str | None = None
    """Digest of what was judged: run, model with its external data, and dataset; two reports with equal ones are of the
    same. Absent where model or dataset are not known."""
    task: str
    """Key of the task that made the report."""
    trace: str | None = None
    """What sweep, audit, Pod, log lines and report of one run share, in a cluster."""
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
    repair: tuple[RepairEntry, ...] = ()
    """What was done about candidates that failed, one entry per GPU product."""
    golden: GoldenEntry = GoldenEntry()
    """How the reference was made."""
    dataset: DatasetEntry = DatasetEntry()
    """What was read."""
    environment: dict[str, str] = {}
    """Versions and machine."""
    images: dict[str, tuple[str, ...]] = {}
    """Keys of tasks by the image that they ran, with its digest, as kubelets told; of an audit in a cluster."""
    spec: Annotated[AuditSpec, PlainSerializer(to_wire)] | None = None
    """The spec that was audited, without the fields that have their default."""
    reproduce: str = ""
    """Command that runs the same audit again."""


def to_json(report: Report) -> bytes:
    """The stored form: defaults kept, so that a reader needs no schema; non-finite numbers as strings."""
    return report.model_dump_json(by_alias=True, exclude_none=True, indent=1).encode()
