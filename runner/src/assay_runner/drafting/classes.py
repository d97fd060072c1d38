"""Which array of a dataset are its class labels, and what is said of arrays that nothing reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from assay_runner.data.arrays import ArrayHeader
from assay_runner.data.datasets import Dataset
from assay_runner.data.rules import shown, type_name
from assay_runner.errors import InvalidInput
from assay_runner.tensors import TensorSpec

_USUAL: Final = ("label", "labels", "y", "target", "targets", "class", "classes", "category")
"""What labels are called; of several arrays that may be labels, one of these names is."""
_MOST_TOLD: Final = 4


def scores_of(outputs: Iterable[TensorSpec]) -> TensorSpec | None:
    """The first output with a floating-point number per class: its last axis."""
    for output in outputs:
        if output.dtype.kind in "fV" and len(output.shape) > 1 and output.shape[-1] != 1:
            return output
    return None


def labels_among(
    headers: Mapping[str, ArrayHeader],
    fed: Iterable[str],
    outputs: Iterable[TensorSpec],
    labelled: Callable[[str], Dataset],
) -> str:
    """The only array of integers, one per sample, that no input takes and that can be classes; empty where none is.

    Args:
        headers: of the first part of the data.
        fed: the model's inputs.
        outputs: of the model.
        labelled: opens the dataset with an array as its labels.
    """
    inputs = set(fed)
    found = [n for n, h in headers.items() if n not in inputs and h.dtype.kind in "iu" and h.row in ((), (1,))]
    scores = scores_of(outputs)
    classes = scores.shape[-1] if scores else None
    fitting = [name for name in found if _fits(labelled, name, classes if isinstance(classes, int) else None)]
    usual = [name for name in fitting if name.lower() in _USUAL]
    chosen = fitting if len(fitting) == 1 else usual
    return chosen[0] if len(chosen) == 1 else ""


def _fits(labelled: Callable[[str], Dataset], name: str, classes: int | None) -> bool:
    """Whether there is one per sample, and the first ones are indices of classes."""
    try:
        first = next(iter(labelled(name))).labels
    except (InvalidInput, StopIteration):
        return False
    return first is not None and (classes is None or bool((first < classes).all()))


def unread(headers: Mapping[str, ArrayHeader], read: Iterable[str]) -> str:
    """What is said of arrays that are neither fed nor labels; empty where there is none."""
    known = set(read)
    rest = [f"{n} {shown(h.shape)} {type_name(h.dtype)}" for n, h in headers.items() if n not in known]
    more = f" and {len(rest) - _MOST_TOLD} more" if len(rest) > _MOST_TOLD else ""
    return f"{', '.join(rest[:_MOST_TOLD])}{more}" if rest else ""
