"""One candidate, measured and judged: the checks say what they need, and only the passes that provide it run.

Outputs always come from the candidate as it would be served. A run that shows every tensor is another run, beside it:
showing may change what is computed, so its outputs are compared with the plain ones and a difference is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

from assay_api.audit import Candidate
from assay_api.report import CandidateReport, Finding
from assay_runner.backends import Backend, Built, Capability, Session
from assay_runner.candidate_report import candidate_report
from assay_runner.checks import Check
from assay_runner.checks.check import doubted
from assay_runner.checks.label_accuracy import LabelAccuracy
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.metric import MetricCheck
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Behaviour, Evidence, Need, Site
from assay_runner.golden import sample_axes
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.models import LoadedModel
from assay_runner.passes.behaviour import behaviour
from assay_runner.passes.beside import Beside
from assay_runner.passes.eight_bit import eight_bit
from assay_runner.passes.metrics import MetricsPass
from assay_runner.passes.outputs import LabelsPass, OutputsPass
from assay_runner.passes.ranges import RangesPass
from assay_runner.passes.splits import split_layers
from assay_runner.passes.tapped import TappedPass
from assay_runner.tensors import Array, Arrays, Batches, Progress, names


@dataclass(frozen=True)
class MeasureRequest:
    """Everything `measure` needs.

    Attributes:
        model: the audit's model.
        candidate: the candidate, as in the spec.
        candidate_model: the candidate's own model (QAT), or None.
        key: `name` or `name@gpu-product`.
        built: what `backend.build` made.
        dataset: inputs, and labels where there are any.
        golden: golden outputs, one mapping per batch of the dataset, rows of padding cut off; can be iterated again.
        golden_precision: precision of the golden run that tensors are compared with.
        checks: what is judged.
        backend: what runs the candidate.
        workdir: where derived models may be kept.
    """

    model: LoadedModel
    candidate: Candidate
    candidate_model: LoadedModel | None
    key: str
    built: Built
    dataset: Batches
    golden: Iterable[Mapping[str, Array]]
    golden_precision: Literal["fp32", "fp64"]
    checks: tuple[Check, ...]
    backend: Backend
    workdir: Path

    @property
    def needs(self) -> frozenset[Need]:
        """What the checks need."""
        return frozenset(need for check in self.checks for need in check.needs)

    @property
    def splits(self) -> bool:
        """Whether a batch can be taken apart: golden's model and the candidate's take any."""
        return self.model.batch is None and (self.candidate_model or self.model).batch is None


class Measured(NamedTuple):
    """One candidate's report and findings, worst finding first."""

    report: CandidateReport
    findings: tuple[Finding, ...]


@dataclass
class Timings:
    """Milliseconds per batch of `rows` samples; other batch sizes are not comparable."""

    rows: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def run(self, session: Session, inputs: Arrays, rows: int) -> dict[str, Array]:
        """Run and take the time of full batches."""
        self.rows = self.rows or rows
        start = time.perf_counter()
        outputs = session.run(inputs)
        if rows == self.rows:
            self.milliseconds.append(1000 * (time.perf_counter() - start))
        return outputs


def measure(request: MeasureRequest, progress: Progress) -> Measured:
    """Measure a built candidate and judge it.

    Raises:
        InvalidInput: model and data do not fit each other, or a check names an output that is not there.
        Unavailable: memory or the device gave out.
    """
    sites = output_sites(request)
    _check_outputs(request.checks, tuple(sites))
    request = _measured_axes(request)
    timings = Timings()
    with ExitStack() as stack:
        evidence, notes = _measured(request, sites, timings, progress, stack)
    if evidence.samples:
        # Only now, when the sessions above are gone: these open one or two of their own at once.
        evidence = replace(evidence, behaviour=_behaviour(request, sites, progress))
    findings = _judged(request, evidence)
    split, more = split_layers(request, evidence, findings, progress)
    if split:
        evidence = replace(evidence, split_layers=split)
        findings = _judged(request, evidence)
    notes += more
    return Measured(*candidate_report(request, evidence, findings, timings.rows, timings.milliseconds, notes))


def _measured_axes(request: MeasureRequest) -> MeasureRequest:
    """The request, with what golden's run shows of the axes that hold samples beside what the models declare."""
    within = request.needs & {Need.TENSORS, Need.LAYERS, Need.RANGES}
    inner = [site.tensor for site in request.backend.sites(request.built)] if within else []
    found = sample_axes(request.model, request.dataset, request.workdir, inner)
    axes = SampleAxes({**request.built.axes.axes, **found.axes})
    return replace(request, built=replace(request.built, measured=axes))


def output_sites(request: MeasureRequest) -> dict[str, Site]:
    """Where each output of the candidate is made, in graph order."""
    model = request.candidate_model or request.model
    made = {site.tensor: site for site in request.backend.sites(request.built)}
    return {name: made.get(name, Site(name)) for name in names(model.outputs)}


