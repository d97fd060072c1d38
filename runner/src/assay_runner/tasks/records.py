"""The record that the golden task leaves for the candidates: where the outputs lie and what they were made of."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from pydantic import ValidationError

from assay_api.model import Model, parse
from assay_api.plan import GOLDEN, Task
from assay_runner.errors import Unavailable
from assay_runner.stores import join
from assay_runner.tasks.context import Context

RECORD: Final = "golden.json"


class GoldenRecord(Model):
    """Where golden outputs lie, and what they were made of."""

    run: str
    """Digest of the run."""
    source: Literal["computed", "stored"]
    """Whether we computed them or the user stored them."""
    uri: str
    """Where they lie."""
    precision: Literal["fp32", "fp64"]
    """Precision of the golden run; fp32 for stored outputs."""
    samples: int
    """Samples in all."""
    model: str
    """Identity of the model."""
    dataset: str
    """Identity of the dataset."""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know."""
    details: dict[str, Any] = {}
    """How they were made."""


def read_record(task: Task, context: Context) -> GoldenRecord:
    """The record that the golden task of the same run left.

    Raises:
        Unavailable: there is none.
    """
    uri = join(task.output, GOLDEN, RECORD)
    if context.store.stat(uri) is None:
        raise Unavailable(f"the golden outputs are not there ({uri} is missing): the golden task has not finished")
    try:
        record = parse(GoldenRecord, json.loads(context.store.read(uri)))
    except (ValidationError, ValueError) as error:
        raise Unavailable(f"{uri} cannot be read: delete it and run the audit again") from error
    if record.run != task.run:
        raise Unavailable(f"{uri} is of another run: the golden task of this one has not finished")
    return record
