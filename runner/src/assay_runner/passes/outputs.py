"""Outputs against golden outputs, per sample."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assay_runner.errors import InvalidInput
from assay_runner.evidence import LabelRanks, LabelsWanted, OutputDrifts, OutputsFound, OutputsWanted
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.passes.score_outputs import instead_of, no_numbers
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.statistics.samples import Drift, drift, identical, joined, ranks
from assay_runner.tensors import Array, Arrays, Batch, Site

EXACT = "biu"
"""Kinds of integers and booleans, which are compared for equality."""

NOTHING = drift(np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32))


class Drifts:
    """Outputs of one run against those of another, gathered batch by batch.

    What the samples of a batch share, as a constant, is compared as a whole, and each of them bears what is found.
    """

    def __init__(self, sites: Mapping[str, Site], ks: Collection[int], axes: SampleAxes) -> None:
        """Look at these outputs, in this order; `ks` are the k of top-k agreement, `axes` where the samples are."""
        self._sites, self._ks, self._axes = sites, ks, axes
        self._shared: dict[str, tuple[int, ...]] = {}
        self._parts: dict[str, list[Drift]] = {name: [] for name in sites}
        self._equal: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in sites}
        self._classes: dict[str, int] = {}
        self._elements: dict[str, int] = {}
        self.unmeasured: dict[str, str] = {}

    def add(self, batch: Batch, golden: Arrays, candidate: Arrays) -> None:
        """Take a batch in; an output that cannot be compared is noted, once and for all.

        Args:
            batch: what was fed.
            golden: samples along the first axis, as golden runs give them.
            candidate: as the candidate gives them.
        """
        for name in self._sites.keys() - self.unmeasured.keys():
            found = self._compared(name, batch, golden, candidate)
            if isinstance(found, str):
                self.unmeasured[name] = found
                continue
            self._classes[name] = found.shape[-1] if found.ndim > 1 else 1
            self._elements[name] = math.prod(found.shape[1:])
            times = batch.count if len(found) != batch.count else 1
            if found.dtype.kind in EXACT:
                self._equal[name].append(identical(golden[name], found).repeat(times))
            else:
                self._parts[name].append(drift(golden[name], found, self._ks).repeated(times))

    def result(self) -> tuple[OutputDrifts, ...]:
        """What was measured, in graph order."""
        return tuple(
            _joined(self._sites[name], self._parts[name], self._equal[name], self._classes[name], self._elements[name])
            for name in self._sites
            if name in self._classes and name not in self.unmeasured
        )

    def _compared(self, name: str, batch: Batch, golden: Arrays, candidate: Arrays) -> Array | str:
        """The candidate's samples, to be held against golden's; or why they cannot be."""
        if name not in candidate:
            return f"output {name!r} holds no numbers (but strings, say, or a sequence), so it is not compared"
        shape = list(candidate[name].shape)
        found = self._axes.samples(name, candidate[name], batch)
        if found is None:
            told = f"output {name!r} has no sample axis that is known: its shape is {shape} for {batch.fed} samples"
            if name in self._axes.wrong:
                told += ", and its values do not follow the samples where the model declares them"
            return f"{told}; export the model with its batch as a named, free dimension, or set dataset.batch to 1"
        if name not in golden and self._axes.shared(name):
            return (
                f"output {name!r} is one for all samples of a batch, and the golden outputs, a row per sample, have "
                "none such: leave golden.uri out"
            )
        if name not in golden:
            return f"there is no golden output {name!r}"
        if found.shape != golden[name].shape:
            return f"output {name!r} has shape {list(found.shape)}, the golden one {list(golden[name].shape)}"
        if batch.fed > 1 and self._axes.shared(name) and self._shared.setdefault(name, found.shape) != found.shape:
            return f"output {name!r} has no sample axis, and its shape is {shape} in one batch and another in others"
        kinds = candidate[name].dtype, golden[name].dtype
        if (kinds[0].kind in EXACT) != (kinds[1].kind in EXACT):
            return f"output {name!r} holds {kinds[0].name} numbers, the golden one {kinds[1].name}"
        return found


class OutputsPass(Pass[OutputsWanted]):
    """The candidate's outputs against golden's."""

    reads_outputs = True

    def __init__(self, needs: Sequence[OutputsWanted], setting: Setting, stack: ExitStack) -> None:
        """Compare every output, once for all needs."""
        super().__init__(needs, setting, stack)
        ks = {need.top_k for need in needs if need.top_k}
        self._drifts = Drifts(setting.subject.outputs, ks, setting.subject.built.axes)

    def add(self, step: Step) -> None:
        """Compare the outputs of a batch."""
        if step.found is not None:
            self._drifts.add(step.batch, step.golden, step.found)

    def result(self) -> Mapping[OutputsWanted, OutputsFound]:
        """The same for all."""
        floors = self.setting.reference.floors
        found = tuple(
            replace(drifts, floors=tuple(entry for entry in floors if entry.output == drifts.site.tensor))
            for drifts in self._drifts.result()
        )
        return dict.fromkeys(self.needs, OutputsFound(found, self._drifts.unmeasured))


class LabelsPass(Pass[LabelsWanted]):
    """Gathers how labels rank in an output of classes."""

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


def _whose(name: str, golden: Arrays) -> str:
    return "the candidate" if name in golden else "the golden run"


def _joined(
    site: Site, parts: list[Drift], equal: list[NDArray[np.bool_]], classes: int, elements: int
) -> OutputDrifts:
    return OutputDrifts(
        **vars(joined(parts or [NOTHING])),
        site=site,
        classes=classes,
        elements=elements,
        equal=np.concatenate(equal) if equal else None,
    )
