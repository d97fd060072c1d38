"""A candidate's own model, held against the audit's: one trained with quantisation, or converted elsewhere, say."""

from __future__ import annotations

from collections.abc import Sequence

from assay_runner.data.datasets import Dataset
from assay_runner.errors import InvalidInput
from assay_runner.models.loading import LoadedModel


def fits_audit(own: LoadedModel, model: LoadedModel, dataset: Dataset) -> None:
    """Whether it takes what the audit feeds and gives what golden gives.

    Args:
        own: the candidate's.
        model: the audit's.
        dataset: the audit's.

    Raises:
        InvalidInput: it does not; says which inputs, shapes, outputs or batches differ.
    """
    wanted = {i.name: i.dtype for i in model.inputs}
    given = {i.name: i.dtype for i in own.inputs}
    if wanted != given:
        shown = [", ".join(f"{n}: {t.name}" for n, t in sorted(each.items())) for each in (given, wanted)]
        raise InvalidInput(
            f"the candidate's own model takes other inputs ({shown[0]}) than the audit's ({shown[1]}): "
            "export both with the same input names and types"
        )
    shapes = {i.name: list(i.shape) for i in model.inputs}
    for spec in own.inputs:
        if not _alike(spec.shape, shapes[spec.name], model.axes.get(spec.name, 0)):
            raise InvalidInput(
                f"the candidate's own model takes {spec.name!r} in the shape {_told(spec.shape)}, and the audit's in "
                f"{_told(shapes[spec.name])}: export both in one layout"
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


def _alike(mine: Sequence[int | str | None], theirs: Sequence[int | str | None], samples: int | None) -> bool:
    """Whether something may have both shapes, whatever there is along the axis of samples."""
    pairs = [pair for axis, pair in enumerate(zip(mine, theirs, strict=False)) if axis != samples]
    return len(mine) == len(theirs) and all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def _told(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
