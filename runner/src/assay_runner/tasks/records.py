"""The record that the golden task leaves for the candidates: where the outputs lie and what they were made of."""

from __future__ import annotations

from typing import Any, Final, Literal

from assay_api.entries import FloorEntry
from assay_api.model import Model
from assay_api.names import ANNOTATION_RERUN
from assay_api.plan import Task
from assay_api.task_kinds import GOLDEN
from assay_runner.errors import Unavailable, Unsupported
from assay_runner.golden.kept_axes import KeptAxes
from assay_runner.stores import join, sealed
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
    identity: str = ""
    """Of those that the user stored: digest of names, sizes and contents of their files."""
    files: dict[str, str] = {}
    """SHA-256 of each file of the model, by its URI."""
    shards: tuple[str, ...] = ()
    """Digest of name and content of each shard, or feed, of the dataset."""
    stored: tuple[str, ...] = ()
    """The same of outputs that the user stored."""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know."""
    details: dict[str, Any] = {}
    """How they were made."""
    axes: KeptAxes = KeptAxes()
    """Where the samples of the model's tensors are, as far as golden was asked."""
    floors: tuple[FloorEntry, ...] = ()
    """How closely they agree with themselves."""

    @property
    def literal(self) -> bool:
        """Whether they were computed without ONNX Runtime's optimisations."""
        return self.details.get("provenance", {}).get("optimised") is False


def read_record(task: Task, context: Context) -> GoldenRecord:
    """The record that the golden task of the same run left.

    Raises:
        Unavailable: there is none, or it is not as it was stored.
        Unsupported: another version of Assay left it.
    """
    uri = join(task.output, GOLDEN, RECORD)
    try:
        record = sealed.read_record(context.store, uri, GoldenRecord, "golden run")
    except sealed.Damaged as error:
        raise Unavailable(f"{uri} cannot be read, or was changed: run the audit again") from error
    if record is None and context.store.stat(uri) is not None:
        raise Unsupported(
            f"{uri} was left by another version of Assay, from which this one cannot go on: give the audit a new "
            f"annotation {ANNOTATION_RERUN}, or run it again"
        )
    if record is None:
        raise Unavailable(f"the golden outputs are not there ({uri} is missing): the golden task has not finished")
    if record.run != task.run:
        raise Unavailable(f"{uri} is of another run: the golden task of this one has not finished")
    return record