def _measured(
    request: MeasureRequest, sites: Mapping[str, Site], timings: Timings, progress: Progress, stack: ExitStack
) -> tuple[Evidence, tuple[str, ...]]:
    axes = request.built.axes
    outputs = OutputsPass(sites, {c.top_k for c in request.checks if isinstance(c, OutputDrift)}, axes)
    labels = LabelsPass(_label_outputs(request.checks, tuple(sites)), axes)
    metrics = MetricsPass((c for c in request.checks if isinstance(c, MetricCheck)), sites, axes)
    # First of all what is served: what is opened beside it has to do with the memory that is left.
    session = stack.enter_context(request.backend.open(request.built))
    beside = _beside(request)
    stack.callback(beside.close)
    ranges = _ranges(request, stack)
    samples = 0
    progress.stage("infer", request.dataset.samples, "samples")
    plain_needed = bool(request.needs & {Need.OUTPUTS, Need.LABELS, Need.METRICS})
    for batch, golden in zip_longest(request.dataset, request.golden):
        if batch is None or golden is None:
            raise InvalidInput("golden outputs and dataset have different numbers of batches: run the audit again")
        found = timings.run(session, batch.inputs, batch.fed) if plain_needed or samples == 0 else None
        if found is not None and Need.OUTPUTS in request.needs:
            outputs.add(batch, golden, found)
        if found is not None and Need.LABELS in request.needs:
            labels.add(batch, golden, found)
        if found is not None:
            metrics.add(batch, golden, found)
        beside.add(batch, found)
        if ranges:
            ranges.add(batch)
        samples += batch.count
        progress.advance(batch.count)
    beside.settle(request.dataset)
    tapped = beside.found
    evidence = Evidence(
        candidate=request.key,
        samples=samples,
        precision=request.built.precision,
        outputs=outputs.result(),
        labels=labels.result(),
        scores=metrics.result(),
        tensors=tapped.tensors() if tapped and samples else None,
        layers=tapped.errors() if tapped and samples else None,
        reproduction=tapped.reproduction if tapped else None,
        hidden=request.built.hidden,
        unrounded=request.built.unrounded,
        ranges=ranges.result() if ranges and samples else None,
        histograms=tapped.histograms if tapped else (),
        eight_bit=eight_bit(request.built) if Need.GRAPH in request.needs else None,
        engine=request.built.engine,
        overflows=(*(tapped.overflows() if tapped else ()), *request.built.overflows),
        unmeasured=outputs.unmeasured,
        missing=dict.fromkeys((Need.TENSORS, Need.LAYERS), beside.reason) if beside.reason else {},
    )
    return evidence, (tapped.notes if tapped else ())


def _beside(request: MeasureRequest) -> Beside:
    """The run that shows every tensor, where it is needed; why it cannot be had, where it is."""
    needed = request.needs & {Need.TENSORS, Need.LAYERS}
    if not needed:
        return Beside(None)
    if not request.backend.can(Capability.TENSORS):
        return Beside(None, f"backend {request.backend.name} cannot show tensors here")
    return Beside(
        lambda stack: TappedPass(
            backend=request.backend,
            built=request.built,
            model=request.model,
            precision=request.golden_precision,
            workdir=request.workdir,
            layers=Need.LAYERS in needed,
            whole=any(isinstance(check, LayerDrift) and check.tensors == "all" for check in request.checks),
            splits=request.splits,
            stack=stack,
        )
    )


def _ranges(request: MeasureRequest, stack: ExitStack) -> RangesPass | None:
    if Need.RANGES not in request.needs:
        return None
    splits = request.model.batch is None
    return RangesPass(request.model, request.golden_precision, request.workdir, splits, stack, request.built.axes)


def _judged(request: MeasureRequest, evidence: Evidence) -> list[Finding]:
    return [doubted(finding, evidence) for check in request.checks for finding in check.judge(evidence)]


def _behaviour(request: MeasureRequest, sites: Mapping[str, Site], progress: Progress) -> Behaviour:
    fixed = (request.candidate_model or request.model).batch
    return behaviour(request.checks, request.backend, request.built, fixed, request.dataset, sites, progress)


def _label_outputs(checks: Iterable[Check], outputs: tuple[str, ...]) -> frozenset[str]:
    return frozenset(check.output or outputs[0] for check in checks if isinstance(check, LabelAccuracy))


def _check_outputs(checks: Iterable[Check], outputs: tuple[str, ...]) -> None:
    for check in checks:
        wanted: tuple[str, ...] = ()
        if isinstance(check, OutputDrift):
            wanted = check.outputs
        elif isinstance(check, LabelAccuracy | MetricCheck) and check.output:
            wanted = (check.output,)
        for name in wanted:
            if name not in outputs:
                raise InvalidInput(
                    f"{check.name} names output {name!r}, but the model's outputs are {', '.join(outputs)}"
                )
