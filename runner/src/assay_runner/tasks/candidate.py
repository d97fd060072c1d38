"""The candidate task: fetch, build, measure, judge, publish. One candidate on one target."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from assay_api.audit import Candidate, EngineRef
from assay_api.entries import BuildEntry
from assay_api.plan import Task
from assay_api.result import TaskResult
from assay_runner.backends import BACKENDS, Backend, Built
from assay_runner.backends.backend import EMULATED_INSTEAD
from assay_runner.backends.order import order_of
from assay_runner.backends.seams import Adopting
from assay_runner.backends.sessions import Refused
from assay_runner.backends.subject import Subject
from assay_runner.builds.cache import BuildRequest, build_or_take
from assay_runner.builds.shelves import Shelves
from assay_runner.checks import parse_checks
from assay_runner.data.datasets import Dataset, Source
from assay_runner.errors import CannotBuild, Unsupported
from assay_runner.journal import step
from assay_runner.models.files import fetch_pinned
from assay_runner.models.loading import LoadedModel
from assay_runner.models.witness import unchanged
from assay_runner.passes.setting import Setting
from assay_runner.tasks.baseline import with_baseline
from assay_runner.tasks.context import Context
from assay_runner.tasks.environment import versions
from assay_runner.tasks.for_gpu import PLAN_ELSEWHERE, judged_here, zero_points
from assay_runner.tasks.golden import dataset_of, open_golden
from assay_runner.tasks.own_models import fits_audit
from assay_runner.tasks.provenance import provenance_of
from assay_runner.tasks.publish import candidate_of, publish, resumed, task_result
from assay_runner.tasks.records import GoldenRecord, read_record
from assay_runner.tasks.same_inputs import same_calibration
from assay_runner.tasks.sections import publish_left, single_report
from assay_runner.tasks.timings import given_timings
from assay_runner.tasks.wider import wider_of
from assay_runner.trial.measure import measure

MADE_UP = (
    "the values of the dataset are made up, which says nothing of real ones: name real samples in dataset.uri, and "
    "remove dataset.synthetic"
)


def run_candidate(task: Task, context: Context) -> TaskResult:
    """Audit one candidate and publish its report.

    A report that this very task has already stored is the answer, so that a task whose Pod vanished is not run twice;
    one that is not as it was stored is made again.

    Raises:
        InvalidInput: something of the user's cannot be used.
        CannotBuild: the candidate's backend refuses it.
        Unavailable: no device, no golden outputs, a store that does not answer, too little memory or disk.
    """
    notes: list[str] = []
    done = resumed(task, context, notes)
    if done:
        return with_baseline(task, context, done[0], task_result(task, *done))
    try:
        return _audited(task, context, notes)
    except Refused as error:
        # The model and the data are fine: golden has run them. A model of the candidate's own is its user's input.
        if candidate_of(task).model or task.spec.golden.uri:
            raise
        raise CannotBuild(str(error)) from error
    finally:
        # The next candidate needs the room: rounded weights take as much of it as the model.
        shutil.rmtree(context.workdir(task), ignore_errors=True)


def _audited(task: Task, context: Context, notes: list[str]) -> TaskResult:
    candidate = candidate_of(task)
    checks, left = judged_here(candidate, parse_checks(task.spec), context)
    if not checks:
        return publish_left(task, context, left)
    backend = BACKENDS[context.backend or candidate.backend]
    with step("Load", f"loading backend {backend.name}"):
        _ready(backend, candidate)
    record = read_record(task, context)
    model = context.load(task.spec.model, task.spec.dataset)
    dataset = dataset_of(task, model, context)
    start = time.monotonic()
    setting, shelves = _setting(task, context, backend, record, model, dataset, notes)
    served = _served(setting.subject.built, time.monotonic() - start)
    try:
        measured = measure(setting, checks, MADE_UP if task.spec.dataset.synthetic else "")
        context.progress.stage("publish")
        unchanged((*model.files, *setting.subject.model.files))
        for shelf in shelves:
            shelf.keep()
    finally:
        backend.release(setting.subject.built)
    own = [note for note in setting.subject.model.notes if note not in measured.report.notes]
    notes = [*measured.report.notes, *own, *dataset.notes, *notes]
    whose = {"candidate": candidate.name, "gpu_product": task.gpu_product}
    builds = (*served, *measured.report.builds)
    made = {
        "provenance": provenance_of(setting.subject, dataset),
        "notes": tuple(notes),
        "builds": builds,
        "left": left,
    }
    noted = measured.report.model_copy(update={**whose, **made})
    report = single_report(task, context, noted, measured.findings, record, dataset.describe())
    result = task_result(task, report, publish(report, task.folder, context.store))
    return with_baseline(task, context, report, result)


def _ready(backend: Backend, candidate: Candidate) -> None:
    """Do nothing where the candidate can run here.

    Raises:
        Unsupported: it cannot; the way out is one that this candidate has.
    """
    try:
        backend.available()
    except Unsupported as error:
        if candidate.engine is None or EMULATED_INSTEAD not in str(error):
            raise
        raise Unsupported(str(error).replace(EMULATED_INSTEAD, PLAN_ELSEWHERE)) from error


def _served(built: Built, seconds: float) -> tuple[BuildEntry, ...]:
    """The build of what is served; nothing of a plan that somebody else built."""
    if built.engine is None:
        return (BuildEntry(what="the candidate", seconds=round(seconds, 3), cached=built.cached),)
    facts = built.engine.facts
    if facts.taken is not None:
        return ()
    return (BuildEntry(what="the engine", seconds=facts.build_seconds, cached=bool(facts.cached)),)


def _setting(
    task: Task,
    context: Context,
    backend: Backend,
    record: GoldenRecord,
    model: LoadedModel,
    dataset: Dataset,
    notes: list[str],
) -> tuple[Setting, Shelves]:
    """What is to be measured, the candidate built; where builds are kept.

    To `notes` comes what the calibration set has to say, and, while they are read, the golden outputs.
    """
    candidate = candidate_of(task)
    own = context.load(candidate.model, task.spec.dataset) if candidate.model else None
    if own:
        fits_audit(own, model, dataset)
    if said := zero_points(candidate, own or model, context):
        notes.append(said)
    golden = open_golden(record, task, model, dataset, context, notes)
    calibration = calibration_of(task, candidate, own or model, context)
    notes.extend(calibration.notes if calibration else ())
    request = None
    if not candidate.engine:
        timings = given_timings(candidate, backend, context.workdir(task), context.store)
        order = order_of(candidate, (own or model).path, timings)
        request = BuildRequest(backend, own or model, order, calibration, versions(), dataset.extents())
    built, shelves = _built(task, context, backend, own or model, request)
    if built.emulated and record.literal:
        # An engine does not do what golden keeps ONNX Runtime from.
        built = replace(built, literal=True)
    subject = Subject(task.key, backend, built, own or model)
    computed = record.source == "computed"
    reference = context.reference(model, dataset, golden, record.uri, record.precision, record.floors, computed)
    wider, narrow = wider_of(request, subject, context.workdir(task), context.progress)
    return Setting(subject, reference, context.progress, wider=wider, narrow=narrow), shelves


def _built(
    task: Task, context: Context, backend: Backend, model: LoadedModel, request: BuildRequest | None
) -> tuple[Built, Shelves]:
    candidate, workdir = candidate_of(task), context.workdir(task)
    with step("Build", "building the candidate" if request else "loading the plan"):
        if candidate.engine:
            return _adopted(backend, candidate.engine, model, workdir, context), ()
        if request is None:
            raise Unsupported("a candidate without a precision is no build")
        return build_or_take(request, workdir, context.progress, context.store, task.cache)


def _adopted(backend: Backend, ref: EngineRef, model: LoadedModel, workdir: Path, context: Context) -> Built:
    if not isinstance(backend, Adopting):
        raise Unsupported(f"a TensorRT plan cannot be run by backend {backend.name}: {PLAN_ELSEWHERE}")
    context.progress.stage("fetch", unit="plans")
    plan = workdir / "existing.plan"
    fetch_pinned(context.store, ref.uri, ref.sha256, plan, "plan")
    return backend.adopt(plan, model, workdir, ref.plugins)


def calibration_of(
    task: Task, candidate: Candidate, model: LoadedModel, context: Context, *, whole: bool = False
) -> Dataset | None:
    """The candidate's calibration set, opened; None where it has none.

    Args:
        task: of the run.
        candidate: as the audit asks for it.
        model: that it is built of.
        context: opens it.
        whole: all of it, where the candidate takes the first samples only.

    Raises:
        InvalidInput: nothing there, no samples, or a shard that does not fit the model; or another task of the run
            was given other ones.
    """
    spec = candidate.calibration
    if spec is None:
        return None
    source = Source(uri=spec.uri, samples=None if whole else spec.samples, what="calibration set")
    opened = context.open(source, model)
    same_calibration(task, opened, context)
    return opened
