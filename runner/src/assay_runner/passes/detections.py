"""Detections of the candidate matched to golden's, sample by sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import cast

import numpy as np

from assay_runner.errors import InvalidInput
from assay_runner.evidence import DetectionsFound, DetectionsWanted, Layout
from assay_runner.graphs.named_rows import rows_by_sample
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.statistics.blocks import plain
from assay_runner.statistics.detections import Detections, Form, Outcome, corners, outcome
from assay_runner.tensors import Array, Arrays, Batch, Floats


class DetectionsPass(Pass[DetectionsWanted]):
    """Reads detections out of golden's outputs and the candidate's, and matches them, one sample after another."""

    reads_outputs = True

    def __init__(self, needs: Sequence[DetectionsWanted], setting: Setting, stack: ExitStack) -> None:
        """Look at the outputs that are asked for."""
        super().__init__(needs, setting, stack)
        self._sites, self._axes = setting.subject.outputs, setting.subject.built.axes
        self._outcomes: dict[DetectionsWanted, list[Outcome]] = {need: [] for need in needs}

    def add(self, step: Step) -> None:
        """Match what a batch holds.

        Raises:
            InvalidInput: an output is not there, has no samples, or does not hold what is looked for in it.
        """
        if step.found is None:
            return
        for need, outcomes in self._outcomes.items():
            golden = self._read(need, step.batch, step.golden, "the golden run")
            candidate = self._read(need, step.batch, step.found, "the candidate")
            outcomes += [outcome(*both, need.terms) for both in zip(golden, candidate, strict=True)]

    def result(self) -> Mapping[DetectionsWanted, DetectionsFound]:
        """What was measured."""
        return {
            need: DetectionsFound(self._sites[self._boxes(need.layout)], np.array(found, np.float64))
            for need, found in self._outcomes.items()
            if found
        }

    def _boxes(self, layout: Layout) -> str:
        return layout.boxes or next(iter(self._sites))

    def _read(self, need: DetectionsWanted, batch: Batch, arrays: Arrays, whose: str) -> Iterator[Detections]:
        """What one of the two detects in each sample."""
        layout = need.layout
        roles = {
            "boxes": self._boxes(layout),
            "scores": layout.scores,
            "classes": layout.classes,
            "count": layout.count,
        }
        given = {role: self._by_sample(name, batch, arrays, whose) for role, name in roles.items() if name}
        for index in range(batch.count):
            sample = {role: several[index] for role, several in given.items()}
            yield detections(sample, roles, layout, need.terms.floor)

    def _by_sample(self, name: str, batch: Batch, arrays: Arrays, whose: str) -> list[Array]:
        """An output of each sample; golden's has its samples first already."""
        golden = whose == "the golden run"
        # Golden leaves out what it cannot tell apart.
        if name not in arrays and not (golden and batch.fed > 1 and name in self._sites):
            raise InvalidInput(f"detections reads output {name!r}, which {whose} does not have")
        found = arrays.get(name) if golden else self._axes.samples(name, arrays[name], batch)
        if batch.fed > 1 and name in self._axes.rows and found is not None:
            return list(rows_by_sample(found[0], self._axes.rows[name], batch.count))
        if found is None or len(found) != batch.count:
            raise InvalidInput(
                f"detections reads output {name!r}, in which it is not known what belongs to which of the "
                f"{batch.fed} samples of a batch: set dataset.batch to 1"
            )
        return list(found)


def detections(found: Mapping[str, Array], names: Mapping[str, str], layout: Layout, floor: float) -> Detections:
    """What one sample's outputs say.

    Args:
        found: by role (boxes, scores, classes, count), the sample's output.
        names: of these outputs.
        layout: what stands where in them.
        floor: score below which a row is none, whatever else stands in it.

    Raises:
        InvalidInput: a column is not there, or there is not one number for each box.
    """
    table = _table(found["boxes"], layout.first)
    rows = len(table)
    boxes = _columns(table, layout.box_columns, names["boxes"])
    scored = _for_each(found["scores"], rows, names["scores"], layout.first) if "scores" in found else table
    scores, classes = _scores(scored, layout, names.get("scores") or names["boxes"])
    if "classes" in found:
        classes = _for_each(found["classes"], rows, names["classes"], layout.first)[:, layout.class_column or 0]
    elif layout.class_column is not None:
        classes = _columns(table, (layout.class_column,), names["boxes"])[:, 0]
    meant = np.ones(rows, np.bool_)
    if "count" in found:
        meant = np.arange(rows) < np.nan_to_num(plain(found["count"]).reshape(-1)[:1].astype(np.float64))
    there = meant & ~np.isneginf(scores)
    low = scores < floor
    corner = corners(boxes, cast("Form", layout.form))
    sound = np.isfinite(scores) & np.isfinite(corner).all(axis=1) & np.isfinite(classes)
    kept = there & sound
    return Detections(corner[kept], scores[kept], np.rint(classes[kept]), int((there & ~sound & ~low).sum()))


def _scores(table: Floats, layout: Layout, name: str) -> tuple[Floats, Floats]:
    """Score and class of each row; one class where nothing tells them apart."""
    start = layout.class_scores
    if start is None and layout.score_column is None and table.shape[1] > 1:
        start = 0  # An output of scores of its own, with one for each class.
    if start is None:
        scores = _columns(table, (layout.score_column or 0,), name)[:, 0]
        return scores, np.zeros(len(table))
    several = _columns(table, tuple(range(start, max(start + 1, table.shape[1]))), name)
    best = several.argmax(axis=1) if len(several) else np.zeros(0, np.int64)
    scores = several.max(axis=1, initial=-np.inf)
    if layout.score_column is not None:
        scores = scores * _columns(table, (layout.score_column,), name)[:, 0]
    return scores, best.astype(np.float64)


def _table(array: Array, first: bool) -> Floats:
    """(rows, columns) of a sample's output; a single row may have come without its axis."""
    wide = plain(array).astype(np.float64)
    if wide.ndim < 2:
        return wide.reshape(1, -1)
    if first:
        return wide.reshape(wide.shape[-2], -1).T
    return wide.reshape(math.prod(wide.shape[:-1]), wide.shape[-1])


def _for_each(array: Array, rows: int, name: str, first: bool) -> Floats:
    """(rows, columns) of an output beside the boxes."""
    wide = plain(array).astype(np.float64)
    if not rows:
        return np.zeros((0, max(1, wide.shape[-1] if wide.ndim > 1 else 1)))
    if wide.size % rows or not wide.size:
        raise InvalidInput(
            f"detections reads output {name!r} of shape {list(array.shape)} in a sample with {rows} boxes: that is no "
            "number for each box"
        )
    return wide.reshape(-1, rows).T if first and wide.ndim > 1 else wide.reshape(rows, -1)


def _columns(table: Floats, columns: tuple[int, ...], name: str) -> Floats:
    if max(columns) >= table.shape[1]:
        raise InvalidInput(
            f"detections reads column {max(columns)} of output {name!r}, which has {table.shape[1]}: give others, "
            "or say by detections.columns which axis holds them"
        )
    return table[:, list(columns)]
