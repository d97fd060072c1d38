"""What was measured of detections: golden's and the candidate's, matched sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay_runner.statistics.detections import Outcome
from assay_runner.tensors import Floats, Site

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Where detections stand in a model's outputs; an empty name: no such output.

    Attributes:
        boxes: output of the boxes; empty: the first.
        scores: output of the scores, where they are in another.
        classes: output of the classes, likewise.
        count: output that says how many rows are meant.
        first: whether columns come before rows, (columns, rows) in each sample.
        box_columns: the four of a box.
        form: xyxy, xywh or cxcywh.
        score_column: of the score, or of what class scores are multiplied by; None: there is none.
        class_column: of the class; None: there is none.
        class_scores: column from which on there is a score per class; None: there are none.
    """

    boxes: str = ""
    scores: str = ""
    classes: str = ""
    count: str = ""
    first: bool = False
    box_columns: tuple[int, ...] = (0, 1, 2, 3)
    form: str = "xyxy"
    score_column: int | None = None
    class_column: int | None = None
    class_scores: int | None = None


@dataclass(frozen=True)
class DetectionsFound:
    """What became of golden's detections, one outcome per sample in dataset order.

    Attributes:
        site: the output of the boxes.
        outcomes: one per sample; each field of `Outcome` is a column of `of`.
    """

    site: Site
    outcomes: Floats

    def of(self, name: str) -> Floats:
        """A field of the outcomes, one value per sample."""
        return self.outcomes[:, Outcome._fields.index(name)]

    def total(self, name: str) -> int:
        """Sum of a count over the samples."""
        return int(self.of(name).sum())
