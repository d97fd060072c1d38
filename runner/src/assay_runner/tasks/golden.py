"""The golden task: outputs that candidates are held against, computed once or taken as the user stored them.

It leaves a small record in the run's folder that says where they lie and what they were made of; candidates read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from assay_api.plan import Task
from assay_api.result import TaskResult
from assay_runner.data.datasets import Dataset, Source
from assay_runner.digests import cache_key
from assay_runner.errors import Unavailable
from assay_runner.golden.cache import Aligned
from assay_runner.golden.kept_axes import KeptAxes
from assay_runner.golden.stored import open_stored_outputs
from assay_runner.models.loading import LoadedModel
from assay_runner.passes import PASSES
from assay_runner.stores import join
from assay_runner.stores.sealed import put_record
from assay_runner.tasks.context import Context
from assay_runner.tasks.environment import made_by
from assay_runner.tasks.golden_entry import GoldenEntry, Precision
from assay_runner.tasks.golden_noise import checks_of, with_noise
from assay_runner.tasks.records import RECORD, GoldenRecord
from assay_runner.tasks.same_inputs import files_of, same_inputs, same_outputs
from assay_runner.tensors import Array


def dataset_of(task: Task, model: LoadedModel, context: Context) -> Dataset:
    """The audit's dataset."""
    spec = task.spec.dataset
    source = Source(uri=spec.uri, batch=spec.batch, labels=spec.labels, samples=spec.samples, targets=spec.targets)
    return context.open(source, model)


def run_golden(task: Task, context: Context) -> TaskResult:
    """Compute or check the golden outputs and store their record.

    Raises:
        InvalidInput: model, dataset or stored outputs cannot be used.
        Unavailable: the store does not answer, memory or disk is short.
    """
    model = context.load(task.spec.model, task.spec.dataset)
    dataset = dataset_of(task, model, context)
    stored = task.spec.golden.uri
    record = _stored(task, stored, model, dataset, context) if stored else _computed(task, model, dataset, context)
    put_record(context.store, join(task.folder, RECORD), record)
    how = "stored outputs checked" if stored else f"golden outputs in {record.precision}"
    return TaskResult(task=task.digest, samples=record.samples, message=f"{how}, {record.samples} samples")


def _stored(task: Task, uri: str, model: LoadedModel, dataset: Dataset, context: Context) -> GoldenRecord:
    context.progress.stage("check stored golden outputs")
    axes = context.axes(model, dataset)
    outputs = open_stored_outputs(context.store, uri, model, dataset, context.scratch, axes)
    notes, kept = list(axes.notes), _kept_axes(task, model, dataset, context)
    if outputs.ignored:
        notes.append(f"stored golden arrays ignored, for they match no output: {', '.join(outputs.ignored)}")
    if outputs.constant:
        told = ", ".join(outputs.constant)
        notes.append(f"outputs that the data do not decide, taken from the model and not from golden.uri: {told}")
    return GoldenRecord(
        run=task.run,
        source="stored",
        uri=uri,
        precision="fp32",
        samples=dataset.samples,
        model=model.identity,
        dataset=dataset.identity,
        identity=outputs.identity,
        files=files_of(model, task.spec.model.uri),
        shards=dataset.prints,
        stored=outputs.prints,
        notes=tuple(notes),
        details={"uri": uri},
        axes=kept,
    )


def _computed(task: Task, model: LoadedModel, dataset: Dataset, context: Context) -> GoldenRecord:
    precision: Precision = task.spec.golden.precision or "fp32"
    key = cache_key(model=model.identity, dataset=dataset.identity, precision=precision, **made_by())
    entry = GoldenEntry(join(task.cache, "golden", key), model, dataset, precision, context, context.workdir(task))
    index = entry.taken_or_made()
    context.axes(model, dataset).take(index.axes)
    index = with_noise(index, entry, task)
    return GoldenRecord(
        run=task.run,
        source="computed",
        uri=entry.folder,
        precision=precision,
        samples=index.samples,
        model=model.identity,
        dataset=dataset.identity,
        files=files_of(model, task.spec.model.uri),
        shards=dataset.prints,
        notes=(*index.notes, *entry.notes),
        details={"precision": precision, **index.details},
        axes=_kept_axes(task, model, dataset, context),
        floors=(*(index.doubled or ()), *index.unoptimised, *index.axes.floors),
    )


def _kept_axes(task: Task, model: LoadedModel, dataset: Dataset, context: Context) -> KeptAxes:
    """Where golden's samples are; inside the graph too, where a check of this audit will ask for it."""
    axes = context.axes(model, dataset)
    needs = [need for check in checks_of(task) for need in check.needs]
    # Memory that is too little for that here is told by the candidate that finds it so.
    with suppress(Unavailable):
        if any(PASSES[type(need)].takes_parts for need in needs if type(need) in PASSES):
            assert axes.all is not None
    return axes.kept


def open_golden(
    record: GoldenRecord, task: Task, model: LoadedModel, dataset: Dataset, context: Context, notes: list[str]
) -> Iterable[Mapping[str, Array]]:
    """The golden outputs, one mapping per batch of the dataset; iterate them as often as needed.

    Where the cache does not hold what was stored there they are made again on the way, and `notes` grows by one.

    Raises:
        InvalidInput: model, dataset or stored outputs changed since the golden run.
    """
    same_inputs(record, model, task.spec.model.uri, dataset)
    context.axes(model, dataset).take(record.axes)
    if record.source == "stored":
        axes = context.axes(model, dataset)
        outputs = open_stored_outputs(context.store, record.uri, model, dataset, context.scratch, axes)
        same_outputs(record, outputs)
        return outputs
    workdir = context.workdir(task) / "golden"
    return Aligned(dataset, GoldenEntry(record.uri, model, dataset, record.precision, context, workdir, notes))
