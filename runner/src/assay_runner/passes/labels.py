"""How labels rank in an output of classes, of which it holds the scores or says which it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from assay_runner.errors import InvalidInput
from assay_runner.evidence import LabelRanks, LabelsWanted
from assay_runner.passes.score_outputs import instead_of, no_numbers
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.statistics.samples import ranks
from assay_runner.tensors import Array, Arrays, Batch


class LabelsPass(Pass[LabelsWanted]):
    """Gathers how labels rank in an output of classes."""

    doing = "counting labels"
    reads_outputs = True

    def __init__(self, needs: Sequence[LabelsWanted], setting: Setting, stack: ExitStack) -> None:
        """Look at the outputs that are asked for.

        Raises:
            InvalidInput: one of them is no tensor of numbers.
        """
        super().__init__(needs, setting, stack)
        self._axes, self._model = setting.subject.built.axes, setting.subject.model
        self._output = {need: need.output or next(iter(setting.subject.outputs)) for need in needs}
        self._golden: dict[str, list[NDArray[np.int64]]] = {name: [] for name in self._output.values()}
        self._candidate: dict[str, list[NDArray[np.int64]]] = {name: [] for name in self._output.values()}
        self._classes: dict[str, int] = {}
        for name in self._golden:
            if told := no_numbers(name, self._model):
                raise InvalidInput(
                    f"labelAccuracy reads output {name!r}, which {told}, no scores: {instead_of(name, self._model)}"
                )

    def add(self, step: Step) -> None:
        """Rank the labels of a batch."""
        if step.found is not None:
            self._add(step.batch, step.golden, step.found)

    def _add(self, batch: Batch, golden: Arrays, candidate: Arrays) -> None:
        """Take a batch in.

        Raises:
            InvalidInput: the output is no table of class scores, or a label is no class of it.
        """
        labels = batch.labels
        if labels is None:
            raise InvalidInput("labelAccuracy needs labels: name the labels array in dataset.labels")
        for name in self._golden:
            if name not in golden or name not in candidate:
                raise InvalidInput(f"labelAccuracy reads output {name!r}, which {_whose(name, golden)} does not have")
            found = self._axes.samples(name, candidate[name], batch)
            if _says_class(golden[name], batch.count) and found is not None and _says_class(found, batch.count):
                self._classes[name] = 0
                for kept, array in ((self._golden, golden[name]), (self._candidate, found)):
                    kept[name].append((array.reshape(-1) != labels).astype(np.int64))
                continue
            scores = [self._scores(name, array, batch.count) for array in (golden[name], found)]
            classes = min(array.shape[1] for array in scores)
            wrong = np.flatnonzero((labels < 0) | (labels >= classes))
            if wrong.size:
                if classes == 1:
                    raise InvalidInput(
                        f"output {name!r} has one score per sample, and label {labels[wrong[0]]} of sample "
                        f"{batch.start + wrong[0]} needs one per class: {instead_of(name, self._model)}"
                    )
                raise InvalidInput(
                    f"label {labels[wrong[0]]} of sample {batch.start + wrong[0]} is no class of output {name!r}, "
                    f"which has classes 0 to {classes - 1}: store labels that count its classes from 0"
                )
            self._classes[name] = classes
            self._golden[name].append(ranks(scores[0], labels))
            self._candidate[name].append(ranks(scores[1], labels))

    def result(self) -> Mapping[LabelsWanted, LabelRanks]:
        """What was measured."""
        return {need: self._ranks(name) for need, name in self._output.items() if name in self._classes}

    def _scores(self, name: str, array: Array | None, count: int) -> Array:
        """(samples, classes), from that or from (samples, 1, ..., classes)."""
        if array is None or array.ndim < 2 or len(array) != count or any(size != 1 for size in array.shape[1:-1]):
            shape = "no sample axis" if array is None else f"shape {list(array.shape)} for {count} samples"
            raise InvalidInput(
                f"labelAccuracy needs one score per class, shape (samples, classes), but output {name!r} has {shape}: "
                f"{instead_of(name, self._model)}"
            )
        return array.reshape(len(array), array.shape[-1])

    def _ranks(self, name: str) -> LabelRanks:
        golden, candidate = np.concatenate(self._golden[name]), np.concatenate(self._candidate[name])
        return LabelRanks(name, self._classes[name], golden, candidate)


def _says_class(array: Array, count: int) -> bool:
    """Whether it is the class of each sample: one whole number, as ArgMax makes it."""
    return array.dtype.kind in "iu" and array.ndim >= 1 and len(array) == count == array.size


def _whose(name: str, golden: Arrays) -> str:
    return "the candidate" if name in golden else "the golden run"
