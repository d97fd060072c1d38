"""Whether a task works on what the golden task worked on; where it does not, which file is another one by now.

Golden and its candidates may be different processes on different machines, and hours apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from assay_api.model import Model
from assay_api.plan import Task
from assay_runner.data.finding import Part
from assay_runner.errors import InvalidInput
from assay_runner.golden.stored import STORED
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged, put_record, read_record
from assay_runner.tasks.context import Context
from assay_runner.tasks.records import GoldenRecord

if TYPE_CHECKING:
    from assay_runner.data.datasets import Dataset
    from assay_runner.golden.stored import StoredOutputs
    from assay_runner.models.loading import LoadedModel

WAY_OUT: Final = "leave what the audit reads alone until it has ended, and run it again"


FOLDER: Final = "calibration"
"""Of the run's folder: what was found in each calibration set."""
OTHER: Final = "another task of this audit was calibrated on"


class CalibrationRecord(Model):
    """What a calibration set held when a task of the run opened it."""

    run: str
    """Digest of the run."""
    shards: tuple[str, ...]
    """Digest of name and content of each shard, or feed."""


def files_of(model: LoadedModel, uri: str) -> dict[str, str]:
    """SHA-256 of each file of a model, by URI; `uri` is that of its ONNX file."""
    return {uri: model.sha256, **{file.uri: file.sha256 for file in model.files}}


def same_inputs(record: GoldenRecord, model: LoadedModel, uri: str, dataset: Dataset) -> None:
    """Do nothing where model and dataset are those of the golden run.

    Args:
        record: of the golden run.
        model: as this task has it.
        uri: of the model.
        dataset: as this task has it.

    Raises:
        InvalidInput: one of their files is not what golden read.
    """
    if record.model != model.identity:
        now = files_of(model, uri)
        changed = next((file for file in (*now, *record.files) if now.get(file) != record.files.get(file)), uri)
        raise _changed(changed, "the model")
    if record.dataset != dataset.identity:
        raise _changed(*_first(dataset.parts, dataset.prints, record.shards, "dataset", dataset.source.uri))


def same_outputs(record: GoldenRecord, outputs: StoredOutputs) -> None:
    """Do nothing where the stored outputs are those that the golden task checked.

    Raises:
        InvalidInput: one of their files is another one.
    """
    if record.identity != outputs.identity:
        raise _changed(*_first(outputs.parts, outputs.prints, record.stored, STORED, outputs.uri))


def same_calibration(task: Task, opened: Dataset, context: Context) -> None:
    """Do nothing where all tasks of the run that opened a calibration set found the same in it.

    One process opens it once, so this is for those of a cluster: the first leaves in the run's folder what it found.

    Raises:
        InvalidInput: a file of it is another one.
        Unavailable: the store does not answer.
    """
    if not context.resume:
        return
    name = hashlib.sha256(opened.source.uri.encode()).hexdigest()[:16]
    uri = join(task.output, FOLDER, f"{name}.json")
    with suppress(Damaged):
        found = read_record(context.store, uri, CalibrationRecord, "record of a calibration set")
        then, now = found.shards if found and found.run == task.run else (), opened.prints
        # One candidate may take fewer of its samples than another.
        both = min(len(then), len(now))
        if then[:both] != now[:both]:
            raise _changed(*_first(opened.parts, now, then, opened.source.what, opened.source.uri), OTHER)
        if len(now) <= len(then):
            return
    put_record(context.store, uri, CalibrationRecord(run=task.run, shards=opened.prints))


def _first(parts: Sequence[Part], now: Sequence[str], then: Sequence[str], what: str, uri: str) -> tuple[str, str]:
    """The first file that is another one, and whose it is."""
    place = next(at for at, (a, b) in enumerate(zip_longest(now, then)) if a != b) if now != then else None
    if place is None or not then:
        return f"the {what} {uri}", ""
    if place >= len(parts):
        return f"the {what} {uri}, which holds {len(parts)} files and held {len(then)},", ""
    return parts[place].name, f"the {what} {uri}"


def _changed(file: str, whose: str, read: str = "the golden run of this audit read") -> InvalidInput:
    of = f", of {whose}," if whose else ""
    return InvalidInput(f"{file}{of} is not what {read}, for it was replaced since: {WAY_OUT}")
