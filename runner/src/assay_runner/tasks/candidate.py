"""The candidate task: fetch, build, measure, judge, publish. One candidate on one target."""

from __future__ import annotations

from pathlib import Path

from assay_api.audit import Candidate, EngineRef
from assay_api.plan import Task
from assay_api.result import TaskResult
from assay_runner.backends import BACKENDS, Backend, Built
from assay_runner.backends.seams import Adopting
from assay_runner.build_cache import Order, build_or_take
from assay_runner.checks import parse_checks
from assay_runner.datasets import Dataset, Source
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.measure import MeasureRequest, measure
from assay_runner.model_files import fetch_pinned
from assay_runner.models import LoadedModel
from assay_runner.publish import publish, published, task_result
from assay_runner.shelves import Shelves
from assay_runner.tasks.context import Context
from assay_runner.tasks.environment import versions
from assay_runner.tasks.golden import dataset_of, open_golden
from assay_runner.tasks.records import GoldenRecord, read_record
from assay_runner.tasks.sections import candidate_report


def run_candidate(task: Task, context: Context) -> TaskResult:
    """Audit one candidate and publish its report.

    A report that this very task has already stored is the answer, so that a task whose Pod vanished is not run twice.

    Raises:
        InvalidInput: something of the user's cannot be used.
        Unavailable: no device, no golden outputs, a store that does not answer, too little memory or disk.
    """
    done = published(task, context.store) if context.resume else None
    if done:
        return task_result(task, *done)
    backend = BACKENDS[context.backend or task.candidate_spec().backend]
    backend.available()
    record = read_record(task, context)
    model = context.load(task.spec.model)
    dataset = dataset_of(task, model, context)
    notes: list[str] = []
    request, shelves = _request(task, context, backend, record, model, dataset, notes)
    measured = measure(request, context.progress)
    context.progress.stage("publish")
    for shelf in shelves:
        shelf.keep()
    noted = measured.report.model_copy(update={"notes": (*measured.report.notes, *dataset.notes, *notes)})
    report = candidate_report(task, context, noted, measured.findings, record, dataset.describe())
    return task_result(task, report, publish(report, task.folder, context.store))


def _request(
    task: Task,
    context: Context,
    backend: Backend,
    record: GoldenRecord,
    model: LoadedModel,
    dataset: Dataset,
    notes: list[str],
) -> tuple[MeasureRequest, Shelves]:
    """What is to be measured, the candidate built; where builds are kept.

    To `notes` comes what the calibration set has to say, and, while they are read, the golden outputs.
    """
    checks = parse_checks(task.spec)
    candidate = task.candidate_spec()
    own = context.load(candidate.model) if candidate.model else None
    if own:
        _same_inputs(candidate, own, model, dataset)
    golden = open_golden(record, task, model, dataset, context, notes)
    calibration = _calibration(candidate, own or model, context)
    notes.extend(calibration.notes if calibration else ())
    built, shelves = _built(task, context, backend, own or model, calibration, dataset)
    request = MeasureRequest(
        model=model,
        candidate=candidate,
        candidate_model=own,
        key=task.key,
        built=built,
        dataset=dataset,
        golden=golden,
        golden_precision=record.precision,
        checks=checks,
        backend=backend,
        workdir=context.workdir(task),
    )
    return request, shelves


def _built(
    task: Task, context: Context, backend: Backend, model: LoadedModel, calibration: Dataset | None, dataset: Dataset
) -> tuple[Built, Shelves]:
    candidate, workdir = task.candidate_spec(), context.workdir(task)
    if candidate.engine:
        return _adopted(backend, candidate.engine, model, workdir, context), ()
    order = Order(backend, model, candidate, calibration, versions(), dataset.extents())
    return build_or_take(order, workdir, context.progress, context.store, task.cache)


def _adopted(backend: Backend, ref: EngineRef, model: LoadedModel, workdir: Path, context: Context) -> Built:
    if not isinstance(backend, Adopting):
        raise Unsupported(
            f"a TensorRT plan cannot be run by backend {backend.name}: audit it on a GPU, or give it a precision"
        )
    context.progress.stage("fetch", unit="plans")
    plan = workdir / "existing.plan"
    fetch_pinned(context.store, ref.uri, ref.sha256, plan, "plan")
    return backend.adopt(plan, model, workdir, ref.plugins)


def _same_inputs(candidate: Candidate, own: LoadedModel, model: LoadedModel, dataset: Dataset) -> None:
    wanted = {i.name: i.dtype for i in model.inputs}
    given = {i.name: i.dtype for i in own.inputs}
    if wanted != given:
        shown = [", ".join(f"{n}: {t.name}" for n, t in sorted(each.items())) for each in (given, wanted)]
        raise InvalidInput(
            f"the candidate's own model takes other inputs ({shown[0]}) than the audit's ({shown[1]}): "
            "export both with the same input names and types"
        )
    outputs = [o.name for o in model.outputs if o.name not in {mine.name for mine in own.outputs}]
    if outputs:
        raise InvalidInput(
            f"the candidate's own model lacks output {outputs[0]!r} of the audit's model: "
            "export both with the same output names"
        )
    if own.batch is not None and own.batch != dataset.batch:
        raise InvalidInput(
            f"the candidate's own model takes batches of {own.batch}, and the audit feeds "
            f"{dataset.batch}: set dataset.batch to {own.batch}, or export both models with one batch"
        )


def _calibration(candidate: Candidate, model: LoadedModel, context: Context) -> Dataset | None:
    spec = candidate.calibration
    if spec is None:
        return None
    source = Source(uri=spec.uri, samples=spec.samples, what="calibration set")
    return context.open(source, model)
